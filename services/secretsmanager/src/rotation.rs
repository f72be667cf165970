//! Rotation, which needs a Lambda function: there are none in this region yet.

use secretsmanager_api::{
    CancelRotateSecretInput, CancelRotateSecretOutput, RotateSecretInput, RotateSecretOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::find;

/// Refuses to rotate a secret: no function could do it.
///
/// AWS: RotateSecret.
///
/// # Errors
///
/// [`Error::SecretNotFound`], [`Error::MarkedForDeletion`], [`Error::InvalidRequest`] without a
/// function, [`Error::NoFunction`] with one, [`Error::Unsupported`] for secrets that a service
/// manages and for external ones.
pub(crate) async fn rotate_secret(
    ctx: Ctx,
    input: RotateSecretInput,
) -> Result<RotateSecretOutput> {
    let secret = ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    if input.external_secret_rotation_role_arn.is_some()
        || !input.external_secret_rotation_metadata.is_empty()
    {
        return Err(Error::Unsupported("External secrets are not implemented.".to_owned()));
    }
    if let Some(service) = secret.owning_service {
        return Err(Error::Unsupported(format!(
            "The rotation of secrets that {service} manages is not implemented yet."
        )));
    }
    Err(match input.rotation_lambda_arn {
        Some(function) => Error::NoFunction(function),
        None => Error::InvalidRequest(
            "No Lambda rotation function ARN is associated with this secret.".to_owned(),
        ),
    })
}

/// Turns rotation off: it never is on.
///
/// AWS: CancelRotateSecret.
///
/// # Errors
///
/// [`Error::SecretNotFound`], [`Error::MarkedForDeletion`], [`Error::InvalidRequest`].
pub(crate) async fn cancel_rotate_secret(
    ctx: Ctx,
    input: CancelRotateSecretInput,
) -> Result<CancelRotateSecretOutput> {
    ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    Err(Error::InvalidRequest(
        "You tried to cancel the rotation of a secret that does not have rotation enabled."
            .to_owned(),
    ))
}
