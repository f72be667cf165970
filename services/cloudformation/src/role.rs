//! On whose behalf a stack's resources are made: the caller, or a role that the service assumes.

use std::sync::Arc;

use base::{AccountId, Arn};
use kernel::{Client, Kernel, ServiceError};
use policy::{Context, Kind, NamedPolicy, Policy, PolicySet, Principal, Reach, Request, evaluate};

use crate::PRINCIPAL;
use crate::store::Stack;

/// The client of a stack's operation.
pub(crate) async fn client(
    kernel: &Arc<Kernel>,
    account: &AccountId,
    stack: &Stack,
) -> Result<Client, ServiceError> {
    match &stack.deployment.role {
        Some(role) => assume(kernel, account, role).await,
        None => Ok(kernel.client_for(stack.operation.caller.clone().into(), PRINCIPAL)),
    }
}

/// Assumes a service role.
///
/// AWS: "CloudFormation service role".
pub(crate) async fn assume(
    kernel: &Arc<Kernel>,
    account: &AccountId,
    role: &str,
) -> Result<Client, ServiceError> {
    let refuse = || {
        ServiceError::new("ValidationError", format!("Role {role} is invalid or cannot be assumed"))
    };
    let arn: Arn = role.parse().map_err(|_| refuse())?;
    if arn.service != "iam" || arn.account != account.as_str() {
        return Err(refuse());
    }
    let name = arn.name().rsplit('/').next().unwrap_or_default();
    let info = kernel.identity().role(account, name).await?.ok_or_else(refuse)?;
    let trust = Policy::parse(&info.trust_policy, Kind::Trust).map_err(|_| refuse())?;
    let principal = Principal::Service { name: PRINCIPAL.to_owned() };
    let set =
        PolicySet { resource: Some(NamedPolicy::new("trust", trust)), ..PolicySet::default() };
    let context = Context::of(&principal);
    let request = Request {
        action: "sts:AssumeRole",
        resource: role,
        principal: &principal,
        context: &context,
    };
    if !evaluate(&set, &request, Reach::SameAccount).is_allowed() {
        return Err(refuse());
    }
    Ok(kernel.role_client(account, &info, "AWSCloudFormation", PRINCIPAL))
}
