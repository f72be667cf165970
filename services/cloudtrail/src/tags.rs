//! Tags of trails.

use base::Tags;
use cloudtrail_api::{
    AddTagsInput, AddTagsOutput, ListTagsInput, ListTagsOutput, RemoveTagsInput, RemoveTagsOutput,
    ResourceTag, Tag,
};
use kernel::ServiceError;
use kernel::tags::TagError;
use store::ReadTx;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{TRAILS, Trail, name_of};

/// AWS: ListTags (20 resources).
const RESOURCES_MAX: usize = 20;

/// The tags of a request, checked.
pub(crate) fn from_wire(ctx: &Ctx, tags: Vec<Tag>) -> Result<Tags> {
    let mut out = Tags::new();
    for Tag { key, value } in tags {
        if out.insert(key.clone(), value.unwrap_or_default()).is_some() {
            return Err(Error::InvalidTagParameter(format!("Tag key {key} is given twice.")));
        }
    }
    check(ctx, &out)?;
    Ok(out)
}

fn check(ctx: &Ctx, tags: &Tags) -> Result<()> {
    kernel::tags::check(tags, ctx.caller.invoked_by.as_deref()).map_err(|error| match error {
        TagError::TooMany => Error::TagsLimitExceeded(error.to_string()),
        TagError::Key | TagError::Value | TagError::Reserved => {
            Error::InvalidTagParameter(error.to_string())
        }
    })
}

/// The trail of an ARN; tags are asked for by ARNs alone.
fn tagged(tx: &ReadTx<'_>, ctx: &Ctx, id: &str) -> Result<Trail> {
    if !id.starts_with("arn:") {
        return Err(Error::ArnInvalid(id.to_owned()));
    }
    if !id.contains(":trail/") {
        return Err(Error::ResourceTypeNotSupported(id.to_owned()));
    }
    let name = name_of(ctx, id).map_err(|error| {
        let elsewhere = matches!(error, Error::TrailNotFound(..));
        if elsewhere { Error::ResourceNotFound(id.to_owned()) } else { error }
    })?;
    tx.get(&TRAILS, &name)?.ok_or_else(|| Error::ResourceNotFound(id.to_owned()))
}

async fn change(ctx: &Ctx, id: &str, how: impl Fn(&mut Tags) + Send + Sync) -> Result<()> {
    ctx.store
        .write(|tx| {
            let mut trail = tagged(tx, ctx, id)?;
            how(&mut trail.tags);
            check(ctx, &trail.tags)?;
            Ok(tx.put(&TRAILS, &trail)?)
        })
        .await
}

/// Sets tags.
///
/// AWS: AddTags.
pub(crate) async fn add_tags(ctx: Ctx, input: AddTagsInput) -> Result<AddTagsOutput> {
    let wanted = from_wire(&ctx, input.tags_list)?;
    change(&ctx, &input.resource_id, |tags| tags.extend(wanted.clone())).await?;
    Ok(AddTagsOutput {})
}

/// Takes tags away.
///
/// AWS: RemoveTags.
pub(crate) async fn remove_tags(ctx: Ctx, input: RemoveTagsInput) -> Result<RemoveTagsOutput> {
    let reserved = input.tags_list.iter().any(|tag| kernel::tags::is_reserved(&tag.key));
    if ctx.caller.invoked_by.is_none() && reserved {
        return Err(Error::InvalidTagParameter(TagError::Reserved.to_string()));
    }
    change(&ctx, &input.resource_id, |tags| {
        tags.retain(|key, _| !input.tags_list.iter().any(|tag| tag.key == *key));
    })
    .await?;
    Ok(RemoveTagsOutput {})
}

/// Lists tags.
///
/// AWS: ListTags.
pub(crate) async fn list_tags(ctx: Ctx, input: ListTagsInput) -> Result<ListTagsOutput> {
    if input.next_token.is_some() {
        return Err(Error::InvalidToken);
    }
    if input.resource_id_list.len() > RESOURCES_MAX {
        return Err(Error::ResourceTypeNotSupported(format!("more than {RESOURCES_MAX} trails")));
    }
    let resource_tag_list = ctx
        .store
        .read(|tx| {
            let one = |id: &String| {
                let trail = tagged(tx, &ctx, id)?;
                let tag = |(key, value): (&String, &String)| Tag {
                    key: key.clone(),
                    value: Some(value.clone()),
                };
                Ok(ResourceTag {
                    resource_id: Some(id.clone()),
                    tags_list: trail.tags.iter().map(tag).collect(),
                })
            };
            input.resource_id_list.iter().map(one).collect::<Result<Vec<_>>>()
        })
        .await?;
    Ok(ListTagsOutput { resource_tag_list, next_token: None })
}

/// The tags of a trail, for conditions of policies; none of one that is not there.
pub(crate) async fn of_arn(ctx: Ctx, arn: String) -> std::result::Result<Tags, ServiceError> {
    match ctx.store.read(|tx| tagged(tx, &ctx, &arn)).await {
        Ok(trail) => Ok(trail.tags),
        Err(Error::Store(error)) => Err(ServiceError::internal(error)),
        Err(_) => Ok(Tags::new()),
    }
}
