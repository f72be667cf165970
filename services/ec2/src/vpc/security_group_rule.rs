//! The rules of security groups.

use base::Tags;
use ec2_api::{
    AuthorizeSecurityGroupEgressInput, AuthorizeSecurityGroupEgressOutput,
    AuthorizeSecurityGroupIngressInput, AuthorizeSecurityGroupIngressOutput,
    DescribeSecurityGroupRulesInput, DescribeSecurityGroupRulesOutput, IpPermission, IpRange,
    ModifySecurityGroupRulesInput, ModifySecurityGroupRulesOutput, ReferencedSecurityGroup,
    RevokeSecurityGroupEgressInput, RevokeSecurityGroupEgressOutput,
    RevokeSecurityGroupIngressInput, RevokeSecurityGroupIngressOutput, RevokedSecurityGroupRule,
    SecurityGroupRule, SecurityGroupRuleDescription, SecurityGroupRuleRequest,
    UpdateSecurityGroupRuleDescriptionsEgressInput,
    UpdateSecurityGroupRuleDescriptionsEgressOutput,
    UpdateSecurityGroupRuleDescriptionsIngressInput,
    UpdateSecurityGroupRuleDescriptionsIngressOutput, UserIdGroupPair,
};
use kernel::quota::Quota;
use store::{ReadTx, WriteTx};

use super::permission::{self, Wanted};
use super::security_group;
use super::store::{GroupPeer, GroupRule, SECURITY_GROUPS, SecurityGroup, VPCS};
use super::traffic;
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

const KIND: &str = "security-group-rule";
/// Rules per security group and direction, IPv4 and IPv6 apart.
///
/// AWS: "Amazon VPC quotas".
const RULES_MAX: Quota = Quota { service: "vpc", code: "L-0EA8095F", default: 60 };

async fn authorize(
    ctx: &Ctx,
    egress: bool,
    find: impl Fn(&ReadTx<'_>) -> Result<SecurityGroup> + Send + Sync,
    permissions: &[IpPermission],
    tags: &Tags,
) -> Result<Vec<SecurityGroupRule>> {
    if permissions.is_empty() {
        return Err(Error::missing("ipPermissions"));
    }
    let limit = RULES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut group = find(tx)?;
        let maker = Maker::of(ctx);
        let mut made = Vec::new();
        for wanted in permission::wanted(tx, maker, &group, permissions)? {
            if group.rules.iter().any(|rule| rule.egress == egress && wanted.is(rule)) {
                return Err(Error::PermissionDuplicate(wanted.told()));
            }
            let Wanted { traffic, peer, description } = wanted;
            let rule = GroupRule { id: maker.id("sgr"), egress, traffic, peer, description };
            tags::begin(tx, &rule.id, KIND, tags)?;
            group.rules.push(rule.clone());
            made.push(rule);
        }
        let is_v6 = |rule: &GroupRule| matches!(rule.peer, GroupPeer::V6(_));
        for v6 in [false, true] {
            let of_kind = |rule: &&GroupRule| rule.egress == egress && is_v6(rule) == v6;
            if group.rules.iter().filter(of_kind).count() as u64 > limit {
                return Err(Error::RulesPerGroupLimitExceeded);
            }
        }
        tx.put(&SECURITY_GROUPS, &group)?;
        made.iter().map(|rule| described(tx, ctx, &group, rule)).collect::<Result<Vec<_>>>()
    };
    ctx.store.write(write).await
}

/// Lets traffic into a group's members.
///
/// AWS: AuthorizeSecurityGroupIngress.
pub(crate) async fn authorize_security_group_ingress(
    ctx: Ctx,
    input: AuthorizeSecurityGroupIngressInput,
) -> Result<AuthorizeSecurityGroupIngressOutput> {
    let tags = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    let flat = Flat {
        protocol: input.ip_protocol.as_ref(),
        from: input.from_port,
        to: input.to_port,
        cidr: input.cidr_ip.as_ref(),
        group_name: input.source_security_group_name.as_ref(),
        group_owner: input.source_security_group_owner_id.as_ref(),
    };
    let permissions = flat.with(&input.ip_permissions)?;
    let find = |tx: &ReadTx<'_>| {
        security_group::either(tx, input.group_id.as_deref(), input.group_name.as_deref())
    };
    let security_group_rules = authorize(&ctx, false, find, &permissions, &tags).await?;
    Ok(AuthorizeSecurityGroupIngressOutput { return_: Some(true), security_group_rules })
}

