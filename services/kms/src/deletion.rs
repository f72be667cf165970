//! Deleting keys, after a window in which it can be taken back.

use std::time::Duration;

use kms_api::{
    CancelKeyDeletionInput, CancelKeyDeletionOutput, KeyState, ScheduleKeyDeletionInput,
    ScheduleKeyDeletionOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::key::{change, not_pending_deletion};
use crate::store::{Deletion, State};

/// AWS: ScheduleKeyDeletion, `PendingWindowInDays`.
const WINDOW_DAYS_DEFAULT: i32 = 30;
const DAY: Duration = Duration::from_secs(86_400);

/// Marks a key for deletion; it cannot be used from then on.
///
/// AWS: ScheduleKeyDeletion.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidState`], [`Error::Validation`] for a window that is not 7
/// to 30 days.
pub(crate) async fn schedule_key_deletion(
    ctx: Ctx,
    input: ScheduleKeyDeletionInput,
) -> Result<ScheduleKeyDeletionOutput> {
    let window_days = input.pending_window_in_days.unwrap_or(WINDOW_DAYS_DEFAULT);
    let days = u32::try_from(window_days).ok().filter(|days| (7..=30).contains(days));
    let days = days.ok_or_else(|| {
        Error::Validation("PendingWindowInDays must be between 7 and 30 days.".to_owned())
    })?;
    let at = ctx.now() + DAY * days;
    let key = change(&ctx, &input.key_id, |key| {
        not_pending_deletion(key)?;
        key.deletion = Some(Deletion { at, window_days });
        key.state = State::PendingDeletion;
        Ok(())
    })
    .await?;
    Ok(ScheduleKeyDeletionOutput {
        key_id: Some(key.arn),
        deletion_date: Some(at),
        key_state: Some(KeyState::PendingDeletion),
        pending_window_in_days: Some(window_days),
    })
}

/// Takes the deletion back; the key is disabled then.
///
/// AWS: CancelKeyDeletion.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidState`] when no deletion is scheduled.
pub(crate) async fn cancel_key_deletion(
    ctx: Ctx,
    input: CancelKeyDeletionInput,
) -> Result<CancelKeyDeletionOutput> {
    let key = change(&ctx, &input.key_id, |key| {
        if key.deletion.take().is_none() {
            return Err(Error::InvalidState(format!("{} is not pending deletion.", key.arn)));
        }
        let whole = key.current().is_some_and(|material| material.sealed.is_some());
        key.state = if whole { State::Disabled } else { State::PendingImport };
        Ok(())
    })
    .await?;
    Ok(CancelKeyDeletionOutput { key_id: Some(key.arn) })
}
