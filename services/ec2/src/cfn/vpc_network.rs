//! `AWS::EC2::VPC`, `Subnet`, `InternetGateway`, `VPCGatewayAttachment`, `DHCPOptions` and
//! `VPCDHCPOptionsAssociation`.

use std::sync::Arc;

use async_trait::async_trait;
use ec2_api::{
    AssociateDhcpOptionsInput, AttachInternetGatewayInput, AttributeBooleanValue,
    CreateDhcpOptionsInput, CreateInternetGatewayInput, CreateSubnetInput, CreateVpcInput,
    DeleteDhcpOptionsInput, DeleteInternetGatewayInput, DeleteSubnetInput, DeleteVpcInput,
    DescribeDhcpOptionsInput, DescribeInternetGatewaysInput, DescribeNetworkAclsInput,
    DescribeSecurityGroupsInput, DescribeSubnetsInput, DescribeVpcAttributeInput,
    DescribeVpcsInput, DetachInternetGatewayInput, HostnameType, ModifySubnetAttributeInput,
    ModifyVpcAttributeInput, NewDhcpConfiguration, Tenancy, VpcAttributeName,
};
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

use super::values::{
    Result, attributes, filter, flag, gone, invalid, list, made, required, retag, tagged, tagging,
    text, unchangeable,
};

pub(super) fn types() -> [ResourceType; 6] {
    [
        vpc_type(),
        subnet_type(),
        gateway_type(),
        attachment_type(),
        options_type(),
        association_type(),
    ]
}

fn vpc_type() -> ResourceType {
    ResourceType {
        name: "AWS::EC2::VPC",
        properties: const {
            &[
                Property::new("CidrBlock").required().replaces(),
                Property::new("EnableDnsHostnames"),
                Property::new("EnableDnsSupport"),
                Property::new("InstanceTenancy").replaces(),
                Property::new("Tags"),
            ]
        },
        attributes: &[
            "VpcId",
            "CidrBlock",
            "CidrBlockAssociations",
            "DefaultNetworkAcl",
            "DefaultSecurityGroup",
            "Ipv6CidrBlocks",
        ],
        handler: Arc::new(Vpc),
    }
}

fn subnet_type() -> ResourceType {
    ResourceType {
        name: "AWS::EC2::Subnet",
        properties: const {
            &[
                Property::new("VpcId").required().replaces(),
                Property::new("CidrBlock").required().replaces(),
                Property::new("AvailabilityZone").replaces(),
                Property::new("AvailabilityZoneId").replaces(),
                Property::new("MapPublicIpOnLaunch"),
                Property::new("PrivateDnsNameOptionsOnLaunch"),
                Property::new("Tags"),
            ]
        },
        attributes: &[
            "SubnetId",
            "VpcId",
            "CidrBlock",
            "AvailabilityZone",
            "AvailabilityZoneId",
            "NetworkAclAssociationId",
        ],
        handler: Arc::new(Subnet),
    }
}

fn gateway_type() -> ResourceType {
    ResourceType {
        name: "AWS::EC2::InternetGateway",
        properties: const { &[Property::new("Tags")] },
        attributes: &["InternetGatewayId"],
        handler: Arc::new(InternetGateway),
    }
}

fn attachment_type() -> ResourceType {
    ResourceType {
        name: "AWS::EC2::VPCGatewayAttachment",
        properties: const {
            &[
                Property::new("VpcId").required().replaces(),
                Property::new("InternetGatewayId").required(),
            ]
        },
        attributes: &["AttachmentType"],
        handler: Arc::new(GatewayAttachment),
    }
}

fn options_type() -> ResourceType {
    ResourceType {
        name: "AWS::EC2::DHCPOptions",
        properties: const {
            &[
                Property::new("DomainName").replaces(),
                Property::new("DomainNameServers").replaces(),
                Property::new("Tags"),
            ]
        },
        attributes: &["DhcpOptionsId"],
        handler: Arc::new(DhcpOptions),
    }
}

fn association_type() -> ResourceType {
    ResourceType {
        name: "AWS::EC2::VPCDHCPOptionsAssociation",
        properties: const {
            &[
                Property::new("VpcId").required().replaces(),
                Property::new("DhcpOptionsId").required(),
            ]
        },
        attributes: &[],
        handler: Arc::new(DhcpAssociation),
    }
}

fn on(value: bool) -> Option<AttributeBooleanValue> {
    Some(AttributeBooleanValue { value: Some(value) })
}

struct Vpc;

