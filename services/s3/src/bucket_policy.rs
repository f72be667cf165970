//! Bucket policies.
//!
//! AWS: "Policies and permissions in Amazon S3".

use policy::{Kind, Policy};
use s3_api::{
    DeleteBucketPolicyInput, DeleteBucketPolicyOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    PutBucketPolicyInput, PutBucketPolicyOutput,
};
use serde_json::Value as Json;

use crate::Ctx;
use crate::admission::{Wish, admit, arn_of};
use crate::error::{Error, Result};
use crate::settings::change;

/// AWS: "Bucket policies and user policies": 20 KB.
const POLICY_BYTES_MAX: usize = 20 * 1024;

/// Tells a bucket's policy.
///
/// AWS: GetBucketPolicy.
pub(crate) async fn get_bucket_policy(
    ctx: Ctx,
    input: GetBucketPolicyInput,
) -> Result<GetBucketPolicyOutput> {
    let wish = Wish::new("s3:GetBucketPolicy", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    match bucket.policy {
        Some(policy) => Ok(GetBucketPolicyOutput { policy: Some(policy) }),
        None => Err(Error::NoSuchBucketPolicy(bucket.name)),
    }
}

/// Sets a bucket's policy.
///
/// AWS: PutBucketPolicy.
pub(crate) async fn put_bucket_policy(
    ctx: Ctx,
    input: PutBucketPolicyInput,
) -> Result<PutBucketPolicyOutput> {
    let wish = Wish::new("s3:PutBucketPolicy", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let policy = checked(&bucket.name, &input.policy)?;
    let blocked = bucket.public_access_block.is_some_and(|block| block.block_public_policy);
    if blocked && policy.is_public() {
        return Err(Error::AccessDenied(format!(
            "User: {} is not authorized to perform: s3:PutBucketPolicy on resource: \"{}\" \
             because public policies are blocked by the BlockPublicPolicy block public access \
             setting.",
            ctx.caller.arn,
            arn_of(&bucket.name, None),
        )));
    }
    change(&ctx, &bucket, |bucket| bucket.policy = Some(input.policy.clone())).await?;
    Ok(PutBucketPolicyOutput {})
}

/// Takes a bucket's policy away.
///
/// AWS: DeleteBucketPolicy.
pub(crate) async fn delete_bucket_policy(
    ctx: Ctx,
    input: DeleteBucketPolicyInput,
) -> Result<DeleteBucketPolicyOutput> {
    let wish = Wish::new("s3:DeleteBucketPolicy", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    change(&ctx, &bucket, |bucket| bucket.policy = None).await?;
    Ok(DeleteBucketPolicyOutput {})
}

fn checked(bucket: &str, text: &str) -> Result<Policy> {
    let malformed = |text: &str| Error::MalformedPolicy(text.to_owned());
    if text.len() > POLICY_BYTES_MAX {
        return Err(malformed("Policies must be less than or equal to 20480 bytes"));
    }
    let json: Json = serde_json::from_str(text)
        .ok()
        .filter(Json::is_object)
        .ok_or_else(|| malformed("Policies must be valid JSON and the first byte must be '{'"))?;
    let policy = Policy::parse(text, Kind::Resource).map_err(|e| malformed(&e.0))?;
    for statement in many(json.get("Statement")) {
        for resource in many(statement.get("Resource")).chain(many(statement.get("NotResource"))) {
            let resource = resource.as_str().unwrap_or_default();
            let own = resource.strip_prefix(&arn_of(bucket, None));
            if !own.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                return Err(malformed("Policy has invalid resource"));
            }
        }
        for action in many(statement.get("Action")).chain(many(statement.get("NotAction"))) {
            let action = action.as_str().unwrap_or_default();
            let is_of_s3 = action.to_ascii_lowercase().starts_with("s3:");
            if action != "*" && !is_of_s3 {
                return Err(malformed("Policy has invalid action"));
            }
        }
    }
    Ok(policy)
}

/// A value that may stand alone or in a list.
fn many(value: Option<&Json>) -> impl Iterator<Item = &Json> {
    let (list, one) = match value {
        Some(Json::Array(list)) => (list.as_slice(), None),
        other => ([].as_slice(), other),
    };
    list.iter().chain(one)
}
