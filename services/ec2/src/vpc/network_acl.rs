//! Network ACLs: ordered, stateless rules at a subnet's border.

use base::{Cidr, ResourceId, Tags};
use ec2_api::{
    CreateNetworkAclEntryInput, CreateNetworkAclEntryOutput, CreateNetworkAclInput,
    CreateNetworkAclOutput, DeleteNetworkAclEntryInput, DeleteNetworkAclEntryOutput,
    DeleteNetworkAclInput, DeleteNetworkAclOutput, DescribeNetworkAclsInput,
    DescribeNetworkAclsOutput, IcmpTypeCode, NetworkAclAssociation, NetworkAclEntry, PortRange,
    ReplaceNetworkAclAssociationInput, ReplaceNetworkAclAssociationOutput,
    ReplaceNetworkAclEntryInput, ReplaceNetworkAclEntryOutput, RuleAction,
};
use kernel::quota::Quota;
use kernel::token::{self, Known};
use store::{ReadTx, WriteTx};

use super::store::{
    AclEntry, AclPeer, NETWORK_ACLS, NETWORK_ACLS_BY_VPC, NetworkAcl, SUBNETS, SUBNETS_BY_VPC,
    Subnet, Traffic, Vpc,
};
use super::{default_vpc, traffic, vpc};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

/// Network ACLs per VPC.
///
/// AWS: "Amazon VPC quotas".
const ACLS_MAX: Quota = Quota { service: "vpc", code: "L-B4A6D682", default: 200 };
/// Entries per network ACL and direction.
///
/// AWS: "Amazon VPC quotas".
const ENTRIES_MAX: Quota = Quota { service: "vpc", code: "L-2AEEBF1A", default: 20 };
/// The highest number that an entry may be given.
///
/// AWS: CreateNetworkAclEntry.
const NUMBER_MAX: i32 = 32_766;
/// The number under which the last entry, which denies the rest, is shown.
const LAST: i32 = 32_767;

/// Makes the default ACL of a new VPC, which allows everything.
pub(crate) fn make_default(tx: &mut WriteTx<'_>, vpc: &Vpc) -> Result<()> {
    let entry = |egress| AclEntry {
        number: 100,
        egress,
        allow: true,
        traffic: Traffic { protocol: traffic::ALL, from: None, to: None },
        peer: AclPeer::V4(Cidr::ALL),
    };
    let acl = NetworkAcl {
        id: vpc.default_acl.clone(),
        vpc: vpc.id.clone(),
        is_default: true,
        entries: vec![entry(true), entry(false)],
    };
    tx.put(&NETWORK_ACLS, &acl)?;
    tags::begin(tx, &acl.id, "network-acl", &Tags::new())
}

fn get(tx: &ReadTx<'_>, id: &str) -> Result<NetworkAcl> {
    let parsed = ResourceId::parse("acl", id);
    let found = parsed.map(|id| tx.get(&NETWORK_ACLS, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::NetworkAclNotFound(id.to_owned()))
}

/// Makes a network ACL, which denies everything until it has entries.
///
/// AWS: CreateNetworkAcl.
pub(crate) async fn create_network_acl(
    ctx: Ctx,
    input: CreateNetworkAclInput,
) -> Result<CreateNetworkAclOutput> {
    const KIND: &str = "network-acl";
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    let limit = ACLS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let fingerprint = token::fingerprint(&(&input.vpc_id, &wanted));
    let write = |tx: &mut WriteTx<'_>| {
        if let Some(client_token) = &input.client_token {
            match token::look_up(tx, "CreateNetworkAcl", client_token, &fingerprint)? {
                Known::New => {}
                Known::Same(id) => return described(tx, &ctx, &get(tx, &id)?),
                Known::Different => return Err(Error::IdempotentParameterMismatch),
            }
        }
        let vpc = vpc::get(tx, &input.vpc_id)?;
        if tx.find(&NETWORK_ACLS_BY_VPC, &vpc.id)?.len() as u64 >= limit {
            return Err(Error::NetworkAclLimitExceeded);
        }
        let maker = Maker::of(&ctx);
        let (id, vpc) = (maker.id("acl"), vpc.id);
        let acl = NetworkAcl { id, vpc, is_default: false, entries: Vec::new() };
        tx.put(&NETWORK_ACLS, &acl)?;
        tags::begin(tx, &acl.id, KIND, &wanted)?;
        if let Some(client_token) = &input.client_token {
            let (operation, id) = ("CreateNetworkAcl", acl.id.as_str());
            token::remember(tx, operation, client_token, &fingerprint, id, maker.now)?;
        }
        described(tx, &ctx, &acl)
    };
    let network_acl = Some(ctx.store.write(write).await?);
    Ok(CreateNetworkAclOutput { network_acl, client_token: input.client_token })
}