impl Vpc {
    /// AWS changes one attribute in a call.
    async fn attributes(&self, ctx: &ResourceCtx, id: &str, properties: &Properties) -> Result<()> {
        let support = flag(properties, "EnableDnsSupport").unwrap_or(true);
        let hostnames = flag(properties, "EnableDnsHostnames").unwrap_or(false);
        let vpc_id = id.to_owned();
        let input = ModifyVpcAttributeInput { vpc_id, ..ModifyVpcAttributeInput::default() };
        let first = ModifyVpcAttributeInput { enable_dns_support: on(support), ..input.clone() };
        let second = ModifyVpcAttributeInput { enable_dns_hostnames: on(hostnames), ..input };
        ctx.client.call(first).await?;
        ctx.client.call(second).await?;
        Ok(())
    }
}

#[async_trait]
impl ResourceHandler for Vpc {
    async fn find(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<Option<String>> {
        let ids = tagged(ctx, "vpc").await?;
        if ids.is_empty() {
            return Ok(None);
        }
        let cidr = required(properties, "CidrBlock")?;
        let input = DescribeVpcsInput { vpc_ids: ids, ..DescribeVpcsInput::default() };
        let found = ctx.client.call(input).await?.vpcs;
        let own = found.into_iter().find(|vpc| vpc.cidr_block.as_ref() == Some(&cidr));
        Ok(own.and_then(|vpc| vpc.vpc_id))
    }

    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let tenancy = text(properties, "InstanceTenancy");
        let tenancy = tenancy.map(|tenancy| {
            tenancy.parse::<Tenancy>().map_err(|_| invalid("InstanceTenancy is not known"))
        });
        let input = CreateVpcInput {
            cidr_block: Some(required(properties, "CidrBlock")?),
            instance_tenancy: tenancy.transpose()?,
            tag_specifications: tagging(ctx, "vpc", properties),
            ..CreateVpcInput::default()
        };
        let vpc = ctx.client.call(input).await?.vpc.unwrap_or_default();
        made(vpc.vpc_id)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        properties: &Properties,
    ) -> Result<Progress> {
        // Here rather than in `create`, so that a VPC that an interrupted one left gets them too.
        let support = flag(properties, "EnableDnsSupport").unwrap_or(true);
        let hostnames = flag(properties, "EnableDnsHostnames").unwrap_or(false);
        let ask = |attribute| DescribeVpcAttributeInput {
            attribute,
            vpc_id: id.to_owned(),
            dry_run: None,
        };
        let value = |value: Option<AttributeBooleanValue>| value.and_then(|value| value.value);
        let known = ctx.client.call(ask(VpcAttributeName::EnableDnsSupport)).await?;
        let same_support = value(known.enable_dns_support) == Some(support);
        let known = ctx.client.call(ask(VpcAttributeName::EnableDnsHostnames)).await?;
        if !same_support || value(known.enable_dns_hostnames) != Some(hostnames) {
            self.attributes(ctx, id, properties).await?;
        }
        let input =
            DescribeVpcsInput { vpc_ids: vec![id.to_owned()], ..DescribeVpcsInput::default() };
        let vpc = ctx.client.call(input).await?.vpcs.pop().unwrap_or_default();
        let associations = vpc.cidr_block_association_set.iter();
        let associations: Vec<Json> =
            associations.filter_map(|a| a.association_id.clone()).map(Json::from).collect();
        let filters = vec![filter("vpc-id", id), filter("default", "true")];
        let input = DescribeNetworkAclsInput { filters, ..DescribeNetworkAclsInput::default() };
        let acl = ctx.client.call(input).await?.network_acls.pop();
        let filters = vec![filter("vpc-id", id), filter("group-name", "default")];
        let input =
            DescribeSecurityGroupsInput { filters, ..DescribeSecurityGroupsInput::default() };
        let group = ctx.client.call(input).await?.security_groups.pop();
        let mut done = attributes([
            ("VpcId", Some(id.to_owned())),
            ("CidrBlock", vpc.cidr_block),
            ("DefaultNetworkAcl", acl.and_then(|acl| acl.network_acl_id)),
            ("DefaultSecurityGroup", group.and_then(|group| group.group_id)),
        ]);
        done.insert("CidrBlockAssociations".to_owned(), Json::from(associations));
        done.insert("Ipv6CidrBlocks".to_owned(), json!([]));
        Ok(Progress::Done(done))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        self.attributes(ctx, id, new).await?;
        retag(ctx, id, old, new).await
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let input = DeleteVpcInput { vpc_id: id.to_owned(), dry_run: None };
        gone(ctx.client.call(input).await)
    }
}

struct Subnet;

