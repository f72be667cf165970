//! `AWS::RDS::*` resource types.

pub(crate) mod instance;
pub(crate) mod parameter_group;
pub(crate) mod subnet_group;

use kernel::ServiceError;
use kernel::resource::{Properties, ResourceCtx};
use rds_api::{
    AddTagsToResourceInput, DescribeDBInstancesInput, ListTagsForResourceInput,
    RemoveTagsFromResourceInput, Tag,
};
use serde_json::Value as Json;

/// A property as text, whatever scalar the template wrote.
fn text(properties: &Properties, name: &str) -> Option<String> {
    match properties.get(name)? {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other @ (Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
            Some(other.to_string())
        }
    }
}

fn invalid(name: &str) -> ServiceError {
    ServiceError::new("InvalidRequest", format!("Invalid value for property {name}"))
}

fn number(properties: &Properties, name: &str) -> Result<Option<i32>, ServiceError> {
    text(properties, name).map(|text| text.parse().map_err(|_| invalid(name))).transpose()
}

fn boolean(properties: &Properties, name: &str) -> Result<Option<bool>, ServiceError> {
    let parse = |text: String| match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(name)),
    };
    text(properties, name).map(parse).transpose()
}

fn list(properties: &Properties, name: &str) -> Vec<String> {
    let items = properties.get(name).and_then(Json::as_array);
    items.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// The stack's tags and the resource's own.
fn tags(ctx: &ResourceCtx, properties: &Properties) -> Vec<Tag> {
    let mut all = ctx.tags.clone();
    for tag in properties.get("Tags").and_then(Json::as_array).into_iter().flatten() {
        let part = |name: &str| tag.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        all.insert(part("Key"), part("Value"));
    }
    all.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

/// Gives a resource the tags of the template.
async fn set_tags(
    ctx: &ResourceCtx,
    arn: &str,
    properties: &Properties,
) -> Result<(), ServiceError> {
    let resource_name = arn.to_owned();
    let input =
        ListTagsForResourceInput { resource_name: resource_name.clone(), ..Default::default() };
    let wanted = tags(ctx, properties);
    let found = ctx.client.call(input).await?.tag_list;
    let gone: Vec<String> = found
        .into_iter()
        .filter_map(|tag| tag.key)
        .filter(|key| !wanted.iter().any(|tag| tag.key.as_ref() == Some(key)))
        .collect();
    if !gone.is_empty() {
        let input =
            RemoveTagsFromResourceInput { resource_name: resource_name.clone(), tag_keys: gone };
        ctx.client.call(input).await?;
    }
    ctx.client.call(AddTagsToResourceInput { resource_name, tags: wanted }).await?;
    Ok(())
}

/// The instance called `name`, if there is one.
async fn instance_of(
    ctx: &ResourceCtx,
    name: &str,
) -> Result<Option<rds_api::DBInstance>, ServiceError> {
    let input = DescribeDBInstancesInput {
        db_instance_identifier: Some(name.to_owned()),
        ..Default::default()
    };
    match ctx.client.call(input).await {
        Ok(found) => Ok(found.db_instances.into_iter().next()),
        Err(error) if is(&error, "DBInstanceNotFound") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error is the one that the model calls `name` or `nameFault`.
fn is(error: &ServiceError, name: &str) -> bool {
    error.code.strip_suffix("Fault").unwrap_or(&error.code) == name
}
