//! One workload's life in its supervisor.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::error::{Doing as _, Error, Result, chain};
use crate::sandbox::cgroup::Group;
use crate::sandbox::plan::{Enter, Job, Plan, Report};
use crate::sandbox::{launch, loops, syscall};
use crate::spec::{
    EventKind, Exec, Exit, Kind, Output, Root, State, Stop, Upper, WorkloadSpec, WorkloadStatus,
};
use crate::volumes::{self, DISK_FILE};
use crate::wire::read_frame;
use crate::{CALL_TIMEOUT, CONSOLE_MAX};

use super::console::Console;
use super::control::ControlClient;
use super::run::{Supervisor, now};
use super::serve;

/// How long a launcher may take. Waiting for a disk that is still being let go is the longest.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(60);

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

struct Life {
    spec: WorkloadSpec,
    phase: Phase,
    /// What should follow when it ends.
    then: Then,
    failure: Option<String>,
}

#[derive(Clone)]
enum Phase {
    /// No process yet.
    Starting,
    Running(Arc<Running>),
    /// Ended; its leftovers are being cleared away.
    Ended { exit: Exit, at: Timestamp },
}

/// What there is only while it runs.
struct Running {
    pid: u32,
    since: Timestamp,
    pidfd: OwnedFd,
    group: Group,
    frozen: Mutex<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    StartAgain,
}