/// Removes a network ACL that no subnet uses.
///
/// AWS: DeleteNetworkAcl.
pub(crate) async fn delete_network_acl(
    ctx: Ctx,
    input: DeleteNetworkAclInput,
) -> Result<DeleteNetworkAclOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let acl = get(tx, &input.network_acl_id)?;
        if acl.is_default {
            return Err(Error::InvalidParameterValue(format!(
                "cannot delete default network ACL {}",
                acl.id
            )));
        }
        if tx.find(&SUBNETS_BY_VPC, &acl.vpc)?.iter().any(|subnet| subnet.acl == acl.id) {
            return Err(Error::DependencyViolation(format!(
                "The networkAcl '{}' has dependencies and cannot be deleted.",
                acl.id
            )));
        }
        tx.delete(&NETWORK_ACLS, &acl.id)?;
        tags::end(tx, &acl.id)
    };
    ctx.store.write(write).await?;
    Ok(DeleteNetworkAclOutput {})
}

struct Wanted<'a> {
    number: i32,
    egress: bool,
    action: RuleAction,
    protocol: &'a str,
    cidr: Option<&'a str>,
    cidr_v6: Option<&'a str>,
    icmp: Option<&'a IcmpTypeCode>,
    ports: Option<&'a PortRange>,
}

fn number_from(number: i32) -> Result<u16> {
    let valid = (1..=NUMBER_MAX).contains(&number).then(|| u16::try_from(number).ok()).flatten();
    valid.ok_or_else(|| {
        Error::value(format!(
            "Value ({number}) for parameter ruleNumber is invalid. Rule numbers must be between 1 \
             and {NUMBER_MAX}."
        ))
    })
}

fn entry_from(wanted: &Wanted<'_>) -> Result<AclEntry> {
    let number = number_from(wanted.number)?;
    let protocol = traffic::protocol_from(wanted.protocol).ok_or_else(|| {
        Error::value(format!("Invalid value '{}' for IP protocol.", wanted.protocol))
    })?;
    let peer = match (wanted.cidr, wanted.cidr_v6) {
        (Some(cidr), None) => AclPeer::V4(vpc::cidr_from(cidr, "cidrBlock")?),
        (None, Some(cidr)) => AclPeer::V6(cidr.to_owned()),
        (Some(_), Some(_)) => {
            return Err(Error::InvalidParameterCombination(
                "The parameters cidrBlock and ipv6CidrBlock cannot be used together".to_owned(),
            ));
        }
        (None, None) => return Err(Error::missing("cidrBlock")),
    };
    let (from, to) = match protocol {
        1 | 58 => {
            let icmp = wanted.icmp.ok_or_else(|| Error::missing("icmpTypeCode.type"))?;
            let (kind, code) = (icmp.type_.unwrap_or(-1), icmp.code.unwrap_or(-1));
            traffic::icmp_from(kind, code)?;
            (Some(kind), Some(code))
        }
        6 | 17 => {
            let ports = wanted.ports.ok_or_else(|| Error::missing("portRange.from"))?;
            let range = ports.from.zip(ports.to);
            let (from, to) = range.ok_or_else(|| Error::missing("portRange.to"))?;
            traffic::ports_from(from, to)?;
            (Some(from), Some(to))
        }
        _ => (None, None),
    };
    let traffic = Traffic { protocol, from, to };
    let allow = wanted.action == RuleAction::Allow;
    Ok(AclEntry { number, egress: wanted.egress, allow, traffic, peer })
}

/// Adds an entry to a network ACL.
///
/// AWS: CreateNetworkAclEntry.
pub(crate) async fn create_network_acl_entry(
    ctx: Ctx,
    input: CreateNetworkAclEntryInput,
) -> Result<CreateNetworkAclEntryOutput> {
    let entry = entry_from(&Wanted {
        number: input.rule_number,
        egress: input.egress,
        action: input.rule_action,
        protocol: &input.protocol,
        cidr: input.cidr_block.as_deref(),
        cidr_v6: input.ipv6_cidr_block.as_deref(),
        icmp: input.icmp_type_code.as_ref(),
        ports: input.port_range.as_ref(),
    })?;
    let limit = ENTRIES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut acl = get(tx, &input.network_acl_id)?;
        let mut same = acl.entries.iter().filter(|other| other.egress == entry.egress);
        if same.clone().any(|other| other.number == entry.number) {
            return Err(Error::AclEntryAlreadyExists(entry.number));
        }
        if same.by_ref().count() as u64 >= limit {
            return Err(Error::AclEntryLimitExceeded);
        }
        acl.entries.push(entry.clone());
        Ok(tx.put(&NETWORK_ACLS, &acl)?)
    };
    ctx.store.write(write).await?;
    Ok(CreateNetworkAclEntryOutput {})
}

