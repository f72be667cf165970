//! One workload's life in its supervisor.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base::Timestamp;

use crate::error::{Doing as _, Error, Result, chain};
use crate::sandbox::cgroup::Group;
use crate::sandbox::plan::{Enter, Job, Report};
use crate::sandbox::{launch, syscall};
use crate::spec::{EventKind, Exec, Exit, Kind, Output, State, Stop, WorkloadSpec, WorkloadStatus};
use crate::{CALL_TIMEOUT, CONSOLE_MAX};

use super::console::Console;
use super::control::ControlClient;
use super::keeper::Keeper;
use super::run::{Supervisor, console_path, now};
use super::start::{self, LAUNCH_TIMEOUT, next_report};
use super::{ZoneOptions, serve, zone_folder};

/// How long a killed workload may take to be gone: its disk is written and unmounted.
const KILL_TIMEOUT: Duration = Duration::from_secs(60);

const ID_MAX: usize = 80;

/// A workload and all that the supervisor holds of it.
pub(super) struct Workload {
    id: String,
    life: Mutex<Life>,
    changed: Condvar,
    console: Console,
    control: Mutex<Option<ControlClient>>,
}

pub(super) struct Life {
    pub(super) spec: WorkloadSpec,
    pub(super) phase: Phase,
    /// What should follow when it ends.
    pub(super) then: Then,
    failure: Option<String>,
}

#[derive(Clone)]
pub(super) enum Phase {
    /// No process yet.
    Starting,
    Running(Arc<Running>),
    /// Ended; its leftovers are being cleared away.
    Ended {
        exit: Exit,
        at: Timestamp,
    },
}

/// What there is only while it runs.
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) since: Timestamp,
    pub(super) pidfd: OwnedFd,
    pub(super) group: Group,
    /// The host's id of its root user; 0 for a built-in program.
    pub(super) id_base: u32,
    pub(super) frozen: Mutex<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    StartAgain,
}

/// Starts a workload; see [`crate::Machine::start`].
pub(super) fn start(supervisor: &Arc<Supervisor>, spec: WorkloadSpec) -> Result<()> {
    require_name(&spec.id)?;
    let id = spec.id.clone();
    let mut is_new = false;
    let workload = supervisor.find_or_insert(&id, || {
        is_new = true;
        Workload {
            id: id.clone(),
            life: Mutex::new(Life {
                spec: spec.clone(),
                phase: Phase::Starting,
                then: Then::Nothing,
                failure: None,
            }),
            changed: Condvar::new(),
            console: Console::open(supervisor.console_path(&id)),
            control: Mutex::new(None),
        }
    });
    if !is_new {
        let mut life = workload.life();
        match &life.phase {
            Phase::Running(_) => return Ok(()),
            Phase::Starting => {
                drop(life);
                return workload.wait_started();
            }
            Phase::Ended { .. } => {
                life.spec = spec;
                life.phase = Phase::Starting;
                life.failure = None;
                life.then = Then::Nothing;
            }
        }
    }
    let outcome = workload.launch(supervisor);
    if outcome.is_err() && is_new {
        supervisor.forget(&id);
    }
    outcome
}

/// Kills and forgets a workload; see [`crate::Machine::remove`].
pub(super) fn remove(supervisor: &Arc<Supervisor>, id: &str) -> Result<()> {
    require_name(id)?;
    if let Ok(workload) = supervisor.find(id) {
        workload.stop(Stop::Kill)?;
        supervisor.forget(id);
    }
    delete_console(&supervisor.console_path(id))
}

/// Deletes the console of a workload whose zone has no supervisor.
pub(crate) fn remove_console(options: &ZoneOptions, id: &str) -> Result<()> {
    require_name(id)?;
    delete_console(&console_path(&zone_folder(&options.run_dir, &options.zone), id))
}

