//! What the kernel's authorization cannot know of buckets and objects: whose they are, what the
//! bucket's policy and the access control lists say, and the condition keys that follow from what
//! is stored. The kernel asks [`subject`] and [`owner_of`] before a handler runs; a handler then
//! asks [`admit`] for its bucket.
//!
//! AWS: "How Amazon S3 authorizes a request", "Amazon S3 condition keys".

use base::AccountId;
use kernel::ServiceError;
use kernel::access::{Asked, Subject};
use policy::{Context, Kind, NamedPolicy, Principal};
use protocol::Value;
use serde_json::{Value as Json, json};

use crate::Ctx;
use crate::acl::is_enforced;
use crate::error::{Error, Result};
use crate::store::{BUCKETS, Bucket, Object};
use crate::version::{self, Found, Named};

/// What an owner's root user may do whatever the bucket's policy says, or nobody could mend it.
const MENDING: [&str; 3] = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// What CreateBucket needs, by what it sets.
const CREATING: [&str; 4] =
    ["s3:CreateBucket", "s3:PutBucketAcl", "s3:PutBucketOwnershipControls", "s3:TagResource"];

/// What reads or changes an object that is there, which only its owner grants.
const OBJECT_ACTIONS: [&str; 14] = [
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectAcl",
    "s3:GetObjectVersionAcl",
    "s3:PutObjectAcl",
    "s3:PutObjectVersionAcl",
    "s3:GetObjectTagging",
    "s3:GetObjectVersionTagging",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionTagging",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersionTagging",
    "s3:GetObjectAttributes",
    "s3:GetObjectVersionAttributes",
];

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

/// The bucket, if it is the one that the caller expects. The kernel has weighed every policy
/// before.
pub(crate) async fn admit(ctx: &Ctx, wish: Wish<'_>) -> Result<Bucket> {
    debug_assert!(crate::access::weighs(wish.action, wish.key.is_some()), "{}", wish.action);
    let found = ctx.store.read(|tx| tx.get(&BUCKETS, wish.bucket)).await?;
    let bucket = found.ok_or_else(|| Error::NoSuchBucket(wish.bucket.to_owned()))?;
    if wish.expected_owner.is_some_and(|owner| owner != bucket.owner.as_str()) {
        return Err(Error::denied());
    }
    Ok(bucket)
}

/// The ARN of a bucket or object.
pub(crate) fn arn_of(bucket: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        None => format!("arn:aws:s3:::{bucket}"),
    }
}

/// Bucket and key of an ARN.
fn split(arn: &str) -> Option<(&str, Option<&str>)> {
    let resource = arn.strip_prefix("arn:aws:s3:::")?;
    Some(match resource.split_once('/') {
        Some((bucket, key)) => (bucket, Some(key)),
        None => (resource, None),
    })
}

/// Whose a bucket is, and everything in it: what of an object is another account's is settled by
/// [`subject`].
pub(crate) async fn owner_of(
    ctx: Ctx,
    arn: String,
) -> std::result::Result<Option<AccountId>, ServiceError> {
    let Some((name, _)) = split(&arn) else { return Ok(None) };
    let found = ctx.store.read(|tx| tx.get(&BUCKETS, name)).await;
    Ok(found.map_err(ServiceError::internal)?.map(|bucket| bucket.owner))
}

