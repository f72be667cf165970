//! What happened to caches.
//!
//! AWS: "Amazon SNS notifications for ElastiCache" and "Testing automatic failover", whose texts
//! these are.

use std::ops::ControlFlow;

use base::Timestamp;
use elasticache_api::{DescribeEventsInput, DescribeEventsOutput, Event, SourceType};
use engine::Event as Notice;
use store::{Scope, WriteTx};

use crate::error::{Error, Result};
use crate::store::{CACHES, Cache, EVENTS, EventRecord, Kind};
use crate::{Ctx, TaskCtx, listing};

/// How long events are kept.
///
/// AWS: DescribeEvents ("events for the last 14 days").
const KEPT_SECS: i64 = 14 * 86_400;

/// How many old events one new one removes.
const SWEEP_MAX: usize = 16;

/// Minutes that are looked back when no time is named.
///
/// AWS: DescribeEvents ("by default, only the events occurring within the last hour").
const LOOK_BACK_MINUTES: i32 = 60;

/// Something to tell.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    kind: SourceType,
    source: String,
    message: String,
}

impl Told {
    /// About a replication group, or a cache cluster that is in none.
    pub(crate) fn of_cache(cache: &Cache, message: impl Into<String>) -> Self {
        let kind = match cache.kind {
            Kind::Group => SourceType::ReplicationGroup,
            Kind::Cluster => SourceType::CacheCluster,
        };
        Self { kind, source: cache.name.clone(), message: message.into() }
    }

    /// About a cache cluster.
    pub(crate) fn of_cluster(cluster: &str, message: impl Into<String>) -> Self {
        let source = cluster.to_owned();
        Self { kind: SourceType::CacheCluster, source, message: message.into() }
    }
}

/// Writes events, which are shown in this order, and removes a few that are too old.
pub(crate) fn write_all(
    tx: &mut WriteTx<'_>,
    now: Timestamp,
    ids: &[String],
    told: &[Told],
) -> Result<()> {
    for (index, (one, id)) in told.iter().zip(ids).enumerate() {
        let record = EventRecord {
            at: now,
            id: format!("{index:02}-{id}"),
            source_type: one.kind.as_str().to_owned(),
            source: one.source.clone(),
            message: one.message.clone(),
        };
        tx.put(&EVENTS, &record)?;
    }
    if told.is_empty() {
        return Ok(());
    }
    let oldest = Timestamp::from_secs(now.as_secs() - KEPT_SECS);
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

fn name_of(cache: &Cache, node: &str) -> String {
    let found = cache.nodes.iter().find(|known| known.id == node);
    found.map_or_else(|| node.to_owned(), |known| known.cluster.clone())
}

fn told(cache: &Cache, notice: &Notice) -> Vec<Told> {
    let name = cache.name.as_str();
    match notice {
        Notice::PrimaryLost { node, reason } => {
            let node = name_of(cache, node);
            tracing::info!(cache = name, node, reason, "a primary is lost");
            vec![Told::of_cluster(&node, format!("Cache node {node} is not reachable: {reason}"))]
        }
        Notice::Promoted { node, took } => {
            tracing::info!(cache = name, node, took_ms = took.as_millis(), "a replica took over");
            let node = name_of(cache, node);
            let text = format!("Failover to replica node {node} completed");
            vec![Told::of_cluster(&node, text.clone()), Told::of_cache(cache, text)]
        }
        Notice::FailoverRefused { reason } => {
            vec![Told::of_cache(cache, format!("Failover is not possible: {reason}"))]
        }
        Notice::PrimaryRecovered { node } | Notice::Rejoined { node } => {
            let node = name_of(cache, node);
            let text = format!("Finished recovery for cache nodes {node}");
            vec![Told::of_cluster(&node, text)]
        }
        Notice::Reseeded { node, reason } => {
            tracing::info!(cache = name, node, reason, "a replica got a new copy");
            Vec::new()
        }
        Notice::Trouble { node, reason } => {
            tracing::info!(cache = name, node, reason, "a cluster tries again");
            Vec::new()
        }
        Notice::ReplicationDegraded { .. } | Notice::ReplicationInStep { .. } => Vec::new(),
    }
}

/// Writes down what the engine driver told of a cluster.
pub(crate) async fn of_cluster(
    ctx: &TaskCtx,
    scope: &Scope,
    key: &str,
    notice: Notice,
) -> Result<()> {
    let store = ctx.store.scoped(scope.clone());
    let now = ctx.now();
    let found = store.read(|tx| tx.get(&CACHES, key)).await?;
    let Some(cache) = found else { return Ok(()) };
    let told = told(&cache, &notice);
    let ids: Vec<String> = told.iter().map(|_| ctx.random().uuid()).collect();
    store.write(|tx: &mut WriteTx<'_>| write_all(tx, now, &ids, &told)).await
}

/// Tells what happened.
///
/// AWS: DescribeEvents.
pub(crate) async fn describe_events(
    ctx: Ctx,
    input: DescribeEventsInput,
) -> Result<DescribeEventsOutput> {
    if input.source_identifier.is_some() && input.source_type.is_none() {
        return Err(Error::combination(
            "Cannot specify source identifier without specifying source type.",
        ));
    }
    let now = ctx.now();
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
    let mut all: Vec<EventRecord> = ctx.store.read(|tx| tx.scan(&EVENTS, ())).await?;
    all.retain(|event| {
        let kind = input.source_type.map(SourceType::as_str);
        let source = input.source_identifier.as_deref();
        (from..=until).contains(&event.at)
            && kind.is_none_or(|kind| kind == event.source_type)
            && source.is_none_or(|id| id.eq_ignore_ascii_case(&event.source))
    });
    let key = |event: &EventRecord| format!("{:020}/{}", event.at.as_millis(), event.id);
    let (page, marker) = listing::page(all, input.marker.as_deref(), input.max_records, key)?;
    let shown = |record: EventRecord| Event {
        source_identifier: Some(record.source),
        source_type: record.source_type.parse().ok(),
        message: Some(record.message),
        date: Some(record.at),
    };
    Ok(DescribeEventsOutput { marker, events: page.into_iter().map(shown).collect() })
}
