//! The resource types `AWS::ElastiCache::…` of CloudFormation. `Ref` gives the name of each.

mod cache_cluster;
mod parameter_group;
mod property;
mod replication_group;
mod subnet_group;

use std::time::Duration;

use base::Tags;
use elasticache_api::{
    AddTagsToResourceInput, ListTagsForResourceInput, RemoveTagsFromResourceInput, Tag,
    error as shape,
};
use kernel::ServiceError;
use kernel::resource::{Attributes, Progress, Properties, ResourceCtx};

pub(crate) use cache_cluster::resource_type as cache_cluster;
pub(crate) use parameter_group::resource_type as parameter_group;
pub(crate) use replication_group::resource_type as replication_group;
pub(crate) use subnet_group::resource_type as subnet_group;

use property::Object;

/// How soon something that is under way is looked at again.
const SOON: Duration = Duration::from_millis(250);

/// The tag that names the stack that made a resource.
const STACK: &str = "aws:cloudformation:stack-id";

/// The tag that names the resource in its template.
const LOGICAL: &str = "aws:cloudformation:logical-id";

/// The codes of what is not there.
const NOT_FOUND: &[&str] = &[
    shape::CACHE_CLUSTER_NOT_FOUND_FAULT,
    shape::CACHE_PARAMETER_GROUP_NOT_FOUND_FAULT,
    shape::CACHE_SUBNET_GROUP_NOT_FOUND_FAULT,
    shape::REPLICATION_GROUP_NOT_FOUND_FAULT,
];

/// The ARN of a resource of this service.
fn arn(ctx: &ResourceCtx, kind: &str, name: &str) -> String {
    base::Arn::new("elasticache", &ctx.region, &ctx.account, format!("{kind}:{name}")).to_string()
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

fn wire(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
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
    let resource_name = arn.to_owned();
    let present =
        ctx.client.call(ListTagsForResourceInput { resource_name: resource_name.clone() }).await?;
    let there = |key: &String| present.tag_list.iter().any(|tag| tag.key.as_ref() == Some(key));
    let gone = |key: &String| !new.contains_key(key) && there(key);
    let tag_keys: Vec<String> = old.into_keys().filter(gone).collect();
    if !tag_keys.is_empty() {
        let resource_name = resource_name.clone();
        ctx.client.call(RemoveTagsFromResourceInput { resource_name, tag_keys }).await?;
    }
    if !new.is_empty() {
        ctx.client.call(AddTagsToResourceInput { resource_name, tags: wire(new) }).await?;
    }
    Ok(())
}

/// The name of a resource that an interrupted try made: it is there and has the stack's tags.
async fn find_by_name(
    ctx: &ResourceCtx,
    kind: &str,
    name: String,
) -> Result<Option<String>, ServiceError> {
    let input = ListTagsForResourceInput { resource_name: arn(ctx, kind, &name) };
    match ctx.client.call(input).await {
        Ok(found) => {
            let ours = [STACK, LOGICAL].iter().all(|key| {
                let wanted = ctx.tags.get(*key);
                let has =
                    |tag: &Tag| tag.key.as_deref() == Some(*key) && tag.value.as_ref() == wanted;
                wanted.is_some() && found.tag_list.iter().any(has)
            });
            Ok(ours.then_some(name))
        }
        Err(error) if NOT_FOUND.contains(&error.code.as_str()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Done, also when there was nothing to delete.
fn deleted<T>(result: Result<T, ServiceError>, not_found: &str) -> Result<Progress, ServiceError> {
    match result {
        Ok(_) => Ok(Progress::Done(Attributes::new())),
        Err(error) if error.code == not_found => Ok(Progress::Done(Attributes::new())),
        Err(error) => Err(error),
    }
}

/// The physical name of a resource: lower case, as ElastiCache keeps names, and well formed.
fn name(
    ctx: &ResourceCtx,
    properties: &Properties,
    property: &str,
    length_max: usize,
) -> Result<String, ServiceError> {
    if let Some(given) = Object::of(properties).text(property)? {
        return Ok(given.to_ascii_lowercase());
    }
    let mut made = ctx.generated_name(length_max).to_ascii_lowercase();
    while made.contains("--") {
        made = made.replace("--", "-");
    }
    Ok(made)
}
