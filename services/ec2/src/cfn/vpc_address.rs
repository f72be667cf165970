//! `AWS::EC2::EIP`, `EIPAssociation`, `NatGateway` and `NetworkInterface`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ec2_api::{
    Address, AllocateAddressInput, AssociateAddressInput, AttributeBooleanValue, AttributeValue,
    ConnectivityType, CreateNatGatewayInput, CreateNetworkInterfaceInput, DeleteNatGatewayInput,
    DeleteNetworkInterfaceInput, DescribeAddressesInput, DescribeNatGatewaysInput,
    DescribeNetworkInterfacesInput, DisassociateAddressInput, DomainType,
    ModifyNetworkInterfaceAttributeInput, NatGatewayState, NetworkInterfaceStatus,
    PrivateIpAddressSpecification, ReleaseAddressInput,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::Value as Json;

use super::values::{
    Result, attributes, flag, gone, invalid, is_missing, list, made, number, objects, required,
    retag, tagged, tagging, text, unchangeable,
};

/// How long to wait between two looks at what is on its way.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn types() -> [ResourceType; 4] {
    [
        ResourceType {
            name: "AWS::EC2::EIP",
            properties: const {
                &[
                    Property::new("Domain").replaces(),
                    Property::new("InstanceId"),
                    Property::new("NetworkBorderGroup").replaces(),
                    Property::new("PublicIpv4Pool").replaces(),
                    Property::new("Tags"),
                ]
            },
            attributes: &["AllocationId", "PublicIp"],
            handler: Arc::new(Eip),
        },
        ResourceType {
            name: "AWS::EC2::EIPAssociation",
            properties: const {
                &[
                    Property::new("AllocationId").replaces(),
                    Property::new("EIP").replaces(),
                    Property::new("InstanceId").replaces(),
                    Property::new("NetworkInterfaceId").replaces(),
                    Property::new("PrivateIpAddress").replaces(),
                ]
            },
            attributes: &["Id"],
            handler: Arc::new(EipAssociation),
        },
        ResourceType {
            name: "AWS::EC2::NatGateway",
            properties: const {
                &[
                    Property::new("AllocationId").replaces(),
                    Property::new("ConnectivityType").replaces(),
                    Property::new("PrivateIpAddress").replaces(),
                    Property::new("SubnetId").required().replaces(),
                    Property::new("Tags"),
                ]
            },
            attributes: &["NatGatewayId"],
            handler: Arc::new(NatGateway),
        },
        ResourceType {
            name: "AWS::EC2::NetworkInterface",
            properties: const {
                &[
                    Property::new("Description"),
                    Property::new("GroupSet"),
                    Property::new("PrivateIpAddress").replaces(),
                    Property::new("PrivateIpAddresses").replaces(),
                    Property::new("SecondaryPrivateIpAddressCount").replaces(),
                    Property::new("SourceDestCheck"),
                    Property::new("SubnetId").required().replaces(),
                    Property::new("Tags"),
                ]
            },
            attributes: &["Id", "PrimaryPrivateIpAddress", "SecondaryPrivateIpAddresses", "VpcId"],
            handler: Arc::new(NetworkInterface),
        },
    ]
}

struct Eip;

