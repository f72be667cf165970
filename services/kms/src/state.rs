//! What state a key is in: by request, and as the clock moves.

use base::Timestamp;
use kernel::{Next, TaskError};
use kms_api::{DisableKeyInput, DisableKeyOutput, EnableKeyInput, EnableKeyOutput};
use store::{Scope, WriteTx};

use crate::error::{Error, Result};
use crate::key::{change, not_pending_deletion};
use crate::rotation::{in_days, new_material};
use crate::store::{ALIASES, BY_KEY, GRANTS, KEYS, Key, State, Why};
use crate::{Ctx, TaskCtx};

/// Lets a key be used again.
///
/// AWS: EnableKey.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidState`].
pub(crate) async fn enable_key(ctx: Ctx, input: EnableKeyInput) -> Result<EnableKeyOutput> {
    change(&ctx, &input.key_id, |key| switch(key, State::Enabled)).await?;
    Ok(EnableKeyOutput {})
}

/// Keeps a key from being used.
///
/// AWS: DisableKey.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidState`].
pub(crate) async fn disable_key(ctx: Ctx, input: DisableKeyInput) -> Result<DisableKeyOutput> {
    change(&ctx, &input.key_id, |key| switch(key, State::Disabled)).await?;
    Ok(DisableKeyOutput {})
}

fn switch(key: &mut Key, to: State) -> Result<()> {
    not_pending_deletion(key)?;
    if key.state == State::PendingImport {
        return Err(Error::InvalidState(format!("{} is pending import.", key.arn)));
    }
    key.state = to;
    Ok(())
}

/// Does what is due: deletes keys whose window is over, ends imported material, rotates.
pub(crate) async fn due(ctx: TaskCtx) -> std::result::Result<Next, TaskError> {
    let now = ctx.now();
    let all = ctx.store.read(|tx| tx.scan_all(&KEYS)).await?;
    let mut next: Option<Timestamp> = None;
    for (scope, key) in all {
        if dates(&key).any(|at| at <= now) {
            advance(&ctx, &scope, &key.id, now).await?;
        }
        // What was done just now wakes the task anew.
        next = dates(&key).filter(|at| *at > now).chain(next).min();
    }
    Ok(next.map_or(Next::Idle, Next::At))
}

/// When something is to happen to a key.
fn dates(key: &Key) -> impl Iterator<Item = Timestamp> {
    let live = key.deletion.is_none();
    // A key that cannot be used is not rotated; it makes up for it once it can.
    let rotates = key.state == State::Enabled;
    let rotation = key.rotation.filter(|_| rotates).map(|rotation| rotation.next);
    let ends = key.materials.iter().filter(|material| live && material.sealed.is_some());
    let ends: Vec<_> = ends.filter_map(|material| material.valid_to).collect();
    key.deletion.map(|deletion| deletion.at).into_iter().chain(rotation).chain(ends)
}

async fn advance(ctx: &TaskCtx, scope: &Scope, id: &str, now: Timestamp) -> Result<()> {
    let (random, parts) = (ctx.random(), &ctx.drivers);
    let mut fresh = [0; 32];
    random.fill(&mut fresh);
    parts
        .keyring
        .write(&ctx.store, scope, |tx| {
            let Some(mut key) = tx.get(&KEYS, id)? else { return Ok(()) };
            if key.deletion.is_some_and(|deletion| deletion.at <= now) {
                return delete(tx, &key);
            }
            expire(&mut key, now);
            if key.state == State::Enabled
                && let Some(mut rotation) = key.rotation
                && rotation.next <= now
            {
                new_material(&parts.cipher, &mut key, &fresh, Why::Automatic, rotation.next);
                rotation.next = in_days(now, rotation.period_days);
                key.rotation = Some(rotation);
            }
            tx.put(&KEYS, &key)?;
            Ok(())
        })
        .await
}

fn delete(tx: &mut WriteTx<'_>, key: &Key) -> Result<()> {
    for alias in tx.find(&BY_KEY, key.id.as_str())? {
        tx.delete(&ALIASES, &alias.name)?;
    }
    for grant in tx.scan(&GRANTS, (key.id.clone(),))? {
        tx.delete(&GRANTS, &(grant.key_id, grant.id))?;
    }
    tx.delete(&KEYS, &key.id)?;
    Ok(())
}

/// Forgets imported material whose time is over.
fn expire(key: &mut Key, now: Timestamp) {
    for material in &mut key.materials {
        if material.valid_to.is_some_and(|at| at <= now) && material.sealed.take().is_some() {
            key.state = State::PendingImport;
        }
    }
}
