//! Parameter policies: what is to happen to a parameter as time passes.
//!
//! AWS: "Assigning parameter policies in Parameter Store".

use base::Timestamp;
use kernel::{Next, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use ssm_api::ParameterInlinePolicy;
use store::Scope;

use crate::TaskCtx;
use crate::error::{Error, Result};
use crate::store::{BY_EXPIRY, PARAMETERS, Parameter};

/// AWS: "Assigning parameter policies in Parameter Store".
const POLICIES_MAX: usize = 10;

/// How many parameters one run of the task looks at; a deletion wakes it for the others.
const AT_ONCE: usize = 100;

/// A policy of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// The document as it was given.
    pub(crate) text: String,
    /// When the parameter is to be deleted.
    pub(crate) expires: Timestamp,
}

/// Reads the policies of a request; nothing when it says nothing of them, which leaves a
/// parameter's policies as they are.
///
/// # Errors
///
/// [`Error::InvalidPolicyType`], [`Error::InvalidPolicyAttribute`],
/// [`Error::PoliciesLimitExceeded`], [`Error::Unsupported`] for notifications, which nobody here
/// would receive.
pub(crate) fn parse(text: Option<&str>) -> Result<Option<Vec<Policy>>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let list: Vec<Json> = serde_json::from_str(text).map_err(|_| {
        Error::InvalidPolicyAttribute("The policies are not a JSON array of objects.".to_owned())
    })?;
    if list.len() > POLICIES_MAX {
        return Err(Error::PoliciesLimitExceeded);
    }
    // `[{}]` takes all policies away.
    let own = list.iter().filter(|policy| policy.as_object().is_none_or(|map| !map.is_empty()));
    own.map(one).collect::<Result<_>>().map(Some)
}

fn one(policy: &Json) -> Result<Policy> {
    let kind = policy.get("Type").and_then(Json::as_str).unwrap_or_default();
    match kind {
        "Expiration" => {}
        "ExpirationNotification" | "NoChangeNotification" => {
            return Err(Error::Unsupported(format!(
                "The parameter policy {kind} is not implemented: there is no EventBridge to \
                 notify."
            )));
        }
        other => return Err(Error::InvalidPolicyType(other.to_owned())),
    }
    if policy.get("Version").and_then(Json::as_str) != Some("1.0") {
        return Err(Error::InvalidPolicyAttribute("The policy's Version must be 1.0.".to_owned()));
    }
    let at = policy.pointer("/Attributes/Timestamp").and_then(Json::as_str);
    let expires = at.and_then(|at| at.parse().ok()).ok_or_else(|| {
        Error::InvalidPolicyAttribute(
            "The Expiration policy needs a Timestamp in ISO 8601 format.".to_owned(),
        )
    })?;
    Ok(Policy { text: policy.to_string(), expires })
}

/// Policies as answers show them.
pub(crate) fn shown(policies: &[Policy]) -> Vec<ParameterInlinePolicy> {
    let one = |policy: &Policy| ParameterInlinePolicy {
        policy_text: Some(policy.text.clone()),
        policy_type: Some("Expiration".to_owned()),
        policy_status: Some("Pending".to_owned()),
    };
    policies.iter().map(one).collect()
}

/// When a parameter is to be deleted, if ever.
pub(crate) fn expires(parameter: &Parameter) -> Option<Timestamp> {
    let last = parameter.versions.last()?;
    last.policies.iter().map(|policy| policy.expires).min()
}

/// Deletes the parameters whose time is over.
pub(crate) async fn expire(ctx: TaskCtx) -> std::result::Result<Next, TaskError> {
    let now = ctx.now();
    let first: Vec<(Scope, Parameter)> = ctx
        .store
        .read(|tx| -> store::Result<_> {
            let mut first = Vec::new();
            for scope in tx.scopes(&PARAMETERS)? {
                let found = tx.scope(&scope).find_range(&BY_EXPIRY, .., AT_ONCE)?;
                first.extend(found.into_iter().map(|parameter| (scope.clone(), parameter)));
            }
            Ok(first)
        })
        .await?;
    let mut next: Option<Timestamp> = None;
    for (scope, parameter) in first {
        let Some(at) = expires(&parameter) else { continue };
        if at > now {
            next = Some(next.map_or(at, |next| next.min(at)));
            continue;
        }
        let deleted = ctx
            .store
            .write(|tx| {
                let mut tx = tx.scope(&scope);
                // It may have been given another end, or be another one, meanwhile.
                if tx.get(&PARAMETERS, &parameter.name)?.as_ref() == Some(&parameter) {
                    tx.delete(&PARAMETERS, &parameter.name)?;
                }
                Ok::<_, store::Error>(())
            })
            .await;
        ctx.drivers.shelf.forget(&scope, &parameter.name);
        deleted?;
    }
    Ok(next.map_or(Next::Idle, Next::At))
}
