//! Nodes as workloads: how the engine driver starts, stops, fences and reaches them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base::{ResourceId, Zone};
use engine::{EngineProcess, EngineRoot, Event, Host, Node};
use kernel::Kernel;
use machine::{
    Access, Bind, Kind, Limits, Machine, Process, Root, State, Stop, StopRequest, Upper,
    WorkloadSpec,
};
use net::Net;
use store::{Record, Scope, WriteTx};
use tokio::sync::mpsc;

use crate::endpoint;
use crate::node_type::NodeType;
use crate::store::{CACHES, Cache};
use crate::{TaskCtx, error};

/// How long an engine has to end in order before it is killed. A replica that was just given a copy
/// turns the order down while it writes its first log, and its primary holds all that it has.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long a connection to a node's port may take.
const REACH_MAX: Duration = Duration::from_secs(1);

/// What an engine may write beside its volume.
const SCRATCH_BYTES: u64 = 16 << 20;

/// Memory beside the node type's own, which is what data and its copies may take: buffers of
/// connections, the pages of the log that is written.
const OVERHEAD_BYTES: u64 = 128 << 20;

/// Processes and threads of a node.
const PIDS_MAX: u64 = 256;

/// What is decided about a node beside what the driver knows.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) zone: Zone,
    pub(crate) eni: ResourceId,
    pub(crate) vpc: ResourceId,
    pub(crate) node_type: NodeType,
    pub(crate) hostname: String,
}

/// The nodes of one cluster as workloads.
pub(crate) struct NodeHost {
    net: Arc<dyn Net>,
    machine: Arc<dyn Machine>,
    kernel: Arc<Kernel>,
    scope: Scope,
    key: String,
    layer: PathBuf,
    places: Mutex<BTreeMap<String, Place>>,
    notices: mpsc::Sender<Event>,
}

/// The name of a node's workload.
pub(crate) fn workload(node: &str) -> String {
    format!("cache-{node}")
}

