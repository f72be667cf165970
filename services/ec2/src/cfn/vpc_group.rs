//! `AWS::EC2::SecurityGroup`, `SecurityGroupIngress` and `SecurityGroupEgress`.

use std::sync::Arc;

use async_trait::async_trait;
use ec2_api::{
    AuthorizeSecurityGroupEgressInput, AuthorizeSecurityGroupIngressInput,
    CreateSecurityGroupInput, DeleteSecurityGroupInput, DescribeSecurityGroupRulesInput,
    DescribeSecurityGroupsInput, IpPermission, IpRange, Ipv6Range, PrefixListId,
    RevokeSecurityGroupEgressInput, RevokeSecurityGroupIngressInput, SecurityGroupRule,
    SecurityGroupRuleDescription, TagSpecification, UpdateSecurityGroupRuleDescriptionsEgressInput,
    UpdateSecurityGroupRuleDescriptionsIngressInput, UserIdGroupPair,
};
use kernel::resource::{
    Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::values::{
    Result, attributes, filter, gone, invalid, is_missing, made, number, objects, required, retag,
    tagged, tagging, text,
};

const KIND: &str = "security-group-rule";

pub(super) fn types() -> [ResourceType; 3] {
    [
        ResourceType {
            name: "AWS::EC2::SecurityGroup",
            properties: const {
                &[
                    Property::new("GroupDescription").required().replaces(),
                    Property::new("GroupName").replaces(),
                    Property::new("SecurityGroupEgress"),
                    Property::new("SecurityGroupIngress"),
                    Property::new("Tags"),
                    Property::new("VpcId").replaces(),
                ]
            },
            attributes: &["GroupId", "Id", "VpcId"],
            handler: Arc::new(Group),
        },
        ResourceType {
            name: "AWS::EC2::SecurityGroupIngress",
            properties: const {
                &[
                    Property::new("CidrIp").replaces(),
                    Property::new("CidrIpv6").replaces(),
                    Property::new("Description"),
                    Property::new("FromPort").replaces(),
                    Property::new("GroupId").replaces(),
                    Property::new("GroupName").replaces(),
                    Property::new("IpProtocol").required().replaces(),
                    Property::new("SourcePrefixListId").replaces(),
                    Property::new("SourceSecurityGroupId").replaces(),
                    Property::new("SourceSecurityGroupName").replaces(),
                    Property::new("SourceSecurityGroupOwnerId").replaces(),
                    Property::new("ToPort").replaces(),
                ]
            },
            attributes: &["Id"],
            handler: Arc::new(Rule(Side::Ingress)),
        },
        ResourceType {
            name: "AWS::EC2::SecurityGroupEgress",
            properties: const {
                &[
                    Property::new("CidrIp").replaces(),
                    Property::new("CidrIpv6").replaces(),
                    Property::new("Description"),
                    Property::new("DestinationPrefixListId").replaces(),
                    Property::new("DestinationSecurityGroupId").replaces(),
                    Property::new("FromPort").replaces(),
                    Property::new("GroupId").required().replaces(),
                    Property::new("IpProtocol").required().replaces(),
                    Property::new("ToPort").replaces(),
                ]
            },
            attributes: &["Id"],
            handler: Arc::new(Rule(Side::Egress)),
        },
    ]
}

/// Whether rules are about what comes in or what goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Ingress,
    Egress,
}

