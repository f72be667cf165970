//! Transfer Acceleration: whether requests may come by the accelerated host name. There is one
//! machine and one way to it, so the name is all that it adds.
//!
//! AWS: "Configuring fast, secure file transfers using Amazon S3 Transfer Acceleration".

use s3_api::{
    BucketAccelerateStatus, GetBucketAccelerateConfigurationInput,
    GetBucketAccelerateConfigurationOutput, PutBucketAccelerateConfigurationInput,
    PutBucketAccelerateConfigurationOutput,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::error::{Error, Result};
use crate::settings::change;
use crate::store::Bucket;

/// Tells whether a bucket takes requests by the accelerated host name.
///
/// AWS: GetBucketAccelerateConfiguration.
pub(crate) async fn get_bucket_accelerate_configuration(
    ctx: Ctx,
    input: GetBucketAccelerateConfigurationInput,
) -> Result<GetBucketAccelerateConfigurationOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:GetAccelerateConfiguration", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let status = bucket.sharing.acceleration.and_then(|text| text.parse().ok());
    Ok(GetBucketAccelerateConfigurationOutput { status, ..Default::default() })
}

/// Sets whether a bucket takes requests by the accelerated host name.
///
/// AWS: PutBucketAccelerateConfiguration.
pub(crate) async fn put_bucket_accelerate_configuration(
    ctx: Ctx,
    input: PutBucketAccelerateConfigurationInput,
) -> Result<PutBucketAccelerateConfigurationOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutAccelerateConfiguration", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let status = input.accelerate_configuration.status.ok_or(Error::MalformedXml)?;
    if bucket.name.contains('.') {
        let text = "S3 Transfer Acceleration is not supported for buckets with periods (.) in \
                    their names";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    change(&ctx, &bucket, |bucket| {
        bucket.sharing.acceleration = Some(status.as_str().to_owned());
    })
    .await?;
    Ok(PutBucketAccelerateConfigurationOutput {})
}

/// Refuses a call by the accelerated name of a bucket that has none.
pub(crate) fn check_host(ctx: &Ctx, bucket: &Bucket) -> Result<()> {
    let accelerated = ctx.request.host.split('.').any(|label| label == "s3-accelerate");
    let enabled = BucketAccelerateStatus::Enabled.as_str();
    match accelerated && bucket.sharing.acceleration.as_deref() != Some(enabled) {
        true => Err(Error::NotAccelerated),
        false => Ok(()),
    }
}