impl NodeHost {
    pub(crate) fn new(
        ctx: &TaskCtx,
        scope: Scope,
        cache: &Cache,
        engine: &EngineRoot,
        notices: mpsc::Sender<Event>,
    ) -> Self {
        let drivers = &ctx.drivers.drivers;
        Self {
            net: drivers.net.clone(),
            machine: drivers.machine.clone(),
            kernel: ctx.kernel().clone(),
            scope,
            key: cache.key(),
            layer: engine.path.clone(),
            places: Mutex::default(),
            notices,
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where a node runs.
    pub(crate) fn put(&self, node: &str, place: Place) {
        self.locked().insert(node.to_owned(), place);
    }

    /// Forgets a node that is no part of the cluster any more.
    pub(crate) fn forget(&self, node: &str) {
        self.locked().remove(node);
    }

    /// Every node and where it runs.
    pub(crate) fn places(&self) -> Vec<(String, Place)> {
        self.locked().iter().map(|(id, place)| (id.clone(), place.clone())).collect()
    }

    fn place(&self, node: &Node) -> io::Result<Place> {
        let found = self.locked().get(&node.id).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the node has no place"))
    }

    fn spec(&self, node: &Node, place: &Place, process: &EngineProcess) -> WorkloadSpec {
        let bind = Bind {
            source: node.volume.clone(),
            target: process.data_mount.into(),
            access: Access::ReadWrite,
        };
        let root = Root {
            layers: vec![self.layer.clone()],
            upper: Upper::Memory { size_bytes: SCRATCH_BYTES },
            binds: vec![bind],
            files: Vec::new(),
        };
        WorkloadSpec {
            id: workload(&node.id),
            kind: Kind::Process(Process {
                root,
                hostname: place.hostname.clone(),
                argv: process.argv.clone(),
                env: process.env.clone(),
                uid: process.uid,
                gid: process.gid,
                cwd: process.data_mount.into(),
            }),
            netns: Some(self.net.eni_namespace(&place.eni)),
            limits: Limits {
                cpus: Some(f64::from(place.node_type.vcpus)),
                memory_bytes: Some(place.node_type.memory_bytes.saturating_add(OVERHEAD_BYTES)),
                pids_max: Some(PIDS_MAX),
            },
            stop: StopRequest { signal: signal(process.stop_signal), grace: STOP_GRACE },
        }
    }

    async fn end(&self, node: &Node, how: Stop) -> io::Result<()> {
        let place = self.place(node)?;
        match self.machine.stop(&place.zone, &workload(&node.id), how).await {
            // Nothing of a zone outlives its supervisor.
            Ok(()) | Err(machine::Error::ZoneDown { .. }) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn signal(name: &str) -> i32 {
    match name {
        "SIGINT" => libc::SIGINT,
        "SIGQUIT" => libc::SIGQUIT,
        "SIGKILL" => libc::SIGKILL,
        _ => libc::SIGTERM,
    }
}

/// Whether a workload has a process now.
pub(crate) async fn has_process(
    machine: &dyn Machine,
    zone: &Zone,
    node: &str,
) -> machine::Result<bool> {
    let id = workload(node);
    match machine.list(zone).await {
        Ok(all) => Ok(all.iter().any(|status| {
            status.id == id && matches!(status.state, State::Starting | State::Running { .. })
        })),
        Err(machine::Error::ZoneDown { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Host for NodeHost {
    async fn start(&self, node: &Node, process: &EngineProcess) -> io::Result<()> {
        let place = self.place(node)?;
        if self.runs(node).await? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the node runs already"));
        }
        self.net.set_eni_link(&place.eni, true).await.map_err(io::Error::other)?;
        let spec = self.spec(node, &place, process);
        self.machine.start(&place.zone, spec).await.map_err(io::Error::other)
    }

    async fn stop(&self, node: &Node) -> io::Result<()> {
        self.end(node, Stop::Graceful { grace: None }).await
    }

    async fn fence(&self, node: &Node) -> io::Result<()> {
        let place = self.place(node)?;
        self.net.set_eni_link(&place.eni, false).await.map_err(io::Error::other)?;
        self.end(node, Stop::Kill).await
    }

    async fn runs(&self, node: &Node) -> io::Result<bool> {
        let place = self.place(node)?;
        let machine = self.machine.as_ref();
        has_process(machine, &place.zone, &node.id).await.map_err(io::Error::other)
    }

    async fn reach(&self, node: &Node) -> io::Result<()> {
        let place = self.place(node)?;
        let IpAddr::V4(address) = node.address else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "not an IPv4 address"));
        };
        let socket = net::tcp_socket(&self.net.router_namespace(&place.vpc))?;
        let connecting = socket.connect(SocketAddr::from((address, node.port)));
        match tokio::time::timeout(REACH_MAX, connecting).await {
            Ok(connected) => connected.map(drop),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn primary_changed(&self, node: &Node) -> io::Result<()> {
        let store = self.kernel.store().scoped(self.scope.clone());
        let write = |tx: &mut WriteTx<'_>| {
            let Some(mut cache) = tx.get(&CACHES, &self.key)? else { return Ok(()) };
            let known = cache.nodes.iter().any(|known| known.id == node.id);
            if known && cache.primary != node.id {
                // The old primary serves nobody until it is seen to follow.
                for other in cache.nodes.iter_mut().filter(|other| other.id == cache.primary) {
                    other.serving = false;
                }
                cache.primary.clone_from(&node.id);
                tx.put(&CACHES, &cache)?;
            }
            endpoint::write(tx, &self.scope, &cache)
        };
        store.write(write).await.map_err(|error: error::Error| io::Error::other(error.to_string()))
    }

    fn notice(&self, event: Event) {
        if let Err(error) = self.notices.try_send(event) {
            tracing::warn!(cache = self.key, %error, "an event of a cache is lost");
        }
    }
}
