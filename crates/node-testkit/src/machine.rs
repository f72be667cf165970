//! A machine that runs engines as child processes of the test.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base::{Timestamp, Zone};
use engine::{Owner, RootCommand};
use machine::{
    Event, EventKind, Exec, Exit, Kind, Machine, Output, State, Stop, WorkloadSpec, WorkloadStatus,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Notify, broadcast};

use crate::Addresses;

struct Child {
    zone: Zone,
    pid: u32,
    stop: Signal,
    grace: Duration,
    ended: Arc<AtomicBool>,
    gone: Arc<Notify>,
}

/// The machine.
pub struct Children {
    all: Mutex<HashMap<String, Child>>,
    events: broadcast::Sender<Event>,
    closed: AtomicBool,
    addresses: Arc<Addresses>,
}

impl Children {
    pub(crate) fn new(events: broadcast::Sender<Event>, addresses: Arc<Addresses>) -> Self {
        Self { all: Mutex::default(), events, closed: AtomicBool::new(false), addresses }
    }

    fn signal(&self, id: &str, signal: Signal) -> Option<(Arc<AtomicBool>, Arc<Notify>)> {
        let all = self.all.lock().unwrap();
        let child = all.get(id)?;
        if !child.ended.load(Ordering::SeqCst) {
            let mut pids = vec![child.pid];
            if signal == Signal::KILL {
                let path = format!("/proc/{0}/task/{0}/children", child.pid);
                let text = std::fs::read_to_string(path).unwrap_or_default();
                pids.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            for pid in pids {
                // One that has ended meanwhile takes no signal.
                let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
            }
        }
        Some((child.ended.clone(), child.gone.clone()))
    }

    /// Kills a workload as a crash would.
    pub fn kill(&self, id: &str) {
        self.signal(id, Signal::KILL);
    }

    /// The processes of the workloads that run.
    pub fn pids(&self) -> BTreeMap<String, u32> {
        let all = self.all.lock().unwrap();
        let alive = all.iter().filter(|(_, child)| !child.ended.load(Ordering::SeqCst));
        alive.map(|(id, child)| (id.clone(), child.pid)).collect()
    }

    /// The workloads that run.
    pub fn running(&self) -> Vec<String> {
        self.pids().into_keys().collect()
    }

    /// Signals a workload and waits until it is gone; kills it when that takes too long.
    async fn end(&self, id: &str, signal: Signal, grace: Duration) {
        let Some((ended, gone)) = self.signal(id, signal) else { return };
        let waiting = gone.notified();
        if ended.load(Ordering::SeqCst) || tokio::time::timeout(grace, waiting).await.is_ok() {
            return;
        }
        let waiting = gone.notified();
        self.signal(id, Signal::KILL);
        if !ended.load(Ordering::SeqCst) {
            waiting.await;
        }
    }

    pub(crate) fn clean(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for id in self.running() {
            self.signal(&id, Signal::KILL);
        }
    }
}

#[async_trait]
impl Machine for Children {
    async fn start(&self, zone: &Zone, spec: WorkloadSpec) -> machine::Result<()> {
        let Kind::Process(process) = spec.kind else { panic!("an engine is a process") };
        if self.closed.load(Ordering::SeqCst) {
            return Err(machine::Error::Refused("the test is over".to_owned()));
        }
        let bind = process.root.binds.first().unwrap();
        let owner = Owner { uid: process.uid, gid: process.gid };
        // Nodes have namespaces of their own elsewhere; here each keeps to its own address.
        let (_, node) = spec.id.split_once('-').unwrap();
        let (_, address) = self.addresses.interface(node);
        let mut argv = process.argv.clone();
        let program = argv.first().unwrap().rsplit('/').next().unwrap();
        argv.extend(match program {
            "postgres" => vec!["-c".to_owned(), format!("listen_addresses={address}")],
            "valkey-server" | "redis-server" => vec!["--bind".to_owned(), address.to_string()],
            _ => vec![format!("--bind-address={address}")],
        });
        let command = RootCommand::new(&process.root.layers[0], owner, argv)
            .envs(&process.env)
            .bind(&bind.source, "/data");
        let mut child = command.command().spawn().unwrap();
        let (ended, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let kept = Child {
            zone: zone.clone(),
            pid: child.id().unwrap(),
            stop: Signal::from_named_raw(spec.stop.signal).unwrap(),
            grace: spec.stop.grace,
            ended: ended.clone(),
            gone: gone.clone(),
        };
        self.all.lock().unwrap().insert(spec.id.clone(), kept);
        let (events, zone, id) = (self.events.clone(), zone.clone(), spec.id);
        #[expect(clippy::disallowed_methods, reason = "the reaper ends with its child")]
        tokio::spawn(async move {
            let _ = child.wait().await;
            ended.store(true, Ordering::SeqCst);
            gone.notify_waiters();
            let kind = EventKind::Exited(Exit::Signal(9));
            // Nobody may listen any more.
            let _ = events.send(Event { zone, id, kind });
        });
        Ok(())
    }

    async fn stop(&self, _: &Zone, id: &str, how: Stop) -> machine::Result<()> {
        let own = self.all.lock().unwrap().get(id).map(|child| (child.stop, child.grace));
        let Some((signal, grace)) = own else { return Ok(()) };
        match how {
            Stop::Graceful { .. } => self.end(id, signal, grace).await,
            Stop::Kill => self.end(id, Signal::KILL, grace).await,
        }
        Ok(())
    }

    async fn remove(&self, zone: &Zone, id: &str) -> machine::Result<()> {
        self.stop(zone, id, Stop::Kill).await?;
        self.all.lock().unwrap().remove(id);
        Ok(())
    }

    async fn reboot(&self, _: &Zone, _: &str) -> machine::Result<()> {
        unreachable!("nodes of engines are stopped and started")
    }

    async fn list(&self, zone: &Zone) -> machine::Result<Vec<WorkloadStatus>> {
        let all = self.all.lock().unwrap();
        let status = |(id, child): (&String, &Child)| {
            let (pid, since) = (child.pid, Timestamp::default());
            let ended = child.ended.load(Ordering::SeqCst);
            let state = if ended {
                State::Exited { exit: Exit::Signal(9), at: since }
            } else {
                State::Running { pid, since, frozen: false }
            };
            WorkloadStatus { id: id.clone(), state, observed: since }
        };
        Ok(all.iter().filter(|(_, child)| child.zone == *zone).map(status).collect())
    }

    async fn call(&self, _: &Zone, _: &str, _: Vec<u8>) -> machine::Result<Vec<u8>> {
        unreachable!("engines take no calls")
    }

    async fn console(&self, _: &Zone, _: &str, _: usize) -> machine::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    async fn freeze(&self, _: &Zone, _: &str) -> machine::Result<()> {
        Ok(())
    }

    async fn thaw(&self, _: &Zone, _: &str) -> machine::Result<()> {
        Ok(())
    }

    async fn exec(&self, _: &Zone, _: &str, _: Exec) -> machine::Result<Output> {
        Err(machine::Error::Refused("no".to_owned()))
    }
}