fn delete_console(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("delete {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Ids become file names.
pub(super) fn require_name(id: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.len() > ID_MAX || id.starts_with('.') || !id.chars().all(plain) {
        return Err(Error::Refused(format!("not a workload's name: {id:?}")));
    }
    Ok(())
}

impl Workload {
    pub(super) fn status(&self) -> WorkloadStatus {
        let state = match &self.life().phase {
            Phase::Starting => State::Starting,
            Phase::Running(running) => State::Running {
                pid: running.pid,
                since: running.since,
                frozen: *running.frozen.lock().unwrap_or_else(PoisonError::into_inner),
            },
            Phase::Ended { exit, at } => State::Exited { exit: *exit, at: *at },
        };
        WorkloadStatus { id: self.id.clone(), state, observed: now() }
    }

    /// `how` with no more grace than it has of its own.
    pub(super) fn at_most(&self, how: Stop) -> Stop {
        let own = self.life().spec.stop.grace;
        match how {
            Stop::Graceful { grace: Some(most) } => Stop::Graceful { grace: Some(most.min(own)) },
            Stop::Graceful { grace: None } | Stop::Kill => how,
        }
    }

    /// Stops it; returns when none of its processes is left and its disks are free.
    pub(super) fn stop(&self, how: Stop) -> Result<()> {
        self.wait_while_starting()?;
        let (running, request) = {
            let mut life = self.life();
            life.then = Then::Nothing;
            match &life.phase {
                Phase::Running(running) => (Arc::clone(running), life.spec.stop),
                Phase::Starting | Phase::Ended { .. } => return Ok(()),
            }
        };
        if let Stop::Graceful { grace } = how {
            running.set_frozen(false)?;
            // It may just have ended, which is what is wanted.
            let _ = syscall::kill_pidfd(running.pidfd.as_fd(), request.signal);
            if self.wait_ended(&running, grace.unwrap_or(request.grace)) {
                return Ok(());
            }
        }
        running.kill()?;
        if self.wait_ended(&running, KILL_TIMEOUT) {
            return Ok(());
        }
        Err(Error::TimedOut(format!("{} did not end when it was killed", self.id)))
    }

    /// Stops it gracefully and waits until it runs again.
    pub(super) fn reboot(&self) -> Result<()> {
        self.wait_while_starting()?;
        let (running, request) = {
            let mut life = self.life();
            match &life.phase {
                Phase::Running(running) => {
                    let running = Arc::clone(running);
                    life.then = Then::StartAgain;
                    life.failure = None;
                    (running, life.spec.stop)
                }
                Phase::Starting | Phase::Ended { .. } => {
                    return Err(Error::NotRunning { id: self.id.clone() });
                }
            }
        };
        running.set_frozen(false)?;
        // It may just have ended, which is what is wanted.
        let _ = syscall::kill_pidfd(running.pidfd.as_fd(), request.signal);
        if !self.wait_ended(&running, request.grace) {
            running.kill()?;
            if !self.wait_ended(&running, KILL_TIMEOUT) {
                return Err(Error::TimedOut(format!("{} did not end", self.id)));
            }
        }
        self.wait_started()
    }

    pub(super) fn set_frozen(&self, frozen: bool) -> Result<()> {
        self.running()?.set_frozen(frozen)
    }

    pub(super) fn console_tail(&self, max_bytes: usize) -> Vec<u8> {
        self.console.tail(max_bytes.min(CONSOLE_MAX))
    }

    pub(super) fn call(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.running()?;
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let no_program = || Error::Refused(format!("{} is no built-in program", self.id));
        let client = control.as_mut().ok_or_else(no_program)?;
        match client.call(message, CALL_TIMEOUT) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Error::TimedOut(format!("{} does not answer", self.id)))
            }
            other => other.doing(|| format!("ask {}", self.id)),
        }
    }

    /// Runs a command inside.
    pub(super) fn exec(&self, supervisor: &Supervisor, command: Exec) -> Result<Output> {
        let running = self.running()?;
        if matches!(self.life().spec.kind, Kind::Program(_)) {
            return Err(Error::Refused("a built-in program has no inside".to_owned()));
        }
        if command.argv.is_empty() {
            return Err(Error::Refused("the command is empty".to_owned()));
        }
        let patience = command.timeout.saturating_add(LAUNCH_TIMEOUT);
        let cgroup_procs = running.group.procs();
        let job = Job::Enter(Enter { pid: running.pid, cgroup_procs, command });
        let (launcher, status) = launch::command(Path::new(launch::OWN_EXECUTABLE))?;
        let mut child = supervisor.spawn(launcher).doing(|| "start a launcher".to_owned())?;
        launch::send(&status, &job)?;
        let report = next_report(&status, patience);
        if report.is_err() {
            // It is reaped below either way.
            let _ = child.kill();
        }
        child.wait().doing(|| "wait for the launcher".to_owned())?;
        match report? {
            Some(Report::Output(output)) => Ok(output),
            Some(Report::Failed(reason)) => Err(Error::Refused(reason)),
            Some(Report::Pid(_) | Report::Started | Report::Exited(_)) | None => {
                Err(Error::Refused("the workload ended meanwhile".to_owned()))
            }
        }
    }

    fn running(&self) -> Result<Arc<Running>> {
        match &self.life().phase {
            Phase::Running(running) => Ok(Arc::clone(running)),
            Phase::Starting | Phase::Ended { .. } => Err(Error::NotRunning { id: self.id.clone() }),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Adds to its console.
    pub(super) fn print(&self, bytes: &[u8]) {
        self.console.write(bytes);
    }

    pub(super) fn set_control(&self, control: Option<ControlClient>) {
        *self.control.lock().unwrap_or_else(PoisonError::into_inner) = control;
    }

    /// Its end was asked for in order to start again, or it reset itself.
    pub(super) fn begin_again(&self) {
        {
            let mut life = self.life();
            life.phase = Phase::Starting;
            life.then = Then::Nothing;
            life.failure = None;
        }
        self.changed.notify_all();
    }

    pub(super) fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the given run has ended; false when that takes longer than `patience`.
    fn wait_ended(&self, running: &Arc<Running>, patience: Duration) -> bool {
        let same = |life: &Life| match &life.phase {
            Phase::Running(current) => Arc::ptr_eq(current, running),
            Phase::Starting | Phase::Ended { .. } => false,
        };
        self.wait_while(patience, same)
    }

    fn wait_while_starting(&self) -> Result<()> {
        let starting = |life: &Life| matches!(life.phase, Phase::Starting);
        if self.wait_while(LAUNCH_TIMEOUT.saturating_mul(2), starting) {
            return Ok(());
        }
        Err(Error::TimedOut(format!("{} is still starting", self.id)))
    }

    fn wait_started(&self) -> Result<()> {
        self.wait_while_starting()?;
        let life = self.life();
        match (&life.phase, &life.failure) {
            (_, Some(reason)) => {
                Err(Error::StartFailed { id: self.id.clone(), reason: reason.clone() })
            }
            (Phase::Running(_) | Phase::Starting | Phase::Ended { .. }, None) => Ok(()),
        }
    }

    fn wait_while(&self, patience: Duration, condition: impl Fn(&Life) -> bool) -> bool {
        let begun = Instant::now();
        let mut life = self.life();
        while condition(&life) {
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            life = self.changed.wait_timeout(life, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.life().phase = phase;
        self.changed.notify_all();
    }

    /// Makes it run, from `Starting`.
    pub(super) fn launch(self: &Arc<Self>, supervisor: &Arc<Supervisor>) -> Result<()> {
        let spec = self.life().spec.clone();
        let launched = start::start(supervisor, &spec);
        let outcome = launched.and_then(|launched| {
            let running = Arc::new(launched.running);
            self.set_control(launched.control);
            self.set_phase(Phase::Running(Arc::clone(&running)));
            supervisor.tell(&self.id, EventKind::Started);
            let keeper = Keeper {
                workload: Arc::clone(self),
                supervisor: Arc::clone(supervisor),
                running,
                output: launched.output,
                terminal: Mutex::new(None),
                status: launched.status,
            };
            serve::spawn("workload", move || keeper.keep())
        });
        outcome.map_err(|error| {
            let reason = chain(&error);
            self.console.write(format!("[skyhold] cannot start: {reason}\n").as_bytes());
            {
                let mut life = self.life();
                life.failure = Some(reason.clone());
                life.phase = Phase::Ended { exit: Exit::Code(-1), at: now() };
            }
            self.changed.notify_all();
            match error {
                Error::HostLacks(_) => error,
                Error::ZoneDown { .. }
                | Error::NoSuchWorkload { .. }
                | Error::NotRunning { .. }
                | Error::Refused(_)
                | Error::StartFailed { .. }
                | Error::TimedOut(_)
                | Error::Command { .. }
                | Error::Io { .. } => Error::StartFailed { id: self.id.clone(), reason },
            }
        })
    }
}

impl Running {
    fn set_frozen(&self, frozen: bool) -> Result<()> {
        let mut state = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != frozen {
            self.group.set_frozen(frozen)?;
            *state = frozen;
        }
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        self.group.kill()?;
        // The group's first process may have left the group's control, never its own namespace.
        let _ = syscall::kill_pidfd(self.pidfd.as_fd(), libc::SIGKILL);
        self.set_frozen(false)
    }
}