/// Puts an entry in the place of the one with its number.
///
/// AWS: ReplaceNetworkAclEntry.
pub(crate) async fn replace_network_acl_entry(
    ctx: Ctx,
    input: ReplaceNetworkAclEntryInput,
) -> Result<ReplaceNetworkAclEntryOutput> {
    let entry = entry_from(&Wanted {
        number: input.rule_number,
        egress: input.egress,
        action: input.rule_action,
        protocol: &input.protocol,
        cidr: input.cidr_block.as_deref(),
        cidr_v6: input.ipv6_cidr_block.as_deref(),
        icmp: input.icmp_type_code.as_ref(),
        ports: input.port_range.as_ref(),
    })?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut acl = get(tx, &input.network_acl_id)?;
        let missing = || Error::AclEntryNotFound(entry.number, acl.id.to_string());
        let same =
            |other: &&mut AclEntry| (other.number, other.egress) == (entry.number, entry.egress);
        let missing = missing();
        *acl.entries.iter_mut().find(same).ok_or(missing)? = entry.clone();
        Ok::<_, Error>(tx.put(&NETWORK_ACLS, &acl)?)
    };
    ctx.store.write(write).await?;
    Ok(ReplaceNetworkAclEntryOutput {})
}

/// Removes an entry.
///
/// AWS: DeleteNetworkAclEntry.
pub(crate) async fn delete_network_acl_entry(
    ctx: Ctx,
    input: DeleteNetworkAclEntryInput,
) -> Result<DeleteNetworkAclEntryOutput> {
    let number = number_from(input.rule_number)?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut acl = get(tx, &input.network_acl_id)?;
        let before = acl.entries.len();
        acl.entries.retain(|other| (other.number, other.egress) != (number, input.egress));
        if acl.entries.len() == before {
            return Err(Error::AclEntryNotFound(number, acl.id.to_string()));
        }
        Ok(tx.put(&NETWORK_ACLS, &acl)?)
    };
    ctx.store.write(write).await?;
    Ok(DeleteNetworkAclEntryOutput {})
}

/// Gives a subnet another network ACL.
///
/// AWS: ReplaceNetworkAclAssociation.
pub(crate) async fn replace_network_acl_association(
    ctx: Ctx,
    input: ReplaceNetworkAclAssociationInput,
) -> Result<ReplaceNetworkAclAssociationOutput> {
    let association = ctx.id("aclassoc");
    let write = |tx: &mut WriteTx<'_>| {
        let acl = get(tx, &input.network_acl_id)?;
        let wanted = |subnet: &Subnet| subnet.acl_association.as_str() == input.association_id;
        let found = tx.scan(&SUBNETS, ())?.into_iter().find(wanted);
        let mut subnet =
            found.ok_or_else(|| Error::AssociationNotFound(input.association_id.clone()))?;
        if subnet.vpc != acl.vpc {
            return Err(Error::value(format!(
                "networkAcl {} and subnet {} belong to different networks",
                acl.id, subnet.id
            )));
        }
        subnet.acl = acl.id;
        subnet.acl_association = association.clone();
        Ok(tx.put(&SUBNETS, &subnet)?)
    };
    ctx.store.write(write).await?;
    Ok(ReplaceNetworkAclAssociationOutput { new_association_id: Some(association.to_string()) })
}

const FIELDS: &[Field<ec2_api::NetworkAcl>] = &[
    ("association.association-id", |acl| {
        acl.associations.iter().filter_map(|a| a.network_acl_association_id.clone()).collect()
    }),
    ("association.network-acl-id", |acl| {
        acl.associations.iter().filter_map(|a| a.network_acl_id.clone()).collect()
    }),
    ("association.subnet-id", |acl| {
        acl.associations.iter().filter_map(|a| a.subnet_id.clone()).collect()
    }),
    ("default", |acl| listing::shown(acl.is_default)),
    ("entry.cidr", |acl| acl.entries.iter().filter_map(|e| e.cidr_block.clone()).collect()),
    ("entry.ipv6-cidr", |acl| {
        acl.entries.iter().filter_map(|e| e.ipv6_cidr_block.clone()).collect()
    }),
    ("entry.egress", |acl| acl.entries.iter().flat_map(|e| listing::shown(e.egress)).collect()),
    ("entry.protocol", |acl| acl.entries.iter().filter_map(|e| e.protocol.clone()).collect()),
    ("entry.rule-action", |acl| {
        acl.entries.iter().flat_map(|e| listing::shown(e.rule_action)).collect()
    }),
    ("entry.rule-number", |acl| {
        acl.entries.iter().flat_map(|e| listing::shown(e.rule_number)).collect()
    }),
    ("entry.port-range.from", |acl| {
        let ports = acl.entries.iter().filter_map(|e| e.port_range.as_ref());
        ports.flat_map(|range| listing::shown(range.from)).collect()
    }),
    ("entry.port-range.to", |acl| {
        let ports = acl.entries.iter().filter_map(|e| e.port_range.as_ref());
        ports.flat_map(|range| listing::shown(range.to)).collect()
    }),
    ("entry.icmp.code", |acl| {
        let icmp = acl.entries.iter().filter_map(|e| e.icmp_type_code.as_ref());
        icmp.flat_map(|icmp| listing::shown(icmp.code)).collect()
    }),
    ("entry.icmp.type", |acl| {
        let icmp = acl.entries.iter().filter_map(|e| e.icmp_type_code.as_ref());
        icmp.flat_map(|icmp| listing::shown(icmp.type_)).collect()
    }),
    ("network-acl-id", |acl| listing::text(acl.network_acl_id.as_ref())),
    ("owner-id", |acl| listing::text(acl.owner_id.as_ref())),
    ("vpc-id", |acl| listing::text(acl.vpc_id.as_ref())),
];

