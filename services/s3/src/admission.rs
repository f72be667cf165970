//! What the kernel's authorization cannot know: whose a bucket is. An ARN of S3 names no account,
//! so who comes from another account than the bucket's owner must be let in by the bucket's policy
//! as well.
//!
//! AWS: "How Amazon S3 authorizes a request".

use kernel::ServiceError;
use policy::{Decision, Kind, NamedPolicy, Policy, PolicySet, Principal, Reach, Request};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{BUCKETS, Bucket};

/// What an owner's root user may do whatever the bucket's policy says, or nobody could mend it.
const MENDING: [&str; 3] = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// What a request wants of a bucket.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) action: &'static str,
    pub(crate) expected_owner: Option<&'a str>,
}

impl<'a> Wish<'a> {
    pub(crate) fn new(action: &'static str, bucket: &'a str, owner: &'a Option<String>) -> Self {
        Self { bucket, key: None, action, expected_owner: owner.as_deref() }
    }

    pub(crate) fn key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }
}

/// The bucket, if the caller may have its wish.
pub(crate) async fn admit(ctx: &Ctx, wish: Wish<'_>) -> Result<Bucket> {
    let found = ctx.store.read(|tx| tx.get(&BUCKETS, wish.bucket)).await?;
    let bucket = found.ok_or_else(|| Error::NoSuchBucket(wish.bucket.to_owned()))?;
    if wish.expected_owner.is_some_and(|owner| owner != bucket.owner.as_str()) {
        return Err(Error::denied());
    }
    check_policy(ctx, &bucket, wish).await?;
    Ok(bucket)
}

async fn check_policy(ctx: &Ctx, bucket: &Bucket, wish: Wish<'_>) -> Result<()> {
    let principal = &ctx.caller.principal;
    let own = ctx.account == bucket.owner;
    let is_root = matches!(principal, Principal::Root { .. });
    let is_anonymous = matches!(principal, Principal::Anonymous);
    // Access rules read a member that starts so as an ARN or as a path, which a key is neither of.
    let is_misread = wish.key.is_some_and(|key| key.starts_with("arn:") || key.starts_with('/'));
    // The kernel has weighed the policy for everyone of the owner's account but its root user.
    if own && !is_root && !is_anonymous && !is_misread
        || own && is_root && MENDING.contains(&wish.action)
    {
        return Ok(());
    }
    let resource = arn_of(&bucket.name, wish.key);
    let compiled = |text: &str, kind| {
        Policy::parse(text, kind)
            .map(|policy| NamedPolicy::new("policy", policy))
            .map_err(ServiceError::internal)
    };
    let policy = policy_for(ctx, bucket).map(|text| compiled(text, Kind::Resource)).transpose()?;
    let known = ctx.kernel().identity().policies(principal).await?.unwrap_or_default();
    let mut set = PolicySet { resource: policy, ..known };
    for text in &ctx.caller.session_policies {
        set.session.push(compiled(text, Kind::Session)?);
    }
    let context = ctx.context();
    let request =
        Request { action: wish.action, resource: &resource, principal, context: &context };
    let reach = if own { Reach::SameAccount } else { Reach::CrossAccount };
    match policy::evaluate(&set, &request, reach) {
        Decision::Allow(_) => Ok(()),
        decision @ (Decision::ImplicitDeny(_) | Decision::ExplicitDeny(_)) => {
            let text = decision.denial(&request).unwrap_or_default();
            Err(Error::AccessDenied(text))
        }
    }
}

/// The ARN of a bucket or object.
pub(crate) fn arn_of(bucket: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        None => format!("arn:aws:s3:::{bucket}"),
    }
}

/// The bucket's policy as far as it counts for the caller.
///
/// AWS: "Blocking public access to your Amazon S3 storage", RestrictPublicBuckets.
fn policy_for<'a>(ctx: &Ctx, bucket: &'a Bucket) -> Option<&'a str> {
    let text = bucket.policy.as_deref()?;
    let restricted = bucket.public_access_block.is_some_and(|block| block.restrict_public_buckets);
    let stranger =
        ctx.account != bucket.owner || matches!(ctx.caller.principal, Principal::Anonymous);
    let is_public = || Policy::parse(text, Kind::Resource).is_ok_and(|policy| policy.is_public());
    if restricted && stranger && is_public() { None } else { Some(text) }
}

/// The policy that the kernel weighs for a call on `arn`.
pub(crate) async fn resource_policy(
    ctx: Ctx,
    arn: String,
) -> std::result::Result<Option<String>, ServiceError> {
    let Some(resource) = arn.strip_prefix("arn:aws:s3:::") else { return Ok(None) };
    let name = resource.split('/').next().unwrap_or_default().to_owned();
    let found =
        ctx.store.read(|tx| tx.get(&BUCKETS, &name)).await.map_err(ServiceError::internal)?;
    Ok(found.and_then(|bucket| policy_for(&ctx, &bucket).map(str::to_owned)))
}
