//! What the resource types share: reading properties, tags, and telling what is gone.

use base::Tags;
use ec2_api::{CreateTagsInput, DeleteTagsInput, DescribeTagsInput, Filter, Tag, TagSpecification};
use kernel::ServiceError;
use kernel::resource::{Attributes, Progress, Properties, ResourceCtx};
use serde_json::Value as Json;

pub(super) type Result<T> = std::result::Result<T, ServiceError>;

/// A property as text; numbers and booleans are written out.
pub(super) fn text(properties: &Properties, name: &str) -> Option<String> {
    written(properties.get(name)?)
}

/// A value as text, unless it is a list or an object.
pub(super) fn written(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A property that must be there.
pub(super) fn required(properties: &Properties, name: &str) -> Result<String> {
    text(properties, name).ok_or_else(|| invalid(format!("Property {name} must be a text")))
}

/// A property as a truth value, which templates may write as text.
pub(super) fn flag(properties: &Properties, name: &str) -> Option<bool> {
    text(properties, name)?.to_ascii_lowercase().parse().ok()
}

/// A property as a number, which templates may write as text.
pub(super) fn number(properties: &Properties, name: &str) -> Result<Option<i32>> {
    let Some(text) = text(properties, name) else { return Ok(None) };
    let number = text.parse().map_err(|_| invalid(format!("Property {name} must be a number")))?;
    Ok(Some(number))
}

/// A property as a list of texts.
pub(super) fn list(properties: &Properties, name: &str) -> Vec<String> {
    let values = properties.get(name).and_then(Json::as_array);
    values.into_iter().flatten().filter_map(written).collect()
}

/// A property as a list of objects.
pub(super) fn objects(properties: &Properties, name: &str) -> Vec<Properties> {
    let values = properties.get(name).and_then(Json::as_array);
    values.into_iter().flatten().filter_map(Json::as_object).cloned().collect()
}

/// A template is wrong.
pub(super) fn invalid(text: impl Into<String>) -> ServiceError {
    ServiceError::new("ValidationError", text)
}

/// A resource whose every change needs a new one was to be changed in place.
pub(super) fn unchangeable() -> ServiceError {
    invalid("The resource cannot be changed in place")
}

/// The tags that properties ask for.
pub(super) fn tags(properties: &Properties) -> Tags {
    let pair = |tag: Properties| Some((text(&tag, "Key")?, text(&tag, "Value")?));
    objects(properties, "Tags").into_iter().filter_map(pair).collect()
}

/// The tags that a new resource of `kind` gets: the stack's and its own.
pub(super) fn tagging(
    ctx: &ResourceCtx,
    kind: &str,
    properties: &Properties,
) -> Vec<TagSpecification> {
    let mut all = ctx.tags.clone();
    all.extend(tags(properties));
    vec![TagSpecification {
        resource_type: Some(kind.to_owned()),
        tags: crate::tags::to_wire(&all),
    }]
}

/// Brings a resource's tags from the old properties to the new.
pub(super) async fn retag(
    ctx: &ResourceCtx,
    id: &str,
    old: &Properties,
    new: &Properties,
) -> Result<()> {
    let (before, after) = (tags(old), tags(new));
    let gone =
        before.keys().filter(|key| !after.contains_key(*key) && !ctx.tags.contains_key(*key));
    let gone: Vec<Tag> = gone.map(|key| Tag { key: Some(key.clone()), value: None }).collect();
    if !gone.is_empty() {
        let input = DeleteTagsInput { resources: vec![id.to_owned()], tags: gone, dry_run: None };
        ctx.client.call(input).await?;
    }
    let mut wanted = ctx.tags.clone();
    wanted.extend(after);
    if !wanted.is_empty() {
        let tags = crate::tags::to_wire(&wanted);
        let input = CreateTagsInput { resources: vec![id.to_owned()], tags, dry_run: None };
        ctx.client.call(input).await?;
    }
    Ok(())
}

/// The resources of `kind` that carry the stack's id and this logical id.
pub(super) async fn tagged(ctx: &ResourceCtx, kind: &str) -> Result<Vec<String>> {
    let of_stack = with_tag(ctx, kind, "aws:cloudformation:stack-id", &ctx.stack_id).await?;
    let of_name = with_tag(ctx, kind, "aws:cloudformation:logical-id", &ctx.logical_id).await?;
    Ok(of_stack.into_iter().filter(|id| of_name.contains(id)).collect())
}

async fn with_tag(ctx: &ResourceCtx, kind: &str, key: &str, value: &str) -> Result<Vec<String>> {
    let filters =
        vec![filter("resource-type", kind), filter(&format!("tag:{key}"), &kernel_pattern(value))];
    let input = DescribeTagsInput { filters, ..DescribeTagsInput::default() };
    let found = ctx.client.call(input).await?;
    Ok(found.tags.into_iter().filter_map(|tag| tag.resource_id).collect())
}

/// A filter's value that matches `text` alone.
fn kernel_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A filter of one value.
pub(super) fn filter(name: &str, value: &str) -> Filter {
    Filter { name: Some(name.to_owned()), values: vec![value.to_owned()] }
}

/// What a deletion came to: a resource that is not there is deleted.
pub(super) fn gone<T>(result: Result<T>) -> Result<Progress> {
    match result {
        Ok(_) => Ok(Progress::Done(Attributes::new())),
        Err(error) if is_missing(&error) => Ok(Progress::Done(Attributes::new())),
        Err(error) => Err(error),
    }
}

/// Whether an error says that something is not there.
pub(super) fn is_missing(error: &ServiceError) -> bool {
    error.code.ends_with(".NotFound")
        || matches!(error.code.as_str(), "NatGatewayNotFound" | "Gateway.NotAttached")
}

/// Attributes of texts.
pub(super) fn attributes<const N: usize>(pairs: [(&str, Option<String>); N]) -> Attributes {
    let pair = |(name, value): (&str, Option<String>)| Some((name.to_owned(), Json::from(value?)));
    pairs.into_iter().filter_map(pair).collect()
}

/// The id that an operation answered with.
pub(super) fn made(id: Option<String>) -> Result<String> {
    id.ok_or_else(|| ServiceError::internal("an operation answered without an id"))
}
