//! Tags of keys.

use base::Tags;
use kernel::paging;
use kms_api::{
    ListResourceTagsInput, ListResourceTagsOutput, Tag, TagResourceInput, TagResourceOutput,
    UntagResourceInput, UntagResourceOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::key::{change, not_pending_deletion, own};

/// AWS: ListResourceTags, `Limit`.
const PAGE: i32 = 50;

/// Adds tags.
///
/// AWS: TagResource.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Tag`], [`Error::InvalidState`].
pub(crate) async fn tag_resource(ctx: Ctx, input: TagResourceInput) -> Result<TagResourceOutput> {
    let added = checked(&ctx, &input.tags)?;
    let inside = ctx.caller.invoked_by.as_deref();
    change(&ctx, &input.key_id, |key| {
        not_pending_deletion(key)?;
        key.tags.extend(added.clone());
        kernel::tags::check(&key.tags, inside).map_err(|error| Error::Tag(error.to_string()))
    })
    .await?;
    Ok(TagResourceOutput {})
}

/// Takes tags away.
///
/// AWS: UntagResource.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidState`].
pub(crate) async fn untag_resource(
    ctx: Ctx,
    input: UntagResourceInput,
) -> Result<UntagResourceOutput> {
    change(&ctx, &input.key_id, |key| {
        not_pending_deletion(key)?;
        key.tags.retain(|name, _| !input.tag_keys.contains(name));
        Ok(())
    })
    .await?;
    Ok(UntagResourceOutput {})
}

/// Lists tags.
///
/// AWS: ListResourceTags.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidMarker`].
pub(crate) async fn list_resource_tags(
    ctx: Ctx,
    input: ListResourceTagsInput,
) -> Result<ListResourceTagsOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    let limit = usize::try_from(input.limit.unwrap_or(PAGE)).unwrap_or(1);
    let tag =
        |(name, value): (&String, &String)| Tag { tag_key: name.clone(), tag_value: value.clone() };
    let tags: Vec<Tag> = opened.key.tags.iter().map(tag).collect();
    let page = paging::page(tags, input.marker.as_deref(), limit, |tag| tag.tag_key.clone())
        .map_err(|_| Error::InvalidMarker)?;
    let truncated = Some(page.next.is_some());
    Ok(ListResourceTagsOutput { tags: page.items, next_marker: page.next, truncated })
}

/// The tags of a request.
pub(crate) fn checked(ctx: &Ctx, given: &[Tag]) -> Result<Tags> {
    let tags: Tags = given.iter().map(|tag| (tag.tag_key.clone(), tag.tag_value.clone())).collect();
    if tags.len() < given.len() {
        return Err(Error::Tag("Duplicate tag keys".to_owned()));
    }
    kernel::tags::check(&tags, ctx.caller.invoked_by.as_deref())
        .map_err(|error| Error::Tag(error.to_string()))?;
    Ok(tags)
}
