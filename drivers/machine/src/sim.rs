//! A machine for services' tests: workloads run when told to, or at once, and can be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base::{Timestamp, Zone};
use tokio::sync::broadcast;

use crate::{
    Error, Event, EventKind, Exec, Exit, Machine, Output, Result, State, Stop, WorkloadSpec,
    WorkloadStatus,
};

const EVENTS_MAX: usize = 1024;

/// Answers a `call` to the workload named first with the message given second.
pub type Answer = Box<dyn Fn(&str, &[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// A machine whose workloads are entries in a table.
pub struct SimMachine {
    table: Mutex<Table>,
    events: broadcast::Sender<Event>,
    starts: Starts,
}

/// When a started workload runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starts {
    AtOnce,
    WhenTold,
}

#[derive(Default)]
struct Table {
    workloads: BTreeMap<(Zone, String), Entry>,
    down: BTreeSet<Zone>,
    answer: Option<Arc<Answer>>,
    console: BTreeMap<String, Vec<u8>>,
    pids: u32,
}

struct Entry {
    spec: WorkloadSpec,
    state: State,
}

impl SimMachine {
    /// Workloads run as soon as they are started.
    pub fn new() -> Self {
        Self::starting(Starts::AtOnce)
    }

    /// Workloads stay `Starting` until [`Self::run`].
    pub fn held() -> Self {
        Self::starting(Starts::WhenTold)
    }

    fn starting(starts: Starts) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        Self { table: Mutex::default(), events, starts }
    }

    /// Lets a held workload run.
    pub fn run(&self, zone: &Zone, id: &str) {
        let mut table = self.table();
        table.pids = table.pids.saturating_add(1);
        let pid = table.pids;
        if let Some(entry) = table.workloads.get_mut(&(zone.clone(), id.to_owned())) {
            entry.state = State::Running { pid, since: Timestamp::default(), frozen: false };
            self.tell(zone, id, EventKind::Started);
        }
    }

    /// Ends a workload as if its first process had.
    pub fn end(&self, zone: &Zone, id: &str, exit: Exit) {
        let mut table = self.table();
        if let Some(entry) = table.workloads.get_mut(&(zone.clone(), id.to_owned())) {
            entry.state = State::Exited { exit, at: Timestamp::default() };
            self.tell(zone, id, EventKind::Exited(exit));
        }
    }

    /// Kills a zone: all its workloads are gone and requests to it fail.
    pub fn kill_zone(&self, zone: &Zone) {
        let mut table = self.table();
        table.workloads.retain(|(in_zone, _), _| in_zone != zone);
        table.down.insert(zone.clone());
        self.tell(zone, "", EventKind::SupervisorLost);
    }

    /// Brings a killed zone back, empty.
    pub fn start_zone(&self, zone: &Zone) {
        self.table().down.remove(zone);
        self.tell(zone, "", EventKind::SupervisorBack);
    }

    /// Sets what `call` answers, from the workload's id and the message.
    pub fn answer_with(
        &self,
        answer: impl Fn(&str, &[u8]) -> Result<Vec<u8>> + Send + Sync + 'static,
    ) {
        self.table().answer = Some(Arc::new(Box::new(answer)));
    }

    /// Sets what a workload's console shows.
    pub fn print(&self, id: &str, text: &[u8]) {
        self.table().console.entry(id.to_owned()).or_default().extend_from_slice(text);
    }

    /// The spec that a workload was started with.
    pub fn spec(&self, zone: &Zone, id: &str) -> Option<WorkloadSpec> {
        let table = self.table();
        table.workloads.get(&(zone.clone(), id.to_owned())).map(|entry| entry.spec.clone())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, unless the zone is down.
    fn up(&self, zone: &Zone) -> Result<MutexGuard<'_, Table>> {
        let table = self.table();
        if table.down.contains(zone) {
            return Err(Error::ZoneDown { zone: zone.to_string() });
        }
        Ok(table)
    }

    fn tell(&self, zone: &Zone, id: &str, kind: EventKind) {
        // Nobody may be listening; that is not the machine's trouble.
        let _ = self.events.send(Event { zone: zone.clone(), id: id.to_owned(), kind });
    }

    fn set_frozen(&self, zone: &Zone, id: &str, now_frozen: bool) -> Result<()> {
        let mut table = self.up(zone)?;
        let entry = table.workloads.get_mut(&(zone.clone(), id.to_owned()));
        match entry.map(|entry| &mut entry.state) {
            Some(State::Running { frozen, .. }) => {
                *frozen = now_frozen;
                Ok(())
            }
            Some(State::Starting | State::Exited { .. }) => {
                Err(Error::NotRunning { id: id.to_owned() })
            }
            None => Err(Error::NoSuchWorkload { id: id.to_owned() }),
        }
    }

    fn require_running(&self, zone: &Zone, id: &str) -> Result<()> {
        let table = self.up(zone)?;
        match table.workloads.get(&(zone.clone(), id.to_owned())).map(|entry| &entry.state) {
            Some(State::Running { .. }) => Ok(()),
            Some(State::Starting | State::Exited { .. }) => {
                Err(Error::NotRunning { id: id.to_owned() })
            }
            None => Err(Error::NoSuchWorkload { id: id.to_owned() }),
        }
    }
}

