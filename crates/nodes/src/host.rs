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
use machine::{
    Access, Bind, Kind, Limits, Machine, Process, Root, State, Stop, StopRequest, Upper,
    WorkloadSpec, WorkloadStatus,
};
use net::{Admission, Cohort, Net};
use tokio::sync::mpsc;

/// How long a connection to a node's port may take.
const REACH_MAX: Duration = Duration::from_secs(1);

/// How long a process that is killed may take to be gone before its link is cut.
const KILL_MAX: Duration = Duration::from_secs(1);

/// What holds for all nodes of a service.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// What the names of its workloads begin with.
    pub prefix: &'static str,
    /// How long an engine has to end in order before it is killed.
    pub stop_grace: Duration,
    /// What an engine may write beside its volume.
    pub scratch_bytes: u64,
    /// Processes and threads of a node.
    pub pids_max: u64,
}

impl Terms {
    /// The name of a node's workload.
    pub fn workload(&self, node: &str) -> String {
        format!("{}-{node}", self.prefix)
    }
}

/// When a node serves clients. What its cluster's nodes say to each other passes always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Always.
    Clients,
    /// While it is the primary: it is one of a pair whose other half answers nobody.
    ClientsOfThePrimary,
}

/// What is decided about a node beside what the driver knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its zone.
    pub zone: Zone,
    /// Its interface.
    pub eni: ResourceId,
    /// The VPC of the interface.
    pub vpc: ResourceId,
    /// How many processors it gets.
    pub vcpus: u32,
    /// How much memory it gets.
    pub memory_bytes: u64,
    /// Its name for itself.
    pub hostname: String,
    /// When it serves clients.
    pub admits: Admits,
}

/// The record that a cluster was made from.
#[async_trait]
pub trait Owner: Send + Sync + 'static {
    /// Leads the writers' name to a node, which takes writes.
    async fn primary_changed(&self, node: &str) -> io::Result<()>;
}

/// The nodes of one cluster as workloads.
pub struct NodeHost {
    net: Arc<dyn Net>,
    machine: Arc<dyn Machine>,
    owner: Box<dyn Owner>,
    terms: Terms,
    name: String,
    layer: PathBuf,
    places: Mutex<BTreeMap<String, Place>>,
    primary: Mutex<String>,
    notices: mpsc::Sender<Event>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NodeHost {
    /// The host of a cluster that has this name among its service's, whose nodes run the engine at
    /// `root`, and whose primary was last `primary`.
    pub(crate) fn new(
        drivers: (Arc<dyn Net>, Arc<dyn Machine>),
        terms: Terms,
        (name, primary): (String, String),
        root: &EngineRoot,
        owner: Box<dyn Owner>,
        notices: mpsc::Sender<Event>,
    ) -> Self {
        let (net, machine) = drivers;
        Self {
            net,
            machine,
            owner,
            terms,
            name,
            layer: root.path.clone(),
            places: Mutex::default(),
            primary: Mutex::new(primary),
            notices,
        }
    }

    /// Says where a node runs.
    pub fn put(&self, node: &str, place: Place) {
        locked(&self.places).insert(node.to_owned(), place);
    }

    /// Forgets a node that is no part of the cluster any more.
    ///
    /// # Errors
    ///
    /// The fabric's, which still takes it for one of the cluster.
    pub async fn forget(&self, node: &str) -> io::Result<()> {
        locked(&self.places).remove(node);
        self.tie().await
    }

    /// Every node and where it runs.
    pub fn places(&self) -> Vec<(String, Place)> {
        locked(&self.places).iter().map(|(id, place)| (id.clone(), place.clone())).collect()
    }

    /// The name of a node's workload.
    pub fn workload(&self, node: &str) -> String {
        self.terms.workload(node)
    }

    fn place(&self, node: &Node) -> io::Result<Place> {
        let found = locked(&self.places).get(&node.id).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the node has no place"))
    }

    /// Has the fabric carry what the nodes say to each other, and keep clients from those that are
    /// not to serve them.
    pub(crate) async fn tie(&self) -> io::Result<()> {
        let primary = locked(&self.primary).clone();
        let admission = |id: &str, place: &Place| match place.admits {
            Admits::ClientsOfThePrimary if id != primary => Admission::Cohort,
            Admits::ClientsOfThePrimary | Admits::Clients => Admission::Groups,
        };
        let members: Cohort = self
            .places()
            .into_iter()
            .map(|(id, place)| (place.eni.clone(), admission(&id, &place)))
            .collect();
        let name = self.terms.workload(&self.name);
        self.net.set_cohort(&name, members).await.map_err(io::Error::other)
    }

    fn spec(&self, node: &Node, place: &Place, process: &EngineProcess) -> WorkloadSpec {
        let bind = Bind {
            source: node.volume.clone(),
            target: process.data_mount.into(),
            access: Access::ReadWrite,
        };
        let root = Root {
            layers: vec![self.layer.clone()],
            upper: Upper::Memory { size_bytes: self.terms.scratch_bytes },
            binds: vec![bind],
            files: Vec::new(),
        };
        WorkloadSpec {
            id: self.workload(&node.id),
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
                cpus: Some(f64::from(place.vcpus)),
                memory_bytes: Some(place.memory_bytes),
                pids_max: Some(self.terms.pids_max),
            },
            stop: StopRequest { signal: signal(process.stop_signal), grace: self.terms.stop_grace },
        }
    }

