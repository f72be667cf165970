//! Object lock: what keeps a version from being destroyed, by whatever way.
//!
//! AWS: "Locking objects with Object Lock".

use std::time::Duration;

use base::Timestamp;
use s3_api::{
    GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, GetObjectRetentionInput, GetObjectRetentionOutput,
    ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold, ObjectLockLegalHoldStatus,
    ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, ObjectLockRule,
    PutObjectLegalHoldInput, PutObjectLegalHoldOutput, PutObjectLockConfigurationInput,
    PutObjectLockConfigurationOutput, PutObjectRetentionInput, PutObjectRetentionOutput,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::bucket::refuse;
use crate::error::{Error, Result};
use crate::store::{
    BUCKETS, Bucket, BucketLock, DefaultRetention, Lock, LockMode, Object, Retention, Versioning,
};
use crate::version::{self, Named, same_bucket};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// AWS: "Locking objects with Object Lock", 100 years.
const DAYS_MAX: i32 = 36_500;

/// Whether a request goes past a governance retention, which it needs a permission for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bypass {
    Yes,
    No,
}

impl Bypass {
    /// As the header says; the access rule has asked for the permission.
    pub(crate) fn of(header: Option<bool>) -> Self {
        if header == Some(true) { Self::Yes } else { Self::No }
    }
}

/// Refuses to destroy a version that is locked.
pub(crate) fn check(object: &Object, now: Timestamp, bypass: Bypass) -> Result<()> {
    if is_locked(&object.lock, now, bypass) { Err(Error::locked()) } else { Ok(()) }
}

/// Whether a version is protected.
pub(crate) fn is_locked(lock: &Lock, now: Timestamp, bypass: Bypass) -> bool {
    let retained = lock.retention.is_some_and(|retention| {
        let holds = retention.mode == LockMode::Compliance || bypass == Bypass::No;
        retention.until > now && holds
    });
    retained || lock.legal_hold == Some(true)
}

/// Gives a new version the retention of its bucket, where it brings none itself.
pub(crate) fn apply_default(bucket: &Bucket, object: &mut Object) -> Result<()> {
    let Some(lock) = &bucket.lock else {
        return match object.lock == Lock::default() {
            true => Ok(()),
            false => Err(unlocked_bucket()),
        };
    };
    if let (None, Some(default)) = (object.lock.retention, lock.default) {
        let days = default.days.or(default.years.map(|years| years.saturating_mul(365)));
        let days = u32::try_from(days.unwrap_or_default()).unwrap_or_default();
        let until = object.modified + DAY.saturating_mul(days);
        object.lock.retention = Some(Retention { mode: default.mode, until });
    }
    Ok(())
}

fn unlocked_bucket() -> Error {
    Error::InvalidRequest("Bucket is missing Object Lock Configuration".to_owned())
}

/// The lock that the headers of a write ask for.
pub(crate) fn asked(
    mode: Option<ObjectLockMode>,
    until: Option<Timestamp>,
    hold: Option<ObjectLockLegalHoldStatus>,
    now: Timestamp,
) -> Result<Lock> {
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let mode = match mode {
                ObjectLockMode::Governance => LockMode::Governance,
                ObjectLockMode::Compliance => LockMode::Compliance,
            };
            Some(Retention { mode, until: checked_date(until, now)? })
        }
        (_, _) => {
            let text = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both \
                        be supplied";
            return Err(Error::argument("x-amz-object-lock-mode", "", text));
        }
    };
    let legal_hold = hold.map(|hold| hold == ObjectLockLegalHoldStatus::On);
    Ok(Lock { retention, legal_hold })
}

fn checked_date(until: Timestamp, now: Timestamp) -> Result<Timestamp> {
    if until > now {
        return Ok(until);
    }
    let text = "The retain until date must be in the future!";
    Err(Error::argument("x-amz-object-lock-retain-until-date", until, text))
}

/// The members of GetObject and HeadObject that tell a lock.
macro_rules! show {
    ($output:expr, $lock:expr) => {{
        let lock: &$crate::store::Lock = $lock;
        if let Some(retention) = lock.retention {
            $output.object_lock_mode = $crate::lock::mode_name(retention.mode).parse().ok();
            $output.object_lock_retain_until_date = Some(retention.until);
        }
        $output.object_lock_legal_hold_status =
            lock.legal_hold.and_then(|on| if on { "ON" } else { "OFF" }.parse().ok());
    }};
}
pub(crate) use show;

/// As AWS writes it.
pub(crate) fn mode_name(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Governance => "GOVERNANCE",
        LockMode::Compliance => "COMPLIANCE",
    }
}

