//! Secrets: making, changing, deleting.

use std::time::Duration;

use base::Tags;
use kernel::{Next, TaskError};
use secretsmanager_api::{
    CreateSecretInput, CreateSecretOutput, DeleteSecretInput, DeleteSecretOutput,
    DescribeSecretInput, DescribeSecretOutput, RestoreSecretInput, RestoreSecretOutput,
    UpdateSecretInput, UpdateSecretOutput,
};

use crate::error::{Error, Result};
use crate::sealing::{self, OWN_KEY, Sealed};
use crate::store::{CURRENT, SECRETS, Secret, Version, find};
use crate::tags::shown;
use crate::version::{self, Value};
use crate::{Ctx, TaskCtx};

/// AWS: DeleteSecret, `RecoveryWindowInDays`.
const RECOVERY_DAYS_DEFAULT: i64 = 30;
const DAY: Duration = Duration::from_secs(86_400);

/// Makes a secret, with a value or without.
///
/// AWS: CreateSecret.
///
/// # Errors
///
/// [`Error::ResourceExists`], [`Error::NameScheduledForDeletion`], [`Error::EncryptionFailure`]
/// while the KMS key cannot be used, [`Error::KmsDenied`].
pub(crate) async fn create_secret(
    ctx: Ctx,
    input: CreateSecretInput,
) -> Result<CreateSecretOutput> {
    check_name(&input.name)?;
    let replicated = !input.add_replica_regions.is_empty()
        || input.force_overwrite_replica_secret == Some(true)
        || input.cross_account_primary_arn.is_some();
    if replicated {
        return Err(crate::replication::one_region(&ctx));
    }
    if input.type_.is_some() {
        return Err(Error::Unsupported("Typed secrets are not implemented.".to_owned()));
    }
    let value = Value::of(input.secret_string.clone(), input.secret_binary.clone())?;
    let mut tags = Tags::new();
    for tag in &input.tags {
        tags.insert(tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default());
    }
    kernel::tags::check(&tags, ctx.caller.invoked_by.as_deref())
        .map_err(|error| Error::InvalidParameter(error.to_string()))?;
    let id = input.client_request_token.clone().unwrap_or_else(|| ctx.random().uuid());
    let known = ctx.store.read(|tx| tx.get(&SECRETS, &input.name)).await?;
    if let Some(known) = known {
        return again(&ctx, known, &id, value.as_ref()).map(|known| made(known, &value, id));
    }
    let suffix =
        ctx.random().text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 6);
    let mut secret = Secret {
        arn: ctx.arn("secretsmanager", format!("secret:{}-{suffix}", input.name)).to_string(),
        name: input.name,
        description: input.description,
        created: ctx.now(),
        changed: ctx.now(),
        accessed: None,
        deletion: None,
        deleted: None,
        tags,
        versions: Vec::new(),
        policy: None,
        owning_service: None,
        key: own_or_named(input.kms_key_id),
    };
    // Services name the secrets that they manage after themselves, as `rds!db-…`.
    secret.owning_service = ctx.caller.invoked_by.clone().filter(|_| secret.name.contains('!'));
    if let Some(value) = &value {
        let sealed = sealing::seal(&ctx, secret.key.as_deref(), &secret.arn, &id, value).await?;
        version::add(&ctx, &mut secret, &id, value, &sealed, &[CURRENT.to_owned()])?;
    }
    let secret = ctx
        .store
        .write(|tx| -> Result<Secret> {
            if let Some(known) = tx.get(&SECRETS, &secret.name)? {
                return again(&ctx, known, &id, value.as_ref());
            }
            tx.put(&SECRETS, &secret)?;
            Ok(secret.clone())
        })
        .await?;
    Ok(made(secret, &value, id))
}

fn made(secret: Secret, value: &Option<Value>, id: String) -> CreateSecretOutput {
    CreateSecretOutput {
        arn: Some(secret.arn),
        name: Some(secret.name),
        version_id: value.as_ref().map(|_| id),
        replication_status: Vec::new(),
    }
}

