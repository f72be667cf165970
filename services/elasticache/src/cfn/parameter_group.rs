//! `AWS::ElastiCache::ParameterGroup`.

use std::sync::Arc;

use async_trait::async_trait;
use elasticache_api::{
    CreateCacheParameterGroupInput, DeleteCacheParameterGroupInput, ModifyCacheParameterGroupInput,
    ParameterNameValue, error as shape,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::json;

use super::property::Object;

const PROPERTIES: &[Property] = &[
    Property::new("CacheParameterGroupFamily").required().replaces(),
    Property::new("Description").required().replaces(),
    Property::new("Properties"),
    Property::new("Tags"),
];

/// AWS: CreateCacheParameterGroup (`CacheParameterGroupName`).
const NAME_MAX: usize = 255;

/// AWS: ModifyCacheParameterGroup ("A maximum of 20 parameters may be modified per request").
const CHANGED_MAX: usize = 20;

pub(crate) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElastiCache::ParameterGroup",
        properties: PROPERTIES,
        attributes: &["CacheParameterGroupName"],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn name(ctx: &ResourceCtx) -> Result<String, ServiceError> {
    super::name(ctx, &Properties::new(), "", NAME_MAX)
}

fn refuse(text: String) -> ServiceError {
    ServiceError::new("ValidationError", text)
}

fn values(properties: &Properties) -> Result<Vec<ParameterNameValue>, ServiceError> {
    let Some(json) = properties.get("Properties") else { return Ok(Vec::new()) };
    let map = json.as_object().ok_or_else(|| refuse("Properties must be an object".to_owned()))?;
    let one = |name: &String| {
        Ok(ParameterNameValue {
            parameter_name: Some(name.clone()),
            parameter_value: Object::of(map).text(name)?,
        })
    };
    map.keys().map(one).collect()
}

async fn set(
    ctx: &ResourceCtx,
    name: &str,
    values: Vec<ParameterNameValue>,
) -> Result<(), ServiceError> {
    for part in values.chunks(CHANGED_MAX) {
        let input = ModifyCacheParameterGroupInput {
            cache_parameter_group_name: name.to_owned(),
            parameter_name_values: part.to_vec(),
        };
        ctx.client.call(input).await?;
    }
    Ok(())
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let read = Object::of(properties);
        let name = name(ctx)?;
        let input = CreateCacheParameterGroupInput {
            cache_parameter_group_name: name.clone(),
            cache_parameter_group_family: read
                .text("CacheParameterGroupFamily")?
                .unwrap_or_default(),
            description: read.text("Description")?.unwrap_or_default(),
            tags: super::wire(super::tags(ctx, properties)?),
        };
        // A try that was cut off may have made it and set no values yet; its name is its own.
        let known = super::find_by_name(ctx, "parametergroup", name.clone()).await?;
        if known.is_none() {
            ctx.client.call(input).await?;
        }
        set(ctx, &name, values(properties)?).await?;
        Ok(name)
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let name = ("CacheParameterGroupName".to_owned(), json!(physical_id));
        Ok(Progress::Done(Attributes::from([name])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let (had, wanted) = (values(old)?, values(new)?);
        let kept = |one: &ParameterNameValue| {
            wanted.iter().any(|other| other.parameter_name == one.parameter_name)
        };
        if let Some(dropped) = had.iter().find(|one| !kept(one)) {
            return Err(refuse(format!(
                "The parameter {} cannot be taken out of the group; give it its default instead.",
                dropped.parameter_name.as_deref().unwrap_or_default()
            )));
        }
        set(ctx, physical_id, wanted).await?;
        let arn = super::arn(ctx, "parametergroup", physical_id);
        super::update_tags(ctx, &arn, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let cache_parameter_group_name = physical_id.to_owned();
        let input = DeleteCacheParameterGroupInput { cache_parameter_group_name };
        let done = ctx.client.call(input).await;
        super::deleted(done, shape::CACHE_PARAMETER_GROUP_NOT_FOUND_FAULT)
    }
}
