//! `AWS::SSM::Parameter`.

use std::sync::Arc;

use async_trait::async_trait;
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};
use ssm_api::{DeleteParameterInput, PutParameterInput, Tag};

const PROPERTIES: &[Property] = &[
    Property::new("Name").replaces(),
    Property::new("Type").required(),
    Property::new("Value").required(),
    Property::new("Description"),
    Property::new("AllowedPattern"),
    Property::new("Tier"),
    Property::new("DataType"),
    Property::new("Policies"),
    Property::new("Tags"),
];

/// The resource type.
pub(crate) fn parameter() -> ResourceType {
    ResourceType {
        name: "AWS::SSM::Parameter",
        properties: PROPERTIES,
        attributes: &["Type", "Value"],
        handler: Arc::new(Parameter),
    }
}

struct Parameter;

fn text(properties: &Properties, name: &str) -> Option<String> {
    let value = properties.get(name)?;
    if value.is_null() {
        return None;
    }
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn name_of(ctx: &ResourceCtx, properties: &Properties) -> String {
    text(properties, "Name").unwrap_or_else(|| format!("CFN-{}", ctx.generated_name(200)))
}

fn put(name: &str, properties: &Properties) -> PutParameterInput {
    PutParameterInput {
        name: name.to_owned(),
        value: text(properties, "Value").unwrap_or_default(),
        type_: text(properties, "Type").and_then(|text| text.parse().ok()),
        description: text(properties, "Description"),
        allowed_pattern: text(properties, "AllowedPattern"),
        tier: text(properties, "Tier").and_then(|text| text.parse().ok()),
        data_type: text(properties, "DataType"),
        policies: text(properties, "Policies"),
        overwrite: Some(true),
        ..PutParameterInput::default()
    }
}

#[async_trait]
impl ResourceHandler for Parameter {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let name = name_of(ctx, properties);
        let mut tags = ctx.tags.clone();
        for (key, value) in properties.get("Tags").and_then(Json::as_object).into_iter().flatten() {
            tags.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
        }
        let tags = tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
        let input = PutParameterInput { overwrite: Some(false), tags, ..put(&name, properties) };
        match ctx.client.call(input).await {
            Ok(_) => Ok(name),
            Err(error) => Err(error),
        }
    }

    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let name = name_of(ctx, properties);
        let input = ssm_api::ListTagsForResourceInput {
            resource_type: ssm_api::ResourceTypeForTagging::Parameter,
            resource_id: name.clone(),
        };
        let Ok(output) = ctx.client.call(input).await else { return Ok(None) };
        let ours =
            |tag: &Tag| tag.key == "aws:cloudformation:stack-id" && tag.value == ctx.stack_id;
        Ok(output.tag_list.iter().any(ours).then_some(name))
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let attribute = |name: &str| (name.to_owned(), json!(text(properties, name)));
        Ok(Progress::Done(Attributes::from([attribute("Type"), attribute("Value")])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        ctx.client.call(put(physical_id, new)).await.map(|_| ())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteParameterInput { name: physical_id.to_owned() };
        match ctx.client.call(input).await {
            Ok(_) => Ok(Progress::Done(Attributes::new())),
            Err(error) if error.code == ssm_api::error::PARAMETER_NOT_FOUND => {
                Ok(Progress::Done(Attributes::new()))
            }
            Err(error) => Err(error),
        }
    }
}
