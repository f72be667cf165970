//! Security groups: stateful allow rules for the interfaces that are in them.

use base::{Cidr, ResourceId, Tags};
use ec2_api::{
    CreateSecurityGroupInput, CreateSecurityGroupOutput, DeleteSecurityGroupInput,
    DeleteSecurityGroupOutput, DescribeSecurityGroupsInput, DescribeSecurityGroupsOutput,
    IpPermission,
};
use kernel::quota::Quota;
use store::{ReadTx, WriteTx};

use super::store::{
    GroupPeer, GroupRule, INTERFACES_BY_GROUP, SECURITY_GROUPS, SECURITY_GROUPS_BY_VPC,
    SecurityGroup, Traffic, VPCS, Vpc,
};
use super::{default_vpc, permission, traffic, vpc};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

/// Security groups per region.
///
/// AWS: "Amazon VPC quotas".
const GROUPS_MAX: Quota = Quota { service: "vpc", code: "L-E79EC296", default: 2500 };
/// Security groups per network interface.
///
/// AWS: "Amazon VPC quotas".
const GROUPS_PER_INTERFACE_MAX: Quota = Quota { service: "vpc", code: "L-2AFB9258", default: 5 };
/// The name of the group that comes with a VPC.
const DEFAULT: &str = "default";

/// Makes the default group of a new VPC: in from its own members, out to everywhere.
pub(crate) fn make_default(tx: &mut WriteTx<'_>, maker: Maker<'_>, vpc: &Vpc) -> Result<()> {
    let own = GroupPeer::Group(vpc.default_group.clone());
    let group = SecurityGroup {
        id: vpc.default_group.clone(),
        vpc: vpc.id.clone(),
        name: DEFAULT.to_owned(),
        description: "default VPC security group".to_owned(),
        rules: vec![
            everything(maker, false, own),
            everything(maker, true, GroupPeer::V4(Cidr::ALL)),
        ],
    };
    put_new(tx, &group, &Tags::new())
}

fn everything(maker: Maker<'_>, egress: bool, peer: GroupPeer) -> GroupRule {
    let traffic = Traffic { protocol: traffic::ALL, from: None, to: None };
    GroupRule { id: maker.id("sgr"), egress, traffic, peer, description: None }
}

fn put_new(tx: &mut WriteTx<'_>, group: &SecurityGroup, tags: &Tags) -> Result<()> {
    tx.put(&SECURITY_GROUPS, group)?;
    tags::begin(tx, &group.id, "security-group", tags)?;
    for rule in &group.rules {
        tags::begin(tx, &rule.id, "security-group-rule", &Tags::new())?;
    }
    Ok(())
}

/// Removes a group with the tags of it and its rules.
pub(crate) fn remove(tx: &mut WriteTx<'_>, id: &ResourceId) -> Result<()> {
    if let Some(group) = tx.get(&SECURITY_GROUPS, id)? {
        for rule in &group.rules {
            tags::end(tx, &rule.id)?;
        }
        tx.delete(&SECURITY_GROUPS, id)?;
        tags::end(tx, id)?;
    }
    Ok(())
}

/// The group called `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<SecurityGroup> {
    if !id.starts_with("sg-") {
        return Err(Error::GroupIdMalformed(id.to_owned()));
    }
    let parsed = ResourceId::parse("sg", id);
    let found = parsed.map(|id| tx.get(&SECURITY_GROUPS, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::GroupNotFound(id.to_owned()))
}

/// The group of the name `name` in the VPC `vpc`.
pub(crate) fn by_name(tx: &ReadTx<'_>, vpc: &ResourceId, name: &str) -> Result<SecurityGroup> {
    let found = tx.find(&SECURITY_GROUPS_BY_VPC, vpc)?.into_iter().find(|g| g.name == name);
    found.ok_or_else(|| Error::GroupNotInVpc(name.to_owned(), vpc.to_string()))
}

