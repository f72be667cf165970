//! Values and their versions.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base::Timestamp;
use bytes::Bytes;
use kernel::ServiceError;
use secretsmanager_api::{
    APIErrorType, BatchGetSecretValueInput, BatchGetSecretValueOutput, GetSecretValueInput,
    GetSecretValueOutput, ListSecretsInput, PutSecretValueInput, PutSecretValueOutput,
    SecretValueEntry, UpdateSecretVersionStageInput, UpdateSecretVersionStageOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::sealing::{self, Sealed};
use crate::store::{CURRENT, SECRETS, Secret, VERSIONS_MAX, find};

/// The longest value.
///
/// AWS: "Secrets Manager quotas".
const VALUE_BYTES_MAX: usize = 65_536;
/// AWS: "Secrets Manager quotas", staging labels attached across all versions of a secret.
const STAGES_MAX: usize = 20;
/// AWS: BatchGetSecretValue, `MaxResults`.
const BATCH_MAX: i32 = 20;
const DAY_MS: i64 = 86_400_000;

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

    /// The value that was kept as `plain`.
    pub(crate) fn from_bytes(plain: Vec<u8>, binary: bool) -> Result<Self> {
        if binary {
            return Ok(Self::Binary(plain.into()));
        }
        let text = String::from_utf8(plain).map_err(ServiceError::internal)?;
        Ok(Self::Text(text))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(binary) => binary,
        }
    }

    /// What tells values apart without showing them.
    pub(crate) fn digest(&self) -> String {
        let kind = match self {
            Self::Text(_) => "text",
            Self::Binary(_) => "binary",
        };
        let hash = digest(&SHA256, self.bytes());
        hash.as_ref().iter().fold(kind.to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }
}

/// Whether a version `id` with `value` was there before.
///
/// # Errors
///
/// [`Error::OtherContent`] when it was there with another value.
pub(crate) fn known(ctx: &Ctx, secret: &Secret, id: &str, value: &Value) -> Result<bool> {
    match secret.versions.iter().find(|version| version.id == id) {
        None => Ok(false),
        Some(known) if sealing::holds(ctx, &secret.arn, known, value)? => Ok(true),
        Some(_) => Err(Error::OtherContent),
    }
}

