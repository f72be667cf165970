//! Whether a bucket keeps versions.
//!
//! AWS: "Using versioning in S3 buckets".

use s3_api::{
    BucketVersioningStatus, GetBucketVersioningInput, GetBucketVersioningOutput, MFADelete,
    PutBucketVersioningInput, PutBucketVersioningOutput,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::bucket::refuse;
use crate::error::{Error, Result};
use crate::store::{BUCKETS, Bucket, Versioning};
use crate::version::same_bucket;

/// Turns versioning on, or suspends it: versions that are there stay.
///
/// AWS: PutBucketVersioning.
pub(crate) async fn put_bucket_versioning(
    ctx: Ctx,
    input: PutBucketVersioningInput,
) -> Result<PutBucketVersioningOutput> {
    let wish = Wish::new("s3:PutBucketVersioning", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let wanted = input.versioning_configuration;
    refuse(&[
        ("x-amz-mfa", input.mfa.is_some()),
        ("MfaDelete", wanted.mfa_delete == Some(MFADelete::Enabled)),
    ])?;
    let versioning = match wanted.status {
        Some(BucketVersioningStatus::Enabled) => Versioning::Enabled,
        Some(BucketVersioningStatus::Suspended) => Versioning::Suspended,
        None => {
            return Err(Error::IllegalVersioningConfigurationException);
        }
    };
    ctx.store
        .write(|tx| {
            let there = same_bucket(tx, &bucket)?;
            if there.lock.is_some() && versioning != Versioning::Enabled {
                return Err(Error::InvalidBucketState(
                    "An Object Lock configuration is present on this bucket, so the versioning \
                     state cannot be changed.",
                ));
            }
            Ok(tx.put(&BUCKETS, &Bucket { versioning, ..there })?)
        })
        .await?;
    Ok(PutBucketVersioningOutput {})
}

/// Tells whether a bucket keeps versions.
///
/// AWS: GetBucketVersioning.
pub(crate) async fn get_bucket_versioning(
    ctx: Ctx,
    input: GetBucketVersioningInput,
) -> Result<GetBucketVersioningOutput> {
    let wish = Wish::new("s3:GetBucketVersioning", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let status = match bucket.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(BucketVersioningStatus::Enabled),
        Versioning::Suspended => Some(BucketVersioningStatus::Suspended),
    };
    Ok(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() })
}