fn mode_of(mode: ObjectLockRetentionMode) -> LockMode {
    match mode {
        ObjectLockRetentionMode::Governance => LockMode::Governance,
        ObjectLockRetentionMode::Compliance => LockMode::Compliance,
    }
}

/// Turns object lock on for a bucket and sets what new versions get.
///
/// AWS: PutObjectLockConfiguration.
pub(crate) async fn put_object_lock_configuration(
    ctx: Ctx,
    input: PutObjectLockConfigurationInput,
) -> Result<PutObjectLockConfigurationOutput> {
    refuse(&[("x-amz-bucket-object-lock-token", input.token.is_some())])?;
    let action = "s3:PutBucketObjectLockConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    let configuration = input.object_lock_configuration.ok_or(Error::MalformedXml)?;
    if configuration.object_lock_enabled != Some(ObjectLockEnabled::Enabled) {
        return Err(Error::MalformedXml);
    }
    let default = configuration.rule.map(default_of).transpose()?;
    ctx.store
        .write(|tx| {
            let there = same_bucket(tx, &bucket)?;
            if there.versioning != Versioning::Enabled {
                return Err(Error::InvalidBucketState(
                    "Versioning must be 'Enabled' on the bucket to apply a Object Lock \
                     configuration",
                ));
            }
            Ok(tx.put(&BUCKETS, &Bucket { lock: Some(BucketLock { default }), ..there })?)
        })
        .await?;
    Ok(PutObjectLockConfigurationOutput::default())
}

fn default_of(rule: ObjectLockRule) -> Result<DefaultRetention> {
    let default = rule.default_retention.ok_or(Error::MalformedXml)?;
    refuse(&[("DefaultEventHold", default.default_event_hold.is_some())])?;
    let mode = mode_of(default.mode.ok_or(Error::MalformedXml)?);
    let days = match (default.days, default.years) {
        (Some(days), None) => days,
        (None, Some(years)) => years.saturating_mul(365),
        (_, _) => return Err(Error::MalformedXml),
    };
    if days <= 0 {
        let text = "Default retention period must be a positive integer value";
        return Err(Error::argument("Days", days, text));
    }
    if days > DAYS_MAX {
        return Err(Error::argument("Days", days, "Default retention period is too large"));
    }
    Ok(DefaultRetention { mode, days: default.days, years: default.years })
}

/// Tells whether a bucket locks objects and how.
///
/// AWS: GetObjectLockConfiguration.
pub(crate) async fn get_object_lock_configuration(
    ctx: Ctx,
    input: GetObjectLockConfigurationInput,
) -> Result<GetObjectLockConfigurationOutput> {
    let action = "s3:GetBucketObjectLockConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    let Some(lock) = bucket.lock else {
        return Err(Error::ObjectLockConfigurationNotFoundError(bucket.name));
    };
    let rule = lock.default.map(|default| ObjectLockRule {
        default_retention: Some(s3_api::DefaultRetention {
            mode: mode_name(default.mode).parse().ok(),
            days: default.days,
            years: default.years,
            ..s3_api::DefaultRetention::default()
        }),
    });
    Ok(GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::Enabled),
            rule,
        }),
    })
}

/// Sets until when a version may not be deleted.
///
/// AWS: PutObjectRetention.
pub(crate) async fn put_object_retention(
    ctx: Ctx,
    input: PutObjectRetentionInput,
) -> Result<PutObjectRetentionOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    let wish = Wish::new("s3:PutObjectRetention", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    if bucket.lock.is_none() {
        return Err(unlocked_bucket());
    }
    let now = ctx.now();
    let wanted = wanted_retention(input.retention, now)?;
    let bypass = Bypass::of(input.bypass_governance_retention);
    version::change(&ctx, (&input.bucket, &input.key), &named, |object| {
        check_change(object.lock.retention, wanted, now, bypass)?;
        object.lock.retention = wanted;
        Ok(())
    })
    .await?;
    Ok(PutObjectRetentionOutput::default())
}

fn wanted_retention(
    given: Option<ObjectLockRetention>,
    now: Timestamp,
) -> Result<Option<Retention>> {
    let given = given.ok_or(Error::MalformedXml)?;
    refuse(&[("EventHold", given.event_hold.is_some() || given.event_hold_duration.is_some())])?;
    match (given.mode, given.retain_until_date) {
        (Some(mode), Some(until)) => {
            Ok(Some(Retention { mode: mode_of(mode), until: checked_date(until, now)? }))
        }
        // An empty retention takes the one that is there away.
        (None, None) => Ok(None),
        (_, _) => Err(Error::MalformedXml),
    }
}