impl Default for SimMachine {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Machine for SimMachine {
    async fn start(&self, zone: &Zone, spec: WorkloadSpec) -> Result<()> {
        let id = spec.id.clone();
        {
            let mut table = self.up(zone)?;
            let key = (zone.clone(), id.clone());
            let known = table.workloads.get(&key).map(|entry| &entry.state);
            if matches!(known, Some(State::Starting | State::Running { .. })) {
                return Ok(());
            }
            table.workloads.insert(key, Entry { spec, state: State::Starting });
        }
        if self.starts == Starts::AtOnce {
            self.run(zone, &id);
        }
        Ok(())
    }

    async fn stop(&self, zone: &Zone, id: &str, how: Stop) -> Result<()> {
        let runs = {
            let table = self.up(zone)?;
            let entry = table.workloads.get(&(zone.clone(), id.to_owned()));
            entry.is_some_and(|entry| !matches!(entry.state, State::Exited { .. }))
        };
        if runs {
            self.end(
                zone,
                id,
                match how {
                    Stop::Graceful { .. } => Exit::PoweredOff,
                    Stop::Kill => Exit::Signal(libc::SIGKILL),
                },
            );
        }
        Ok(())
    }

    async fn remove(&self, zone: &Zone, id: &str) -> Result<()> {
        self.up(zone)?.workloads.remove(&(zone.clone(), id.to_owned()));
        Ok(())
    }

    fn is_down(&self, zone: &Zone) -> bool {
        self.table().down.contains(zone)
    }

    async fn reboot(&self, zone: &Zone, id: &str) -> Result<()> {
        self.require_running(zone, id)?;
        self.end(zone, id, Exit::PoweredOff);
        self.run(zone, id);
        Ok(())
    }

    async fn list(&self, zone: &Zone) -> Result<Vec<WorkloadStatus>> {
        let table = self.up(zone)?;
        let here = table.workloads.iter().filter(|((in_zone, _), _)| in_zone == zone);
        let status = |((_, id), entry): (&(Zone, String), &Entry)| WorkloadStatus {
            id: id.clone(),
            state: entry.state.clone(),
            observed: Timestamp::default(),
        };
        Ok(here.map(status).collect())
    }

    async fn call(&self, zone: &Zone, id: &str, message: Vec<u8>) -> Result<Vec<u8>> {
        self.require_running(zone, id)?;
        let answer = self.table().answer.clone();
        let answer =
            answer.ok_or_else(|| Error::Refused("this simulation answers no calls".to_owned()))?;
        answer(id, &message)
    }

    async fn console(&self, zone: &Zone, id: &str, max_bytes: usize) -> Result<Vec<u8>> {
        let table = self.up(zone)?;
        let text = table.console.get(id).cloned().unwrap_or_default();
        let from = text.len().saturating_sub(max_bytes);
        Ok(text.get(from..).unwrap_or_default().to_vec())
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    async fn freeze(&self, zone: &Zone, id: &str) -> Result<()> {
        self.set_frozen(zone, id, true)
    }

    async fn thaw(&self, zone: &Zone, id: &str) -> Result<()> {
        self.set_frozen(zone, id, false)
    }

    async fn exec(&self, zone: &Zone, id: &str, _command: Exec) -> Result<Output> {
        self.require_running(zone, id)?;
        Err(Error::Refused("a simulated workload runs no commands".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Limits, NetworkReach, Program, StopRequest};

    fn program(id: &str) -> WorkloadSpec {
        WorkloadSpec {
            id: id.to_owned(),
            kind: Kind::Program(Program {
                args: Vec::new(),
                env: Vec::new(),
                reach: NetworkReach::Own,
            }),
            netns: None,
            limits: Limits::default(),
            stop: StopRequest::terminate(std::time::Duration::ZERO),
        }
    }

    #[tokio::test]
    async fn workloads_start_answer_and_die_with_their_zone() {
        let machine = SimMachine::new();
        let zone = Zone::new("ap-northeast-2a");
        let mut events = machine.events();
        machine.start(&zone, program("lb-1")).await.unwrap();
        machine.answer_with(|id, message| Ok([id.as_bytes(), message].concat()));
        assert_eq!(machine.call(&zone, "lb-1", b"!".to_vec()).await.unwrap(), b"lb-1!");
        assert_eq!(events.recv().await.unwrap().kind, EventKind::Started);
        machine.kill_zone(&zone);
        assert!(matches!(machine.list(&zone).await, Err(Error::ZoneDown { .. })));
        machine.start_zone(&zone);
        assert_eq!(machine.list(&zone).await.unwrap(), []);
    }
}