/// The group that an operation names by id, or by name in the default VPC.
pub(crate) fn either(
    tx: &ReadTx<'_>,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<SecurityGroup> {
    match (id, name) {
        (Some(id), _) => get(tx, id),
        (None, Some(name)) => {
            let vpc = default_vpc::find(tx)?.ok_or(Error::VpcIdNotSpecified)?;
            by_name(tx, &vpc.id, name)
        }
        (None, None) => Err(Error::missing("groupName or groupId")),
    }
}

/// Makes a security group, which lets everything out and nothing in.
///
/// AWS: CreateSecurityGroup.
pub(crate) async fn create_security_group(
    ctx: Ctx,
    input: CreateSecurityGroupInput,
) -> Result<CreateSecurityGroupOutput> {
    const KIND: &str = "security-group";
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    require_names(&input.group_name, &input.description)?;
    default_vpc::ensure(&ctx).await?;
    let limit = GROUPS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let vpc = match &input.vpc_id {
            Some(id) => vpc::get(tx, id)?,
            None => default_vpc::find(tx)?.ok_or(Error::VpcIdNotSpecified)?,
        };
        let name = input.group_name.clone();
        let others = tx.find(&SECURITY_GROUPS_BY_VPC, &vpc.id)?;
        if others.iter().any(|other| other.name == name) {
            return Err(Error::GroupDuplicate(name, vpc.id.to_string()));
        }
        if tx.scan(&SECURITY_GROUPS, ())?.len() as u64 >= limit {
            return Err(Error::SecurityGroupLimitExceeded);
        }
        let maker = Maker::of(&ctx);
        let group = SecurityGroup {
            id: maker.id("sg"),
            vpc: vpc.id,
            name,
            description: input.description.clone(),
            rules: vec![everything(maker, true, GroupPeer::V4(Cidr::ALL))],
        };
        put_new(tx, &group, &wanted)?;
        Ok(group)
    };
    let group = ctx.store.write(write).await?;
    Ok(CreateSecurityGroupOutput {
        group_id: Some(group.id.to_string()),
        security_group_arn: Some(arn_of(&ctx, &group)),
        tags: tags::to_wire(&wanted),
    })
}

fn require_names(name: &str, description: &str) -> Result<()> {
    let allowed = |text: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
        text.chars().count() <= 255 && text.chars().all(known)
    };
    if name.is_empty() || !allowed(name) {
        return Err(Error::value(
            "Value for parameter GroupName is invalid. Character sets beyond ASCII are not \
             supported.",
        ));
    }
    if name == DEFAULT {
        return Err(Error::value("Cannot use reserved security group name: default"));
    }
    if name.starts_with("sg-") {
        return Err(Error::value(format!(
            "Value ({name}) for parameter groupName is invalid. Group names may not be in the \
             format sg-*."
        )));
    }
    if description.is_empty() {
        return Err(Error::missing("groupDescription"));
    }
    if !allowed(description) {
        return Err(Error::value(format!(
            "Value ({description}) for parameter GroupDescription is invalid. Character sets \
             beyond ASCII are not supported."
        )));
    }
    Ok(())
}

/// Removes a group that no interface is in and no other group's rule names.
///
/// AWS: DeleteSecurityGroup.
pub(crate) async fn delete_security_group(
    ctx: Ctx,
    input: DeleteSecurityGroupInput,
) -> Result<DeleteSecurityGroupOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let group = either(tx, input.group_id.as_deref(), input.group_name.as_deref())?;
        if group.name == DEFAULT {
            return Err(Error::CannotDelete(format!(
                "the specified group: \"{}\" name: \"{DEFAULT}\" cannot be deleted by a user",
                group.id
            )));
        }
        let own = GroupPeer::Group(group.id.clone());
        let names_it = |other: &SecurityGroup| {
            other.id != group.id && other.rules.iter().any(|rule| rule.peer == own)
        };
        let named = tx.find(&SECURITY_GROUPS_BY_VPC, &group.vpc)?.iter().any(names_it);
        if named || !tx.find(&INTERFACES_BY_GROUP, &group.id)?.is_empty() {
            return Err(Error::DependencyViolation(format!(
                "resource {} has a dependent object",
                group.id
            )));
        }
        remove(tx, &group.id)?;
        Ok(group.id)
    };
    let id = ctx.store.write(write).await?;
    Ok(DeleteSecurityGroupOutput { return_: Some(true), group_id: Some(id.to_string()) })
}