/// The bucket's policy with what lists say, and the condition keys of what is stored.
pub(crate) async fn subject(ctx: Ctx, asked: Asked) -> std::result::Result<Subject, ServiceError> {
    let Asked { action, resource, input, mut context } = asked;
    let plain = |resource, context| Subject { resource, policy: None, context };
    let Some((name, key)) = split(&resource) else { return Ok(plain(resource, context)) };
    let found =
        ctx.store.read(|tx| tx.get(&BUCKETS, name)).await.map_err(ServiceError::internal)?;
    let Some(bucket) = found else {
        // CreateBucket needs them for a bucket that is not there yet.
        if CREATING.contains(&action.as_str()) {
            return Ok(plain(resource, context));
        }
        return Err(Error::NoSuchBucket(name.to_owned()).into());
    };
    crate::accelerate::check_host(&ctx, &bucket)?;
    check_payer(&ctx, &bucket, key.is_some() || action.starts_with("s3:ListBucket"), &input)?;
    context.set("s3:ResourceAccount", bucket.owner.as_str());
    describe_request(&input, &mut context);
    let object = match key {
        Some(key) if OBJECT_ACTIONS.contains(&action.as_str()) => {
            // What is no version is refused by the operation itself.
            let version = input.member("VersionId").and_then(Value::as_str);
            let named = Named::parse(version).unwrap_or(Named::Current);
            let found = ctx.store.read(|tx| version::find(tx, name, key, &named)).await;
            found.map_err(ServiceError::from)?.and_then(Found::into_object)
        }
        Some(_) | None => None,
    };
    for (key, value) in object.iter().flat_map(|object| &object.tags) {
        context.set(&format!("s3:ExistingObjectTag/{key}"), value.as_str());
    }
    let policy = policy_for(&ctx, &bucket, object.as_ref(), &action)?;
    Ok(Subject { resource, policy, context })
}

/// Refuses a request of another account that does not say that it pays, where it must.
///
/// AWS: "Using Requester Pays general purpose buckets for storage transfers and usage".
fn check_payer(ctx: &Ctx, bucket: &Bucket, costs: bool, input: &Value) -> Result<()> {
    if !bucket.sharing.requester_pays || !costs {
        return Ok(());
    }
    let agrees = input.member("RequestPayer").and_then(Value::as_str) == Some("requester");
    match &ctx.caller.principal {
        Principal::Anonymous => Err(Error::denied()),
        Principal::Service { .. } => Ok(()),
        Principal::Root { .. }
        | Principal::User { .. }
        | Principal::AssumedRole { .. }
        | Principal::FederatedUser { .. }
        | Principal::Federated { .. } => match ctx.account == bucket.owner || agrees {
            true => Ok(()),
            false => Err(Error::denied()),
        },
    }
}

/// Keys of what a request brings that no single member holds.
fn describe_request(input: &Value, context: &mut Context) {
    let mut tags: Vec<(String, String)> = Vec::new();
    if let Some(text) = input.member("Tagging").and_then(Value::as_str) {
        let read = crate::settings::tags_from_header(Some(text)).unwrap_or_default();
        tags.extend(read);
    }
    let set = input.member("Tagging").and_then(|tagging| tagging.member("TagSet"));
    for tag in set.and_then(Value::as_list).unwrap_or_default() {
        let text = |name| tag.member(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        tags.push((text("Key"), text("Value")));
    }
    if !tags.is_empty() {
        context.set_all("s3:RequestObjectTagKeys", tags.iter().map(|(key, _)| key.as_str()));
    }
    for (key, value) in &tags {
        context.set(&format!("s3:RequestObjectTag/{key}"), value.as_str());
    }
    let part = |name: &str| input.member(name);
    if let Some(Value::Time(until)) = part("ObjectLockRetainUntilDate") {
        context.set("s3:object-lock-retain-until-date", until.iso8601_seconds());
    }
}

/// The policy that counts for a call: the bucket's, as far as public access is not blocked, and
/// what access control lists grant or withhold.
fn policy_for(
    ctx: &Ctx,
    bucket: &Bucket,
    object: Option<&Object>,
    action: &str,
) -> std::result::Result<Option<NamedPolicy>, ServiceError> {
    let own = ctx.account == bucket.owner;
    let is_root = own && matches!(ctx.caller.principal, Principal::Root { .. });
    let text = match is_root && MENDING.contains(&action) {
        true => None,
        false => counting(ctx, bucket),
    };
    let more = listed(ctx, bucket, object, action);
    let name = || format!("policy of {}", arn_of(&bucket.name, None));
    let Some(more) = more else {
        let Some(text) = text else { return Ok(None) };
        let compiled = ctx.kernel().policies().get(Kind::Resource, &name(), text);
        return Ok(Some(NamedPolicy::new(name(), compiled.map_err(ServiceError::internal)?)));
    };
    let whole = joined(text, more);
    let compiled = ctx.kernel().policies().get(Kind::Resource, &whole, &whole);
    Ok(Some(NamedPolicy::new(name(), compiled.map_err(ServiceError::internal)?)))
}

/// The bucket's policy as far as it counts for the caller.
///
/// AWS: "Blocking public access to your Amazon S3 storage", RestrictPublicBuckets.
fn counting<'a>(ctx: &Ctx, bucket: &'a Bucket) -> Option<&'a str> {
    let text = bucket.policy.as_deref()?;
    let restricted = bucket.public_access_block.is_some_and(|block| block.restrict_public_buckets);
    let stranger = match &ctx.caller.principal {
        Principal::Anonymous => true,
        Principal::Service { .. } => false,
        Principal::Root { .. }
        | Principal::User { .. }
        | Principal::AssumedRole { .. }
        | Principal::FederatedUser { .. }
        | Principal::Federated { .. } => ctx.account != bucket.owner,
    };
    if restricted && stranger && bucket.sharing.public_policy { None } else { Some(text) }
}