/// Refuses to weaken a retention that runs: nobody may with a compliance retention, and with a
/// governance retention who may go past it.
fn check_change(
    old: Option<Retention>,
    new: Option<Retention>,
    now: Timestamp,
    bypass: Bypass,
) -> Result<()> {
    let Some(old) = old.filter(|old| old.until > now) else { return Ok(()) };
    let extends = new.is_some_and(|new| new.mode == old.mode && new.until >= old.until);
    let may = match old.mode {
        LockMode::Compliance => extends,
        LockMode::Governance => extends || bypass == Bypass::Yes,
    };
    if may { Ok(()) } else { Err(Error::locked()) }
}

/// Tells until when a version may not be deleted.
///
/// AWS: GetObjectRetention.
pub(crate) async fn get_object_retention(
    ctx: Ctx,
    input: GetObjectRetentionInput,
) -> Result<GetObjectRetentionOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    let wish = Wish::new("s3:GetObjectRetention", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let place = (input.bucket.as_str(), input.key.as_str());
    let lock = lock_of(&ctx, &bucket, place, &named).await?;
    let retention = lock.retention.ok_or(Error::NoSuchObjectLockConfiguration)?;
    Ok(GetObjectRetentionOutput {
        retention: Some(ObjectLockRetention {
            mode: mode_name(retention.mode).parse().ok(),
            retain_until_date: Some(retention.until),
            ..ObjectLockRetention::default()
        }),
    })
}

async fn lock_of(
    ctx: &Ctx,
    bucket: &Bucket,
    (name, key): (&str, &str),
    named: &Named,
) -> Result<Lock> {
    if bucket.lock.is_none() {
        return Err(unlocked_bucket());
    }
    Ok(ctx.store.read(|tx| version::object(tx, name, key, named)).await?.lock)
}

/// Lays a legal hold on a version or takes it off.
///
/// AWS: PutObjectLegalHold.
pub(crate) async fn put_object_legal_hold(
    ctx: Ctx,
    input: PutObjectLegalHoldInput,
) -> Result<PutObjectLegalHoldOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    let wish = Wish::new("s3:PutObjectLegalHold", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    if bucket.lock.is_none() {
        return Err(unlocked_bucket());
    }
    let status = input.legal_hold.and_then(|hold| hold.status).ok_or(Error::MalformedXml)?;
    let on = status == ObjectLockLegalHoldStatus::On;
    version::change(&ctx, (&input.bucket, &input.key), &named, |object| {
        object.lock.legal_hold = Some(on);
        Ok(())
    })
    .await?;
    Ok(PutObjectLegalHoldOutput::default())
}

/// Tells whether a legal hold lies on a version.
///
/// AWS: GetObjectLegalHold.
pub(crate) async fn get_object_legal_hold(
    ctx: Ctx,
    input: GetObjectLegalHoldInput,
) -> Result<GetObjectLegalHoldOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    let wish = Wish::new("s3:GetObjectLegalHold", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let place = (input.bucket.as_str(), input.key.as_str());
    let lock = lock_of(&ctx, &bucket, place, &named).await?;
    let on = lock.legal_hold.ok_or(Error::NoSuchObjectLockConfiguration)?;
    let status = if on { ObjectLockLegalHoldStatus::On } else { ObjectLockLegalHoldStatus::Off };
    Ok(GetObjectLegalHoldOutput { legal_hold: Some(ObjectLockLegalHold { status: Some(status) }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_weakened_by_nobody_or_by_who_may() {
        use LockMode::{Compliance, Governance};
        let now = Timestamp::from_secs(1000);
        let at = |mode, secs| Some(Retention { mode, until: Timestamp::from_secs(secs) });
        for (old, new, without, with) in [
            (None, at(Governance, 2000), true, true),
            (at(Governance, 2000), at(Governance, 3000), true, true),
            (at(Governance, 2000), at(Governance, 1500), false, true),
            (at(Governance, 2000), at(Compliance, 3000), false, true),
            (at(Governance, 2000), None, false, true),
            (at(Compliance, 2000), at(Compliance, 3000), true, true),
            (at(Compliance, 2000), at(Compliance, 1500), false, false),
            (at(Compliance, 2000), at(Governance, 3000), false, false),
            (at(Compliance, 2000), None, false, false),
            (at(Compliance, 900), None, true, true),
        ] {
            let may = |bypass| check_change(old, new, now, bypass).is_ok();
            assert_eq!((may(Bypass::No), may(Bypass::Yes)), (without, with), "{old:?} {new:?}");
        }
    }
}
