//! Tags of certificates.

use acm_api::{
    AddTagsToCertificateInput, AddTagsToCertificateOutput, ListTagsForCertificateInput,
    ListTagsForCertificateOutput, ListTagsForResourceInput, ListTagsForResourceOutput,
    RemoveTagsFromCertificateInput, RemoveTagsFromCertificateOutput, Tag, TagResourceInput,
    TagResourceOutput, UntagResourceInput, UntagResourceOutput,
};
use base::Tags;
use kernel::ServiceError;
use kernel::tags::TagError;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{CERTIFICATES, find};

/// The tags of a request, checked.
pub(crate) fn from_wire(ctx: &Ctx, tags: Vec<Tag>) -> Result<Tags> {
    let mut out = Tags::new();
    for Tag { key, value } in tags {
        if out.insert(key.clone(), value.unwrap_or_default()).is_some() {
            return Err(Error::InvalidTag(format!("Duplicate tag key {key}.")));
        }
    }
    check(ctx, &out)?;
    Ok(out)
}

fn check(ctx: &Ctx, tags: &Tags) -> Result<()> {
    kernel::tags::check(tags, ctx.caller.invoked_by.as_deref()).map_err(|error| match error {
        TagError::TooMany => Error::TooManyTags(error.to_string()),
        TagError::Key | TagError::Value | TagError::Reserved => {
            Error::InvalidTag(error.to_string())
        }
    })
}

fn to_wire(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: Some(value.clone()) }).collect()
}

async fn change(ctx: &Ctx, arn: &str, how: impl Fn(&mut Tags) + Send + Sync) -> Result<()> {
    ctx.store
        .write(|tx| {
            let mut found = find(tx, ctx, arn)?;
            how(&mut found.tags);
            check(ctx, &found.tags)?;
            Ok(tx.put(&CERTIFICATES, &found)?)
        })
        .await
}

async fn add(ctx: &Ctx, arn: &str, tags: Vec<Tag>) -> Result<()> {
    let wanted = from_wire(ctx, tags)?;
    change(ctx, arn, |tags| tags.extend(wanted.clone())).await
}

async fn list(ctx: &Ctx, arn: &str) -> Result<Vec<Tag>> {
    Ok(to_wire(&ctx.store.read(|tx| find(tx, ctx, arn)).await?.tags))
}

fn require_own(ctx: &Ctx, keys: &[&str]) -> Result<()> {
    let reserved = keys.iter().any(|key| kernel::tags::is_reserved(key));
    if ctx.caller.invoked_by.is_none() && reserved {
        return Err(Error::InvalidTag(TagError::Reserved.to_string()));
    }
    Ok(())
}

/// Sets tags of a certificate.
///
/// AWS: AddTagsToCertificate.
pub(crate) async fn add_tags_to_certificate(
    ctx: Ctx,
    input: AddTagsToCertificateInput,
) -> Result<AddTagsToCertificateOutput> {
    add(&ctx, &input.certificate_arn, input.tags).await?;
    Ok(AddTagsToCertificateOutput {})
}

/// Takes tags away; one with a value only if it has that value.
///
/// AWS: RemoveTagsFromCertificate.
pub(crate) async fn remove_tags_from_certificate(
    ctx: Ctx,
    input: RemoveTagsFromCertificateInput,
) -> Result<RemoveTagsFromCertificateOutput> {
    require_own(&ctx, &input.tags.iter().map(|tag| tag.key.as_str()).collect::<Vec<_>>())?;
    let goes = |key: &String, value: &String| {
        input
            .tags
            .iter()
            .any(|tag| tag.key == *key && tag.value.as_ref().is_none_or(|it| it == value))
    };
    change(&ctx, &input.certificate_arn, |tags| tags.retain(|key, value| !goes(key, value)))
        .await?;
    Ok(RemoveTagsFromCertificateOutput {})
}

/// Lists tags of a certificate.
///
/// AWS: ListTagsForCertificate.
pub(crate) async fn list_tags_for_certificate(
    ctx: Ctx,
    input: ListTagsForCertificateInput,
) -> Result<ListTagsForCertificateOutput> {
    Ok(ListTagsForCertificateOutput { tags: list(&ctx, &input.certificate_arn).await? })
}

/// Sets tags of a resource.
///
/// AWS: TagResource.
pub(crate) async fn tag_resource(ctx: Ctx, input: TagResourceInput) -> Result<TagResourceOutput> {
    add(&ctx, &input.resource_arn, input.tags).await?;
    Ok(TagResourceOutput {})
}

/// Takes tags of a resource away.
///
/// AWS: UntagResource.
pub(crate) async fn untag_resource(
    ctx: Ctx,
    input: UntagResourceInput,
) -> Result<UntagResourceOutput> {
    require_own(&ctx, &input.tag_keys.iter().map(String::as_str).collect::<Vec<_>>())?;
    change(&ctx, &input.resource_arn, |tags| {
        tags.retain(|key, _| !input.tag_keys.contains(key));
    })
    .await?;
    Ok(UntagResourceOutput {})
}

/// Lists tags of a resource.
///
/// AWS: ListTagsForResource.
pub(crate) async fn list_tags_for_resource(
    ctx: Ctx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput> {
    Ok(ListTagsForResourceOutput { tags: list(&ctx, &input.resource_arn).await? })
}

/// The tags of a certificate, for conditions of policies; none of one that is not there.
pub(crate) async fn of_arn(ctx: Ctx, arn: String) -> std::result::Result<Tags, ServiceError> {
    let found = ctx.store.read(|tx| tx.get(&CERTIFICATES, &arn)).await;
    Ok(found.map_err(ServiceError::internal)?.map(|found| found.tags).unwrap_or_default())
}