    /// Has an interface's link up, even if it went down behind the fabric's back: the fabric does
    /// again only what it is told to change.
    async fn restore_link(&self, eni: &ResourceId) -> net::Result<()> {
        self.net.set_eni_link(eni, true).await?;
        let seen = self.net.observe().await?.interfaces.get(eni).copied();
        if seen.is_some_and(|state| !state.up) {
            self.net.set_eni_link(eni, false).await?;
            self.net.set_eni_link(eni, true).await?;
        }
        Ok(())
    }

    /// Whether the zone's supervisor, who would know, knows of no process of the node.
    async fn has_ended(&self, node: &Node, place: &Place) -> bool {
        let all = self.machine.list(&place.zone).await;
        all.is_ok_and(|all| !lives(&all, &self.workload(&node.id)))
    }

    async fn end(&self, node: &Node, how: Stop) -> io::Result<()> {
        let place = self.place(node)?;
        match self.machine.stop(&place.zone, &self.workload(&node.id), how).await {
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

fn lives(all: &[WorkloadStatus], workload: &str) -> bool {
    let alive = |state: &State| matches!(state, State::Starting | State::Running { .. });
    all.iter().any(|status| status.id == workload && alive(&status.state))
}

/// Whether a workload has a process now.
///
/// # Errors
///
/// The machine driver's.
pub async fn has_process(
    machine: &dyn Machine,
    zone: &Zone,
    workload: &str,
) -> machine::Result<bool> {
    match machine.list(zone).await {
        Ok(all) => Ok(lives(&all, workload)),
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
        self.tie().await?;
        self.restore_link(&place.eni).await.map_err(io::Error::other)?;
        let spec = self.spec(node, &place, process);
        self.machine.start(&place.zone, spec).await.map_err(io::Error::other)
    }

    async fn stop(&self, node: &Node) -> io::Result<()> {
        self.end(node, Stop::Graceful { grace: None }).await
    }

    /// A process that ends while its link is up tells its clients and its followers so, who would
    /// wait for an answer otherwise: the link is cut only when that is not seen to work.
    async fn fence(&self, node: &Node) -> io::Result<()> {
        let place = self.place(node)?;
        if self.has_ended(node, &place).await {
            return Ok(());
        }
        let workload = self.workload(&node.id);
        let killing = self.machine.stop(&place.zone, &workload, Stop::Kill);
        let killed = tokio::time::timeout(KILL_MAX, killing).await;
        if matches!(killed, Ok(Ok(()))) && self.has_ended(node, &place).await {
            return Ok(());
        }
        self.net.set_eni_link(&place.eni, false).await.map_err(io::Error::other)?;
        self.end(node, Stop::Kill).await
    }

    async fn runs(&self, node: &Node) -> io::Result<bool> {
        let place = self.place(node)?;
        let workload = self.workload(&node.id);
        let found = has_process(self.machine.as_ref(), &place.zone, &workload).await;
        found.map_err(io::Error::other)
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
        locked(&self.primary).clone_from(&node.id);
        // Its interface must admit clients before they are led there.
        self.tie().await?;
        self.owner.primary_changed(&node.id).await
    }

    fn notice(&self, event: Event) {
        if let Err(error) = self.notices.try_send(event) {
            tracing::warn!(cluster = self.name, %error, "an event of a cluster is lost");
        }
    }
}