/// Lets traffic out of a group's members.
///
/// AWS: AuthorizeSecurityGroupEgress.
pub(crate) async fn authorize_security_group_egress(
    ctx: Ctx,
    input: AuthorizeSecurityGroupEgressInput,
) -> Result<AuthorizeSecurityGroupEgressOutput> {
    refuse(&[
        ("SourceSecurityGroupName", input.source_security_group_name.is_some()),
        ("SourceSecurityGroupOwnerId", input.source_security_group_owner_id.is_some()),
        ("IpProtocol", input.ip_protocol.is_some()),
        ("FromPort", input.from_port.is_some()),
        ("ToPort", input.to_port.is_some()),
        ("CidrIp", input.cidr_ip.is_some()),
    ])?;
    let tags = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    let find = |tx: &ReadTx<'_>| security_group::get(tx, &input.group_id);
    let security_group_rules = authorize(&ctx, true, find, &input.ip_permissions, &tags).await?;
    Ok(AuthorizeSecurityGroupEgressOutput { return_: Some(true), security_group_rules })
}

/// A permission in the parameters of a call rather than in its list.
struct Flat<'a> {
    protocol: Option<&'a String>,
    from: Option<i32>,
    to: Option<i32>,
    cidr: Option<&'a String>,
    group_name: Option<&'a String>,
    group_owner: Option<&'a String>,
}

impl Flat<'_> {
    fn is_given(&self) -> bool {
        let text = [self.protocol, self.cidr, self.group_name, self.group_owner];
        text.iter().any(Option::is_some) || self.from.is_some() || self.to.is_some()
    }

    fn with(&self, list: &[IpPermission]) -> Result<Vec<IpPermission>> {
        if !self.is_given() {
            return Ok(list.to_vec());
        }
        if !list.is_empty() {
            return Err(Error::InvalidParameterCombination(
                "The parameter 'ipPermissions' may not be used in combination with 'ipProtocol'"
                    .to_owned(),
            ));
        }
        let pair = self.group_name.map(|name| UserIdGroupPair {
            group_name: Some(name.clone()),
            user_id: self.group_owner.cloned(),
            ..UserIdGroupPair::default()
        });
        let range =
            self.cidr.map(|cidr| IpRange { cidr_ip: Some(cidr.clone()), description: None });
        // A source group without a protocol stands for all traffic.
        let all = pair.is_some().then(|| "-1".to_owned());
        Ok(vec![IpPermission {
            ip_protocol: self.protocol.cloned().or(all),
            from_port: self.from,
            to_port: self.to,
            user_id_group_pairs: pair.into_iter().collect(),
            ip_ranges: range.into_iter().collect(),
            ..IpPermission::default()
        }])
    }
}

struct Revoked {
    rules: Vec<RevokedSecurityGroupRule>,
    unknown: Vec<IpPermission>,
}

async fn revoke(
    ctx: &Ctx,
    egress: bool,
    find: impl Fn(&ReadTx<'_>) -> Result<SecurityGroup> + Send + Sync,
    permissions: &[IpPermission],
    ids: &[String],
) -> Result<Revoked> {
    if permissions.is_empty() && ids.is_empty() {
        return Err(Error::missing("ipPermissions"));
    }
    if !permissions.is_empty() && !ids.is_empty() {
        return Err(Error::InvalidParameterCombination(
            "The parameters ipPermissions and securityGroupRuleIds cannot be used together"
                .to_owned(),
        ));
    }
    let write = |tx: &mut WriteTx<'_>| {
        let mut group = find(tx)?;
        let mut gone: Vec<GroupRule> = Vec::new();
        let mut unknown: Vec<GroupRule> = Vec::new();
        for id in ids {
            let at = group.rules.iter().position(|r| r.egress == egress && r.id.as_str() == id);
            gone.push(group.rules.remove(at.ok_or_else(|| Error::RuleIdNotFound(id.clone()))?));
        }
        for wanted in permission::wanted(tx, Maker::of(ctx), &group, permissions)? {
            let at = group.rules.iter().position(|r| r.egress == egress && wanted.is(r));
            match at {
                Some(at) => gone.push(group.rules.remove(at)),
                None => {
                    let Wanted { traffic, peer, description } = wanted;
                    let id = group.id.clone();
                    unknown.push(GroupRule { id, egress, traffic, peer, description });
                }
            }
        }
        let default = tx.get(&VPCS, &group.vpc)?.is_some_and(|vpc| vpc.is_default);
        if !unknown.is_empty() && !default {
            return Err(Error::PermissionNotFound);
        }
        tx.put(&SECURITY_GROUPS, &group)?;
        for rule in &gone {
            tags::end(tx, &rule.id)?;
        }
        Ok(Revoked {
            rules: gone.iter().map(|rule| revoked(&group, rule)).collect(),
            unknown: permission::grouped(unknown.iter(), ctx.account.as_str()),
        })
    };
    ctx.store.write(write).await
}

