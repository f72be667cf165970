//! The clusters that this process holds: made from the records, adopted after a restart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{CacheAccess, Cluster, ClusterSpec, Engine, EngineRoot, Event, Node, Role, user_of};
use kernel::{Next, TaskError};
use machine::EventKind;
use store::{Scope, ScopedStore};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::class::{self, Class};
use crate::error::{Error, Result};
use crate::node_host::{NodeHost, Place, workload};
use crate::store::{DbInstance, INSTANCES, NodeRecord};
use crate::{Drivers, TaskCtx, credentials, event, parameter_group};

/// The task that keeps clusters whole.
pub(crate) const WATCH: &str = "rds.watch";

/// How many notices of a cluster wait to be written as events.
const NOTICES_MAX: usize = 256;

/// The service's drivers and the clusters that it holds.
pub struct Rds {
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
    instance: String,
    notices: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    wanted: AtomicBool,
    stop: CancellationToken,
}

impl Rds {
    pub(crate) fn new(drivers: Drivers) -> Self {
        Self { drivers, clusters: Mutex::default(), building: tokio::sync::Mutex::default() }
    }

    fn clusters(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Running>>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster of the instance with this resource id, if it is held.
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
    Ok(node.eni.clone().map(|eni| Place {
        zone: node.zone.clone(),
        eni,
        vpc: instance.vpc.clone(),
        class,
        hostname: instance.name.clone(),
    }))
}

/// The cluster of `root` (an instance that follows no other), made now if it is not held.
pub(crate) async fn of(
    ctx: &TaskCtx,
    store: &ScopedStore,
    root: &DbInstance,
) -> Result<Arc<Running>> {
    let _building = ctx.drivers.building.lock().await;
    if let Some(running) = ctx.drivers.held(&root.resource_id) {
        return Ok(running);
    }
    let replicas = replicas_of(store, &root.name).await?;
    let kind = root.engine;
    let engine = Engine { kind, version: root.series.clone() };
    let engine_root = ctx.drivers.drivers.engines.ensure(&engine).await?;
    let parameters = if root.applied.class.is_empty() {
        parameter_group::values(store, &root.parameter_group).await?
    } else {
        root.applied.values.clone()
    };
    let spec = ClusterSpec {
        root: engine_root.clone(),
        secrets: credentials::cluster_secrets(&ctx.drivers, root)?,
        parameters,
        memory_bytes: class_of(root)?.memory_bytes,
        cache_access: CacheAccess::Open,
        tls: None,
    };
    let (sender, receiver) = mpsc::channel(NOTICES_MAX);
    let scope = store.scope().clone();
    let host = Arc::new(NodeHost::new(ctx, scope.clone(), root, &engine_root, sender));
    let mut nodes = Vec::new();
    let joined = replicas.iter().filter(|replica| replica.joined);
    for instance in std::iter::once(root).chain(joined) {
        for record in &instance.nodes {
            let role = match (instance.follows(), record.id == instance.primary) {
                (Some(_), _) => Role::Replica,
                (None, true) => Role::Primary,
                (None, false) => Role::Standby,
            };
            if let (Some(node), Some(place)) =
                (node_of(&ctx.drivers, instance, record), place_of(instance, record)?)
            {
                host.put(&record.id, place);
                nodes.push((node, role));
            }
        }
    }
    let cluster = Arc::new(Cluster::new(spec, nodes, host.clone())?);
    let running = Arc::new(Running {
        cluster,
        host,
        root: engine_root,
        scope,
        instance: root.name.clone(),
        notices: tokio::sync::Mutex::new(receiver),
        wanted: AtomicBool::new(false),
        stop: CancellationToken::new(),
    });
    ctx.drivers.clusters().insert(root.resource_id.clone(), running.clone());
    Ok(running)
}

/// The read replicas of an instance.
pub(crate) async fn replicas_of(store: &ScopedStore, name: &str) -> Result<Vec<DbInstance>> {
    let all: Vec<DbInstance> =
        store.read(|tx| tx.scan(&INSTANCES, ())).await.map_err(|error: store::Error| error)?;
    Ok(all.into_iter().filter(|instance| instance.follows() == Some(name)).collect())
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
                event::of_cluster(&ctx, &running.scope, &running.instance, notice).await?;
            }
        }
    }
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
        }
    }
}