/// What a launch gives besides [`Running`].
struct Launched {
    running: Running,
    /// The reading side of its output.
    output: OwnedFd,
    /// Where a process without init reports its end.
    status: UnixStream,
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
        workload.stop(supervisor, Stop::Kill)?;
        supervisor.forget(id);
    }
    match fs::remove_file(supervisor.console_path(id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("delete the console of {id}"))
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

    /// Stops it; returns when none of its processes is left and its disks are free.
    pub(super) fn stop(&self, supervisor: &Arc<Supervisor>, how: Stop) -> Result<()> {
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
        let _ = supervisor;
        Err(Error::TimedOut(format!("{} did not end when it was killed", self.id)))
    }

    /// Stops it gracefully and waits until it runs again.
    pub(super) fn reboot(&self, supervisor: &Arc<Supervisor>) -> Result<()> {
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
        let _ = supervisor;
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
            Phase::Starting | Phase::Ended { .. } => {
                Err(Error::NotRunning { id: self.id.clone() })
            }
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the given run has ended; false when that takes longer than `patience`.
    fn wait_ended(&self, running: &Arc<Running>, patience: Duration) -> bool {
        let same = |life: &Life| {
            matches!(&life.phase, Phase::Running(current) if Arc::ptr_eq(current, running))
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
        #[expect(clippy::disallowed_methods, reason = "a bound on a process is machine time")]
        let begun = Instant::now();
        let mut life = self.life();
        while condition(&life) {
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            life = self
                .changed
                .wait_timeout(life, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    fn set_phase(&self, phase: Phase) {
        self.life().phase = phase;
        self.changed.notify_all();
    }

    /// Makes it run, from `Starting`.
    fn launch(self: &Arc<Self>, supervisor: &Arc<Supervisor>) -> Result<()> {
        let spec = self.life().spec.clone();
        let launched = self.try_launch(supervisor, &spec);
        let outcome = launched.and_then(|launched| {
            let running = Arc::new(launched.running);
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
                _ => Error::StartFailed { id: self.id.clone(), reason },
            }
        })
    }

    fn try_launch(&self, supervisor: &Supervisor, spec: &WorkloadSpec) -> Result<Launched> {
        let id_base = id_base(supervisor, spec)?;
        let name = format!("{}{}", supervisor.group_prefix, spec.id);
        let group = supervisor.hierarchies.create(&name, &spec.limits, id_base)?;
        let scratch = supervisor.folder.join("mounts").join(&spec.id);
        let made = fs::create_dir(&scratch).doing(|| format!("make {}", scratch.display()));
        let launched = made.and_then(|()| {
            let plan = Plan {
                spec: spec.clone(),
                id_base,
                scratch: scratch.clone(),
                cgroup_procs: group.procs(),
                cgroup_view: supervisor.hierarchies.view(),
            };
            self.run_launcher(supervisor, plan, &group)
        });
        if launched.is_err() {
            clear(&group, &scratch, spec);
        }
        launched
    }

    fn run_launcher(&self, supervisor: &Supervisor, plan: Plan, group: &Group) -> Result<Launched> {
        let (output, theirs) = match &plan.spec.kind {
            Kind::Sandbox(_) => syscall::open_terminal().doing(|| "open a terminal".to_owned())?,
            Kind::Program(_) | Kind::Process(_) => {
                rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                    .doing(|| "make a pipe".to_owned())?
            }
        };
        let control = match &plan.spec.kind {
            Kind::Program(_) => {
                Some(UnixStream::pair().doing(|| "make a control socket".to_owned())?)
            }
            Kind::Sandbox(_) | Kind::Process(_) => None,
        };
        let (ours, program) = control.map(|(a, b)| (a, OwnedFd::from(b))).unzip();
        let (mut command, status) = launch::command(Path::new(launch::OWN_EXECUTABLE))?;
        launch::connect(&mut command, &theirs, program.as_ref())?;
        let is_program = program.is_some();
        let mut child = supervisor.spawn(command).doing(|| "start a launcher".to_owned())?;
        drop((theirs, program));
        let sent = launch::send(&status, &Job::Launch(Box::new(plan)));
        let pid = sent.and_then(|()| follow(&status));
        if !is_program {
            if pid.is_err() {
                // It is reaped below either way.
                let _ = child.kill();
            }
            child.wait().doing(|| "wait for the launcher".to_owned())?;
        }
        let pid = match pid {
            Ok(pid) => pid,
            Err(error) => {
                if is_program {
                    let _ = child.kill();
                    child.wait().doing(|| "wait for the launcher".to_owned())?;
                }
                return Err(error);
            }
        };
        *self.control.lock().unwrap_or_else(PoisonError::into_inner) =
            ours.map(ControlClient::new);
        let pidfd = to_pid(pid)
            .and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?))
            .doing(|| "hold the first process".to_owned())?;
        let running =
            Running { pid, since: now(), pidfd, group: group.clone(), frozen: Mutex::new(false) };
        Ok(Launched { running, output, status })
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

/// Waits for a workload's end, collecting its output.
struct Keeper {
    workload: Arc<Workload>,
    supervisor: Arc<Supervisor>,
    running: Arc<Running>,
    output: OwnedFd,
    /// The workload's side of a terminal that nobody else had open.
    terminal: Mutex<Option<OwnedFd>>,
    status: UnixStream,
}

impl Keeper {
    fn keep(self) {
        self.watch();
        let exit = self.exit();
        let (spec, then) = {
            let life = self.workload.life();
            (life.spec.clone(), life.then)
        };
        let scratch = self.supervisor.folder.join("mounts").join(&spec.id);
        // A program may have left children; a sandbox's died with its first process.
        let _ = self.running.group.kill();
        clear(&self.running.group, &scratch, &spec);
        release_memory_ids(&self.supervisor, &spec);
        self.workload.control.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A machine that resets itself ends with this signal (reboot(2)).
        let is_machine = matches!(spec.kind, Kind::Sandbox(_));
        let again = then == Then::StartAgain
            || (is_machine && exit == Exit::Signal(libc::SIGHUP));
        let exit = if is_machine && exit == Exit::Signal(libc::SIGINT) {
            Exit::PoweredOff
        } else {
            exit
        };
        if !again {
            self.workload.set_phase(Phase::Ended { exit, at: now() });
            self.supervisor.tell(&self.workload.id, EventKind::Exited(exit));
            return;
        }
        {
            let mut life = self.workload.life();
            life.phase = Phase::Starting;
            life.then = Then::Nothing;
            life.failure = None;
        }
        self.workload.changed.notify_all();
        if self.workload.launch(&self.supervisor).is_err() {
            self.supervisor.tell(&self.workload.id, EventKind::Exited(exit));
        }
    }

    /// Copies output until the first process ends, and what is left of it then.
    fn watch(&self) {
        let mut output = Some(&self.output);
        loop {
            let mut fds = vec![PollFd::new(&self.running.pidfd, PollFlags::IN)];
            if let Some(output) = output {
                fds.push(PollFd::new(output, PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            let ready = |fd: Option<&PollFd<'_>>| fd.is_some_and(|fd| !fd.revents().is_empty());
            let ended = ready(fds.first());
            if ready(fds.get(1)) && !self.copy_output() {
                output = None;
            }
            if ended {
                break;
            }
        }
        let nonblocking = rustix::fs::fcntl_setfl(&self.output, rustix::fs::OFlags::NONBLOCK);
        while nonblocking.is_ok() && self.copy_output() {}
    }

    /// One chunk; false at the end.
    fn copy_output(&self) -> bool {
        let mut chunk = [0; 4096];
        match rustix::io::read(&self.output, &mut chunk) {
            // A terminal that nobody has open reads so. An init hangs its console up at its start
            // and opens it again later; holding it open meanwhile mends it.
            Err(rustix::io::Errno::IO) => self.hold_terminal(),
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.workload.console.write(chunk.get(..count).unwrap_or_default());
                true
            }
        }
    }

    /// Opens the workload's side of its terminal; false when the output is no terminal.
    fn hold_terminal(&self) -> bool {
        let flags = rustix::pty::OpenptFlags::RDWR
            | rustix::pty::OpenptFlags::NOCTTY
            | rustix::pty::OpenptFlags::CLOEXEC;
        let side = rustix::pty::ioctl_tiocgptpeer(&self.output, flags).ok();
        let opened = side.is_some();
        *self.terminal.lock().unwrap_or_else(PoisonError::into_inner) = side;
        opened
    }

    /// Reaps the first process. A process without init has told its own end before.
    fn exit(&self) -> Exit {
        let waited = waitid(WaitId::PidFd(self.running.pidfd.as_fd()), WaitIdOptions::EXITED);
        let told = match next_report(&self.status, Duration::from_secs(1)) {
            Ok(Some(Report::Exited(exit))) => Some(exit),
            Ok(Some(
                Report::Pid(_) | Report::Failed(_) | Report::Started | Report::Output(_),
            ) | None)
            | Err(_) => None,
        };
        let status = waited.ok().flatten();
        told.unwrap_or_else(|| {
            let signal = status.as_ref().and_then(|status| status.terminating_signal());
            let code = status.as_ref().and_then(|status| status.exit_status());
            match signal {
                Some(signal) => Exit::Signal(signal),
                None => Exit::Code(code.unwrap_or(-1)),
            }
        })
    }
}

/// Reads reports until the workload's own program runs.
fn follow(status: &UnixStream) -> Result<u32> {
    let mut pid = None;
    loop {
        match (next_report(status, LAUNCH_TIMEOUT)?, pid) {
            (Some(Report::Pid(number)), _) => pid = Some(number),
            (Some(Report::Failed(reason)), pid) => {
                if let Some(pid) = pid {
                    reap_failed(pid);
                }
                return Err(Error::Refused(reason));
            }
            (Some(Report::Started) | None, Some(pid)) => return Ok(pid),
            (Some(Report::Started | Report::Exited(_) | Report::Output(_)) | None, _) => {
                return Err(Error::Refused("the launcher ended without a word".to_owned()));
            }
        }
    }
}

/// A first process that reported a failure ends by itself and must be reaped.
fn reap_failed(pid: u32) {
    if let Ok(pid) = to_pid(pid) {
        // Nothing more is to be learnt from it.
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    }
}

fn to_pid(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

/// The next report; None at the stream's end.
fn next_report(mut status: &UnixStream, patience: Duration) -> Result<Option<Report>> {
    let mut read = || -> io::Result<Option<Vec<u8>>> {
        status.set_read_timeout(Some(patience))?;
        read_frame(&mut status)
    };
    let frame = match read() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(Error::TimedOut("the launcher".to_owned()));
        }
        other => other.doing(|| "hear from the launcher".to_owned())?,
    };
    let Some(frame) = frame else { return Ok(None) };
    serde_json::from_slice(&frame).map(Some).map_err(|error| Error::Refused(error.to_string()))
}

/// The host's id of the workload's root user.
fn id_base(supervisor: &Supervisor, spec: &WorkloadSpec) -> Result<u32> {
    match root_of(spec) {
        None => Ok(0),
        Some(Root { upper: Upper::Volume(volume), .. }) => volumes::id_base(volume),
        Some(Root { upper: Upper::Memory { .. }, .. }) => supervisor.ids.allocate(&memory_key(supervisor, &spec.id)),
    }
}

fn memory_key(supervisor: &Supervisor, id: &str) -> String {
    format!("memory/{}{id}", supervisor.group_prefix)
}

fn release_memory_ids(supervisor: &Supervisor, spec: &WorkloadSpec) {
    if let Some(Root { upper: Upper::Memory { .. }, .. }) = root_of(spec)
        && let Ok(base) = supervisor.ids.allocate(&memory_key(supervisor, &spec.id))
    {
        // A range that stays claimed is found again under the same key.
        let _ = supervisor.ids.release(base);
    }
}

fn root_of(spec: &WorkloadSpec) -> Option<&Root> {
    match &spec.kind {
        Kind::Sandbox(sandbox) => Some(&sandbox.root),
        Kind::Process(process) => Some(&process.root),
        Kind::Program(_) => None,
    }
}

/// The disks that a workload has mounted.
fn volumes_in(spec: &WorkloadSpec) -> impl Iterator<Item = PathBuf> + '_ {
    let root = root_of(spec);
    let upper = root.and_then(|root| match &root.upper {
        Upper::Volume(volume) => Some(volume),
        Upper::Memory { .. } => None,
    });
    let binds = root.into_iter().flat_map(|root| root.binds.iter().map(|bind| &bind.source));
    upper.into_iter().chain(binds).map(|volume| volume.join(DISK_FILE)).filter(|disk| disk.exists())
}

/// Removes what a run leaves. What cannot be removed is swept when the supervisor starts again.
fn clear(group: &Group, scratch: &Path, spec: &WorkloadSpec) {
    let _ = group.remove();
    let _ = fs::remove_dir(scratch);
    for disk in volumes_in(spec) {
        let _ = loops::wait_unused(&disk);
    }
}
