//! `AWS::ElastiCache::SubnetGroup`.

use std::sync::Arc;

use async_trait::async_trait;
use elasticache_api::{
    CreateCacheSubnetGroupInput, DeleteCacheSubnetGroupInput, ModifyCacheSubnetGroupInput,
    error as shape,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::property::Object;

const PROPERTIES: &[Property] = &[
    Property::new("CacheSubnetGroupName").replaces(),
    Property::new("Description").required(),
    Property::new("SubnetIds").required(),
    Property::new("Tags"),
];

/// AWS: CreateCacheSubnetGroup (`CacheSubnetGroupName`).
const NAME_MAX: usize = 255;

pub(crate) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElastiCache::SubnetGroup",
        properties: PROPERTIES,
        attributes: &[],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn name(ctx: &ResourceCtx, properties: &Properties) -> Result<String, ServiceError> {
    super::name(ctx, properties, "CacheSubnetGroupName", NAME_MAX)
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        super::find_by_name(ctx, "subnetgroup", name(ctx, properties)?).await
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let read = Object::of(properties);
        let name = name(ctx, properties)?;
        let input = CreateCacheSubnetGroupInput {
            cache_subnet_group_name: name.clone(),
            cache_subnet_group_description: read.text("Description")?.unwrap_or_default(),
            subnet_ids: read.texts("SubnetIds")?,
            tags: super::wire(super::tags(ctx, properties)?),
        };
        ctx.client.call(input).await?;
        Ok(name)
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
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let read = Object::of(new);
        let input = ModifyCacheSubnetGroupInput {
            cache_subnet_group_name: physical_id.to_owned(),
            cache_subnet_group_description: read.text("Description")?,
            subnet_ids: read.texts("SubnetIds")?,
        };
        ctx.client.call(input).await?;
        let arn = super::arn(ctx, "subnetgroup", physical_id);
        super::update_tags(ctx, &arn, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let cache_subnet_group_name = physical_id.to_owned();
        let done = ctx.client.call(DeleteCacheSubnetGroupInput { cache_subnet_group_name }).await;
        super::deleted(done, shape::CACHE_SUBNET_GROUP_NOT_FOUND_FAULT)
    }
}