/// The statement that access control lists amount to for this caller and action.
fn listed(ctx: &Ctx, bucket: &Bucket, object: Option<&Object>, action: &str) -> Option<Json> {
    let (acl, owner, withholds) = match object {
        Some(object) => {
            let owner = object.guard.owner(bucket);
            // What another account owns, the bucket's owner cannot grant.
            (&object.guard.acl, owner.clone(), owner != bucket.owner)
        }
        None if OBJECT_ACTIONS.contains(&action) => return None,
        None => (&bucket.sharing.acl, bucket.owner.clone(), false),
    };
    if is_enforced(bucket) {
        return None;
    }
    let ignores = bucket.public_access_block.is_some_and(|block| block.ignore_public_acls);
    let caller = (&ctx.caller.principal, &ctx.account);
    let granted = acl.allows(&owner, caller, action, ignores);
    let principal = match (&ctx.caller.principal, granted) {
        (Principal::Anonymous, _) | (_, false) => json!("*"),
        (Principal::Service { name }, true) => json!({ "Service": name }),
        // The account is let in; what of it its own policies then decide.
        (_, true) => json!({ "AWS": ctx.account.as_str() }),
    };
    let effect = match (granted, withholds) {
        (true, _) => "Allow",
        (false, true) => "Deny",
        (false, false) => return None,
    };
    Some(json!({
        "Sid": "AccessControlList",
        "Effect": effect,
        "Principal": principal,
        "Action": action,
        "Resource": "*",
    }))
}

/// The policy with one more statement.
fn joined(text: Option<&str>, more: Json) -> String {
    let known = text.and_then(|text| serde_json::from_str::<Json>(text).ok());
    let mut whole = known.unwrap_or_else(|| json!({ "Version": "2012-10-17" }));
    let mut statements = match whole.get("Statement").cloned() {
        Some(Json::Array(list)) => list,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    // The owner of a bucket may name statements as it likes.
    let mut more = more;
    if statements.iter().any(|s| s.get("Sid") == more.get("Sid"))
        && let Some(map) = more.as_object_mut()
    {
        map.remove("Sid");
    }
    statements.push(more);
    if let Some(map) = whole.as_object_mut() {
        map.insert("Statement".to_owned(), Json::Array(statements));
    }
    whole.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_joins_a_policy_of_one_or_many() {
        for (text, count) in [
            (None, 1),
            (Some(r#"{"Version":"2008-10-17","Statement":{"Sid":"a"}}"#), 2),
            (Some(r#"{"Statement":[{"Sid":"AccessControlList"},{}]}"#), 3),
        ] {
            let whole: Json =
                serde_json::from_str(&joined(text, json!({ "Sid": "AccessControlList" }))).unwrap();
            assert_eq!(whole["Statement"].as_array().unwrap().len(), count);
        }
    }
}