fn revoked(group: &SecurityGroup, rule: &GroupRule) -> RevokedSecurityGroupRule {
    let peer = WirePeer::of(&rule.peer);
    RevokedSecurityGroupRule {
        security_group_rule_id: Some(rule.id.to_string()),
        group_id: Some(group.id.to_string()),
        is_egress: Some(rule.egress),
        ip_protocol: Some(traffic::protocol_name(rule.traffic.protocol)),
        from_port: Some(rule.traffic.from.unwrap_or(-1)),
        to_port: Some(rule.traffic.to.unwrap_or(-1)),
        cidr_ipv4: peer.v4,
        cidr_ipv6: peer.v6,
        prefix_list_id: peer.prefix_list,
        referenced_group_id: peer.group,
        description: rule.description.clone(),
    }
}

/// Takes rules from what a group lets in.
///
/// AWS: RevokeSecurityGroupIngress.
pub(crate) async fn revoke_security_group_ingress(
    ctx: Ctx,
    input: RevokeSecurityGroupIngressInput,
) -> Result<RevokeSecurityGroupIngressOutput> {
    let flat = Flat {
        protocol: input.ip_protocol.as_ref(),
        from: input.from_port,
        to: input.to_port,
        cidr: input.cidr_ip.as_ref(),
        group_name: input.source_security_group_name.as_ref(),
        group_owner: input.source_security_group_owner_id.as_ref(),
    };
    let permissions = flat.with(&input.ip_permissions)?;
    let find = |tx: &ReadTx<'_>| {
        security_group::either(tx, input.group_id.as_deref(), input.group_name.as_deref())
    };
    let done = revoke(&ctx, false, find, &permissions, &input.security_group_rule_ids).await?;
    Ok(RevokeSecurityGroupIngressOutput {
        return_: Some(true),
        unknown_ip_permissions: done.unknown,
        revoked_security_group_rules: done.rules,
    })
}

/// Takes rules from what a group lets out.
///
/// AWS: RevokeSecurityGroupEgress.
pub(crate) async fn revoke_security_group_egress(
    ctx: Ctx,
    input: RevokeSecurityGroupEgressInput,
) -> Result<RevokeSecurityGroupEgressOutput> {
    refuse(&[
        ("SourceSecurityGroupName", input.source_security_group_name.is_some()),
        ("SourceSecurityGroupOwnerId", input.source_security_group_owner_id.is_some()),
        ("IpProtocol", input.ip_protocol.is_some()),
        ("FromPort", input.from_port.is_some()),
        ("ToPort", input.to_port.is_some()),
        ("CidrIp", input.cidr_ip.is_some()),
    ])?;
    let find = |tx: &ReadTx<'_>| security_group::get(tx, &input.group_id);
    let ids = &input.security_group_rule_ids;
    let done = revoke(&ctx, true, find, &input.ip_permissions, ids).await?;
    Ok(RevokeSecurityGroupEgressOutput {
        return_: Some(true),
        unknown_ip_permissions: done.unknown,
        revoked_security_group_rules: done.rules,
    })
}