/// The key that a request names, unless it is the service's own.
fn own_or_named(key: Option<String>) -> Option<String> {
    key.filter(|key| key != OWN_KEY && !key.ends_with(&format!(":{OWN_KEY}")))
}

/// A request that is repeated with its token gives the secret it made.
fn again(ctx: &Ctx, known: Secret, id: &str, value: Option<&Value>) -> Result<Secret> {
    if known.deletion.is_some() {
        return Err(Error::NameScheduledForDeletion);
    }
    let same = match (known.versions.iter().find(|version| version.id == id), value) {
        (Some(version), Some(value)) => sealing::holds(ctx, &known.arn, version, value)?,
        _ => false,
    };
    if same { Ok(known) } else { Err(Error::ResourceExists(known.name)) }
}

/// Changes a secret's description or key, or adds a version. With another key, the versions that
/// have AWS's own stages are sealed anew under it.
///
/// AWS: UpdateSecret.
///
/// # Errors
///
/// [`Error::SecretNotFound`], [`Error::MarkedForDeletion`], [`Error::OtherContent`],
/// [`Error::EncryptionFailure`], [`Error::DecryptionFailure`], [`Error::KmsDenied`].
pub(crate) async fn update_secret(
    ctx: Ctx,
    input: UpdateSecretInput,
) -> Result<UpdateSecretOutput> {
    if input.type_.is_some() {
        return Err(Error::Unsupported("Typed secrets are not implemented.".to_owned()));
    }
    let value = Value::of(input.secret_string.clone(), input.secret_binary.clone())?;
    let id = input.client_request_token.clone().unwrap_or_else(|| ctx.random().uuid());
    let before = ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    let key = match input.kms_key_id {
        Some(key) => own_or_named(Some(key)),
        None => before.key.clone(),
    };
    let anew = if key == before.key {
        Vec::new()
    } else {
        sealed_anew(&ctx, &before, key.as_deref()).await?
    };
    let sealed = match &value {
        Some(value) if !version::known(&ctx, &before, &id, value)? => {
            Some(sealing::seal(&ctx, key.as_deref(), &before.arn, &id, value).await?)
        }
        Some(_) | None => None,
    };
    let secret = ctx
        .store
        .write(|tx| -> Result<Secret> {
            let mut secret = find(tx, &ctx, &before.arn)?.usable()?;
            if let Some(description) = &input.description {
                secret.description = Some(description.clone());
                secret.changed = ctx.now();
            }
            secret.key.clone_from(&key);
            for (id, sealed) in &anew {
                if let Some(version) = secret.versions.iter_mut().find(|v| v.id == *id) {
                    version.seal_anew(sealed);
                    secret.changed = ctx.now();
                }
            }
            if let (Some(value), Some(sealed)) = (&value, &sealed) {
                version::add(&ctx, &mut secret, &id, value, sealed, &[CURRENT.to_owned()])?;
            }
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await?;
    let version_id = value.map(|_| id);
    Ok(UpdateSecretOutput { arn: Some(secret.arn), name: Some(secret.name), version_id })
}

/// The versions with AWS's own stages, sealed under `key`.
///
/// AWS: UpdateSecret, `KmsKeyId`.
async fn sealed_anew(
    ctx: &Ctx,
    secret: &Secret,
    key: Option<&str>,
) -> Result<Vec<(String, Sealed)>> {
    let own = |version: &&Version| version.stages.iter().any(|stage| stage.starts_with("AWS"));
    let mut anew = Vec::new();
    for version in secret.versions.iter().filter(own) {
        let value = sealing::open(ctx, &secret.arn, version).await?;
        let sealed = sealing::seal(ctx, key, &secret.arn, &version.id, &value).await?;
        anew.push((version.id.clone(), sealed));
    }
    Ok(anew)
}

/// Shows a secret without its values.
///
/// AWS: DescribeSecret.
///
/// # Errors
///
/// [`Error::SecretNotFound`].
pub(crate) async fn describe_secret(
    ctx: Ctx,
    input: DescribeSecretInput,
) -> Result<DescribeSecretOutput> {
    let secret = ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?;
    let version_ids_to_stages = secret.shown_stages();
    Ok(DescribeSecretOutput {
        kms_key_id: secret.key,
        arn: Some(secret.arn),
        name: Some(secret.name),
        description: secret.description,
        last_changed_date: Some(secret.changed),
        last_accessed_date: secret.accessed,
        deleted_date: secret.deleted,
        tags: shown(&secret.tags),
        version_ids_to_stages,
        owning_service: secret.owning_service,
        created_date: Some(secret.created),
        ..DescribeSecretOutput::default()
    })
}

/// Marks a secret for deletion, or deletes it at once.
///
/// AWS: DeleteSecret.
///
/// # Errors
///
/// [`Error::SecretNotFound`], [`Error::InvalidParameter`] for a window that is not 7 to 30 days.
pub(crate) async fn delete_secret(
    ctx: Ctx,
    input: DeleteSecretInput,
) -> Result<DeleteSecretOutput> {
    let force = input.force_delete_without_recovery == Some(true);
    if force && input.recovery_window_in_days.is_some() {
        return Err(Error::InvalidParameter(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
                .to_owned(),
        ));
    }
    let days = input.recovery_window_in_days.unwrap_or(RECOVERY_DAYS_DEFAULT);
    let days =
        u32::try_from(days).ok().filter(|days| (7..=30).contains(days)).ok_or_else(|| {
            Error::InvalidParameter(
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."
                    .to_owned(),
            )
        })?;
    let now = ctx.now();
    let at = if force { now } else { now + DAY * days };
    let secret = ctx
        .store
        .write(|tx| -> Result<Secret> {
            let found = find(tx, &ctx, &input.secret_id);
            if force {
                if let Ok(secret) = &found {
                    tx.delete(&SECRETS, &secret.name)?;
                }
                return found;
            }
            let mut secret = found?.usable()?;
            secret.deletion = Some(at);
            secret.deleted = Some(now);
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await;
    let deletion_date = Some(at);
    let secret = match secret {
        // To delete by force what is not there is no error.
        Err(Error::SecretNotFound) if force => {
            let name = Some(input.secret_id);
            return Ok(DeleteSecretOutput { arn: None, name, deletion_date });
        }
        secret => secret?,
    };
    Ok(DeleteSecretOutput { arn: Some(secret.arn), name: Some(secret.name), deletion_date })
}

/// Takes a deletion back.
///
/// AWS: RestoreSecret.
///
/// # Errors
///
/// [`Error::SecretNotFound`].
pub(crate) async fn restore_secret(
    ctx: Ctx,
    input: RestoreSecretInput,
) -> Result<RestoreSecretOutput> {
    let secret = ctx
        .store
        .write(|tx| -> Result<Secret> {
            let mut secret = find(tx, &ctx, &input.secret_id)?;
            secret.deletion = None;
            secret.deleted = None;
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await?;
    Ok(RestoreSecretOutput { arn: Some(secret.arn), name: Some(secret.name) })
}

/// Deletes for good what is past its window.
pub(crate) async fn delete_due(ctx: TaskCtx) -> std::result::Result<Next, TaskError> {
    let now = ctx.now();
    let marked: Vec<_> = ctx
        .store
        .read(|tx| tx.scan_all(&SECRETS))
        .await?
        .into_iter()
        .filter_map(|(scope, secret)| Some((scope, secret.deletion?, secret.name)))
        .collect();
    for (scope, _, name) in marked.iter().filter(|(_, at, _)| *at <= now) {
        ctx.store
            .write(|tx| {
                let mut tx = tx.scope(scope);
                let due = tx.get(&SECRETS, name)?.and_then(|secret| secret.deletion);
                if due.is_some_and(|at| at <= now) {
                    tx.delete(&SECRETS, name)?;
                }
                Ok::<_, store::Error>(())
            })
            .await?;
    }
    let next = marked.iter().map(|(_, at, _)| *at).filter(|at| *at > now).min();
    Ok(next.map_or(Next::Idle, Next::At))
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-!".contains(c);
    if name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::InvalidParameter(
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the \
         following: -/_+=.@!"
            .to_owned(),
    ))
}
