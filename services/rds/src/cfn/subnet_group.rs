//! `AWS::RDS::DBSubnetGroup`.

use std::sync::Arc;

use async_trait::async_trait;
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use rds_api::{CreateDBSubnetGroupInput, DeleteDBSubnetGroupInput, ModifyDBSubnetGroupInput};

use super::{is, list, set_tags, tags, text};

const PROPERTIES: &[Property] = &[
    Property::new("DBSubnetGroupDescription").required(),
    Property::new("DBSubnetGroupName").replaces(),
    Property::new("SubnetIds").required(),
    Property::new("Tags"),
];

/// The resource type.
pub(crate) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::RDS::DBSubnetGroup",
        properties: PROPERTIES,
        attributes: &[],
        handler: Arc::new(SubnetGroup),
    }
}

struct SubnetGroup;

fn arn(ctx: &ResourceCtx, name: &str) -> String {
    format!("arn:aws:rds:{}:{}:subgrp:{name}", ctx.region, ctx.account)
}

#[async_trait]
impl ResourceHandler for SubnetGroup {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let own = text(properties, "DBSubnetGroupName");
        let generated = own.is_none();
        let name = own.unwrap_or_else(|| ctx.generated_name(255)).to_ascii_lowercase();
        let input = CreateDBSubnetGroupInput {
            db_subnet_group_name: name.clone(),
            db_subnet_group_description: text(properties, "DBSubnetGroupDescription")
                .unwrap_or_default(),
            subnet_ids: list(properties, "SubnetIds"),
            tags: tags(ctx, properties),
        };
        match ctx.client.call(input).await {
            // A generated name is this resource's alone: an interrupted try made it.
            Err(error) if generated && is(&error, "DBSubnetGroupAlreadyExists") => Ok(name),
            Err(error) => Err(error),
            Ok(_) => Ok(name),
        }
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        Ok(Progress::Done(Attributes::new()))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let input = ModifyDBSubnetGroupInput {
            db_subnet_group_name: physical_id.to_owned(),
            db_subnet_group_description: text(new, "DBSubnetGroupDescription"),
            subnet_ids: list(new, "SubnetIds"),
        };
        ctx.client.call(input).await?;
        set_tags(ctx, &arn(ctx, physical_id), new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteDBSubnetGroupInput { db_subnet_group_name: physical_id.to_owned() };
        match ctx.client.call(input).await {
            Err(error) if !is(&error, "DBSubnetGroupNotFound") => Err(error),
            Ok(_) | Err(_) => Ok(Progress::Done(Attributes::new())),
        }
    }
}
