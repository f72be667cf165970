//! Bucket policies.
//!
//! AWS: "Policies and permissions in Amazon S3".

use policy::{Decision, Kind, NamedPolicy, Policy, PolicySet, Principal, Reach, Request};
use s3_api::{
    DeleteBucketPolicyInput, DeleteBucketPolicyOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, PolicyStatus, PutBucketPolicyInput,
    PutBucketPolicyOutput,
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
    let public = is_public(&input.policy);
    let owns = ctx.account == bucket.owner;
    if input.confirm_remove_self_bucket_access != Some(true)
        && locks_out(&ctx, &bucket.name, &policy, owns)
    {
        return Err(Error::MalformedPolicy(
            "This policy contains statements that would lock you out of the bucket: set \
             x-amz-confirm-remove-self-bucket-access to true to put it nevertheless."
                .to_owned(),
        ));
    }
    if blocked && public {
        return Err(Error::AccessDenied(format!(
            "User: {} is not authorized to perform: s3:PutBucketPolicy on resource: \"{}\" \
             because public policies are blocked by the BlockPublicPolicy block public access \
             setting.",
            ctx.caller.arn,
            arn_of(&bucket.name, None),
        )));
    }
    change(&ctx, &bucket, |bucket| {
        bucket.policy = Some(input.policy.clone());
        bucket.sharing.public_policy = public;
    })
    .await?;
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
    change(&ctx, &bucket, |bucket| {
        bucket.policy = None;
        bucket.sharing.public_policy = false;
    })
    .await?;
    Ok(DeleteBucketPolicyOutput {})
}

/// Tells whether a bucket's policy lets everyone in.
///
/// AWS: GetBucketPolicyStatus.
pub(crate) async fn get_bucket_policy_status(
    ctx: Ctx,
    input: GetBucketPolicyStatusInput,
) -> Result<GetBucketPolicyStatusOutput> {
    let wish = Wish::new("s3:GetBucketPolicyStatus", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    if bucket.policy.is_none() {
        return Err(Error::NoSuchBucketPolicy(bucket.name));
    }
    let is_public = Some(bucket.sharing.public_policy);
    Ok(GetBucketPolicyStatusOutput { policy_status: Some(PolicyStatus { is_public }) })
}

/// Whether the policy denies its own writer to write it once more. The owner's root user can
/// always mend a policy.
///
/// AWS: PutBucketPolicy, ConfirmRemoveSelfBucketAccess.
fn locks_out(ctx: &Ctx, bucket: &str, policy: &Policy, owns: bool) -> bool {
    let principal = &ctx.caller.principal;
    if owns && matches!(principal, Principal::Root { .. }) {
        return false;
    }
    let set = PolicySet {
        resource: Some(NamedPolicy::new("new policy", policy.clone())),
        ..PolicySet::default()
    };
    let (context, resource) = (ctx.context(), arn_of(bucket, None));
    let action = "s3:PutBucketPolicy";
    let request = Request { action, resource: &resource, principal, context: &context };
    let reach = if owns { Reach::SameAccount } else { Reach::CrossAccount };
    matches!(policy::evaluate(&set, &request, reach), Decision::ExplicitDeny(_))
}

/// Keys whose fixed values keep a statement from letting everyone in.
///
/// AWS: "The meaning of \"public\"".
const NARROWING: [&str; 17] = [
    "aws:sourceip",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourceaccount",
    "aws:sourceowner",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:userid",
    "aws:username",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
];

/// Whether a policy that was checked lets everyone in: a statement allows everyone, and no
/// condition narrows that to fixed values.
///
/// AWS: "The meaning of \"public\"".
pub(crate) fn is_public(text: &str) -> bool {
    let json: Json = serde_json::from_str(text).unwrap_or_default();
    many(json.get("Statement")).any(|statement| {
        let allows = statement.get("Effect").and_then(Json::as_str) == Some("Allow");
        allows && names_everyone(statement) && !is_narrowed(statement)
    })
}

fn names_everyone(statement: &Json) -> bool {
    if statement.get("NotPrincipal").is_some() {
        return true;
    }
    match statement.get("Principal") {
        Some(Json::Object(kinds)) => {
            kinds.values().flat_map(|value| many(Some(value))).any(|value| value == "*")
        }
        other => many(other).any(|value| value == "*"),
    }
}

fn is_narrowed(statement: &Json) -> bool {
    let conditions = statement.get("Condition").and_then(Json::as_object);
    let mut tests = conditions.into_iter().flatten().filter_map(|(operator, keys)| {
        let operator = operator.to_ascii_lowercase();
        // Absent keys let everyone pass, and so does what a negated operator leaves out.
        let weak = operator.ends_with("ifexists")
            || operator.contains("not")
            || operator == "null"
            || operator.starts_with("forallvalues:");
        (!weak).then_some(keys.as_object()?)
    });
    tests.any(|keys| {
        keys.iter().any(|(key, values)| {
            let key = key.to_ascii_lowercase();
            NARROWING.contains(&key.as_str())
                && many(Some(values)).next().is_some()
                && many(Some(values)).all(|value| is_fixed(&key, value))
        })
    })
}

fn is_fixed(key: &str, value: &Json) -> bool {
    let text = value.as_str().unwrap_or_default();
    if key == "aws:sourceip" {
        let bits = text.split_once('/').map_or(Some(32), |(_, bits)| bits.parse::<u32>().ok());
        // AWS: wider than /8 (IPv4) or /32 (IPv6) is everyone.
        let least = if text.contains(':') { 32 } else { 8 };
        return bits.is_some_and(|bits| bits >= least);
    }
    !text.is_empty() && !text.contains(['*', '?']) && !text.contains("${")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any document can be asked, and none without an Allow for everyone is public.
        #[test]
        fn what_allows_nobody_is_not_public(
            text in "[\\[\\]{}\":,*a-zA-Z0-9 ]{0,80}",
            principal in "[0-9]{12}",
            effect in "(Allow|Deny)",
        ) {
            let _ = is_public(&text);
            let _ = checked("bucket", &text);
            let statement = format!(
                r#"{{"Statement":{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"Action":"{text}"}}}}"#
            );
            prop_assert!(!is_public(&statement.replace(['\\', '\n'], "")) || text.contains('"'));
        }
    }

    #[test]
    fn only_fixed_values_keep_everyone_out() {
        let policy = |principal: &str, condition: &str| {
            format!(
                r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"s3:*","Resource":"*","Condition":{condition}}}}}"#
            )
        };
        for (principal, condition, public) in [
            (r#""*""#, "{}", true),
            (r#"{"AWS":["*"]}"#, "{}", true),
            (r#"{"AWS":"111122223333"}"#, "{}", false),
            (r#""*""#, r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#, false),
            (r#""*""#, r#"{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#, true),
            (r#""*""#, r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, false),
            (r#""*""#, r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}"#, true),
            (r#""*""#, r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, true),
            (r#""*""#, r#"{"Bool":{"aws:SecureTransport":"true"}}"#, true),
            (r#""*""#, r#"{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"}}"#, true),
            (r#""*""#, r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#, false),
        ] {
            assert_eq!(is_public(&policy(principal, condition)), public, "{principal} {condition}");
        }
    }
}
