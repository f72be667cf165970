//! What happened to DB instances and snapshots.
//!
//! AWS: "Amazon RDS event categories and event messages".

use std::ops::ControlFlow;

use base::Timestamp;
use engine::Event as Notice;
use kernel::paging;
use rds_api::{DescribeEventsInput, DescribeEventsOutput, Event, SourceType};
use store::{Scope, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::store::{EVENTS, EventRecord, INSTANCES};
use crate::{Ctx, TaskCtx, endpoint, listing};

/// How long events are kept.
///
/// AWS: DescribeEvents ("for the past 14 days").
const KEPT_DAYS: i32 = 14;

/// How many old events one new one removes.
const SWEEP_MAX: usize = 16;

/// Something to tell.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    category: &'static str,
    message: String,
    kind: &'static str,
}

impl Told {
    /// About a DB instance.
    pub(crate) fn new(category: &'static str, message: impl Into<String>) -> Self {
        Self { category, message: message.into(), kind: "db-instance" }
    }

    /// About a DB snapshot.
    pub(crate) fn of_snapshot(category: &'static str, message: impl Into<String>) -> Self {
        Self { kind: "db-snapshot", ..Self::new(category, message) }
    }
}

/// Writes an event about `source`, and removes a few that are too old.
pub(crate) fn write(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    now: Timestamp,
    id: &str,
    source: &str,
    told: &Told,
) -> Result<()> {
    let arn_kind = if told.kind == "db-snapshot" { "snapshot" } else { "db" };
    let record = EventRecord {
        at: now,
        id: id.to_owned(),
        source_type: told.kind.to_owned(),
        source: source.to_owned(),
        arn: endpoint::arn(scope, arn_kind, source),
        category: told.category.to_owned(),
        message: told.message.clone(),
    };
    tx.put(&EVENTS, &record)?;
    let oldest = crate::window::days_before(now, KEPT_DAYS);
    let mut old = Vec::new();
    tx.for_each(&EVENTS, (), |record: EventRecord| {
        if record.at >= oldest || old.len() >= SWEEP_MAX {
            return Ok::<_, store::Error>(ControlFlow::Break(()));
        }
        old.push((record.at, record.id));
        Ok(ControlFlow::Continue(()))
    })?;
    for key in old {
        tx.delete(&EVENTS, &key)?;
    }
    Ok(())
}

/// Writes down what the engine driver told of a cluster.
pub(crate) async fn of_cluster(
    ctx: &TaskCtx,
    scope: &Scope,
    instance: &str,
    notice: Notice,
) -> Result<()> {
    let now = ctx.now();
    let told = match notice {
        Notice::PrimaryLost { reason, .. } => {
            tracing::info!(instance, reason, "a primary is lost");
            vec![Told::new("failover", "Multi-AZ instance failover started")]
        }
        Notice::Promoted { took, .. } => {
            tracing::info!(instance, took_ms = took.as_millis(), "a standby took over");
            vec![
                Told::new("availability", "DB instance restarted"),
                Told::new("failover", "Multi-AZ instance failover completed"),
            ]
        }
        Notice::FailoverRefused { reason } => {
            vec![Told::new("failover", format!("Multi-AZ failover is not possible: {reason}"))]
        }
        Notice::PrimaryRecovered { .. } => vec![
            Told::new("recovery", "Recovery of the DB instance is complete"),
            Told::new("availability", "DB instance restarted"),
        ],
        Notice::Reseeded { node, reason } => {
            tracing::info!(instance, node, reason, "a follower got a new copy");
            Vec::new()
        }
        Notice::Trouble { node, reason } => {
            tracing::info!(instance, node, reason, "a cluster tries again");
            Vec::new()
        }
        Notice::ReplicationDegraded { .. }
        | Notice::ReplicationInStep { .. }
        | Notice::Rejoined { .. } => Vec::new(),
    };
    let ids: Vec<String> = told.iter().map(|_| ctx.random().uuid()).collect();
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        if !tx.contains(&INSTANCES, instance)? {
            return Ok(());
        }
        for (index, (told, id)) in told.iter().zip(&ids).enumerate() {
            // Events of one moment are shown in the order in which they were told.
            write(tx, scope, now, &format!("{index}-{id}"), instance, told)?;
        }
        Ok(())
    };
    ctx.store.scoped(scope.clone()).write(write).await
}

/// Minutes that are looked back when no time is named.
///
/// AWS: DescribeEvents, `Duration`.
const LOOK_BACK_MINUTES: i32 = 60;

/// Tells what happened.
///
/// AWS: DescribeEvents.
pub(crate) async fn describe_events(
    ctx: Ctx,
    input: DescribeEventsInput,
) -> Result<DescribeEventsOutput> {
    refuse(&[("Filters", !input.filters.is_empty())])?;
    if input.source_identifier.is_some() && input.source_type.is_none() {
        return Err(Error::combination(
            "Cannot specify source identifier without specifying source type.",
        ));
    }
    let now = ctx.now();
    let limit = listing::limit(input.max_records)?;
    let back = i64::from(input.duration.unwrap_or(LOOK_BACK_MINUTES)).saturating_mul(60);
    let from = match (input.start_time, input.end_time) {
        (Some(start), _) => start,
        (None, Some(end)) => Timestamp::from_secs(end.as_secs() - back),
        (None, None) => Timestamp::from_secs(now.as_secs() - back),
    };
    let until = match (input.end_time, input.start_time, input.duration) {
        (Some(end), _, _) => end,
        (None, Some(start), Some(_)) => Timestamp::from_secs(start.as_secs() + back),
        (None, _, _) => now,
    };
    if from > until {
        return Err(Error::combination("The start time must be before the end time."));
    }
    let mut all = ctx.store.read(|tx| tx.scan(&EVENTS, ())).await?;
    all.retain(|event| {
        let category =
            input.event_categories.is_empty() || input.event_categories.contains(&event.category);
        let source = input.source_identifier.as_deref();
        let kind = input.source_type.map(SourceType::as_str);
        (from..=until).contains(&event.at)
            && category
            && kind.is_none_or(|kind| kind == event.source_type)
            && source.is_none_or(|id| id.eq_ignore_ascii_case(&event.source))
    });
    let key = |event: &EventRecord| format!("{:020}/{}", event.at.as_millis(), event.id);
    let page = paging::page(all, input.marker.as_deref(), limit, key)
        .map_err(|_| listing::bad_marker())?;
    let events = page.items.into_iter().map(shown).collect();
    Ok(DescribeEventsOutput { marker: page.next, events })
}

fn shown(record: EventRecord) -> Event {
    Event {
        source_identifier: Some(record.source),
        source_type: record.source_type.parse().ok(),
        message: Some(record.message),
        event_categories: vec![record.category],
        date: Some(record.at),
        source_arn: Some(record.arn),
    }
}
