//! The task that follows the rules: at each midnight of the region's clock it goes through the
//! buckets that have a lifecycle or archive tiers, and does what is due.
//!
//! AWS: "Managing the lifecycle of objects".

use std::time::Duration;

use base::Timestamp;
use kernel::{Next, TaskCtx, TaskError};
use serde::{Deserialize, Serialize};
use store::{Record, Table, WriteTx};

use crate::Drivers;
use crate::class::Class;
use crate::error::{Error, Result};
use crate::lifecycle::{LIFECYCLES, LIFECYCLES_NAME};
use crate::lifecycle_rule::{Action, DAY, Lifecycle, midnight_at_or_after};
use crate::lock::Bypass;
use crate::store::{
    BUCKETS, Bucket, OBJECTS, Object, PAST, Past, State, UPLOADS, Upload, Versioning, discard_parts,
};
use crate::tiering::{Configuration, TIERINGS, begun, tier_due};
use crate::version::{self, Found, Salt};

type Ctx = TaskCtx<Drivers>;

/// The tables whose changes this task looks at.
pub(crate) const WAKES: &[&str] = &[LIFECYCLES_NAME];
/// How many records one step looks at.
const BATCH: usize = 500;

/// When the rules were followed last.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    midnight: Timestamp,
}

impl Record for Run {
    type Key = ();

    fn key(&self) {}
}

const RUNS: Table<Run> = Table::global("s3.lifecycle-runs");

/// What a bucket asks for.
struct Plan {
    bucket: Bucket,
    lifecycle: Lifecycle,
    tierings: Vec<Configuration>,
    now: Timestamp,
}

/// Follows the rules once a day.
pub(crate) async fn run(ctx: Ctx) -> std::result::Result<Next, TaskError> {
    let now = ctx.now();
    // The midnight that has just been, which is now where it is midnight.
    let today = midnight_at_or_after(now + Duration::from_millis(1));
    let today = Timestamp::from_millis(
        today.as_millis().saturating_sub(i64::try_from(DAY.as_millis()).unwrap_or_default()),
    );
    let last = ctx.store.read(|tx| tx.get(&RUNS, ())).await?;
    let next = Next::At(today + DAY);
    if last.as_ref().is_some_and(|last| last.midnight >= today) {
        return Ok(next);
    }
    if last.is_some() {
        for plan in plans(&ctx, now).await? {
            follow(&ctx, &plan).await?;
        }
    }
    ctx.store.write(|tx| tx.put(&RUNS, &Run { midnight: today })).await?;
    Ok(next)
}

async fn plans(ctx: &Ctx, now: Timestamp) -> Result<Vec<Plan>> {
    ctx.store
        .read(|tx| {
            let mut names: Vec<String> =
                tx.scan(&LIFECYCLES, ())?.into_iter().map(|lifecycle| lifecycle.bucket).collect();
            names.extend(tx.scan(&TIERINGS, ())?.into_iter().map(|tiering| tiering.bucket));
            names.sort_unstable();
            names.dedup();
            let mut plans = Vec::new();
            for name in names {
                let Some(bucket) = tx.get(&BUCKETS, &name)? else { continue };
                let lifecycle = tx.get(&LIFECYCLES, &name)?.unwrap_or_default();
                let tierings = tx.scan(&TIERINGS, (&name,))?;
                plans.push(Plan { bucket, lifecycle, tierings, now });
            }
            Ok(plans)
        })
        .await
}