/// Tells the account's network ACLs.
///
/// AWS: DescribeNetworkAcls.
pub(crate) async fn describe_network_acls(
    ctx: Ctx,
    input: DescribeNetworkAclsInput,
) -> Result<DescribeNetworkAclsOutput> {
    default_vpc::ensure(&ctx).await?;
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&NETWORK_ACLS, ())?;
        all.iter().map(|acl| described(tx, &ctx, acl)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |acl: &ec2_api::NetworkAcl| acl.network_acl_id.clone().unwrap_or_default();
    let all = listing::named(
        all,
        &input.network_acl_ids,
        |acl| acl.network_acl_id.as_deref().unwrap_or_default(),
        Error::NetworkAclNotFound,
    )?;
    let all = listing::select(all, &input.filters, FIELDS, |acl| &acl.tags)?;
    let asked = Asked {
        ids: &input.network_acl_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (network_acls, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeNetworkAclsOutput { network_acls, next_token })
}

fn described(tx: &ReadTx<'_>, ctx: &Ctx, acl: &NetworkAcl) -> Result<ec2_api::NetworkAcl> {
    let subnets = tx.find(&SUBNETS_BY_VPC, &acl.vpc)?;
    let users = subnets.iter().filter(|subnet| subnet.acl == acl.id);
    let association = |subnet: &Subnet| NetworkAclAssociation {
        network_acl_association_id: Some(subnet.acl_association.to_string()),
        network_acl_id: Some(acl.id.to_string()),
        subnet_id: Some(subnet.id.to_string()),
    };
    let mut sorted: Vec<&AclEntry> = acl.entries.iter().collect();
    sorted.sort_by_key(|entry| (!entry.egress, entry.number));
    let mut entries: Vec<NetworkAclEntry> = Vec::new();
    for egress in [true, false] {
        entries.extend(sorted.iter().filter(|e| e.egress == egress).map(|e| entry_of(e)));
        entries.push(NetworkAclEntry {
            cidr_block: Some(Cidr::ALL.to_string()),
            egress: Some(egress),
            protocol: Some("-1".to_owned()),
            rule_action: Some(RuleAction::Deny),
            rule_number: Some(LAST),
            ..NetworkAclEntry::default()
        });
    }
    Ok(ec2_api::NetworkAcl {
        network_acl_id: Some(acl.id.to_string()),
        vpc_id: Some(acl.vpc.to_string()),
        owner_id: Some(ctx.account.to_string()),
        is_default: Some(acl.is_default),
        associations: users.map(association).collect(),
        entries,
        tags: tags::wire_of(tx, &acl.id)?,
    })
}

fn entry_of(entry: &AclEntry) -> NetworkAclEntry {
    let icmp = matches!(entry.traffic.protocol, 1 | 58);
    let range = entry.traffic.from.zip(entry.traffic.to);
    let (v4, v6) = match &entry.peer {
        AclPeer::V4(cidr) => (Some(cidr.to_string()), None),
        AclPeer::V6(cidr) => (None, Some(cidr.clone())),
    };
    NetworkAclEntry {
        cidr_block: v4,
        ipv6_cidr_block: v6,
        egress: Some(entry.egress),
        icmp_type_code: range
            .filter(|_| icmp)
            .map(|(kind, code)| IcmpTypeCode { type_: Some(kind), code: Some(code) }),
        port_range: range
            .filter(|_| !icmp)
            .map(|(from, to)| PortRange { from: Some(from), to: Some(to) }),
        protocol: Some(entry.traffic.protocol.to_string()),
        rule_action: Some(if entry.allow { RuleAction::Allow } else { RuleAction::Deny }),
        rule_number: Some(i32::from(entry.number)),
    }
}
