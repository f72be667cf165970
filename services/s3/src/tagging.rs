//! The tags of objects.
//!
//! AWS: "Categorizing your objects using tags".

use base::Tags;
use s3_api::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::error::Result;
use crate::settings::{OBJECT_TAGS_MAX, tag_list, tags_from};
use crate::store::{Bucket, Version, Versioning};
use crate::version::{self, Named};

/// The version that an answer names, where its bucket has versions.
pub(crate) fn shown(bucket: &Bucket, version: &Version) -> Option<String> {
    let has = bucket.versioning != Versioning::Never;
    has.then(|| version.shown().to_owned())
}

/// The action that a request on a version, or on the current one, is admitted by.
pub(crate) fn action(named: &Named, plain: &'static str, versioned: &'static str) -> &'static str {
    match named {
        Named::Current => plain,
        Named::Null | Named::Id(..) => versioned,
    }
}

/// Tells an object's tags.
///
/// AWS: GetObjectTagging.
pub(crate) async fn get_object_tagging(
    ctx: Ctx,
    input: GetObjectTaggingInput,
) -> Result<GetObjectTaggingOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    let action = action(&named, "s3:GetObjectTagging", "s3:GetObjectVersionTagging");
    let wish = Wish::new(action, &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let (name, key) = (&input.bucket, &input.key);
    let object = ctx.store.read(|tx| version::object(tx, name, key, &named)).await?;
    Ok(GetObjectTaggingOutput {
        version_id: shown(&bucket, &object.version),
        tag_set: tag_list(object.tags),
    })
}

/// Sets an object's tags, all of them.
///
/// AWS: PutObjectTagging.
pub(crate) async fn put_object_tagging(
    ctx: Ctx,
    input: PutObjectTaggingInput,
) -> Result<PutObjectTaggingOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    let action = action(&named, "s3:PutObjectTagging", "s3:PutObjectVersionTagging");
    let wish = Wish::new(action, &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let tags = tags_from(&input.tagging.tag_set, OBJECT_TAGS_MAX)?;
    let version_id = retag(&ctx, &bucket, &input.key, (&named, &tags)).await?;
    Ok(PutObjectTaggingOutput { version_id })
}

/// Takes an object's tags away.
///
/// AWS: DeleteObjectTagging.
pub(crate) async fn delete_object_tagging(
    ctx: Ctx,
    input: DeleteObjectTaggingInput,
) -> Result<DeleteObjectTaggingOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    let action = action(&named, "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging");
    let wish = Wish::new(action, &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let version_id = retag(&ctx, &bucket, &input.key, (&named, &Tags::new())).await?;
    Ok(DeleteObjectTaggingOutput { version_id })
}

async fn retag(
    ctx: &Ctx,
    bucket: &Bucket,
    key: &str,
    (named, tags): (&Named, &Tags),
) -> Result<Option<String>> {
    let object = version::change(ctx, (&bucket.name, key), named, |object| {
        object.tags.clone_from(tags);
        Ok(())
    })
    .await?;
    Ok(shown(bucket, &object.version))
}
