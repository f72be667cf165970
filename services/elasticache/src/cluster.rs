//! The clusters that this process holds: made from the records, adopted after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{
    CacheAccess, Cluster, ClusterSpec, Engine, EngineRoot, Event, Node, NodeStatus, Role, user_of,
};
use kernel::{Next, TaskError};
use machine::EventKind;
use store::{Record, Scope, ScopedStore, WriteTx};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::node_host::{NodeHost, Place, workload};
use crate::node_type::{self, NodeType};
use crate::store::{CACHES, Cache, NodeRecord, Status};
use crate::{Drivers, TaskCtx, endpoint, event, parameter_group, secret};

/// The task that keeps clusters whole.
pub(crate) const WATCH: &str = "elasticache.watch";

/// How many notices of a cluster wait to be written as events.
const NOTICES_MAX: usize = 256;

/// How often it is looked which nodes serve.
const LOOK: Duration = Duration::from_millis(500);

/// The service's drivers and the clusters that it holds.
pub struct ElastiCache {
    pub(crate) drivers: Drivers,
    clusters: Mutex<BTreeMap<String, Arc<Running>>>,
    building: tokio::sync::Mutex<()>,
}

/// A cluster that this process holds.
pub(crate) struct Running {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) host: Arc<NodeHost>,
    pub(crate) root: EngineRoot,
    scope: Scope,
    key: String,
    notices: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    wanted: AtomicBool,
    stop: CancellationToken,
}

impl ElastiCache {
    pub(crate) fn new(drivers: Drivers) -> Self {
        Self { drivers, clusters: Mutex::default(), building: tokio::sync::Mutex::default() }
    }

