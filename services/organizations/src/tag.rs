//! Tags of accounts, units, the root and policies.

use base::Tags;
use kernel::Ctx;
use kernel::tags::TAGS_MAX;
use organizations_api::{
    ListTagsForResourceInput, ListTagsForResourceOutput, Tag, TagResourceInput, TagResourceOutput,
    UntagResourceInput, UntagResourceOutput,
};
use store::WriteTx;

use crate::access::{managed, visible};
use crate::error::{Error, Result};
use crate::store::{MEMBERS, Organization, POLICIES, UNITS};
use crate::unit::put;
use crate::{account, listing, policy, unit};

/// The tags of a request.
///
/// # Errors
///
/// [`Error::InvalidInput`], [`Error::ConstraintViolation`].
pub(crate) fn checked(tags: &[Tag]) -> Result<Tags> {
    let mut found = Tags::new();
    for tag in tags {
        if tag.key.to_lowercase().starts_with("aws:") {
            return Err(Error::input(
                "INVALID_SYSTEM_TAGS_PARAMETER",
                "Tags may not start with aws:",
            ));
        }
        if found.insert(tag.key.clone(), tag.value.clone()).is_some() {
            return Err(Error::input("DUPLICATE_TAG_KEY", "Tag keys must be unique."));
        }
    }
    require_room(&found)?;
    Ok(found)
}

fn require_room(tags: &Tags) -> Result<()> {
    if tags.len() > TAGS_MAX {
        return Err(Error::constraint("MAX_TAG_LIMIT_EXCEEDED", "Too many tags."));
    }
    Ok(())
}

/// Changes the tags of whatever has this id.
fn change(
    tx: &mut WriteTx<'_>,
    organization: &Organization,
    id: &str,
    with: impl FnOnce(&mut Tags) -> Result<()>,
) -> Result<()> {
    if id == organization.root {
        let mut organization = organization.clone();
        with(&mut organization.root_tags)?;
        return put(tx, &organization);
    }
    if id.starts_with("ou-") {
        let mut found = unit::get(tx, organization, id).map_err(|_| Error::TargetNotFound)?;
        with(&mut found.tags)?;
        return Ok(tx.put(&UNITS, &found)?);
    }
    if id.starts_with("p-") {
        let found = policy::get(tx, organization, id).map_err(|_| Error::TargetNotFound)?;
        let mut found = tx.get(&POLICIES, &found.id)?.ok_or(Error::AccessDenied)?;
        with(&mut found.tags)?;
        return Ok(tx.put(&POLICIES, &found)?);
    }
    let mut found = account::member(tx, organization, id).map_err(|_| Error::TargetNotFound)?;
    with(&mut found.tags)?;
    Ok(tx.put(&MEMBERS, &found)?)
}

/// Sets tags.
///
/// AWS: TagResource.
///
/// # Errors
///
/// [`Error::TargetNotFound`], [`Error::ConstraintViolation`].
pub(crate) async fn tag_resource(ctx: Ctx, input: TagResourceInput) -> Result<TagResourceOutput> {
    let wanted = checked(&input.tags)?;
    ctx.store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            change(tx, &organization, &input.resource_id, |tags| {
                tags.extend(wanted.clone());
                require_room(tags)
            })
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
/// [`Error::TargetNotFound`].
pub(crate) async fn untag_resource(
    ctx: Ctx,
    input: UntagResourceInput,
) -> Result<UntagResourceOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            change(tx, &organization, &input.resource_id, |tags| {
                tags.retain(|key, _| !input.tag_keys.contains(key));
                Ok(())
            })
        })
        .await?;
    Ok(UntagResourceOutput {})
}

/// The tags of a resource.
///
/// AWS: ListTagsForResource.
///
/// # Errors
///
/// [`Error::TargetNotFound`].
pub(crate) async fn list_tags_for_resource(
    ctx: Ctx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput> {
    let id = input.resource_id.as_str();
    let tags = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            let missing = |_| Error::TargetNotFound;
            if id == organization.root {
                return Ok(organization.root_tags);
            }
            if id.starts_with("ou-") {
                return unit::get(tx, &organization, id).map(|f| f.tags).map_err(missing);
            }
            if id.starts_with("p-") {
                return policy::get(tx, &organization, id).map(|f| f.tags).map_err(missing);
            }
            account::member(tx, &organization, id).map(|f| f.tags).map_err(missing)
        })
        .await?;
    let tags = tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
    let page = listing::page(tags, input.next_token.as_deref(), None, |tag: &Tag| tag.key.clone())?;
    Ok(ListTagsForResourceOutput { tags: page.items, next_token: page.next })
}
