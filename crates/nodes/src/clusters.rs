//! The clusters that a process holds: made from the service's records, adopted after a restart.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Cluster, ClusterSpec, EngineRoot, Event, Node, Role};
use kernel::TaskCtx;
use machine::{EventKind, Machine};
use net::Net;
use store::Scope;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::host::{NodeHost, Owner, Place, Terms};

/// How many notices of a cluster wait to be written as events.
const NOTICES_MAX: usize = 256;

/// The clusters of a service, by the lasting id of the record that each was made from.
#[derive(Default)]
pub struct Clusters {
    held: Mutex<BTreeMap<String, Arc<Running>>>,
    building: tokio::sync::Mutex<()>,
}

/// A cluster that this process holds.
pub struct Running {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// What runs its nodes.
    pub host: Arc<NodeHost>,
    /// Its engine.
    pub root: EngineRoot,
    /// Where its record lies.
    pub scope: Scope,
    /// The key of its record.
    pub key: String,
    notices: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    wanted: AtomicBool,
    stop: CancellationToken,
}

/// What a cluster is made of.
pub struct Parts {
    /// The lasting id of its record.
    pub id: String,
    /// Where its record lies.
    pub scope: Scope,
    /// The key of its record.
    pub key: String,
    /// The node that was last the primary.
    pub primary: String,
    /// What its nodes share.
    pub spec: ClusterSpec,
    /// Its nodes.
    pub nodes: Vec<(Node, Role, Place)>,
    /// Its record.
    pub owner: Box<dyn Owner>,
    /// What holds for all nodes of the service.
    pub terms: Terms,
    /// The fabric.
    pub net: Arc<dyn Net>,
    /// The zones.
    pub machine: Arc<dyn Machine>,
}

impl Clusters {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Running>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster of the record with this id, if it is held.
    pub fn held(&self, id: &str) -> Option<Arc<Running>> {
        self.locked().get(id).cloned()
    }

    /// The cluster of the record with this id, made of what `parts` gives if it is not held.
    ///
    /// # Errors
    ///
    /// That of `parts`, the engine driver's, or the fabric's.
    pub async fn of<E: From<engine::Error> + From<std::io::Error>>(
        &self,
        id: &str,
        parts: impl Future<Output = Result<Parts, E>>,
    ) -> Result<Arc<Running>, E> {
        let _building = self.building.lock().await;
        if let Some(running) = self.held(id) {
            return Ok(running);
        }
        let parts = parts.await?;
        let (sender, receiver) = mpsc::channel(NOTICES_MAX);
        let root = parts.spec.root.clone();
        let drivers = (parts.net, parts.machine);
        let names = (parts.id, parts.primary);
        let host = NodeHost::new(drivers, parts.terms, names, &root, parts.owner, sender);
        let mut nodes = Vec::new();
        for (node, role, place) in parts.nodes {
            host.put(&node.id, place);
            nodes.push((node, role));
        }
        host.tie().await?;
        let host = Arc::new(host);
        let cluster = Arc::new(Cluster::new(parts.spec, nodes, host.clone())?);
        let running = Arc::new(Running {
            cluster,
            host,
            root,
            scope: parts.scope,
            key: parts.key,
            notices: tokio::sync::Mutex::new(receiver),
            wanted: AtomicBool::new(false),
            stop: CancellationToken::new(),
        });
        self.locked().insert(id.to_owned(), running.clone());
        Ok(running)
    }

    /// Lets a cluster go: nobody watches it any more. Its nodes run on.
    pub async fn let_go(&self, id: &str) {
        let held = self.locked().remove(id);
        if let Some(running) = held {
            running.stop.cancel();
            // Whoever watches holds this until it has stopped.
            drop(running.notices.lock().await);
        }
    }

    /// The ids of those that are to be watched.
    pub fn watched(&self) -> Vec<String> {
        let held = self.locked();
        let wanted = held.iter().filter(|(_, running)| running.wanted.load(Ordering::SeqCst));
        wanted.map(|(id, _)| id.clone()).collect()
    }

    /// Tells clusters that a process of theirs has ended, so that they look at once, until the
    /// machine driver tells no more.
    pub async fn follow(&self, machine: &dyn Machine) {
        let mut events = machine.events();
        loop {
            let happened = events.recv().await;
            let all: Vec<_> = self.locked().values().cloned().collect();
            for running in all {
                for (id, place) in running.host.places() {
                    let concerned = match &happened {
                        Ok(event) => match event.kind {
                            EventKind::Exited(_) => {
                                event.zone == place.zone && event.id == running.host.workload(&id)
                            }
                            EventKind::SupervisorLost | EventKind::SupervisorBack => {
                                event.zone == place.zone
                            }
                            EventKind::Started => false,
                        },
                        Err(RecvError::Lagged(_)) => true,
                        Err(RecvError::Closed) => return,
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
}

impl Running {
    /// Has the cluster watched from now on, by the task called `watch`.
    pub fn keep_whole<D>(&self, ctx: &TaskCtx<D>, watch: &str) {
        if !self.wanted.swap(true, Ordering::SeqCst) {
            ctx.wake(watch);
        }
    }

    /// Watches the cluster. There is one that watches at a time.
    pub async fn watch(&self) -> Watching<'_> {
        let notices = self.notices.lock().await;
        Watching { running: self, notices, whole: Box::pin(self.cluster.clone().watch()) }
    }
}

/// Keeps a cluster whole while it is asked for what comes next.
pub struct Watching<'a> {
    running: &'a Running,
    notices: tokio::sync::MutexGuard<'a, mpsc::Receiver<Event>>,
    whole: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Watching<'_> {
    /// What happens next in the cluster; nothing once it was let go. May be dropped and called
    /// again.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            () = self.running.stop.cancelled() => None,
            () = &mut self.whole => None,
            notice = self.notices.recv() => notice,
        }
    }
}