/// The rule that properties describe, with its one peer.
fn permission_from(properties: &Properties) -> Result<IpPermission> {
    let description = text(properties, "Description");
    let either = |one: &str, other: &str| text(properties, one).or_else(|| text(properties, other));
    let group = either("SourceSecurityGroupId", "DestinationSecurityGroupId");
    let name = text(properties, "SourceSecurityGroupName");
    let pair = (group.is_some() || name.is_some()).then(|| UserIdGroupPair {
        group_id: group,
        group_name: name,
        user_id: text(properties, "SourceSecurityGroupOwnerId"),
        description: description.clone(),
        ..UserIdGroupPair::default()
    });
    let list = either("SourcePrefixListId", "DestinationPrefixListId");
    let list =
        list.map(|id| PrefixListId { prefix_list_id: Some(id), description: description.clone() });
    let v4 = text(properties, "CidrIp");
    let v4 = v4.map(|cidr| IpRange { cidr_ip: Some(cidr), description: description.clone() });
    let v6 = text(properties, "CidrIpv6");
    let v6 = v6.map(|cidr| Ipv6Range { cidr_ipv6: Some(cidr), description });
    let peers = [pair.is_some(), list.is_some(), v4.is_some(), v6.is_some()];
    if peers.iter().filter(|given| **given).count() != 1 {
        return Err(invalid("A security group rule must have exactly one source or destination"));
    }
    Ok(IpPermission {
        ip_protocol: Some(required(properties, "IpProtocol")?),
        from_port: number(properties, "FromPort")?,
        to_port: number(properties, "ToPort")?,
        user_id_group_pairs: pair.into_iter().collect(),
        prefix_list_ids: list.into_iter().collect(),
        ip_ranges: v4.into_iter().collect(),
        ipv6_ranges: v6.into_iter().collect(),
    })
}

/// The rule that every new group has: everything may go out.
fn everything() -> IpPermission {
    IpPermission {
        ip_protocol: Some("-1".to_owned()),
        ip_ranges: vec![IpRange { cidr_ip: Some("0.0.0.0/0".to_owned()), description: None }],
        ..IpPermission::default()
    }
}

async fn authorize(
    ctx: &ResourceCtx,
    group: &str,
    side: Side,
    permission: IpPermission,
    tags: Vec<TagSpecification>,
) -> Result<Vec<SecurityGroupRule>> {
    match side {
        Side::Ingress => {
            let input = AuthorizeSecurityGroupIngressInput {
                group_id: Some(group.to_owned()),
                ip_permissions: vec![permission],
                tag_specifications: tags,
                ..AuthorizeSecurityGroupIngressInput::default()
            };
            Ok(ctx.client.call(input).await?.security_group_rules)
        }
        Side::Egress => {
            let input = AuthorizeSecurityGroupEgressInput {
                group_id: group.to_owned(),
                ip_permissions: vec![permission],
                tag_specifications: tags,
                ..AuthorizeSecurityGroupEgressInput::default()
            };
            Ok(ctx.client.call(input).await?.security_group_rules)
        }
    }
}

async fn revoke(
    ctx: &ResourceCtx,
    group: &str,
    side: Side,
    permissions: Vec<IpPermission>,
    ids: Vec<String>,
) -> Result<()> {
    let result = match side {
        Side::Ingress => {
            let input = RevokeSecurityGroupIngressInput {
                group_id: Some(group.to_owned()),
                ip_permissions: permissions,
                security_group_rule_ids: ids,
                ..RevokeSecurityGroupIngressInput::default()
            };
            ctx.client.call(input).await.map(|_| ())
        }
        Side::Egress => {
            let input = RevokeSecurityGroupEgressInput {
                group_id: group.to_owned(),
                ip_permissions: permissions,
                security_group_rule_ids: ids,
                ..RevokeSecurityGroupEgressInput::default()
            };
            ctx.client.call(input).await.map(|_| ())
        }
    };
    gone(result).map(|_| ())
}

struct Group;

impl Group {
    /// Makes the rules of one side those of `new`, where they were those of `old`.
    async fn rules(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        side: Side,
        old: &[Properties],
        new: &[Properties],
    ) -> Result<()> {
        let old = old.iter().map(permission_from).collect::<Result<Vec<_>>>()?;
        let new = new.iter().map(permission_from).collect::<Result<Vec<_>>>()?;
        for permission in old.iter().filter(|permission| !new.contains(permission)) {
            revoke(ctx, id, side, vec![permission.clone()], Vec::new()).await?;
        }
        for permission in &new {
            match authorize(ctx, id, side, permission.clone(), Vec::new()).await {
                Ok(_) => {}
                Err(error) if error.code == "InvalidPermission.Duplicate" => {}
                Err(error) => return Err(error),
            }
        }
        if side == Side::Ingress {
            return Ok(());
        }
        // The rule that lets everything out stands in for a list that is not there.
        match (new.is_empty(), old.is_empty()) {
            (true, false) => match authorize(ctx, id, side, everything(), Vec::new()).await {
                Err(error) if error.code != "InvalidPermission.Duplicate" => Err(error),
                Ok(_) | Err(_) => Ok(()),
            },
            (false, _) => drop_default(ctx, id, &new).await,
            (true, true) => Ok(()),
        }
    }
}