/// Puts other traffic and peers into rules that keep their ids.
///
/// AWS: ModifySecurityGroupRules.
pub(crate) async fn modify_security_group_rules(
    ctx: Ctx,
    input: ModifySecurityGroupRulesInput,
) -> Result<ModifySecurityGroupRulesOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let mut group = security_group::get(tx, &input.group_id)?;
        for update in &input.security_group_rules {
            let id = &update.security_group_rule_id;
            let request = update
                .security_group_rule
                .clone()
                .ok_or_else(|| Error::missing("SecurityGroupRule"))?;
            let permission = permission_from(request)?;
            let wanted =
                permission::wanted(tx, Maker::of(&ctx), &group, std::slice::from_ref(&permission))?;
            let [wanted] = wanted.as_slice() else {
                return Err(Error::value(
                    "A security group rule has exactly one source or destination",
                ));
            };
            let at = group.rules.iter().position(|rule| rule.id.as_str() == id);
            let at = at.ok_or_else(|| Error::RuleIdNotFound(id.clone()))?;
            let egress = group.rules.get(at).is_some_and(|rule| rule.egress);
            let taken = |(other, rule): (usize, &GroupRule)| {
                other != at && rule.egress == egress && wanted.is(rule)
            };
            if group.rules.iter().enumerate().any(taken) {
                return Err(Error::PermissionDuplicate(wanted.told()));
            }
            if let Some(rule) = group.rules.get_mut(at) {
                rule.traffic = wanted.traffic.clone();
                rule.peer = wanted.peer.clone();
                rule.description = wanted.description.clone();
            }
        }
        Ok(tx.put(&SECURITY_GROUPS, &group)?)
    };
    ctx.store.write(write).await?;
    Ok(ModifySecurityGroupRulesOutput { return_: Some(true) })
}

fn permission_from(request: SecurityGroupRuleRequest) -> Result<IpPermission> {
    let description = request.description;
    let peers = [
        request.cidr_ipv4.is_some(),
        request.cidr_ipv6.is_some(),
        request.prefix_list_id.is_some(),
        request.referenced_group_id.is_some(),
    ];
    if peers.iter().filter(|present| **present).count() != 1 {
        return Err(Error::InvalidParameterCombination(
            "Exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId must be given"
                .to_owned(),
        ));
    }
    Ok(IpPermission {
        ip_protocol: request.ip_protocol,
        from_port: request.from_port,
        to_port: request.to_port,
        ip_ranges: request
            .cidr_ipv4
            .map(|cidr| IpRange { cidr_ip: Some(cidr), description: description.clone() })
            .into_iter()
            .collect(),
        ipv6_ranges: request
            .cidr_ipv6
            .map(|cidr| ec2_api::Ipv6Range {
                cidr_ipv6: Some(cidr),
                description: description.clone(),
            })
            .into_iter()
            .collect(),
        prefix_list_ids: request
            .prefix_list_id
            .map(|id| ec2_api::PrefixListId {
                prefix_list_id: Some(id),
                description: description.clone(),
            })
            .into_iter()
            .collect(),
        user_id_group_pairs: request
            .referenced_group_id
            .map(|id| UserIdGroupPair {
                group_id: Some(id),
                description,
                ..UserIdGroupPair::default()
            })
            .into_iter()
            .collect(),
    })
}

async fn update_descriptions(
    ctx: &Ctx,
    egress: bool,
    group: (Option<&str>, Option<&str>),
    permissions: &[IpPermission],
    by_id: &[SecurityGroupRuleDescription],
) -> Result<()> {
    if permissions.is_empty() && by_id.is_empty() {
        return Err(Error::missing("ipPermissions"));
    }
    let write = |tx: &mut WriteTx<'_>| {
        let mut group = security_group::either(tx, group.0, group.1)?;
        for wanted in permission::wanted(tx, Maker::of(ctx), &group, permissions)? {
            let rule = group.rules.iter_mut().find(|r| r.egress == egress && wanted.is(r));
            rule.ok_or(Error::PermissionNotFound)?.description = wanted.description;
        }
        for described in by_id {
            let id = described.security_group_rule_id.clone().unwrap_or_default();
            let rule = group.rules.iter_mut().find(|r| r.egress == egress && r.id.as_str() == id);
            rule.ok_or(Error::RuleIdNotFound(id))?.description =
                permission::described(described.description.as_ref())?;
        }
        Ok::<_, Error>(tx.put(&SECURITY_GROUPS, &group)?)
    };
    ctx.store.write(write).await
}

/// Changes what is said of rules for traffic that comes in.
///
/// AWS: UpdateSecurityGroupRuleDescriptionsIngress.
pub(crate) async fn update_security_group_rule_descriptions_ingress(
    ctx: Ctx,
    input: UpdateSecurityGroupRuleDescriptionsIngressInput,
) -> Result<UpdateSecurityGroupRuleDescriptionsIngressOutput> {
    let group = (input.group_id.as_deref(), input.group_name.as_deref());
    let by_id = &input.security_group_rule_descriptions;
    update_descriptions(&ctx, false, group, &input.ip_permissions, by_id).await?;
    Ok(UpdateSecurityGroupRuleDescriptionsIngressOutput { return_: Some(true) })
}

