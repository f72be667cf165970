//! The resource types `AWS::ElasticLoadBalancingV2::…` of CloudFormation. `Ref` gives the ARN of
//! each. Load balancers, target groups and listeners are made by operations that give the equal
//! one that exists, so that a step that was cut short is just repeated.

mod listener;
mod listener_certificate;
mod load_balancer;
mod property;
mod rule;
mod target_group;

use base::Tags;
use elbv2_api::{AddTagsInput, RemoveTagsInput, Tag};
use kernel::ServiceError;
use kernel::resource::{Attributes, Progress, Properties, ResourceCtx, ResourceType};

use property::Object;

/// The types of this service.
pub(crate) fn types() -> Vec<ResourceType> {
    vec![
        load_balancer::resource_type(),
        target_group::resource_type(),
        listener::resource_type(),
        listener_certificate::resource_type(),
        rule::resource_type(),
    ]
}

/// The tags in a resource's properties, over those of its stack.
fn tags(ctx: &ResourceCtx, properties: &Properties) -> Result<Tags, ServiceError> {
    let mut tags = ctx.tags.clone();
    for tag in Object::of(properties).list("Tags")? {
        let tag = Object::from(tag, "Tags", &["Key", "Value"])?;
        let key = tag.text("Key")?.unwrap_or_default();
        tags.insert(key, tag.text("Value")?.unwrap_or_default());
    }
    Ok(tags)
}

fn to_wire(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key, value: Some(value) }).collect()
}

/// Makes a resource's tags those of `new`.
async fn update_tags(
    ctx: &ResourceCtx,
    arn: &str,
    old: &Properties,
    new: &Properties,
) -> Result<(), ServiceError> {
    let (old, new) = (tags(ctx, old)?, tags(ctx, new)?);
    if old == new {
        return Ok(());
    }
    let dropped: Vec<String> = old.into_keys().filter(|key| !new.contains_key(key)).collect();
    let resource_arns = vec![arn.to_owned()];
    if !dropped.is_empty() {
        let input = RemoveTagsInput { resource_arns: resource_arns.clone(), tag_keys: dropped };
        ctx.client.call(input).await?;
    }
    if !new.is_empty() {
        ctx.client.call(AddTagsInput { resource_arns, tags: to_wire(new) }).await?;
    }
    Ok(())
}

/// Key and value of each attribute in the list `name`.
fn attributes(properties: &Properties, name: &str) -> Result<Vec<(String, String)>, ServiceError> {
    let one = |item| {
        let item = Object::from(item, name, &["Key", "Value"])?;
        let key = item.text("Key")?.unwrap_or_default();
        Ok((key, item.text("Value")?.unwrap_or_default()))
    };
    Object::of(properties).list(name)?.iter().map(one).collect()
}

/// The attributes of `new`, and the defaults of those that only `old` has.
fn changed_attributes(
    old: &Properties,
    new: &Properties,
    name: &str,
    default: impl Fn(&str) -> Option<&'static str>,
) -> Result<Vec<(String, String)>, ServiceError> {
    let (old, new) = (attributes(old, name)?, attributes(new, name)?);
    if old == new {
        return Ok(Vec::new());
    }
    let dropped = old.into_iter().filter(|(key, _)| !new.iter().any(|(other, _)| other == key));
    let reset = dropped
        .filter_map(|(key, _)| default(&key).map(|value| (key, value.to_owned())))
        .collect::<Vec<_>>();
    Ok(new.into_iter().chain(reset).collect())
}

/// Done, also when there was nothing to delete.
fn deleted<T>(result: Result<T, ServiceError>, not_found: &str) -> Result<Progress, ServiceError> {
    match result {
        Ok(_) => Ok(Progress::Done(Attributes::new())),
        Err(error) if error.code == not_found => Ok(Progress::Done(Attributes::new())),
        Err(error) => Err(error),
    }
}
