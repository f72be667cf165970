//! The clusters that this process holds: made from the records, adopted after a restart.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::{CacheAccess, ClusterSpec, Engine, Node, Role, user_of};
use kernel::{Kernel, Next, TaskError};
pub(crate) use nodes::Running;
use nodes::{Admits, Clusters, Owner, Parts, Place, Terms};
use store::{Scope, ScopedStore, WriteTx};

use crate::class::{self, Class};
use crate::error::{Error, Result};
use crate::store::{DbInstance, INSTANCES, NodeRecord};
use crate::{Drivers, TaskCtx, credentials, endpoint, event, parameter_group};

/// The task that keeps clusters whole.
pub(crate) const WATCH: &str = "rds.watch";

/// What holds for the nodes of DB instances. They may have more processes and threads than the
/// connections of their largest setting.
pub(crate) const TERMS: Terms = Terms {
    prefix: "rds",
    stop_grace: Duration::from_secs(120),
    scratch_bytes: 256 << 20,
    pids_max: 16_384,
};

/// The service's drivers and the clusters that it holds.
pub struct Rds {
    pub(crate) drivers: Drivers,
    pub(crate) clusters: Clusters,
}

impl Rds {
    pub(crate) fn new(drivers: Drivers) -> Self {
        Self { drivers, clusters: Clusters::default() }
    }

    /// The volume of a node.
    pub(crate) fn volume(&self, node: &str) -> std::path::PathBuf {
        self.drivers.data_dir.join("nodes").join(node)
    }
}

/// The record of an instance whose cluster is held.
struct InstanceRecord {
    kernel: Arc<Kernel>,
    scope: Scope,
    name: String,
}

#[async_trait]
impl Owner for InstanceRecord {
    async fn primary_changed(&self, node: &str) -> io::Result<()> {
        let store = self.kernel.store().scoped(self.scope.clone());
        let write = |tx: &mut WriteTx<'_>| -> Result<()> {
            let Some(mut instance) = tx.get(&INSTANCES, &self.name)? else { return Ok(()) };
            if instance.nodes.iter().any(|known| known.id == node) && instance.primary != node {
                node.clone_into(&mut instance.primary);
                tx.put(&INSTANCES, &instance)?;
            }
            endpoint::write(tx, &self.scope, &instance)
        };
        store.write(write).await.map_err(|error: Error| io::Error::other(error.to_string()))
    }
}

fn class_of(instance: &DbInstance) -> Result<Class> {
    let found = class::find(&instance.class);
    found.ok_or_else(|| Error::value(format!("Invalid DB Instance class: {}", instance.class)))
}

/// The node as the driver knows it, once it has an interface.
pub(crate) fn node_of(rds: &Rds, instance: &DbInstance, node: &NodeRecord) -> Option<Node> {
    Some(Node {
        id: node.id.clone(),
        number: node.number,
        zone: node.zone.to_string(),
        address: node.address?.into(),
        port: instance.port,
        volume: rds.volume(&node.id),
        owner: user_of(instance.engine),
    })
}

/// What the host must know of a node.
pub(crate) fn place_of(instance: &DbInstance, node: &NodeRecord) -> Result<Option<Place>> {
    let class = class_of(instance)?;
    let admits = match instance.follows() {
        // A standby answers nobody.
        None => Admits::ClientsOfThePrimary,
        Some(_) => Admits::Clients,
    };
    Ok(node.eni.clone().map(|eni| Place {
        zone: node.zone.clone(),
        eni,
        vpc: instance.vpc.clone(),
        vcpus: class.vcpus,
        memory_bytes: class.memory_bytes,
        hostname: instance.name.clone(),
        admits,
    }))
}

/// The cluster of `root` (an instance that follows no other), made now if it is not held.
pub(crate) async fn of(
    ctx: &TaskCtx,
    store: &ScopedStore,
    root: &DbInstance,
) -> Result<Arc<Running>> {
    ctx.drivers.clusters.of(&root.resource_id, parts(ctx, store, root)).await
}

async fn parts(ctx: &TaskCtx, store: &ScopedStore, root: &DbInstance) -> Result<Parts> {
    let replicas = replicas_of(store, &root.name).await?;
    let engine = Engine { kind: root.engine, version: root.series.clone() };
    let engine_root = ctx.drivers.drivers.engines.ensure(&engine).await?;
    let parameters = if root.applied.class.is_empty() {
        parameter_group::values(store, &root.parameter_group).await?
    } else {
        root.applied.values.clone()
    };
    let spec = ClusterSpec {
        root: engine_root,
        secrets: credentials::cluster_secrets(&ctx.drivers, root)?,
        parameters,
        memory_bytes: class_of(root)?.memory_bytes,
        cache_access: CacheAccess::Open,
        tls: None,
    };
    let mut nodes = Vec::new();
    let joined = replicas.iter().filter(|replica| replica.joined);
    for instance in std::iter::once(root).chain(joined) {
        for record in &instance.nodes {
            let role = match (instance.follows(), record.id == instance.primary) {
                (Some(_), _) => Role::Replica,
                (None, true) => Role::Primary,
                (None, false) => Role::Standby,
            };
            let node = node_of(&ctx.drivers, instance, record);
            if let (Some(node), Some(place)) = (node, place_of(instance, record)?) {
                nodes.push((node, role, place));
            }
        }
    }
    let scope = store.scope().clone();
    let kernel = ctx.kernel().clone();
    Ok(Parts {
        id: root.resource_id.clone(),
        scope: scope.clone(),
        key: root.name.clone(),
        primary: root.primary.clone(),
        spec,
        nodes,
        owner: Box::new(InstanceRecord { kernel, scope, name: root.name.clone() }),
        terms: TERMS,
        net: ctx.drivers.drivers.net.clone(),
        machine: ctx.drivers.drivers.machine.clone(),
    })
}

/// The read replicas of an instance.
pub(crate) async fn replicas_of(store: &ScopedStore, name: &str) -> Result<Vec<DbInstance>> {
    let all: Vec<DbInstance> =
        store.read(|tx| tx.scan(&INSTANCES, ())).await.map_err(|error: store::Error| error)?;
    Ok(all.into_iter().filter(|instance| instance.follows() == Some(name)).collect())
}

/// The clusters that are to be watched.
pub(crate) async fn watched(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    Ok(ctx.drivers.clusters.watched())
}

/// Keeps one cluster whole and writes down what happens to it, until it is let go.
pub(crate) async fn watch(ctx: TaskCtx, key: String) -> Result<Next, TaskError> {
    let Some(running) = ctx.drivers.clusters.held(&key) else { return Ok(Next::Idle) };
    let mut watching = running.watch().await;
    while let Some(notice) = watching.next().await {
        event::of_cluster(&ctx, &running.scope, &running.key, notice).await?;
    }
    Ok(Next::Idle)
}

/// Tells clusters that a process of theirs has ended, so that they look at once.
pub(crate) async fn follow_machine(ctx: TaskCtx) -> Result<Next, TaskError> {
    ctx.drivers.clusters.follow(ctx.drivers.drivers.machine.as_ref()).await;
    Ok(Next::Idle)
}