async fn follow(ctx: &Ctx, plan: &Plan) -> Result<()> {
    let name = &plan.bucket.name;
    let mut after = None;
    loop {
        let page =
            ctx.store.read(|tx| tx.scan_page_in(&OBJECTS, (name,), after.as_ref(), BATCH)).await?;
        let due: Vec<Object> =
            page.records.into_iter().filter(|object| plan.wants(object).is_some()).collect();
        for object in due {
            let salt = Salt::random(ctx.random());
            ctx.store.write(|tx| plan.treat(tx, &object, salt)).await?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    follow_past(ctx, plan).await?;
    let uploads = ctx.store.read(|tx| tx.scan(&UPLOADS, (name,))).await?;
    for upload in uploads {
        let abort = plan.lifecycle.abort(&upload.key, upload.initiated);
        if abort.is_some_and(|(time, _)| time <= plan.now) {
            ctx.store.write(|tx| abort_upload(tx, &upload, plan.now)).await?;
        }
    }
    Ok(())
}

fn abort_upload(tx: &mut WriteTx<'_>, upload: &Upload, now: Timestamp) -> Result<()> {
    // Completed or aborted meanwhile.
    if !tx.delete(&UPLOADS, upload.key())? {
        return Ok(());
    }
    discard_parts(tx, &upload.id, now)
}

async fn follow_past(ctx: &Ctx, plan: &Plan) -> Result<()> {
    let name = &plan.bucket.name;
    let mut after: Option<<Past as Record>::Key> = None;
    // How many past versions of the key were seen, and whether its current version is among them.
    let mut seen: (String, usize) = (String::new(), 0);
    loop {
        let page =
            ctx.store.read(|tx| tx.scan_page_in(&PAST, (name,), after.as_ref(), BATCH)).await?;
        let mut due = Vec::new();
        for past in page.records {
            if seen.0 != past.key {
                let key = (name, &past.key);
                let has_current = ctx.store.read(|tx| tx.contains(&OBJECTS, key)).await?;
                seen = (past.key.clone(), 0);
                if !has_current {
                    // This is the delete marker that is current.
                    due.push((past, None));
                    continue;
                }
            }
            let newer = seen.1;
            seen.1 += 1;
            if plan.lifecycle.past(&past, newer, plan.now).is_some() {
                due.push((past, Some(newer)));
            }
        }
        // From the oldest on, so that a delete marker is left alone before it is looked at.
        for (past, newer) in due.into_iter().rev() {
            ctx.store.write(|tx| plan.treat_past(tx, &past, newer)).await?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// A locked version stays until a later day.
fn unless_locked<T>(result: Result<T>) -> Result<()> {
    match result {
        Ok(_) | Err(Error::Locked) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Plan {
    fn wants(&self, object: &Object) -> Option<Action> {
        let keeps = self.bucket.versioning != Versioning::Never;
        let action = self.lifecycle.current(object, keeps, self.now);
        let tier = || tier_due(&self.tierings, object, self.now);
        action.or_else(|| tier().map(|_| Action::Move(Class::IntelligentTiering)))
    }

    /// Does what is due with a current object, if it still is what it was.
    fn treat(&self, tx: &mut WriteTx<'_>, object: &Object, salt: Salt) -> Result<()> {
        let found = tx.get(&OBJECTS, (&object.bucket, &object.key))?;
        let Some(found) = found.filter(|found| found.version == object.version) else {
            return Ok(());
        };
        match self.wants(&found) {
            Some(Action::Expire) => {
                let bucket = version::same_bucket(tx, &self.bucket)?;
                unless_locked(version::delete(tx, &bucket, &found.key, (self.now, salt)))
            }
            Some(Action::Move(class)) => {
                let moved = self.moved(found, class);
                Ok(tx.put(&OBJECTS, &moved)?)
            }
            None => Ok(()),
        }
    }

    /// The object in its new class or tier. Its bytes follow by the archive's task.
    fn moved(&self, object: Object, class: Class) -> Object {
        if class == object.class {
            let tier = tier_due(&self.tierings, &object, self.now);
            let tiering = object.tiering.map(|mut tiering| {
                tiering.archived = tier.or(tiering.archived);
                tiering
            });
            return Object { tiering, ..object };
        }
        Object { class, tiering: begun(class, self.now), ..object }
    }

    /// Does what is due with a past version or a delete marker; `newer` is none for the marker that
    /// is current.
    fn treat_past(&self, tx: &mut WriteTx<'_>, past: &Past, newer: Option<usize>) -> Result<()> {
        let Some(found) = tx.get(&PAST, past.key())? else { return Ok(()) };
        if found.version != past.version {
            return Ok(());
        }
        let place = (found.bucket.as_str(), found.key.as_str());
        let gone = (self.now, Bypass::No);
        let Some(newer) = newer else {
            let State::Marker(made) = found.state else { return Ok(()) };
            let others = tx.scan_page_in(&PAST, place, None, 2)?.records.len() > 1
                || tx.contains(&OBJECTS, place)?;
            if others || !self.lifecycle.lone_marker(&found.key, made, self.now) {
                return Ok(());
            }
            return unless_locked(version::destroy(tx, place, &Found::Past(found.clone()), gone));
        };
        match self.lifecycle.past(&found, newer, self.now) {
            Some(Action::Expire) => {
                unless_locked(version::destroy(tx, place, &Found::Past(found.clone()), gone))
            }
            Some(Action::Move(class)) => {
                let State::Object(object) = found.state.clone() else { return Ok(()) };
                let state = State::Object(Box::new(self.moved(*object, class)));
                Ok(tx.put(&PAST, &Past { state, ..found })?)
            }
            None => Ok(()),
        }
    }
}
