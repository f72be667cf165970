//! The clusters that this process holds: made from the records, adopted after a restart.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::{CacheAccess, ClusterSpec, Engine, Node, NodeStatus, Role, user_of};
use kernel::{Kernel, Next, TaskError};
pub(crate) use nodes::Running;
use nodes::{Admits, Clusters, Owner, Parts, Place, Terms};
use store::{Record, Scope, ScopedStore, WriteTx};

use crate::error::{Error, Result};
use crate::node_type::{self, NodeType};
use crate::store::{CACHES, Cache, NodeRecord, Status};
use crate::{Drivers, TaskCtx, endpoint, event, parameter_group, secret};

/// The task that keeps clusters whole.
pub(crate) const WATCH: &str = "elasticache.watch";

/// How often it is looked which nodes serve.
const LOOK: Duration = Duration::from_millis(500);

/// What holds for the nodes of caches. A replica that was just given a copy turns the order to end
/// down while it writes its first log, and its primary holds all that it has: its grace is short.
pub(crate) const TERMS: Terms = Terms {
    prefix: "cache",
    stop_grace: Duration::from_secs(5),
    scratch_bytes: 16 << 20,
    pids_max: 256,
};

/// Memory beside the node type's own, which is what data and its copies may take: buffers of
/// connections, the pages of the log that is written.
const OVERHEAD_BYTES: u64 = 128 << 20;

/// The service's drivers and the clusters that it holds.
pub struct ElastiCache {
    pub(crate) drivers: Drivers,
    pub(crate) clusters: Clusters,
}

impl ElastiCache {
    pub(crate) fn new(drivers: Drivers) -> Self {
        Self { drivers, clusters: Clusters::default() }
    }

    /// The volume of a node.
    pub(crate) fn volume(&self, node: &str) -> std::path::PathBuf {
        self.drivers.data_dir.join("nodes").join(node)
    }
}

/// The record of a cache whose cluster is held.
struct CacheRecord {
    kernel: Arc<Kernel>,
    scope: Scope,
    key: String,
}

#[async_trait]
impl Owner for CacheRecord {
    async fn primary_changed(&self, node: &str) -> io::Result<()> {
        let store = self.kernel.store().scoped(self.scope.clone());
        let write = |tx: &mut WriteTx<'_>| -> Result<()> {
            let Some(mut cache) = tx.get(&CACHES, &self.key)? else { return Ok(()) };
            let known = cache.nodes.iter().any(|known| known.id == node);
            if known && cache.primary != node {
                // The old primary serves nobody until it is seen to follow.
                for other in cache.nodes.iter_mut().filter(|other| other.id == cache.primary) {
                    other.serving = false;
                }
                node.clone_into(&mut cache.primary);
                tx.put(&CACHES, &cache)?;
            }
            endpoint::write(tx, &self.scope, &cache)
        };
        store.write(write).await.map_err(|error: Error| io::Error::other(error.to_string()))
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
        vcpus: node_type.vcpus,
        memory_bytes: node_type.memory_bytes.saturating_add(OVERHEAD_BYTES),
        hostname: node.cluster.clone(),
        admits: Admits::Clients,
    }))
}

/// The cluster of `cache`, made now if it is not held. Nodes that have not joined yet are not in
/// it.
pub(crate) async fn of(ctx: &TaskCtx, store: &ScopedStore, cache: &Cache) -> Result<Arc<Running>> {
    ctx.drivers.clusters.of(&cache.resource_id, parts(ctx, store, cache)).await
}

async fn parts(ctx: &TaskCtx, store: &ScopedStore, cache: &Cache) -> Result<Parts> {
    let engine = Engine { kind: cache.engine, version: cache.series.clone() };
    let parameters = if cache.applied.node_type.is_empty() {
        parameter_group::values(store, &cache.parameter_group).await?
    } else {
        cache.applied.values.clone()
    };
    let spec = ClusterSpec {
        root: ctx.drivers.drivers.engines.ensure(&engine).await?,
        secrets: secret::open(&ctx.drivers, cache)?,
        parameters,
        memory_bytes: type_of(cache)?.memory_bytes,
        cache_access: CacheAccess::Open,
        tls: None,
    };
    let mut nodes = Vec::new();
    let creating = cache.status == Status::Creating;
    for record in cache.nodes.iter().filter(|node| node.joined || creating) {
        let role = if record.id == cache.primary { Role::Primary } else { Role::Replica };
        let node = node_of(&ctx.drivers, cache, record);
        if let (Some(node), Some(place)) = (node, place_of(cache, record)?) {
            nodes.push((node, role, place));
        }
    }
    let scope = store.scope().clone();
    let (kernel, key) = (ctx.kernel().clone(), cache.key());
    Ok(Parts {
        id: cache.resource_id.clone(),
        scope: scope.clone(),
        key: key.clone(),
        primary: cache.primary.clone(),
        spec,
        nodes,
        owner: Box::new(CacheRecord { kernel, scope, key }),
        terms: TERMS,
        net: ctx.drivers.drivers.net.clone(),
        machine: ctx.drivers.drivers.machine.clone(),
    })
}

/// The clusters that are to be watched.
pub(crate) async fn watched(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    Ok(ctx.drivers.clusters.watched())
}

/// Keeps one cluster whole and writes down what happens to it, until it is let go.
pub(crate) async fn watch(ctx: TaskCtx, key: String) -> Result<Next, TaskError> {
    let Some(running) = ctx.drivers.clusters.held(&key) else { return Ok(Next::Idle) };
    let mut watching = running.watch().await;
    loop {
        match tokio::time::timeout(LOOK, watching.next()).await {
            Ok(None) => return Ok(Next::Idle),
            Ok(Some(notice)) => {
                event::of_cluster(&ctx, &running.scope, &running.key, notice).await?;
            }
            Err(_) => note_serving(&ctx, &running).await?,
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
    ctx.drivers.clusters.follow(ctx.drivers.drivers.machine.as_ref()).await;
    Ok(Next::Idle)
}
