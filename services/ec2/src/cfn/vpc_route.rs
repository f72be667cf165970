//! `AWS::EC2::RouteTable`, `Route` and `SubnetRouteTableAssociation`.

use std::sync::Arc;

use async_trait::async_trait;
use ec2_api::{
    AssociateRouteTableInput, CreateRouteInput, CreateRouteTableInput, DeleteRouteInput,
    DeleteRouteTableInput, DescribeRouteTablesInput, DisassociateRouteTableInput,
    ReplaceRouteInput, ReplaceRouteTableAssociationInput,
};
use kernel::resource::{
    Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::values::{Result, attributes, gone, made, required, retag, tagging, text, unchangeable};

pub(super) fn types() -> [ResourceType; 3] {
    [
        ResourceType {
            name: "AWS::EC2::RouteTable",
            properties: const { &[Property::new("VpcId").required().replaces(), Property::new("Tags")] },
            attributes: &["RouteTableId"],
            handler: Arc::new(RouteTable),
        },
        ResourceType {
            name: "AWS::EC2::Route",
            properties: const {
                &[
                    Property::new("RouteTableId").required().replaces(),
                    Property::new("DestinationCidrBlock").required().replaces(),
                    Property::new("GatewayId"),
                    Property::new("NatGatewayId"),
                    Property::new("NetworkInterfaceId"),
                    Property::new("InstanceId"),
                ]
            },
            attributes: &["CidrBlock"],
            handler: Arc::new(Route),
        },
        ResourceType {
            name: "AWS::EC2::SubnetRouteTableAssociation",
            properties: const {
                &[
                    Property::new("SubnetId").required().replaces(),
                    Property::new("RouteTableId").required(),
                ]
            },
            attributes: &["Id"],
            handler: Arc::new(Association),
        },
    ]
}

struct RouteTable;

#[async_trait]
impl ResourceHandler for RouteTable {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let input = CreateRouteTableInput {
            vpc_id: required(properties, "VpcId")?,
            client_token: Some(ctx.token.clone()),
            tag_specifications: tagging(ctx, "route-table", properties),
            dry_run: None,
        };
        made(ctx.client.call(input).await?.route_table.unwrap_or_default().route_table_id)
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let route_table_ids = vec![id.to_owned()];
        let input =
            DescribeRouteTablesInput { route_table_ids, ..DescribeRouteTablesInput::default() };
        ctx.client.call(input).await?;
        Ok(Progress::Done(attributes([("RouteTableId", Some(id.to_owned()))])))
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
        let input = DeleteRouteTableInput { route_table_id: id.to_owned(), dry_run: None };
        gone(ctx.client.call(input).await)
    }
}

struct Route;

#[async_trait]
impl ResourceHandler for Route {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let table = required(properties, "RouteTableId")?;
        let destination = required(properties, "DestinationCidrBlock")?;
        let id = format!("{table}|{destination}");
        let input = CreateRouteInput {
            route_table_id: table,
            destination_cidr_block: Some(destination),
            gateway_id: text(properties, "GatewayId"),
            nat_gateway_id: text(properties, "NatGatewayId"),
            network_interface_id: text(properties, "NetworkInterfaceId"),
            instance_id: text(properties, "InstanceId"),
            ..CreateRouteInput::default()
        };
        ctx.client.call(input).await?;
        Ok(id)
    }

    async fn settled(&self, _: &ResourceCtx, _: &str, properties: &Properties) -> Result<Progress> {
        let cidr = text(properties, "DestinationCidrBlock");
        Ok(Progress::Done(attributes([("CidrBlock", cidr)])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        _: &Properties,
        new: &Properties,
    ) -> Result<()> {
        let input = ReplaceRouteInput {
            route_table_id: required(new, "RouteTableId")?,
            destination_cidr_block: Some(required(new, "DestinationCidrBlock")?),
            gateway_id: text(new, "GatewayId"),
            nat_gateway_id: text(new, "NatGatewayId"),
            network_interface_id: text(new, "NetworkInterfaceId"),
            instance_id: text(new, "InstanceId"),
            ..ReplaceRouteInput::default()
        };
        ctx.client.call(input).await.map(|_| ())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        properties: &Properties,
    ) -> Result<Progress> {
        let input = DeleteRouteInput {
            route_table_id: required(properties, "RouteTableId")?,
            destination_cidr_block: Some(required(properties, "DestinationCidrBlock")?),
            ..DeleteRouteInput::default()
        };
        gone(ctx.client.call(input).await)
    }
}

struct Association;

#[async_trait]
impl ResourceHandler for Association {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let input = AssociateRouteTableInput {
            subnet_id: Some(required(properties, "SubnetId")?),
            route_table_id: required(properties, "RouteTableId")?,
            ..AssociateRouteTableInput::default()
        };
        made(ctx.client.call(input).await?.association_id)
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, p: &Properties) -> Result<Progress> {
        // A change gives the association another id, which only the table knows.
        let id = present(ctx, p).await?.unwrap_or_else(|| id.to_owned());
        Ok(Progress::Done(attributes([("Id", Some(id))])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        if text(old, "SubnetId") != text(new, "SubnetId") {
            return Err(unchangeable());
        }
        let input = ReplaceRouteTableAssociationInput {
            association_id: present(ctx, new).await?.unwrap_or_else(|| id.to_owned()),
            route_table_id: required(new, "RouteTableId")?,
            dry_run: None,
        };
        ctx.client.call(input).await.map(|_| ())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        _: &str,
        properties: &Properties,
    ) -> Result<Progress> {
        let Some(association_id) = present(ctx, properties).await? else {
            return Ok(Progress::Done(attributes([])));
        };
        let input = DisassociateRouteTableInput { association_id, dry_run: None };
        gone(ctx.client.call(input).await)
    }
}

/// The association that the subnet has now.
async fn present(ctx: &ResourceCtx, properties: &Properties) -> Result<Option<String>> {
    let subnet = required(properties, "SubnetId")?;
    let filters = vec![super::values::filter("association.subnet-id", &subnet)];
    let input = DescribeRouteTablesInput { filters, ..DescribeRouteTablesInput::default() };
    let tables = ctx.client.call(input).await?.route_tables;
    let mut associations = tables.into_iter().flat_map(|table| table.associations);
    let own = associations.find(|known| known.subnet_id.as_ref() == Some(&subnet));
    Ok(own.and_then(|known| known.route_table_association_id))
}
