//! Key policies.

use base::AccountId;
use kernel::paging;
use kms_api::{
    GetKeyPolicyInput, GetKeyPolicyOutput, ListKeyPoliciesInput, ListKeyPoliciesOutput,
    PutKeyPolicyInput, PutKeyPolicyOutput,
};
use policy::{Kind, NamedPolicy, Policy, Reach, Request};
use serde_json::json;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::key::{change, not_pending_deletion, own};

/// The only name that a key's policy may have.
const NAME: &str = "default";
/// AWS: "Resource quotas" (AWS KMS), key policy document size.
const BYTES_MAX: usize = 32 * 1024;

/// Replaces a key's policy.
///
/// AWS: PutKeyPolicy.
///
/// # Errors
///
/// [`Error::MalformedPolicy`], [`Error::NotFound`], [`Error::InvalidState`].
pub(crate) async fn put_key_policy(
    ctx: Ctx,
    input: PutKeyPolicyInput,
) -> Result<PutKeyPolicyOutput> {
    only_default(input.policy_name.as_deref())?;
    let opened = own(&ctx, &input.key_id).await?;
    let bypass = input.bypass_policy_lockout_safety_check == Some(true);
    check(&ctx, &opened.key.arn, &input.policy, bypass).await?;
    change(&ctx, &input.key_id, |key| {
        not_pending_deletion(key)?;
        key.policy.clone_from(&input.policy);
        Ok(())
    })
    .await?;
    Ok(PutKeyPolicyOutput {})
}

/// Shows a key's policy.
///
/// AWS: GetKeyPolicy.
///
/// # Errors
///
/// [`Error::NotFound`].
pub(crate) async fn get_key_policy(
    ctx: Ctx,
    input: GetKeyPolicyInput,
) -> Result<GetKeyPolicyOutput> {
    only_default(input.policy_name.as_deref())?;
    let opened = own(&ctx, &input.key_id).await?;
    Ok(GetKeyPolicyOutput {
        policy: Some(opened.key.policy.clone()),
        policy_name: Some(NAME.to_owned()),
    })
}

/// Lists the names of a key's policies: there is one.
///
/// AWS: ListKeyPolicies.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidMarker`].
pub(crate) async fn list_key_policies(
    ctx: Ctx,
    input: ListKeyPoliciesInput,
) -> Result<ListKeyPoliciesOutput> {
    own(&ctx, &input.key_id).await?;
    let limit = usize::try_from(input.limit.unwrap_or(100)).unwrap_or(1);
    let names = vec![NAME.to_owned()];
    let page = paging::page(names, input.marker.as_deref(), limit, String::clone)
        .map_err(|_| Error::InvalidMarker)?;
    let truncated = Some(page.next.is_some());
    Ok(ListKeyPoliciesOutput { policy_names: page.items, next_marker: page.next, truncated })
}

fn only_default(name: Option<&str>) -> Result<()> {
    match name {
        None | Some(NAME) => Ok(()),
        Some(_) => Err(Error::NotFound("No such policy exists".to_owned())),
    }
}

/// The policy of a key that is made without one: the account's own policies decide.
///
/// AWS: "Default key policy".
pub(crate) fn default_of(account: &AccountId) -> String {
    json!({
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
            "Action": "kms:*",
            "Resource": "*",
        }],
    })
    .to_string()
}

/// Refuses a policy that cannot be read, or, unless `bypass`, one under which the caller could not
/// change it again.
///
/// AWS: PutKeyPolicy, `BypassPolicyLockoutSafetyCheck`.
pub(crate) async fn check(ctx: &Ctx, arn: &str, document: &str, bypass: bool) -> Result<()> {
    if document.len() > BYTES_MAX {
        return Err(Error::LimitExceeded(format!(
            "A key policy cannot be longer than {BYTES_MAX} bytes."
        )));
    }
    let parsed = Policy::parse(document, Kind::Key)
        .map_err(|error| Error::MalformedPolicy(error.to_string()))?;
    if bypass {
        return Ok(());
    }
    let principal = &ctx.caller.principal;
    let set = ctx.kernel().identity().policies(principal).await?;
    let mut set = set.unwrap_or_default();
    set.resource = Some(NamedPolicy::new("the new key policy", parsed));
    let mut context = ctx.context();
    crate::subject::describe_caller(ctx, &mut context);
    let request =
        Request { action: "kms:PutKeyPolicy", resource: arn, principal, context: &context };
    let owner = arn.split(':').nth(4).unwrap_or_default();
    let own = owner == ctx.caller.account.as_str();
    let reach = if own { Reach::SameAccount } else { Reach::CrossAccount };
    if !policy::evaluate(&set, &request, reach).is_allowed() {
        return Err(Error::MalformedPolicy(
            "The new key policy will not allow you to update the key policy in the future."
                .to_owned(),
        ));
    }
    Ok(())
}
