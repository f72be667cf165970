//! Tags of parameters.

use base::Tags;
use kernel::ServiceError;
use ssm_api::{
    AddTagsToResourceInput, AddTagsToResourceOutput, ListTagsForResourceInput,
    ListTagsForResourceOutput, RemoveTagsFromResourceInput, RemoveTagsFromResourceOutput,
    ResourceTypeForTagging, Tag,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::PARAMETERS;

/// Adds tags.
///
/// AWS: AddTagsToResource.
///
/// # Errors
///
/// [`Error::InvalidResourceId`], [`Error::InvalidResourceType`].
pub(crate) async fn add_tags_to_resource(
    ctx: Ctx,
    input: AddTagsToResourceInput,
) -> Result<AddTagsToResourceOutput> {
    let added: Tags = input.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    let inside = ctx.caller.invoked_by.clone();
    change(&ctx, &input.resource_type, &input.resource_id, |tags| {
        tags.extend(added.clone());
        kernel::tags::check(tags, inside.as_deref())
            .map_err(|error| Error::Validation(error.to_string()))
    })
    .await?;
    Ok(AddTagsToResourceOutput {})
}

/// Takes tags away.
///
/// AWS: RemoveTagsFromResource.
///
/// # Errors
///
/// [`Error::InvalidResourceId`], [`Error::InvalidResourceType`].
pub(crate) async fn remove_tags_from_resource(
    ctx: Ctx,
    input: RemoveTagsFromResourceInput,
) -> Result<RemoveTagsFromResourceOutput> {
    change(&ctx, &input.resource_type, &input.resource_id, |tags| {
        tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
    .await?;
    Ok(RemoveTagsFromResourceOutput {})
}

/// Lists tags.
///
/// AWS: ListTagsForResource.
///
/// # Errors
///
/// [`Error::InvalidResourceId`], [`Error::InvalidResourceType`].
pub(crate) async fn list_tags_for_resource(
    ctx: Ctx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput> {
    only_parameters(&input.resource_type)?;
    let found = ctx.store.read(|tx| tx.get(&PARAMETERS, &input.resource_id)).await?;
    let found = found.ok_or_else(|| Error::InvalidResourceId(input.resource_id.clone()))?;
    let tag_list = found.tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
    Ok(ListTagsForResourceOutput { tag_list })
}

/// The tags of the parameter with `arn`, for conditions on `aws:ResourceTag`.
pub(crate) async fn of_arn(ctx: Ctx, arn: String) -> std::result::Result<Tags, ServiceError> {
    let bare = arn.split(":parameter").nth(1).unwrap_or_default().trim_start_matches('/');
    let slashed = format!("/{bare}");
    let shelf = &ctx.drivers.shelf;
    // Most names start with a slash.
    let mut found = shelf.get(&ctx.store, &slashed).await.map_err(ServiceError::internal)?;
    if found.is_none() && !bare.contains('/') {
        found = shelf.get(&ctx.store, bare).await.map_err(ServiceError::internal)?;
    }
    Ok(found.map(|parameter| parameter.tags.clone()).unwrap_or_default())
}

async fn change(
    ctx: &Ctx,
    kind: &ResourceTypeForTagging,
    name: &str,
    edit: impl Fn(&mut Tags) -> Result<()> + Send + Sync,
) -> Result<()> {
    only_parameters(kind)?;
    let changed = ctx
        .store
        .write(|tx| {
            let found = tx.get(&PARAMETERS, name)?;
            let mut found = found.ok_or_else(|| Error::InvalidResourceId(name.to_owned()))?;
            edit(&mut found.tags)?;
            tx.put(&PARAMETERS, &found)?;
            Ok(())
        })
        .await;
    ctx.drivers.shelf.forget(ctx.store.scope(), name);
    changed
}

fn only_parameters(kind: &ResourceTypeForTagging) -> Result<()> {
    if *kind == ResourceTypeForTagging::Parameter {
        return Ok(());
    }
    Err(Error::InvalidResourceType(kind.as_str().to_owned()))
}