/// Adds a version to `secret` with `stages`; a token that was used for the same value has its
/// effect once.
pub(crate) fn add(
    ctx: &Ctx,
    secret: &mut Secret,
    id: &str,
    value: &Value,
    sealed: &Sealed,
    stages: &[String],
) -> Result<()> {
    if known(ctx, secret, id, value)? {
        return Ok(());
    }
    let first = secret.versions.is_empty();
    secret.versions.push(sealed.version(id, ctx.now()));
    for stage in stages {
        secret.move_stage(stage, id);
    }
    if first {
        secret.move_stage(CURRENT, id);
    }
    let attached: BTreeSet<_> = secret.versions.iter().flat_map(|v| &v.stages).collect();
    if attached.len() > STAGES_MAX {
        return Err(Error::LimitExceeded(format!(
            "A secret can't have more than {STAGES_MAX} staging labels."
        )));
    }
    secret.forget_deprecated(ctx.now());
    if secret.versions.len() > VERSIONS_MAX {
        return Err(Error::LimitExceeded(format!(
            "A secret can't have more than {VERSIONS_MAX} versions that were made within a day."
        )));
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
/// [`Error::SecretNotFound`], [`Error::ValueNotFound`], [`Error::MarkedForDeletion`],
/// [`Error::DecryptionFailure`] while the KMS key cannot be used, [`Error::KmsDenied`].
pub(crate) async fn get_secret_value(
    ctx: Ctx,
    input: GetSecretValueInput,
) -> Result<GetSecretValueOutput> {
    let secret = ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    let (id, stage) = (input.version_id.as_deref(), input.version_stage.as_deref());
    if let (Some(id), Some(_)) = (id, stage)
        && secret.version(Some(id), None).is_some()
        && secret.version(Some(id), stage).is_none()
    {
        return Err(Error::InvalidRequest(
            "You provided a VersionStage that is not associated to the provided VersionId."
                .to_owned(),
        ));
    }
    let version = secret.version(id, stage).ok_or_else(|| {
        Error::ValueNotFound(match id {
            Some(id) => format!("VersionId: {id}"),
            None => format!("staging label: {}", stage.unwrap_or(CURRENT)),
        })
    })?;
    let (text, binary) = match sealing::open(&ctx, &secret.arn, version).await? {
        Value::Text(text) => (Some(text), None),
        Value::Binary(binary) => (None, Some(binary)),
    };
    let output = GetSecretValueOutput {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        version_id: Some(version.id.clone()),
        secret_binary: binary,
        secret_string: text,
        version_stages: version.stages.iter().cloned().collect(),
        created_date: Some(version.created),
    };
    note_access(&ctx, &secret, &version.id).await?;
    Ok(output)
}

/// Notes the day on which a value was read, once a day.
async fn note_access(ctx: &Ctx, secret: &Secret, id: &str) -> Result<()> {
    let now = ctx.now().as_millis();
    let today = Some(Timestamp::from_millis(now - now.rem_euclid(DAY_MS)));
    let noted = secret.version(Some(id), None).is_some_and(|version| version.accessed == today);
    if noted && secret.accessed == today {
        return Ok(());
    }
    ctx.store
        .write(|tx| -> Result<()> {
            let Some(mut secret) = tx.get(&SECRETS, &secret.name)? else { return Ok(()) };
            secret.accessed = today;
            for version in secret.versions.iter_mut().filter(|version| version.id == id) {
                version.accessed = today;
            }
            tx.put(&SECRETS, &secret)?;
            Ok(())
        })
        .await
}

/// Gives the values of several secrets; those that cannot be read are told apart.
///
/// AWS: BatchGetSecretValue.
///
/// # Errors
///
/// [`Error::InvalidParameter`] unless either ids or filters are given.
pub(crate) async fn batch_get_secret_value(
    ctx: Ctx,
    input: BatchGetSecretValueInput,
) -> Result<BatchGetSecretValueOutput> {
    let by_id = !input.secret_id_list.is_empty();
    if by_id != input.filters.is_empty() {
        return Err(Error::InvalidParameter(
            "Either 'SecretIdList' or 'Filters' must be provided, but not both.".to_owned(),
        ));
    }
    if by_id && (input.max_results.is_some() || input.next_token.is_some()) {
        return Err(Error::InvalidParameter(
            "'SecretIdList' and 'MaxResults' or 'NextToken' can't be used together.".to_owned(),
        ));
    }
    let mut output = BatchGetSecretValueOutput::default();
    let mut ids = input.secret_id_list;
    if !by_id {
        let list = ListSecretsInput {
            filters: input.filters,
            max_results: Some(input.max_results.unwrap_or(BATCH_MAX)),
            next_token: input.next_token,
            ..ListSecretsInput::default()
        };
        let page = crate::list::list_secrets(ctx.clone(), list).await?;
        output.next_token = page.next_token;
        ids = page.secret_list.into_iter().filter_map(|secret| secret.arn).collect();
    }
    for id in ids {
        let input = GetSecretValueInput { secret_id: id.clone(), ..GetSecretValueInput::default() };
        match ctx.client.call(input).await {
            Ok(value) => output.secret_values.push(SecretValueEntry {
                arn: value.arn,
                name: value.name,
                version_id: value.version_id,
                secret_binary: value.secret_binary,
                secret_string: value.secret_string,
                version_stages: value.version_stages,
                created_date: value.created_date,
            }),
            Err(error) => output.errors.push(APIErrorType {
                secret_id: Some(id),
                error_code: Some(error.code),
                message: Some(error.message),
            }),
        }
    }
    Ok(output)
}

/// Adds a version.
///
/// AWS: PutSecretValue.
///
/// # Errors
///
/// [`Error::OtherContent`] when the token was used for another value, [`Error::EncryptionFailure`]
/// while the KMS key cannot be used, [`Error::KmsDenied`], [`Error::LimitExceeded`].
pub(crate) async fn put_secret_value(
    ctx: Ctx,
    input: PutSecretValueInput,
) -> Result<PutSecretValueOutput> {
    if input.rotation_token.is_some() {
        return Err(Error::Unsupported("Rotation tokens are not implemented yet.".to_owned()));
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
    let secret = ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    let secret = if known(&ctx, &secret, &id, &value)? {
        secret
    } else {
        let sealed = sealing::seal(&ctx, secret.key.as_deref(), &secret.arn, &id, &value).await?;
        ctx.store
            .write(|tx| -> Result<Secret> {
                let mut secret = find(tx, &ctx, &secret.arn)?.usable()?;
                add(&ctx, &mut secret, &id, &value, &sealed, &stages)?;
                tx.put(&SECRETS, &secret)?;
                Ok(secret)
            })
            .await?
    };
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
            check_holder(&secret, &input)?;
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
            secret.changed = ctx.now();
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await?;
    Ok(UpdateSecretVersionStageOutput { arn: Some(secret.arn), name: Some(secret.name) })
}

/// Refuses to take a stage from a version that the request does not name.
fn check_holder(secret: &Secret, input: &UpdateSecretVersionStageInput) -> Result<()> {
    let stage = &input.version_stage;
    let holder = secret.version(None, Some(stage)).map(|version| version.id.clone());
    if holder == input.remove_from_version_id || holder == input.move_to_version_id {
        return Ok(());
    }
    Err(Error::InvalidParameter(match (holder, &input.remove_from_version_id) {
        (Some(holder), None) => format!(
            "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently \
             attached to version {holder}, so you must explicitly reference that version in \
             RemoveFromVersionId."
        ),
        (_, named) => format!(
            "The parameter RemoveFromVersionId {} is not valid: staging label {stage} is not \
             currently attached to that version.",
            named.as_deref().unwrap_or_default()
        ),
    }))
}
