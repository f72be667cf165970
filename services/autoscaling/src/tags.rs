//! Tags of groups.

use autoscaling_api::{
    CreateOrUpdateTagsInput, CreateOrUpdateTagsOutput, DeleteTagsInput, DeleteTagsOutput,
    DescribeTagsInput, DescribeTagsOutput, Tag, TagDescription,
};
use kernel::paging;

use crate::Ctx;
use crate::describe;
use crate::error::{Error, Result};
use crate::group::{edit, tags_of};
use crate::store::GROUPS;

/// AWS: DescribeTags, `MaxRecords`.
const PAGE: i32 = 50;

fn group_of(tag: &Tag) -> Result<&str> {
    match (tag.resource_type.as_deref(), tag.resource_id.as_deref()) {
        (None | Some("auto-scaling-group"), Some(name)) => Ok(name),
        _ => Err(Error::Validation("Each tag must name its auto-scaling-group.".to_owned())),
    }
}

/// Sets tags.
///
/// AWS: CreateOrUpdateTags.
///
/// # Errors
///
/// [`Error::Validation`].
pub(crate) async fn create_or_update_tags(
    ctx: Ctx,
    input: CreateOrUpdateTagsInput,
) -> Result<CreateOrUpdateTagsOutput> {
    for tag in &input.tags {
        let name = group_of(tag)?.to_owned();
        let added = tags_of(&ctx, std::slice::from_ref(tag))?;
        edit(&ctx, &name, |group| {
            group.tags.extend(added.clone());
            Ok(())
        })
        .await?;
    }
    Ok(CreateOrUpdateTagsOutput {})
}

/// Takes tags away.
///
/// AWS: DeleteTags.
///
/// # Errors
///
/// [`Error::Validation`].
pub(crate) async fn delete_tags(ctx: Ctx, input: DeleteTagsInput) -> Result<DeleteTagsOutput> {
    for tag in &input.tags {
        let name = group_of(tag)?.to_owned();
        edit(&ctx, &name, |group| {
            let value_fits = |kept: &crate::store::GroupTag| {
                tag.value.as_ref().is_none_or(|value| *value == kept.value)
            };
            if group.tags.get(&tag.key).is_some_and(value_fits) {
                group.tags.remove(&tag.key);
            }
            Ok(())
        })
        .await?;
    }
    Ok(DeleteTagsOutput {})
}

/// Lists tags.
///
/// AWS: DescribeTags.
///
/// # Errors
///
/// [`Error::Validation`] for an unknown filter, [`Error::InvalidNextToken`].
pub(crate) async fn describe_tags(
    ctx: Ctx,
    input: DescribeTagsInput,
) -> Result<DescribeTagsOutput> {
    let groups = ctx.store.read(|tx| tx.scan(&GROUPS, ())).await?;
    let mut found: Vec<TagDescription> = groups.iter().flat_map(describe::tags).collect();
    for filter in &input.filters {
        let name = filter.name.as_deref().unwrap_or_default();
        let field: fn(&TagDescription) -> String = match name {
            "auto-scaling-group" => |tag| tag.resource_id.clone().unwrap_or_default(),
            "key" => |tag| tag.key.clone().unwrap_or_default(),
            "value" => |tag| tag.value.clone().unwrap_or_default(),
            "propagate-at-launch" => |tag| tag.propagate_at_launch.unwrap_or(false).to_string(),
            _ => return Err(Error::Validation(format!("Filter type {name} is not correct."))),
        };
        found.retain(|tag| filter.values.contains(&field(tag)));
    }
    let limit = usize::try_from(input.max_records.unwrap_or(PAGE)).unwrap_or(1);
    let key = |tag: &TagDescription| {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}\u{1}{}", part(&tag.resource_id), part(&tag.key))
    };
    let page = paging::page(found, input.next_token.as_deref(), limit, key)
        .map_err(|_| Error::InvalidNextToken)?;
    Ok(DescribeTagsOutput { tags: page.items, next_token: page.next })
}