fn each<T>(permissions: &[IpPermission], values: impl Fn(&IpPermission) -> Vec<T>) -> Vec<String>
where
    T: ToString,
{
    permissions.iter().flat_map(values).map(|value| value.to_string()).collect()
}

fn cidrs(permission: &IpPermission) -> Vec<String> {
    permission.ip_ranges.iter().filter_map(|range| range.cidr_ip.clone()).collect()
}

fn cidrs_v6(permission: &IpPermission) -> Vec<String> {
    permission.ipv6_ranges.iter().filter_map(|range| range.cidr_ipv6.clone()).collect()
}

fn group_ids(permission: &IpPermission) -> Vec<String> {
    permission.user_id_group_pairs.iter().filter_map(|pair| pair.group_id.clone()).collect()
}

fn user_ids(permission: &IpPermission) -> Vec<String> {
    permission.user_id_group_pairs.iter().filter_map(|pair| pair.user_id.clone()).collect()
}

fn prefix_lists(permission: &IpPermission) -> Vec<String> {
    permission.prefix_list_ids.iter().filter_map(|list| list.prefix_list_id.clone()).collect()
}

fn from_port(permission: &IpPermission) -> Vec<i32> {
    permission.from_port.into_iter().collect()
}

fn to_port(permission: &IpPermission) -> Vec<i32> {
    permission.to_port.into_iter().collect()
}

fn protocols(permission: &IpPermission) -> Vec<String> {
    permission.ip_protocol.clone().into_iter().collect()
}

const FIELDS: &[Field<ec2_api::SecurityGroup>] = &[
    ("description", |group| listing::text(group.description.as_ref())),
    ("egress.ip-permission.cidr", |group| each(&group.ip_permissions_egress, cidrs)),
    ("egress.ip-permission.from-port", |group| each(&group.ip_permissions_egress, from_port)),
    ("egress.ip-permission.group-id", |group| each(&group.ip_permissions_egress, group_ids)),
    ("egress.ip-permission.ipv6-cidr", |group| each(&group.ip_permissions_egress, cidrs_v6)),
    ("egress.ip-permission.prefix-list-id", |group| {
        each(&group.ip_permissions_egress, prefix_lists)
    }),
    ("egress.ip-permission.protocol", |group| each(&group.ip_permissions_egress, protocols)),
    ("egress.ip-permission.to-port", |group| each(&group.ip_permissions_egress, to_port)),
    ("egress.ip-permission.user-id", |group| each(&group.ip_permissions_egress, user_ids)),
    ("group-id", |group| listing::text(group.group_id.as_ref())),
    ("group-name", |group| listing::text(group.group_name.as_ref())),
    ("ip-permission.cidr", |group| each(&group.ip_permissions, cidrs)),
    ("ip-permission.from-port", |group| each(&group.ip_permissions, from_port)),
    ("ip-permission.group-id", |group| each(&group.ip_permissions, group_ids)),
    ("ip-permission.ipv6-cidr", |group| each(&group.ip_permissions, cidrs_v6)),
    ("ip-permission.prefix-list-id", |group| each(&group.ip_permissions, prefix_lists)),
    ("ip-permission.protocol", |group| each(&group.ip_permissions, protocols)),
    ("ip-permission.to-port", |group| each(&group.ip_permissions, to_port)),
    ("ip-permission.user-id", |group| each(&group.ip_permissions, user_ids)),
    ("owner-id", |group| listing::text(group.owner_id.as_ref())),
    ("vpc-id", |group| listing::text(group.vpc_id.as_ref())),
];