impl Subnet {
    async fn attributes(&self, ctx: &ResourceCtx, id: &str, properties: &Properties) -> Result<()> {
        let input = ModifySubnetAttributeInput {
            subnet_id: id.to_owned(),
            ..ModifySubnetAttributeInput::default()
        };
        let public = flag(properties, "MapPublicIpOnLaunch").unwrap_or(false);
        let map_public_ip_on_launch = on(public);
        ctx.client
            .call(ModifySubnetAttributeInput { map_public_ip_on_launch, ..input.clone() })
            .await?;
        let options = properties.get("PrivateDnsNameOptionsOnLaunch").and_then(Json::as_object);
        let Some(options) = options else { return Ok(()) };
        if flag(options, "EnableResourceNameDnsAAAARecord") == Some(true) {
            return Err(invalid("EnableResourceNameDnsAAAARecord is not supported by this region"));
        }
        if let Some(kind) = text(options, "HostnameType") {
            let kind: HostnameType =
                kind.parse().map_err(|_| invalid("HostnameType is not known"))?;
            let private_dns_hostname_type_on_launch = Some(kind);
            ctx.client
                .call(ModifySubnetAttributeInput {
                    private_dns_hostname_type_on_launch,
                    ..input.clone()
                })
                .await?;
        }
        if let Some(records) = flag(options, "EnableResourceNameDnsARecord") {
            let enable_resource_name_dns_a_record_on_launch = on(records);
            ctx.client
                .call(ModifySubnetAttributeInput {
                    enable_resource_name_dns_a_record_on_launch,
                    ..input
                })
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl ResourceHandler for Subnet {
    async fn find(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<Option<String>> {
        let ids = tagged(ctx, "subnet").await?;
        let filters = vec![
            filter("cidr-block", &required(properties, "CidrBlock")?),
            filter("vpc-id", &required(properties, "VpcId")?),
        ];
        let input = DescribeSubnetsInput { filters, ..DescribeSubnetsInput::default() };
        let found = ctx.client.call(input).await?.subnets;
        let mut known = found.into_iter().filter_map(|subnet| subnet.subnet_id);
        Ok(known.find(|id| ids.contains(id)))
    }

    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let input = CreateSubnetInput {
            vpc_id: required(properties, "VpcId")?,
            cidr_block: Some(required(properties, "CidrBlock")?),
            availability_zone: text(properties, "AvailabilityZone"),
            availability_zone_id: text(properties, "AvailabilityZoneId"),
            tag_specifications: tagging(ctx, "subnet", properties),
            ..CreateSubnetInput::default()
        };
        made(ctx.client.call(input).await?.subnet.unwrap_or_default().subnet_id)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        properties: &Properties,
    ) -> Result<Progress> {
        self.attributes(ctx, id, properties).await?;
        let subnet_ids = vec![id.to_owned()];
        let input = DescribeSubnetsInput { subnet_ids, ..DescribeSubnetsInput::default() };
        let subnet = ctx.client.call(input).await?.subnets.pop().unwrap_or_default();
        let filters = vec![filter("association.subnet-id", id)];
        let input = DescribeNetworkAclsInput { filters, ..DescribeNetworkAclsInput::default() };
        let acls = ctx.client.call(input).await?.network_acls;
        let association = acls
            .into_iter()
            .flat_map(|acl| acl.associations)
            .find(|association| association.subnet_id.as_deref() == Some(id));
        let association = association.and_then(|found| found.network_acl_association_id);
        Ok(Progress::Done(attributes([
            ("SubnetId", Some(id.to_owned())),
            ("VpcId", subnet.vpc_id),
            ("CidrBlock", subnet.cidr_block),
            ("AvailabilityZone", subnet.availability_zone),
            ("AvailabilityZoneId", subnet.availability_zone_id),
            ("NetworkAclAssociationId", association),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        self.attributes(ctx, id, new).await?;
        retag(ctx, id, old, new).await
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let input = DeleteSubnetInput { subnet_id: id.to_owned(), dry_run: None };
        gone(ctx.client.call(input).await)
    }
}

struct InternetGateway;

#[async_trait]
impl ResourceHandler for InternetGateway {
    async fn find(&self, ctx: &ResourceCtx, _: &Properties) -> Result<Option<String>> {
        Ok(tagged(ctx, "internet-gateway").await?.pop())
    }

    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let tag_specifications = tagging(ctx, "internet-gateway", properties);
        let input = CreateInternetGatewayInput { tag_specifications, dry_run: None };
        let gateway = ctx.client.call(input).await?.internet_gateway.unwrap_or_default();
        made(gateway.internet_gateway_id)
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let input = DescribeInternetGatewaysInput {
            internet_gateway_ids: vec![id.to_owned()],
            ..DescribeInternetGatewaysInput::default()
        };
        ctx.client.call(input).await?;
        Ok(Progress::Done(attributes([("InternetGatewayId", Some(id.to_owned()))])))
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
        let input =
            DeleteInternetGatewayInput { internet_gateway_id: id.to_owned(), dry_run: None };
        gone(ctx.client.call(input).await)
    }
}

struct GatewayAttachment;

impl GatewayAttachment {
    async fn detach(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<Progress> {
        let input = DetachInternetGatewayInput {
            internet_gateway_id: required(properties, "InternetGatewayId")?,
            vpc_id: required(properties, "VpcId")?,
            dry_run: None,
        };
        gone(ctx.client.call(input).await)
    }

    async fn attach(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<()> {
        let gateway = required(properties, "InternetGatewayId")?;
        let vpc = required(properties, "VpcId")?;
        let filters = vec![filter("attachment.vpc-id", &vpc)];
        let input =
            DescribeInternetGatewaysInput { filters, ..DescribeInternetGatewaysInput::default() };
        let attached = ctx.client.call(input).await?.internet_gateways;
        if attached.iter().any(|known| known.internet_gateway_id.as_ref() == Some(&gateway)) {
            return Ok(());
        }
        let input =
            AttachInternetGatewayInput { internet_gateway_id: gateway, vpc_id: vpc, dry_run: None };
        ctx.client.call(input).await?;
        Ok(())
    }
}

#[async_trait]
impl ResourceHandler for GatewayAttachment {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        self.attach(ctx, properties).await?;
        Ok(format!("IGW|{}", required(properties, "VpcId")?))
    }

    async fn settled(&self, _: &ResourceCtx, _: &str, _: &Properties) -> Result<Progress> {
        Ok(Progress::Done(attributes([("AttachmentType", Some("IGW".to_owned()))])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        if text(old, "InternetGatewayId") != text(new, "InternetGatewayId") {
            self.detach(ctx, old).await?;
        }
        self.attach(ctx, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        properties: &Properties,
    ) -> Result<Progress> {
        self.detach(ctx, properties).await
    }
}

struct DhcpOptions;

#[async_trait]
impl ResourceHandler for DhcpOptions {
    async fn find(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<Option<String>> {
        let ids = tagged(ctx, "dhcp-options").await?;
        if ids.is_empty() {
            return Ok(None);
        }
        let input = DescribeDhcpOptionsInput {
            dhcp_options_ids: ids,
            ..DescribeDhcpOptionsInput::default()
        };
        let wanted = configurations(properties);
        let found = ctx.client.call(input).await?.dhcp_options;
        let own = found.into_iter().find(|options| {
            let known = options.dhcp_configurations.iter().map(|configuration| {
                let values = configuration.values.iter().filter_map(|value| value.value.clone());
                NewDhcpConfiguration { key: configuration.key.clone(), values: values.collect() }
            });
            known.collect::<Vec<_>>() == wanted
        });
        Ok(own.and_then(|options| options.dhcp_options_id))
    }

    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let input = CreateDhcpOptionsInput {
            dhcp_configurations: configurations(properties),
            tag_specifications: tagging(ctx, "dhcp-options", properties),
            dry_run: None,
        };
        made(ctx.client.call(input).await?.dhcp_options.unwrap_or_default().dhcp_options_id)
    }

    async fn settled(&self, _: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        Ok(Progress::Done(attributes([("DhcpOptionsId", Some(id.to_owned()))])))
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
        let input = DeleteDhcpOptionsInput { dhcp_options_id: id.to_owned(), dry_run: None };
        gone(ctx.client.call(input).await)
    }
}

fn configurations(properties: &Properties) -> Vec<NewDhcpConfiguration> {
    let one = |key: &str, values: Vec<String>| {
        (!values.is_empty()).then(|| NewDhcpConfiguration { key: Some(key.to_owned()), values })
    };
    let name = text(properties, "DomainName").into_iter().collect();
    let all = [
        one("domain-name", name),
        one("domain-name-servers", list(properties, "DomainNameServers")),
    ];
    all.into_iter().flatten().collect()
}

struct DhcpAssociation;

impl DhcpAssociation {
    async fn put(&self, ctx: &ResourceCtx, properties: &Properties, options: String) -> Result<()> {
        let input = AssociateDhcpOptionsInput {
            dhcp_options_id: options,
            vpc_id: required(properties, "VpcId")?,
            dry_run: None,
        };
        ctx.client.call(input).await.map(|_| ())
    }
}

#[async_trait]
impl ResourceHandler for DhcpAssociation {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let options = required(properties, "DhcpOptionsId")?;
        let vpc = required(properties, "VpcId")?;
        let id = format!("{options}|{vpc}");
        self.put(ctx, properties, options).await?;
        Ok(id)
    }

    async fn settled(&self, _: &ResourceCtx, _: &str, _: &Properties) -> Result<Progress> {
        Ok(Progress::Done(Attributes::new()))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        if text(old, "VpcId") != text(new, "VpcId") {
            return Err(unchangeable());
        }
        self.put(ctx, new, required(new, "DhcpOptionsId")?).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        properties: &Properties,
    ) -> Result<Progress> {
        gone(self.put(ctx, properties, "default".to_owned()).await)
    }
}