async fn address_of(ctx: &ResourceCtx, public_ip: &str) -> Result<Option<Address>> {
    let public_ips = vec![public_ip.to_owned()];
    let input = DescribeAddressesInput { public_ips, ..DescribeAddressesInput::default() };
    match ctx.client.call(input).await {
        Ok(found) => Ok(found.addresses.into_iter().next()),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn disassociate(ctx: &ResourceCtx, address: &Address) -> Result<()> {
    let Some(association_id) = address.association_id.clone() else { return Ok(()) };
    let input = DisassociateAddressInput {
        association_id: Some(association_id),
        ..DisassociateAddressInput::default()
    };
    gone(ctx.client.call(input).await).map(|_| ())
}

#[async_trait]
impl ResourceHandler for Eip {
    async fn find(&self, ctx: &ResourceCtx, _: &Properties) -> Result<Option<String>> {
        let Some(id) = tagged(ctx, "elastic-ip").await?.pop() else { return Ok(None) };
        let input = DescribeAddressesInput {
            allocation_ids: vec![id],
            ..DescribeAddressesInput::default()
        };
        Ok(ctx.client.call(input).await?.addresses.pop().and_then(|address| address.public_ip))
    }

    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let domain = text(properties, "Domain");
        let domain = domain.map(|domain| {
            domain.parse::<DomainType>().map_err(|_| invalid("Domain must be vpc or standard"))
        });
        let input = AllocateAddressInput {
            domain: domain.transpose()?,
            network_border_group: text(properties, "NetworkBorderGroup"),
            public_ipv4_pool: text(properties, "PublicIpv4Pool"),
            tag_specifications: tagging(ctx, "elastic-ip", properties),
            ..AllocateAddressInput::default()
        };
        made(ctx.client.call(input).await?.public_ip)
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, p: &Properties) -> Result<Progress> {
        let missing = || ServiceError::new("NotFound", format!("Address '{id}' not found."));
        let address = address_of(ctx, id).await?.ok_or_else(missing)?;
        if let Some(instance) = text(p, "InstanceId") {
            let input = AssociateAddressInput {
                allocation_id: address.allocation_id.clone(),
                instance_id: Some(instance),
                ..AssociateAddressInput::default()
            };
            ctx.client.call(input).await?;
        }
        Ok(Progress::Done(attributes([
            ("AllocationId", address.allocation_id),
            ("PublicIp", address.public_ip),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        let missing = || ServiceError::new("NotFound", format!("Address '{id}' not found."));
        let address = address_of(ctx, id).await?.ok_or_else(missing)?;
        if text(old, "InstanceId").is_some() && text(new, "InstanceId").is_none() {
            disassociate(ctx, &address).await?;
        }
        retag(ctx, &address.allocation_id.unwrap_or_default(), old, new).await
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, p: &Properties) -> Result<Progress> {
        let Some(address) = address_of(ctx, id).await? else {
            return Ok(Progress::Done(Attributes::new()));
        };
        if text(p, "InstanceId").is_some() {
            disassociate(ctx, &address).await?;
        }
        let allocation_id = address.allocation_id;
        let input = ReleaseAddressInput { allocation_id, ..ReleaseAddressInput::default() };
        gone(ctx.client.call(input).await)
    }
}

struct EipAssociation;

#[async_trait]
impl ResourceHandler for EipAssociation {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let input = AssociateAddressInput {
            allocation_id: text(properties, "AllocationId"),
            public_ip: text(properties, "EIP"),
            instance_id: text(properties, "InstanceId"),
            network_interface_id: text(properties, "NetworkInterfaceId"),
            private_ip_address: text(properties, "PrivateIpAddress"),
            ..AssociateAddressInput::default()
        };
        made(ctx.client.call(input).await?.association_id)
    }

    async fn settled(&self, _: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        Ok(Progress::Done(attributes([("Id", Some(id.to_owned()))])))
    }

    async fn update(&self, _: &ResourceCtx, _: &str, _: &Properties, _: &Properties) -> Result<()> {
        Err(unchangeable())
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let association_id = Some(id.to_owned());
        let input =
            DisassociateAddressInput { association_id, ..DisassociateAddressInput::default() };
        gone(ctx.client.call(input).await)
    }
}

struct NatGateway;

async fn gateway_of(ctx: &ResourceCtx, id: &str) -> Result<ec2_api::NatGateway> {
    let nat_gateway_ids = vec![id.to_owned()];
    let input = DescribeNatGatewaysInput { nat_gateway_ids, ..DescribeNatGatewaysInput::default() };
    Ok(ctx.client.call(input).await?.nat_gateways.pop().unwrap_or_default())
}

#[async_trait]
impl ResourceHandler for NatGateway {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let kind = text(properties, "ConnectivityType");
        let kind = kind.map(|kind| {
            kind.parse::<ConnectivityType>()
                .map_err(|_| invalid("ConnectivityType must be public or private"))
        });
        let input = CreateNatGatewayInput {
            allocation_id: text(properties, "AllocationId"),
            connectivity_type: kind.transpose()?,
            private_ip_address: text(properties, "PrivateIpAddress"),
            subnet_id: Some(required(properties, "SubnetId")?),
            client_token: Some(ctx.token.clone()),
            tag_specifications: tagging(ctx, "natgateway", properties),
            ..CreateNatGatewayInput::default()
        };
        made(ctx.client.call(input).await?.nat_gateway.unwrap_or_default().nat_gateway_id)
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let gateway = gateway_of(ctx, id).await?;
        match gateway.state {
            Some(NatGatewayState::Available) => {
                Ok(Progress::Done(attributes([("NatGatewayId", Some(id.to_owned()))])))
            }
            Some(NatGatewayState::Pending) => Ok(Progress::Wait(LOOK)),
            Some(
                NatGatewayState::Failed | NatGatewayState::Deleting | NatGatewayState::Deleted,
            )
            | None => Err(ServiceError::new(
                "NotStabilized",
                format!(
                    "NatGateway {id} is in state failed and hence failed to stabilize. Detailed \
                     failure message: {}",
                    gateway.failure_message.unwrap_or_default()
                ),
            )),
        }
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
        let input = DeleteNatGatewayInput { nat_gateway_id: id.to_owned(), dry_run: None };
        match ctx.client.call(input).await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => return Ok(Progress::Done(Attributes::new())),
            Err(error) => return Err(error),
        }
        Ok(match gateway_of(ctx, id).await?.state {
            Some(NatGatewayState::Deleted) | None => Progress::Done(Attributes::new()),
            Some(_) => Progress::Wait(LOOK),
        })
    }
}

struct NetworkInterface;

impl NetworkInterface {
    async fn change(
        &self,
        ctx: &ResourceCtx,
        input: ModifyNetworkInterfaceAttributeInput,
    ) -> Result<()> {
        ctx.client.call(input).await.map(|_| ())
    }
}

#[async_trait]
impl ResourceHandler for NetworkInterface {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let addresses = objects(properties, "PrivateIpAddresses");
        let address = |wanted: Properties| PrivateIpAddressSpecification {
            primary: flag(&wanted, "Primary"),
            private_ip_address: text(&wanted, "PrivateIpAddress"),
        };
        let count = number(properties, "SecondaryPrivateIpAddressCount")?;
        let input = CreateNetworkInterfaceInput {
            subnet_id: required(properties, "SubnetId")?,
            description: text(properties, "Description"),
            groups: list(properties, "GroupSet"),
            private_ip_address: text(properties, "PrivateIpAddress"),
            private_ip_addresses: addresses.into_iter().map(address).collect(),
            secondary_private_ip_address_count: count,
            client_token: Some(ctx.token.clone()),
            tag_specifications: tagging(ctx, "network-interface", properties),
            ..CreateNetworkInterfaceInput::default()
        };
        made(
            ctx.client
                .call(input)
                .await?
                .network_interface
                .unwrap_or_default()
                .network_interface_id,
        )
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, p: &Properties) -> Result<Progress> {
        let input = DescribeNetworkInterfacesInput {
            network_interface_ids: vec![id.to_owned()],
            ..DescribeNetworkInterfacesInput::default()
        };
        let found = ctx.client.call(input).await?.network_interfaces.pop().unwrap_or_default();
        if let Some(check) = flag(p, "SourceDestCheck")
            && found.source_dest_check != Some(check)
        {
            let input = ModifyNetworkInterfaceAttributeInput {
                network_interface_id: id.to_owned(),
                source_dest_check: Some(AttributeBooleanValue { value: Some(check) }),
                ..ModifyNetworkInterfaceAttributeInput::default()
            };
            self.change(ctx, input).await?;
        }
        let up = [NetworkInterfaceStatus::Available, NetworkInterfaceStatus::InUse];
        if !found.status.is_some_and(|status| up.contains(&status)) {
            return Ok(Progress::Wait(LOOK));
        }
        let others = found.private_ip_addresses.iter().filter(|a| a.primary != Some(true));
        let others: Vec<Json> =
            others.filter_map(|a| a.private_ip_address.clone()).map(Json::from).collect();
        let mut done = attributes([
            ("Id", Some(id.to_owned())),
            ("PrimaryPrivateIpAddress", found.private_ip_address),
            ("VpcId", found.vpc_id),
        ]);
        done.insert("SecondaryPrivateIpAddresses".to_owned(), Json::from(others));
        Ok(Progress::Done(done))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        let input = ModifyNetworkInterfaceAttributeInput {
            network_interface_id: id.to_owned(),
            ..ModifyNetworkInterfaceAttributeInput::default()
        };
        if text(old, "Description") != text(new, "Description") {
            let value = Some(text(new, "Description").unwrap_or_default());
            let description = Some(AttributeValue { value });
            let input = ModifyNetworkInterfaceAttributeInput { description, ..input.clone() };
            self.change(ctx, input).await?;
        }
        let groups = list(new, "GroupSet");
        if list(old, "GroupSet") != groups && !groups.is_empty() {
            let input = ModifyNetworkInterfaceAttributeInput { groups, ..input.clone() };
            self.change(ctx, input).await?;
        }
        let check = flag(new, "SourceDestCheck").unwrap_or(true);
        if flag(old, "SourceDestCheck").unwrap_or(true) != check {
            let source_dest_check = Some(AttributeBooleanValue { value: Some(check) });
            let input = ModifyNetworkInterfaceAttributeInput { source_dest_check, ..input };
            self.change(ctx, input).await?;
        }
        retag(ctx, id, old, new).await
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let input =
            DeleteNetworkInterfaceInput { network_interface_id: id.to_owned(), dry_run: None };
        gone(ctx.client.call(input).await)
    }
}
