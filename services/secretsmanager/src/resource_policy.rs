//! Policies of secrets.

use kernel::ServiceError;
use policy::{Kind, Policy};
use secretsmanager_api::{
    DeleteResourcePolicyInput, DeleteResourcePolicyOutput, GetResourcePolicyInput,
    GetResourcePolicyOutput, PutResourcePolicyInput, PutResourcePolicyOutput,
    ValidateResourcePolicyInput, ValidateResourcePolicyOutput, ValidationErrorsEntry,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{SECRETS, Secret, find};

/// Attaches a policy.
///
/// AWS: PutResourcePolicy.
///
/// # Errors
///
/// [`Error::MalformedPolicy`], [`Error::PublicPolicy`].
pub(crate) async fn put_resource_policy(
    ctx: Ctx,
    input: PutResourcePolicyInput,
) -> Result<PutResourcePolicyOutput> {
    one_policy(input.policy_name.as_deref())?;
    let parsed = Policy::parse(&input.resource_policy, Kind::Resource)
        .map_err(|error| Error::MalformedPolicy(error.to_string()))?;
    if input.block_public_policy == Some(true) && parsed.is_public() {
        return Err(Error::PublicPolicy);
    }
    let secret = set(&ctx, &input.secret_id, Some(input.resource_policy)).await?;
    Ok(PutResourcePolicyOutput {
        arn: Some(secret.arn),
        name: Some(secret.name),
        policy_name: None,
    })
}

/// Tells whether a policy could be attached, and what is wrong with it.
///
/// AWS: ValidateResourcePolicy.
///
/// # Errors
///
/// [`Error::MalformedPolicy`] for what is no policy at all, [`Error::SecretNotFound`].
pub(crate) async fn validate_resource_policy(
    ctx: Ctx,
    input: ValidateResourcePolicyInput,
) -> Result<ValidateResourcePolicyOutput> {
    if let Some(id) = &input.secret_id {
        ctx.store.read(|tx| find(tx, &ctx, id)).await?;
    }
    let parsed = Policy::parse(&input.resource_policy, Kind::Resource)
        .map_err(|error| Error::MalformedPolicy(error.to_string()))?;
    let mut validation_errors = Vec::new();
    if parsed.is_public() {
        validation_errors.push(ValidationErrorsEntry {
            check_name: Some("PUBLIC_ACCESS".to_owned()),
            error_message: Some(
                "The resource policy grants broad access to the secret.".to_owned(),
            ),
        });
    }
    let policy_validation_passed = Some(validation_errors.is_empty());
    Ok(ValidateResourcePolicyOutput { policy_validation_passed, validation_errors })
}

/// Shows the policy.
///
/// AWS: GetResourcePolicy.
///
/// # Errors
///
/// [`Error::SecretNotFound`].
pub(crate) async fn get_resource_policy(
    ctx: Ctx,
    input: GetResourcePolicyInput,
) -> Result<GetResourcePolicyOutput> {
    one_policy(input.policy_name.as_deref())?;
    let secret = ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?;
    Ok(GetResourcePolicyOutput {
        arn: Some(secret.arn),
        name: Some(secret.name),
        resource_policy: secret.policy,
        policy_name: None,
    })
}

/// Takes the policy away.
///
/// AWS: DeleteResourcePolicy.
///
/// # Errors
///
/// [`Error::SecretNotFound`].
pub(crate) async fn delete_resource_policy(
    ctx: Ctx,
    input: DeleteResourcePolicyInput,
) -> Result<DeleteResourcePolicyOutput> {
    one_policy(input.policy_name.as_deref())?;
    let secret = set(&ctx, &input.secret_id, None).await?;
    Ok(DeleteResourcePolicyOutput {
        arn: Some(secret.arn),
        name: Some(secret.name),
        policy_name: None,
    })
}

/// The policy that calls on the secret `arn` are decided by.
pub(crate) async fn of_arn(
    ctx: Ctx,
    arn: String,
) -> std::result::Result<Option<String>, ServiceError> {
    match secret_of_resource(&ctx, &arn).await {
        Ok(secret) => Ok(secret.policy),
        Err(Error::SecretNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The secret that an authorization resource means: `…:secret:` and what the request named.
pub(crate) async fn secret_of_resource(ctx: &Ctx, resource: &str) -> Result<Secret> {
    let named = resource.splitn(7, ':').nth(6).unwrap_or_default().to_owned();
    ctx.store.read(|tx| find(tx, ctx, &named)).await
}

async fn set(ctx: &Ctx, id: &str, policy: Option<String>) -> Result<Secret> {
    ctx.store
        .write(|tx| {
            let mut secret = find(tx, ctx, id)?.usable()?;
            secret.policy.clone_from(&policy);
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await
}

fn one_policy(name: Option<&str>) -> Result<()> {
    match name {
        None => Ok(()),
        Some(_) => Err(Error::Unsupported("A secret has one policy, without a name.".to_owned())),
    }
}
