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
use crate::store::{CURRENT, SECRETS, Secret, find};
use crate::tags::shown;
use crate::version::{self, Value};
use crate::{Ctx, TaskCtx};

/// AWS: DeleteSecret, `RecoveryWindowInDays`.
const RECOVERY_DAYS_DEFAULT: i64 = 30;
const DAY: Duration = Duration::from_secs(86_400);
/// The key that values are sealed with.
const OWN_KEY: &str = "alias/aws/secretsmanager";

/// Makes a secret, with a value or without.
///
/// AWS: CreateSecret.
///
/// # Errors
///
/// [`Error::ResourceExists`], [`Error::NameScheduledForDeletion`].
pub(crate) async fn create_secret(
    ctx: Ctx,
    input: CreateSecretInput,
) -> Result<CreateSecretOutput> {
    check_name(&input.name)?;
    check_key(input.kms_key_id.as_deref())?;
    let replicated = !input.add_replica_regions.is_empty()
        || input.force_overwrite_replica_secret == Some(true)
        || input.cross_account_primary_arn.is_some();
    if replicated || input.type_.is_some() {
        return Err(Error::Unsupported("Replicated and typed secrets are not implemented.".into()));
    }
    let value = Value::of(input.secret_string.clone(), input.secret_binary.clone())?;
    let mut tags = Tags::new();
    for tag in &input.tags {
        tags.insert(tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default());
    }
    kernel::tags::check(&tags, ctx.caller.invoked_by.as_deref())
        .map_err(|error| Error::InvalidParameter(error.to_string()))?;
    let suffix =
        ctx.random().text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 6);
    let arn = ctx.arn("secretsmanager", format!("secret:{}-{suffix}", input.name)).to_string();
    let id = input.client_request_token.clone().unwrap_or_else(|| ctx.random().uuid());
    let owner = ctx.caller.invoked_by.clone().filter(|_| input.name.contains('!'));
    let secret = ctx
        .store
        .write(|tx| -> Result<Secret> {
            if let Some(known) = tx.get(&SECRETS, &input.name)? {
                return again(&ctx, known, &id, value.as_ref());
            }
            let mut secret = Secret {
                name: input.name.clone(),
                arn: arn.clone(),
                description: input.description.clone(),
                created: ctx.now(),
                changed: ctx.now(),
                accessed: None,
                deletion: None,
                deleted: None,
                tags: tags.clone(),
                versions: Vec::new(),
                policy: None,
                owning_service: owner.clone(),
            };
            if let Some(value) = &value {
                version::add(&ctx, &mut secret, &id, value, &[CURRENT.to_owned()])?;
            }
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await?;
    Ok(CreateSecretOutput {
        arn: Some(secret.arn),
        name: Some(secret.name),
        version_id: value.map(|_| id),
        replication_status: Vec::new(),
    })
}

/// A request that is repeated with its token gives the secret it made.
fn again(ctx: &Ctx, known: Secret, id: &str, value: Option<&Value>) -> Result<Secret> {
    if known.deletion.is_some() {
        return Err(Error::NameScheduledForDeletion);
    }
    let same = match (known.versions.iter().find(|version| version.id == id), value) {
        (Some(version), Some(value)) => version::opened(ctx, &known.arn, version)? == *value,
        _ => false,
    };
    if same { Ok(known) } else { Err(Error::ResourceExists(known.name)) }
}

/// Changes a secret's description or adds a version.
///
/// AWS: UpdateSecret.
///
/// # Errors
///
/// [`Error::SecretNotFound`], [`Error::MarkedForDeletion`], [`Error::OtherContent`].
pub(crate) async fn update_secret(
    ctx: Ctx,
    input: UpdateSecretInput,
) -> Result<UpdateSecretOutput> {
    check_key(input.kms_key_id.as_deref())?;
    if input.type_.is_some() {
        return Err(Error::Unsupported("Typed secrets are not implemented.".to_owned()));
    }
    let value = Value::of(input.secret_string.clone(), input.secret_binary.clone())?;
    let id = input.client_request_token.clone().unwrap_or_else(|| ctx.random().uuid());
    let secret = ctx
        .store
        .write(|tx| -> Result<Secret> {
            let mut secret = find(tx, &ctx, &input.secret_id)?.usable()?;
            if let Some(description) = &input.description {
                secret.description = Some(description.clone());
                secret.changed = ctx.now();
            }
            if let Some(value) = &value {
                version::add(&ctx, &mut secret, &id, value, &[CURRENT.to_owned()])?;
            }
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await?;
    let version_id = value.map(|_| id);
    Ok(UpdateSecretOutput { arn: Some(secret.arn), name: Some(secret.name), version_id })
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
    let stages = |v: &crate::store::Version| (v.id.clone(), v.stages.iter().cloned().collect());
    Ok(DescribeSecretOutput {
        arn: Some(secret.arn),
        name: Some(secret.name),
        description: secret.description,
        last_changed_date: Some(secret.changed),
        last_accessed_date: secret.accessed,
        deleted_date: secret.deleted,
        tags: shown(&secret.tags),
        version_ids_to_stages: secret.versions.iter().map(stages).collect(),
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
            let mut secret = find(tx, &ctx, &input.secret_id)?;
            if force {
                tx.delete(&SECRETS, &secret.name)?;
                return Ok(secret);
            }
            secret = secret.usable()?;
            secret.deletion = Some(at);
            secret.deleted = Some(now);
            tx.put(&SECRETS, &secret)?;
            Ok(secret)
        })
        .await?;
    let deletion_date = Some(at);
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

fn check_key(key: Option<&str>) -> Result<()> {
    match key {
        None | Some(OWN_KEY) => Ok(()),
        Some(key) => Err(Error::Unsupported(format!(
            "The key {key} cannot be used: keys of KMS are not there yet."
        ))),
    }
}
