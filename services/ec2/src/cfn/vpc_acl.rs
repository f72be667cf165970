//! `AWS::EC2::NetworkAcl`, `NetworkAclEntry` and `SubnetNetworkAclAssociation`.

use std::sync::Arc;

use async_trait::async_trait;
use ec2_api::{
    CreateNetworkAclEntryInput, CreateNetworkAclInput, DeleteNetworkAclEntryInput,
    DeleteNetworkAclInput, DescribeNetworkAclsInput, IcmpTypeCode, NetworkAcl, PortRange,
    ReplaceNetworkAclAssociationInput, ReplaceNetworkAclEntryInput, RuleAction,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::Value as Json;

use super::values::{
    Result, attributes, filter, flag, gone, invalid, made, number, required, retag, tagging, text,
    unchangeable,
};

pub(super) fn types() -> [ResourceType; 3] {
    [
        ResourceType {
            name: "AWS::EC2::NetworkAcl",
            properties: const { &[Property::new("VpcId").required().replaces(), Property::new("Tags")] },
            attributes: &["Id"],
            handler: Arc::new(Acl),
        },
        ResourceType {
            name: "AWS::EC2::NetworkAclEntry",
            properties: const {
                &[
                    Property::new("NetworkAclId").required().replaces(),
                    Property::new("RuleNumber").required().replaces(),
                    Property::new("Egress").replaces(),
                    Property::new("Protocol").required(),
                    Property::new("RuleAction").required(),
                    Property::new("CidrBlock"),
                    Property::new("Ipv6CidrBlock"),
                    Property::new("Icmp"),
                    Property::new("PortRange"),
                ]
            },
            attributes: &["Id"],
            handler: Arc::new(Entry),
        },
        ResourceType {
            name: "AWS::EC2::SubnetNetworkAclAssociation",
            properties: const {
                &[
                    Property::new("NetworkAclId").required().replaces(),
                    Property::new("SubnetId").required().replaces(),
                ]
            },
            attributes: &["AssociationId"],
            handler: Arc::new(Association),
        },
    ]
}

struct Acl;

#[async_trait]
impl ResourceHandler for Acl {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let input = CreateNetworkAclInput {
            vpc_id: required(properties, "VpcId")?,
            client_token: Some(ctx.token.clone()),
            tag_specifications: tagging(ctx, "network-acl", properties),
            dry_run: None,
        };
        made(ctx.client.call(input).await?.network_acl.unwrap_or_default().network_acl_id)
    }

    async fn settled(&self, _: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        Ok(Progress::Done(attributes([("Id", Some(id.to_owned()))])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        retag(ctx, id, old, new).await
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let input = DeleteNetworkAclInput { network_acl_id: id.to_owned(), dry_run: None };
        gone(ctx.client.call(input).await)
    }
}

struct Entry;

fn entry_from(properties: &Properties) -> Result<CreateNetworkAclEntryInput> {
    let object = |name| properties.get(name).and_then(Json::as_object);
    let icmp = object("Icmp").map(|icmp| {
        let (code, kind) = (number(icmp, "Code")?, number(icmp, "Type")?);
        Ok::<_, ServiceError>(IcmpTypeCode { code, type_: kind })
    });
    let ports = object("PortRange").map(|ports| {
        let (from, to) = (number(ports, "From")?, number(ports, "To")?);
        Ok::<_, ServiceError>(PortRange { from, to })
    });
    let action = required(properties, "RuleAction")?;
    let rule_action: RuleAction =
        action.parse().map_err(|_| invalid("RuleAction must be allow or deny"))?;
    Ok(CreateNetworkAclEntryInput {
        network_acl_id: required(properties, "NetworkAclId")?,
        rule_number: number(properties, "RuleNumber")?.unwrap_or_default(),
        protocol: required(properties, "Protocol")?,
        rule_action,
        egress: flag(properties, "Egress").unwrap_or(false),
        cidr_block: text(properties, "CidrBlock"),
        ipv6_cidr_block: text(properties, "Ipv6CidrBlock"),
        icmp_type_code: icmp.transpose()?,
        port_range: ports.transpose()?,
        dry_run: None,
    })
}

async fn replace(ctx: &ResourceCtx, entry: CreateNetworkAclEntryInput) -> Result<()> {
    let input = ReplaceNetworkAclEntryInput {
        network_acl_id: entry.network_acl_id,
        rule_number: entry.rule_number,
        protocol: entry.protocol,
        rule_action: entry.rule_action,
        egress: entry.egress,
        cidr_block: entry.cidr_block,
        ipv6_cidr_block: entry.ipv6_cidr_block,
        icmp_type_code: entry.icmp_type_code,
        port_range: entry.port_range,
        dry_run: None,
    };
    ctx.client.call(input).await.map(|_| ())
}

#[async_trait]
impl ResourceHandler for Entry {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let entry = entry_from(properties)?;
        let id = format!("{}|{}|{}", entry.network_acl_id, entry.rule_number, entry.egress);
        ctx.client.call(entry).await?;
        Ok(id)
    }

    async fn settled(&self, _: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        Ok(Progress::Done(attributes([("Id", Some(id.to_owned()))])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        _: &Properties,
        new: &Properties,
    ) -> Result<()> {
        replace(ctx, entry_from(new)?).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        properties: &Properties,
    ) -> Result<Progress> {
        let entry = entry_from(properties)?;
        let input = DeleteNetworkAclEntryInput {
            network_acl_id: entry.network_acl_id,
            rule_number: entry.rule_number,
            egress: entry.egress,
            dry_run: None,
        };
        gone(ctx.client.call(input).await)
    }
}

struct Association;

async fn acl_by(ctx: &ResourceCtx, name: &str, value: &str) -> Result<Option<NetworkAcl>> {
    let filters = vec![filter(name, value)];
    let input = DescribeNetworkAclsInput { filters, ..DescribeNetworkAclsInput::default() };
    Ok(ctx.client.call(input).await?.network_acls.pop())
}

/// Gives the subnet the ACL, or the VPC's default one; tells the association.
async fn put(ctx: &ResourceCtx, subnet: &str, acl: Option<&str>) -> Result<Option<String>> {
    let Some(present) = acl_by(ctx, "association.subnet-id", subnet).await? else {
        return Ok(None);
    };
    let own = present.associations.iter().find(|a| a.subnet_id.as_deref() == Some(subnet));
    let association = own.and_then(|own| own.network_acl_association_id.clone());
    let wanted = match acl {
        Some(acl) => acl.to_owned(),
        None => {
            let vpc = present.vpc_id.clone().unwrap_or_default();
            let filters = vec![filter("vpc-id", &vpc), filter("default", "true")];
            let input = DescribeNetworkAclsInput { filters, ..DescribeNetworkAclsInput::default() };
            let default = ctx.client.call(input).await?.network_acls.pop();
            made(default.and_then(|default| default.network_acl_id))?
        }
    };
    if present.network_acl_id.as_ref() == Some(&wanted) {
        return Ok(association);
    }
    let input = ReplaceNetworkAclAssociationInput {
        association_id: association.unwrap_or_default(),
        network_acl_id: wanted,
        dry_run: None,
    };
    Ok(ctx.client.call(input).await?.new_association_id)
}

#[async_trait]
impl ResourceHandler for Association {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let subnet = required(properties, "SubnetId")?;
        let acl = required(properties, "NetworkAclId")?;
        made(put(ctx, &subnet, Some(&acl)).await?)
    }

    async fn settled(&self, _: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        Ok(Progress::Done(attributes([("AssociationId", Some(id.to_owned()))])))
    }

    async fn update(&self, _: &ResourceCtx, _: &str, _: &Properties, _: &Properties) -> Result<()> {
        Err(unchangeable())
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, p: &Properties) -> Result<Progress> {
        // A replacement may have given the subnet another ACL already.
        if acl_by(ctx, "association.association-id", id).await?.is_some() {
            put(ctx, &required(p, "SubnetId")?, None).await?;
        }
        Ok(Progress::Done(Attributes::new()))
    }
}