    fn clusters(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Running>>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster of the cache with this resource id, if it is held.
    pub(crate) fn held(&self, resource_id: &str) -> Option<Arc<Running>> {
        self.clusters().get(resource_id).cloned()
    }

    /// Lets a cluster go: nobody watches it any more. Its nodes run on.
    pub(crate) async fn let_go(&self, resource_id: &str) {
        let held = self.clusters().remove(resource_id);
        if let Some(running) = held {
            running.stop.cancel();
            // Whoever watches holds this until it has stopped.
            drop(running.notices.lock().await);
        }
    }

    /// The volume of a node.
    pub(crate) fn volume(&self, node: &str) -> std::path::PathBuf {
        self.drivers.data_dir.join("nodes").join(node)
    }
}

impl Running {
    /// Has the cluster watched from now on.
    pub(crate) fn keep_whole(&self, ctx: &TaskCtx) {
        if !self.wanted.swap(true, Ordering::SeqCst) {
            ctx.wake(WATCH);
        }
    }
}

/// The node type of a cache.
pub(crate) fn type_of(cache: &Cache) -> Result<NodeType> {
    let found = node_type::find(&cache.node_type);
    found.ok_or_else(|| Error::value(format!("Invalid Cache Node Type: {}", cache.node_type)))
}

/// The node as the driver knows it, once it has an interface.
pub(crate) fn node_of(service: &ElastiCache, cache: &Cache, node: &NodeRecord) -> Option<Node> {
    Some(Node {
        id: node.id.clone(),
        number: node.number,
        zone: node.zone.to_string(),
        address: node.address?.into(),
        port: cache.port,
        volume: service.volume(&node.id),
        owner: user_of(cache.engine),
    })
}

/// What the host must know of a node.
pub(crate) fn place_of(cache: &Cache, node: &NodeRecord) -> Result<Option<Place>> {
    let node_type = type_of(cache)?;
    Ok(node.eni.clone().map(|eni| Place {
        zone: node.zone.clone(),
        eni,
        vpc: cache.vpc.clone(),
        node_type,
        hostname: node.cluster.clone(),
    }))
}

/// The cluster of `cache`, made now if it is not held. Nodes that have not joined yet are not in
/// it.
pub(crate) async fn of(ctx: &TaskCtx, store: &ScopedStore, cache: &Cache) -> Result<Arc<Running>> {
    let _building = ctx.drivers.building.lock().await;
    if let Some(running) = ctx.drivers.held(&cache.resource_id) {
        return Ok(running);
    }
    let engine = Engine { kind: cache.engine, version: cache.series.clone() };
    let engine_root = ctx.drivers.drivers.engines.ensure(&engine).await?;
    let parameters = if cache.applied.node_type.is_empty() {
        parameter_group::values(store, &cache.parameter_group).await?
    } else {
        cache.applied.values.clone()
    };
    let spec = ClusterSpec {
        root: engine_root.clone(),
        secrets: secret::open(&ctx.drivers, cache)?,
        parameters,
        memory_bytes: type_of(cache)?.memory_bytes,
        cache_access: CacheAccess::Open,
        tls: None,
    };
    let (sender, receiver) = mpsc::channel(NOTICES_MAX);
    let scope = store.scope().clone();
    let host = Arc::new(NodeHost::new(ctx, scope.clone(), cache, &engine_root, sender));
    let mut nodes = Vec::new();
    let creating = cache.status == Status::Creating;
    for record in cache.nodes.iter().filter(|node| node.joined || creating) {
        let role = if record.id == cache.primary { Role::Primary } else { Role::Replica };
        let parts = (node_of(&ctx.drivers, cache, record), place_of(cache, record)?);
        if let (Some(node), Some(place)) = parts {
            host.put(&record.id, place);
            nodes.push((node, role));
        }
    }
    let cluster = Arc::new(Cluster::new(spec, nodes, host.clone())?);
    let running = Arc::new(Running {
        cluster,
        host,
        root: engine_root,
        scope,
        key: cache.key(),
        notices: tokio::sync::Mutex::new(receiver),
        wanted: AtomicBool::new(false),
        stop: CancellationToken::new(),
    });
    ctx.drivers.clusters().insert(cache.resource_id.clone(), running.clone());
    Ok(running)
}

/// The clusters that are to be watched.
pub(crate) async fn watched(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    let clusters = ctx.drivers.clusters();
    let wanted = clusters.iter().filter(|(_, running)| running.wanted.load(Ordering::SeqCst));
    Ok(wanted.map(|(id, _)| id.clone()).collect())
}

/// Keeps one cluster whole and writes down what happens to it, until it is let go.
pub(crate) async fn watch(ctx: TaskCtx, key: String) -> Result<Next, TaskError> {
    let Some(running) = ctx.drivers.held(&key) else { return Ok(Next::Idle) };
    let mut notices = running.notices.lock().await;
    let mut watching = std::pin::pin!(running.cluster.clone().watch());
    loop {
        tokio::select! {
            () = running.stop.cancelled() => return Ok(Next::Idle),
            () = &mut watching => return Ok(Next::Idle),
            Some(notice) = notices.recv() => {
                event::of_cluster(&ctx, &running.scope, &running.key, notice).await?;
            }
            () = tokio::time::sleep(LOOK) => {
                note_serving(&ctx, &running).await?;
            }
        }
    }
}

/// The nodes that answer in their part.
pub(crate) fn serving(nodes: &[NodeStatus]) -> BTreeSet<String> {
    let serves = |node: &&NodeStatus| {
        let follows = node.lag.is_some() && node.broken.is_none();
        node.answers && if node.role == Role::Primary { node.writable } else { follows }
    };
    nodes.iter().filter(serves).map(|node| node.id.clone()).collect()
}

/// Writes down which nodes serve, and leads readers to them, if that is not what is written: a
/// failover writes too.
async fn note_serving(ctx: &TaskCtx, running: &Running) -> Result<()> {
    let seen = serving(&running.cluster.status().nodes);
    let store = ctx.store.scoped(running.scope.clone());
    let noted =
        |cache: &Cache| cache.nodes.iter().all(|node| node.serving == seen.contains(&node.id));
    let found = store.read(|tx| tx.get(&CACHES, &running.key)).await?;
    if found.as_ref().is_none_or(noted) {
        return Ok(());
    }
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let Some(mut cache) = tx.get(&CACHES, &running.key)? else { return Ok(()) };
        for node in &mut cache.nodes {
            node.serving = seen.contains(&node.id);
        }
        tx.put(&CACHES, &cache)?;
        endpoint::write(tx, &running.scope, &cache)
    };
    store.write(write).await
}

/// Tells clusters that a process of theirs has ended, so that they look at once.
pub(crate) async fn follow_machine(ctx: TaskCtx) -> Result<Next, TaskError> {
    let mut events = ctx.drivers.drivers.machine.events();
    loop {
        let happened = events.recv().await;
        let all: Vec<_> = ctx.drivers.clusters().values().cloned().collect();
        for running in all {
            for (id, place) in running.host.places() {
                let concerned = match &happened {
                    Ok(event) => match event.kind {
                        EventKind::Exited(_) => {
                            event.zone == place.zone && event.id == workload(&id)
                        }
                        EventKind::SupervisorLost | EventKind::SupervisorBack => {
                            event.zone == place.zone
                        }
                        EventKind::Started => false,
                    },
                    Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => return Ok(Next::Idle),
                };
                if concerned {
                    running.cluster.node_exited(&id);
                }
            }
            if matches!(&happened, Ok(event) if event.kind == EventKind::SupervisorBack) {
                running.cluster.retry_now();
            }
        }
    }
}
