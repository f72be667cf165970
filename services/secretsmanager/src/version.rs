//! Values and their versions.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secretsmanager_api::{
    GetSecretValueInput, GetSecretValueOutput, PutSecretValueInput, PutSecretValueOutput,
    UpdateSecretVersionStageInput, UpdateSecretVersionStageOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{CURRENT, SECRETS, Secret, Version, find};

/// The longest value.
///
/// AWS: "Secrets Manager quotas".
const VALUE_BYTES_MAX: usize = 65_536;

/// A value as a request gives it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Binary(Bytes),
}

impl Value {
    /// The value of a request, if it has one.
    pub(crate) fn of(text: Option<String>, binary: Option<Bytes>) -> Result<Option<Self>> {
        let value = match (text, binary) {
            (Some(_), Some(_)) => {
                return Err(Error::InvalidParameter(
                    "You can't specify both a binary secret value and a string secret value in \
                     the same secret."
                        .to_owned(),
                ));
            }
            (Some(text), None) => Some(Self::Text(text)),
            (None, Some(binary)) => Some(Self::Binary(binary)),
            (None, None) => None,
        };
        if value.as_ref().is_some_and(|value| value.bytes().len() > VALUE_BYTES_MAX) {
            return Err(Error::InvalidParameter(format!(
                "The secret value can't be longer than {VALUE_BYTES_MAX} bytes."
            )));
        }
        Ok(value)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(binary) => binary,
        }
    }
}

/// A version of `secret` that holds `value`.
pub(crate) fn sealed(ctx: &Ctx, arn: &str, id: &str, value: &Value) -> Version {
    Version {
        id: id.to_owned(),
        sealed: STANDARD.encode(ctx.drivers.cipher.seal(arn, value.bytes())),
        binary: matches!(value, Value::Binary(_)),
        stages: BTreeSet::new(),
        created: ctx.now(),
    }
}

/// The value that a version holds.
pub(crate) fn opened(ctx: &Ctx, arn: &str, version: &Version) -> Result<Value> {
    let sealed = STANDARD.decode(&version.sealed).map_err(kernel::ServiceError::internal)?;
    let plain = ctx.drivers.cipher.open(arn, &sealed).map_err(kernel::ServiceError::internal)?;
    if version.binary {
        return Ok(Value::Binary(plain.into()));
    }
    let text = String::from_utf8(plain).map_err(kernel::ServiceError::internal)?;
    Ok(Value::Text(text))
}

/// Adds a version to `secret` with `stages`; a token that was used for the same value has its
/// effect once.
pub(crate) fn add(
    ctx: &Ctx,
    secret: &mut Secret,
    id: &str,
    value: &Value,
    stages: &[String],
) -> Result<()> {
    if let Some(known) = secret.versions.iter().find(|version| version.id == id) {
        return if opened(ctx, &secret.arn, known)? == *value {
            Ok(())
        } else {
            Err(Error::OtherContent)
        };
    }
    secret.versions.push(sealed(ctx, &secret.arn, id, value));
    for stage in stages {
        secret.move_stage(stage, id);
    }
    secret.changed = ctx.now();
    Ok(())
}

/// Gives a secret's value.
///
/// AWS: GetSecretValue.
///
/// # Errors
///
/// [`Error::SecretNotFound`], [`Error::ValueNotFound`], [`Error::MarkedForDeletion`].
pub(crate) async fn get_secret_value(
    ctx: Ctx,
    input: GetSecretValueInput,
) -> Result<GetSecretValueOutput> {
    let secret = ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    let version = secret.version(input.version_id.as_deref(), input.version_stage.as_deref());
    let version = version.ok_or_else(|| {
        let (id, stage) = (&input.version_id, &input.version_stage);
        Error::ValueNotFound(match (id, stage) {
            (Some(id), _) => format!("VersionId: {id}"),
            (None, stage) => format!("staging label: {}", stage.as_deref().unwrap_or(CURRENT)),
        })
    })?;
    let (text, binary) = match opened(&ctx, &secret.arn, version)? {
        Value::Text(text) => (Some(text), None),
        Value::Binary(binary) => (None, Some(binary)),
    };
    Ok(GetSecretValueOutput {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        version_id: Some(version.id.clone()),
        secret_binary: binary,
        secret_string: text,
        version_stages: version.stages.iter().cloned().collect(),
        created_date: Some(version.created),
    })
}

/// Adds a version.
///
/// AWS: PutSecretValue.
///
/// # Errors
///
/// [`Error::OtherContent`] when the token was used for another value.
pub(crate) async fn put_secret_value(
    ctx: Ctx,
    input: PutSecretValueInput,
) -> Result<PutSecretValueOutput> {
    if input.rotation_token.is_some() {
        return Err(Error::Unsupported("Rotation is not implemented yet.".to_owned()));
    }
    let value = Value::of(input.secret_string, input.secret_binary)?;
    let value = value.ok_or_else(|| {
        Error::InvalidParameter("You must provide either SecretString or SecretBinary.".to_owned())
    })?;
    let id = input.client_request_token.unwrap_or_else(|| ctx.random().uuid());
    let mut stages = input.version_stages;
    if stages.is_empty() {
        stages.push(CURRENT.to_owned());
    }
    let secret = ctx
        .store
        .write(|tx| -> Result<Secret> {
            let mut secret = find(tx, &ctx, &input.secret_id)?.usable()?;
            add(&ctx, &mut secret, &id, &value, &stages)?;
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await?;
    let stages = secret.version(Some(&id), None).map(|v| v.stages.iter().cloned().collect());
    Ok(PutSecretValueOutput {
        arn: Some(secret.arn),
        name: Some(secret.name),
        version_id: Some(id),
        version_stages: stages.unwrap_or_default(),
    })
}

/// Moves a stage between versions.
///
/// AWS: UpdateSecretVersionStage.
///
/// # Errors
///
/// [`Error::InvalidParameter`] when the stage is elsewhere than the request says.
pub(crate) async fn update_secret_version_stage(
    ctx: Ctx,
    input: UpdateSecretVersionStageInput,
) -> Result<UpdateSecretVersionStageOutput> {
    let stage = &input.version_stage;
    let secret = ctx
        .store
        .write(|tx| -> Result<Secret> {
            let mut secret = find(tx, &ctx, &input.secret_id)?.usable()?;
            let holder = secret.version(None, Some(stage)).map(|version| version.id.clone());
            if holder.is_some() && holder != input.remove_from_version_id {
                return Err(Error::InvalidParameter(format!(
                    "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is \
                     currently attached to version {}, so you must explicitly reference that \
                     version in RemoveFromVersionId.",
                    holder.unwrap_or_default()
                )));
            }
            match &input.move_to_version_id {
                Some(id) if secret.version(Some(id), None).is_none() => {
                    return Err(Error::ValueNotFound(format!("VersionId: {id}")));
                }
                Some(id) => secret.move_stage(stage, id),
                None if stage == CURRENT => {
                    return Err(Error::InvalidParameter(
                        "You can only move staging label AWSCURRENT to a different secret version. \
                         It can't be completely removed."
                            .to_owned(),
                    ));
                }
                None => secret.versions.iter_mut().for_each(|version| {
                    version.stages.remove(stage);
                }),
            }
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await?;
    Ok(UpdateSecretVersionStageOutput { arn: Some(secret.arn), name: Some(secret.name) })
}