/// Takes the rule away that lets everything out, unless it is among those `wanted`.
async fn drop_default(ctx: &ResourceCtx, id: &str, wanted: &[IpPermission]) -> Result<()> {
    let is_everything = |permission: &IpPermission| {
        permission.ip_protocol.as_deref() == Some("-1")
            && permission.ip_ranges.iter().any(|r| r.cidr_ip.as_deref() == Some("0.0.0.0/0"))
    };
    if wanted.iter().any(is_everything) {
        return Ok(());
    }
    revoke(ctx, id, Side::Egress, vec![everything()], Vec::new()).await
}

#[async_trait]
impl ResourceHandler for Group {
    async fn find(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<Option<String>> {
        let ids = tagged(ctx, "security-group").await?;
        if ids.is_empty() {
            return Ok(None);
        }
        let name = text(properties, "GroupName").unwrap_or_else(|| ctx.generated_name(255));
        let filters = vec![filter("group-name", &name)];
        let input =
            DescribeSecurityGroupsInput { filters, ..DescribeSecurityGroupsInput::default() };
        let found = ctx.client.call(input).await?.security_groups;
        let vpc = text(properties, "VpcId");
        let in_vpc = |group: &ec2_api::SecurityGroup| vpc.is_none() || group.vpc_id == vpc;
        let mut own = found.into_iter().filter(in_vpc).filter_map(|group| group.group_id);
        Ok(own.find(|id| ids.contains(id)))
    }

    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let name = text(properties, "GroupName").unwrap_or_else(|| ctx.generated_name(255));
        let input = CreateSecurityGroupInput {
            group_name: name,
            description: required(properties, "GroupDescription")?,
            vpc_id: text(properties, "VpcId"),
            tag_specifications: tagging(ctx, "security-group", properties),
            dry_run: None,
        };
        made(ctx.client.call(input).await?.group_id)
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, p: &Properties) -> Result<Progress> {
        let (ingress, egress) =
            (objects(p, "SecurityGroupIngress"), objects(p, "SecurityGroupEgress"));
        self.rules(ctx, id, Side::Ingress, &[], &ingress).await?;
        self.rules(ctx, id, Side::Egress, &[], &egress).await?;
        let group_ids = vec![id.to_owned()];
        let input =
            DescribeSecurityGroupsInput { group_ids, ..DescribeSecurityGroupsInput::default() };
        let group = ctx.client.call(input).await?.security_groups.pop().unwrap_or_default();
        Ok(Progress::Done(attributes([
            ("GroupId", Some(id.to_owned())),
            ("Id", Some(id.to_owned())),
            ("VpcId", group.vpc_id),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        for (side, name) in
            [(Side::Ingress, "SecurityGroupIngress"), (Side::Egress, "SecurityGroupEgress")]
        {
            self.rules(ctx, id, side, &objects(old, name), &objects(new, name)).await?;
        }
        retag(ctx, id, old, new).await
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let group_id = Some(id.to_owned());
        let input = DeleteSecurityGroupInput { group_id, ..DeleteSecurityGroupInput::default() };
        gone(ctx.client.call(input).await)
    }
}

struct Rule(Side);

impl Rule {
    async fn group(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        if let Some(id) = text(properties, "GroupId") {
            return Ok(id);
        }
        let input = DescribeSecurityGroupsInput {
            group_names: vec![required(properties, "GroupName")?],
            ..DescribeSecurityGroupsInput::default()
        };
        made(ctx.client.call(input).await?.security_groups.pop().unwrap_or_default().group_id)
    }
}

/// Whether a rule that is there says what is wanted.
fn says(rule: &SecurityGroupRule, wanted: &IpPermission) -> bool {
    let group = rule.referenced_group_info.as_ref().and_then(|group| group.group_id.as_ref());
    let v4 = wanted.ip_ranges.first().and_then(|range| range.cidr_ip.as_ref());
    let v6 = wanted.ipv6_ranges.first().and_then(|range| range.cidr_ipv6.as_ref());
    let list = wanted.prefix_list_ids.first().and_then(|list| list.prefix_list_id.as_ref());
    let pair = wanted.user_id_group_pairs.first();
    let same_group =
        pair.is_none_or(|pair| pair.group_id.is_none() || pair.group_id.as_ref() == group);
    rule.from_port.unwrap_or(-1) == wanted.from_port.unwrap_or(-1)
        && rule.to_port.unwrap_or(-1) == wanted.to_port.unwrap_or(-1)
        && rule.cidr_ipv4.as_ref() == v4
        && rule.cidr_ipv6.as_ref() == v6
        && rule.prefix_list_id.as_ref() == list
        && same_group
}

#[async_trait]
impl ResourceHandler for Rule {
    async fn find(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<Option<String>> {
        let ids = tagged(ctx, KIND).await?;
        if ids.is_empty() {
            return Ok(None);
        }
        let group = self.group(ctx, properties).await?;
        let wanted = permission_from(properties)?;
        let input = DescribeSecurityGroupRulesInput {
            security_group_rule_ids: ids,
            ..DescribeSecurityGroupRulesInput::default()
        };
        let rules = ctx.client.call(input).await?.security_group_rules;
        let own = rules
            .into_iter()
            .find(|rule| rule.group_id.as_ref() == Some(&group) && says(rule, &wanted));
        Ok(own.and_then(|rule| rule.security_group_rule_id))
    }

    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let group = self.group(ctx, properties).await?;
        let permission = permission_from(properties)?;
        // Rules have no tags of their own in a template; the stack's tell which rule is whose.
        let tags = tagging(ctx, KIND, &Properties::new());
        let made_rules = authorize(ctx, &group, self.0, permission.clone(), tags).await?;
        if self.0 == Side::Egress {
            drop_default(ctx, &group, &[permission]).await?;
        }
        made(made_rules.into_iter().next().and_then(|rule| rule.security_group_rule_id))
    }

    async fn settled(&self, _: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        Ok(Progress::Done(attributes([("Id", Some(id.to_owned()))])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        _: &Properties,
        new: &Properties,
    ) -> Result<()> {
        let group_id = Some(self.group(ctx, new).await?);
        let described = vec![SecurityGroupRuleDescription {
            security_group_rule_id: Some(id.to_owned()),
            description: text(new, "Description"),
        }];
        match self.0 {
            Side::Ingress => {
                let input = UpdateSecurityGroupRuleDescriptionsIngressInput {
                    group_id,
                    security_group_rule_descriptions: described,
                    ..UpdateSecurityGroupRuleDescriptionsIngressInput::default()
                };
                ctx.client.call(input).await.map(|_| ())
            }
            Side::Egress => {
                let input = UpdateSecurityGroupRuleDescriptionsEgressInput {
                    group_id,
                    security_group_rule_descriptions: described,
                    ..UpdateSecurityGroupRuleDescriptionsEgressInput::default()
                };
                ctx.client.call(input).await.map(|_| ())
            }
        }
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, p: &Properties) -> Result<Progress> {
        let group = match self.group(ctx, p).await {
            Ok(group) => group,
            Err(error) if is_missing(&error) => return gone::<()>(Ok(())),
            Err(error) => return Err(error),
        };
        revoke(ctx, &group, self.0, Vec::new(), vec![id.to_owned()]).await?;
        gone::<()>(Ok(()))
    }
}
