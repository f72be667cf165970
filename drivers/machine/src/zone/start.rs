//! Starting a workload's processes, and clearing away what a run leaves.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::error::{Doing as _, Error, Result};
use crate::sandbox::cgroup::Group;
use crate::sandbox::plan::{Job, Plan, Report};
use crate::sandbox::{launch, loops, syscall};
use crate::spec::{Kind, Root, Upper, WorkloadSpec};
use crate::volumes::DISK_FILE;
use crate::wire::read_frame;

use super::control::ControlClient;
use super::run::{Supervisor, now};
use super::workload::Running;

/// How long a launcher may take. Waiting for a disk that is still being let go is the longest.
pub(super) const LAUNCH_TIMEOUT: Duration = Duration::from_secs(60);

/// What a launch gives.
pub(super) struct Launched {
    pub(super) running: Running,
    /// The reading side of its output.
    pub(super) output: OwnedFd,
    /// Where a process without init reports its end.
    pub(super) status: UnixStream,
    /// A built-in program's control socket.
    pub(super) control: Option<ControlClient>,
}

/// Makes a workload run: its groups, its mount point, its first process.
pub(super) fn start(supervisor: &Supervisor, spec: &WorkloadSpec) -> Result<Launched> {
    let id_base = id_base(supervisor, spec)?;
    let name = group_name(supervisor, &spec.id);
    let created = supervisor.hierarchies.create(&name, &spec.limits, id_base);
    let group = created.inspect_err(|_| {
        if id_base != 0 {
            // A range that stays claimed is swept when the supervisor starts again.
            let _ = supervisor.ids.release(id_base);
        }
    })?;
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
        run_launcher(supervisor, plan, &group)
    });
    if launched.is_err() {
        clear(supervisor, &group, id_base, spec);
    }
    launched
}

fn run_launcher(supervisor: &Supervisor, plan: Plan, group: &Group) -> Result<Launched> {
    let (output, theirs) = match &plan.spec.kind {
        Kind::Sandbox(_) => syscall::open_terminal().doing(|| "open a terminal".to_owned())?,
        Kind::Program(_) | Kind::Process(_) => {
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .doing(|| "make a pipe".to_owned())?
        }
    };
    let control = match &plan.spec.kind {
        Kind::Program(_) => Some(UnixStream::pair().doing(|| "make a control socket".to_owned())?),
        Kind::Sandbox(_) | Kind::Process(_) => None,
    };
    let (ours, program) = control.map(|(a, b)| (a, OwnedFd::from(b))).unzip();
    let (mut command, status) = launch::command(Path::new(launch::OWN_EXECUTABLE))?;
    launch::connect(&mut command, &theirs, program.as_ref())?;
    let is_program = program.is_some();
    let mut child = supervisor.spawn(command).doing(|| "start a launcher".to_owned())?;
    drop((theirs, program));
    let id_base = plan.id_base;
    let sent = launch::send(&status, &Job::Launch(Box::new(plan)));
    let pid = sent.and_then(|()| follow(&status, child.id()));
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
    let pidfd = to_pid(pid)
        .and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?))
        .doing(|| "hold the first process".to_owned())?;
    let running = Running {
        pid,
        since: now(),
        pidfd,
        group: group.clone(),
        id_base,
        frozen: Mutex::new(false),
    };
    Ok(Launched { running, output, status, control: ours.map(ControlClient::new) })
}

/// Reads reports until the workload's own program runs. The launcher itself is reaped elsewhere.
fn follow(status: &UnixStream, launcher: u32) -> Result<u32> {
    let mut pid = None;
    loop {
        match (next_report(status, LAUNCH_TIMEOUT)?, pid) {
            (Some(Report::Pid(number)), _) => pid = Some(number),
            (Some(Report::Failed(reason)), pid) => {
                if let Some(pid) = pid.filter(|pid| *pid != launcher) {
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
pub(super) fn next_report(mut status: &UnixStream, patience: Duration) -> Result<Option<Report>> {
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

/// The host's id of the workload's root user, while it runs.
fn id_base(supervisor: &Supervisor, spec: &WorkloadSpec) -> Result<u32> {
    match root_of(spec) {
        None => Ok(0),
        Some(_) => supervisor.ids.allocate(&group_name(supervisor, &spec.id)),
    }
}

fn group_name(supervisor: &Supervisor, id: &str) -> String {
    format!("{}{id}", supervisor.group_prefix)
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
pub(super) fn clear(supervisor: &Supervisor, group: &Group, id_base: u32, spec: &WorkloadSpec) {
    let scratch = supervisor.folder.join("mounts").join(&spec.id);
    // A program may have left children; a sandbox's died with its first process.
    let _ = group.kill();
    let _ = group.remove();
    let _ = fs::remove_dir(scratch);
    for disk in volumes_in(spec) {
        let _ = loops::wait_unused(&disk);
    }
    if id_base != 0 {
        let _ = supervisor.ids.release(id_base);
    }
}