/// Changes what is said of rules for traffic that goes out.
///
/// AWS: UpdateSecurityGroupRuleDescriptionsEgress.
pub(crate) async fn update_security_group_rule_descriptions_egress(
    ctx: Ctx,
    input: UpdateSecurityGroupRuleDescriptionsEgressInput,
) -> Result<UpdateSecurityGroupRuleDescriptionsEgressOutput> {
    let group = (input.group_id.as_deref(), input.group_name.as_deref());
    let by_id = &input.security_group_rule_descriptions;
    update_descriptions(&ctx, true, group, &input.ip_permissions, by_id).await?;
    Ok(UpdateSecurityGroupRuleDescriptionsEgressOutput { return_: Some(true) })
}

const FIELDS: &[Field<SecurityGroupRule>] = &[
    ("group-id", |rule| listing::text(rule.group_id.as_ref())),
    ("security-group-rule-id", |rule| listing::text(rule.security_group_rule_id.as_ref())),
];

/// Tells the rules of the account's security groups.
///
/// AWS: DescribeSecurityGroupRules.
pub(crate) async fn describe_security_group_rules(
    ctx: Ctx,
    input: DescribeSecurityGroupRulesInput,
) -> Result<DescribeSecurityGroupRulesOutput> {
    super::default_vpc::ensure(&ctx).await?;
    let read = |tx: &ReadTx<'_>| {
        let mut rules = Vec::new();
        for group in tx.scan(&SECURITY_GROUPS, ())? {
            for rule in &group.rules {
                rules.push(described(tx, &ctx, &group, rule)?);
            }
        }
        Ok::<_, Error>(rules)
    };
    let all = ctx.store.read(read).await?;
    let id = |rule: &SecurityGroupRule| rule.security_group_rule_id.clone().unwrap_or_default();
    let all = listing::named(
        all,
        &input.security_group_rule_ids,
        |rule| rule.security_group_rule_id.as_deref().unwrap_or_default(),
        Error::RuleIdNotFound,
    )?;
    let all = listing::select(all, &input.filters, FIELDS, |rule| &rule.tags)?;
    let asked = Asked {
        ids: &input.security_group_rule_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (security_group_rules, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeSecurityGroupRulesOutput { security_group_rules, next_token })
}

#[derive(Default)]
struct WirePeer {
    v4: Option<String>,
    v6: Option<String>,
    prefix_list: Option<String>,
    group: Option<String>,
}

impl WirePeer {
    fn of(peer: &GroupPeer) -> Self {
        match peer {
            GroupPeer::V4(cidr) => Self { v4: Some(cidr.to_string()), ..Self::default() },
            GroupPeer::V6(cidr) => Self { v6: Some(cidr.clone()), ..Self::default() },
            GroupPeer::PrefixList(id) => Self { prefix_list: Some(id.clone()), ..Self::default() },
            GroupPeer::Group(id) => Self { group: Some(id.to_string()), ..Self::default() },
        }
    }
}

fn described(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    group: &SecurityGroup,
    rule: &GroupRule,
) -> Result<SecurityGroupRule> {
    let peer = WirePeer::of(&rule.peer);
    let referenced = peer.group.map(|id| ReferencedSecurityGroup {
        group_id: Some(id),
        user_id: Some(ctx.account.to_string()),
        ..ReferencedSecurityGroup::default()
    });
    let arn = ctx.arn("ec2", format!("security-group-rule/{}", rule.id));
    Ok(SecurityGroupRule {
        security_group_rule_id: Some(rule.id.to_string()),
        group_id: Some(group.id.to_string()),
        group_owner_id: Some(ctx.account.to_string()),
        is_egress: Some(rule.egress),
        ip_protocol: Some(traffic::protocol_name(rule.traffic.protocol)),
        from_port: Some(rule.traffic.from.unwrap_or(-1)),
        to_port: Some(rule.traffic.to.unwrap_or(-1)),
        cidr_ipv4: peer.v4,
        cidr_ipv6: peer.v6,
        prefix_list_id: peer.prefix_list,
        referenced_group_info: referenced,
        description: rule.description.clone(),
        tags: tags::wire_of(tx, &rule.id)?,
        security_group_rule_arn: Some(arn.to_string()),
    })
}