/// Tells the account's security groups.
///
/// AWS: DescribeSecurityGroups.
pub(crate) async fn describe_security_groups(
    ctx: Ctx,
    input: DescribeSecurityGroupsInput,
) -> Result<DescribeSecurityGroupsOutput> {
    default_vpc::ensure(&ctx).await?;
    let read = |tx: &ReadTx<'_>| {
        for id in &input.group_ids {
            get(tx, id)?;
        }
        let mut all = tx.scan(&SECURITY_GROUPS, ())?;
        if !input.group_names.is_empty() {
            let default = default_vpc::find(tx)?.ok_or(Error::VpcIdNotSpecified)?;
            for name in &input.group_names {
                by_name(tx, &default.id, name)?;
            }
            all.retain(|g| g.vpc == default.id && input.group_names.contains(&g.name));
        }
        all.iter().map(|group| described(tx, &ctx, group)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |group: &ec2_api::SecurityGroup| group.group_id.clone().unwrap_or_default();
    let all = listing::named(
        all,
        &input.group_ids,
        |group| group.group_id.as_deref().unwrap_or_default(),
        Error::GroupNotFound,
    )?;
    let all = listing::select(all, &input.filters, FIELDS, |group| &group.tags)?;
    let asked = Asked {
        ids: &input.group_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (security_groups, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeSecurityGroupsOutput { security_groups, next_token })
}

fn arn_of(ctx: &Ctx, group: &SecurityGroup) -> String {
    ctx.arn("ec2", format!("security-group/{}", group.id)).to_string()
}

fn described(tx: &ReadTx<'_>, ctx: &Ctx, group: &SecurityGroup) -> Result<ec2_api::SecurityGroup> {
    let account = ctx.account.as_str();
    Ok(ec2_api::SecurityGroup {
        group_id: Some(group.id.to_string()),
        group_name: Some(group.name.clone()),
        description: Some(group.description.clone()),
        owner_id: Some(account.to_owned()),
        vpc_id: Some(group.vpc.to_string()),
        security_group_arn: Some(arn_of(ctx, group)),
        ip_permissions: permission::grouped(group.rules.iter().filter(|r| !r.egress), account),
        ip_permissions_egress: permission::grouped(
            group.rules.iter().filter(|r| r.egress),
            account,
        ),
        tags: tags::wire_of(tx, &group.id)?,
    })
}

/// The groups called `ids`, at most `limit`, which must all be in `vpc`; its default group when
/// none is named.
pub(crate) fn for_interface(
    tx: &ReadTx<'_>,
    vpc: &ResourceId,
    ids: &[String],
    limit: u64,
) -> Result<Vec<ResourceId>> {
    if ids.is_empty() {
        let vpc = tx.get(&VPCS, vpc)?.ok_or_else(|| Error::VpcNotFound(vpc.to_string()))?;
        return Ok(vec![vpc.default_group]);
    }
    let mut groups: Vec<ResourceId> = Vec::new();
    for id in ids {
        let group = get(tx, id)?;
        if group.vpc != *vpc {
            return Err(Error::InvalidParameter(format!(
                "Security group {id} and network {vpc} belong to different networks."
            )));
        }
        if !groups.contains(&group.id) {
            groups.push(group.id);
        }
    }
    if groups.len() as u64 > limit {
        return Err(Error::GroupsPerInterfaceLimitExceeded);
    }
    Ok(groups)
}

/// How many groups an interface may be in.
pub(crate) async fn interface_limit(ctx: &Ctx) -> Result<u64> {
    Ok(GROUPS_PER_INTERFACE_MAX.value(ctx.store.store(), ctx.store.scope()).await?)
}
