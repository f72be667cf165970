//! The launcher: a fresh, single-threaded process that starts one workload and ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use crate::error::{Doing as _, Error, Result, chain};
use crate::spec::{Kind, Program};
use crate::wire::{read_frame, write_frame};

use super::plan::{ID_RANGE, Job, LAUNCHER, Plan, Report};
use super::syscall::{self, Side};
use super::{assemble, attempt, confine, enter, guest};

/// Descriptors that every workload may open, and how far it may raise that itself.
const OPEN_FILES: Rlimit = Rlimit { current: Some(65_536), maximum: Some(1 << 20) };

/// Under memory pressure the host's kernel should take a workload before its supervisor.
const OUT_OF_MEMORY_SCORE: &str = "300";

/// Whether this process was started to launch a workload: [`init_main`] will not return then.
pub fn is_init() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == LAUNCHER)
}

/// Becomes a launcher when this process was started as one, and then never returns. Call it first
/// thing in `main`, before any thread is started.
pub fn init_main() {
    if !is_init() {
        return;
    }
    match Launcher::take_descriptors() {
        Ok(launcher) => launcher.run(),
        Err(_) => syscall::exit_now(1),
    }
}

/// The launcher's descriptors.
pub(super) struct Launcher {
    /// To the supervisor.
    pub(super) status: File,
    /// Where the workload's output goes.
    pub(super) console: OwnedFd,
    /// A program's control socket.
    pub(super) control: OwnedFd,
}

impl Launcher {
    fn take_descriptors() -> io::Result<Self> {
        Ok(Self {
            status: syscall::as_file(syscall::inherited(0)?),
            console: syscall::inherited(1)?,
            control: syscall::inherited(2)?,
        })
    }

    fn run(mut self) -> ! {
        let outcome = read_frame(&mut self.status)
            .doing(|| "read the job".to_owned())
            .and_then(|frame| {
                let frame = frame.unwrap_or_default();
                serde_json::from_slice(&frame).map_err(|error| Error::Refused(error.to_string()))
            })
            .and_then(|job| match job {
                Job::Launch(plan) => self.launch(&plan),
                Job::Enter(request) => enter::run(&self, &request),
                Job::CopyUpper(request) => assemble::copy_upper(&request),
                Job::Try(feature, folder) => attempt::run(feature, &folder),
            });
        match outcome {
            Ok(()) => syscall::exit_now(0),
            Err(error) => {
                self.report(&Report::Failed(chain(&error)));
                syscall::exit_now(1)
            }
        }
    }

    /// Tells the supervisor. If it is gone there is nobody to tell and nothing to do about it: the
    /// death signal ends this process too.
    pub(super) fn report(&self, report: &Report) {
        let Ok(text) = serde_json::to_vec(report) else { return };
        let _ = write_frame(&mut &self.status, &text);
    }

    /// Ties this process's life to the supervisor's. A change of user undoes it. The supervisor
    /// may have died just before; then its end of the socket is closed already.
    pub(super) fn die_with_supervisor(&self) -> Result<()> {
        let tie = || -> io::Result<()> {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            let mut ends = [PollFd::new(&self.status, PollFlags::IN)];
            poll(&mut ends, Some(&Timespec::default()))?;
            let [end] = ends;
            if end.revents().contains(PollFlags::HUP) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        };
        tie().doing(|| "die with the supervisor".to_owned())
    }

    fn launch(&self, plan: &Plan) -> Result<()> {
        self.die_with_supervisor()?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        prepare_process(&plan.cgroup_procs)?;
        if let Some(path) = &plan.spec.netns {
            join_network(path)?;
        }
        match &plan.spec.kind {
            Kind::Program(program) => self.become_program(program),
            Kind::Sandbox(sandbox) => {
                let terminal = self.terminal(plan.id_base)?;
                assemble::root(plan, &sandbox.root, Some(&terminal))?;
                self.split(plan)
            }
            Kind::Process(process) => {
                assemble::root(plan, &process.root, None)?;
                self.split(plan)
            }
        }
    }

    /// The path of the console's terminal, made the guest's.
    fn terminal(&self, id_base: u32) -> Result<PathBuf> {
        let owner = rustix::fs::Uid::from_raw(id_base);
        let group = rustix::fs::Gid::from_raw(id_base);
        rustix::fs::fchown(&self.console, Some(owner), Some(group))
            .doing(|| "hand over the console".to_owned())?;
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.console));
        fs::read_link(link).doing(|| "find the console's terminal".to_owned())
    }

    /// Makes the workload's first process and lets it go. `CLONE_PARENT` makes it the supervisor's
    /// child, so that the supervisor alone waits for it and it dies with the supervisor.
    fn split(&self, plan: &Plan) -> Result<()> {
        let (go_reader, go_writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .doing(|| "make a pipe".to_owned())?;
        let network = if plan.spec.netns.is_none() { libc::CLONE_NEWNET } else { 0 };
        let flags = syscall::NAMESPACES | network | libc::CLONE_PARENT;
        // The kernel counts a user namespace's inotify instances and the like against whoever made
        // it: not all against root, who would run out after some thirty machines.
        syscall::act_as(plan.id_base).doing(|| "act as the workload's user".to_owned())?;
        self.die_with_supervisor()?;
        match syscall::clone(flags).doing(|| "make namespaces".to_owned())? {
            Side::Child => {
                drop(go_writer);
                guest::run(self, plan, syscall::as_file(go_reader))
            }
            Side::Parent(pid) => {
                drop(go_reader);
                map_ids(pid, &guest_map(plan.id_base))?;
                self.report(&Report::Pid(pid));
                syscall::as_file(go_writer)
                    .write_all(b"!")
                    .doing(|| "let the workload go".to_owned())
            }
        }
    }

    fn become_program(&self, program: &Program) -> Result<()> {
        self.report(&Report::Pid(std::process::id()));
        let io = || -> io::Result<()> {
            // Its number must not be one of those that are set here.
            let opened = File::open("/dev/null")?;
            let nothing = syscall::inherited(std::os::fd::AsRawFd::as_raw_fd(&opened))?;
            drop(opened);
            syscall::duplicate_to(nothing.as_fd(), 0)?;
            syscall::duplicate_to(self.console.as_fd(), 1)?;
            syscall::duplicate_to(self.console.as_fd(), 2)?;
            syscall::duplicate_to(self.control.as_fd(), 3)?;
            syscall::close_at_exec_from(4)?;
            syscall::reset_signals()?;
            confine::program(program.reach)
        };
        io().doing(|| "prepare the program's process".to_owned())?;
        let mut argv = vec!["skyhold".to_owned()];
        argv.extend(program.args.iter().cloned());
        Err(syscall::exec("/proc/self/exe", &argv, &program.env))
            .doing(|| "execute the program".to_owned())
    }
}

/// Puts this process, and so all that it starts, under the workload's limits.
pub(super) fn prepare_process(cgroup_procs: &[PathBuf]) -> Result<()> {
    for file in cgroup_procs {
        fs::write(file, "0").doing(|| format!("join {}", file.display()))?;
    }
    // Both may be refused to a supervisor that has less than root's power; the workload then keeps
    // the supervisor's own values, which is no harm.
    let _ = setrlimit(Resource::Nofile, OPEN_FILES);
    let _ = fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE);
    Ok(())
}

/// Joins a network namespace, and lets the guest's root, who has no power over it, do in it what
/// root is used to: bind low ports and ping.
fn join_network(path: &Path) -> Result<()> {
    let namespace = File::open(path).doing(|| format!("open {}", path.display()))?;
    syscall::join(namespace.as_fd(), libc::CLONE_NEWNET)
        .doing(|| format!("join {}", path.display()))?;
    for (name, value) in [("ip_unprivileged_port_start", "0"), ("ping_group_range", "0 4294967294")]
    {
        let file = format!("/proc/sys/net/ipv4/{name}");
        fs::write(&file, value).doing(|| format!("set {file}"))?;
    }
    Ok(())
}

/// Gives a process in a fresh user namespace its ids.
fn map_ids(pid: u32, map: &str) -> Result<()> {
    for name in ["uid_map", "gid_map"] {
        let file = format!("/proc/{pid}/{name}");
        OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|mut file| file.write_all(map.as_bytes()))
            .doing(|| format!("write {file}"))?;
    }
    Ok(())
}

/// The guest's ids: 0 and up are the host's `id_base` and up.
pub(super) fn guest_map(id_base: u32) -> String {
    format!("0 {id_base} {ID_RANGE}\n")
}

/// The same for a folder that an overlay writes to: what the overlay itself owns while it works,
/// as the host's root, needs an owner on disk too.
pub(super) fn writable_map(id_base: u32) -> String {
    format!("0 {id_base} {ID_RANGE}\n{ID_RANGE} 0 1\n")
}

/// A user namespace with the same map as a workload's, for id-mapped mounts. The process that it
/// is made with ends at once; the descriptor keeps the namespace.
pub(super) fn id_map(map: &str) -> Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .doing(|| "make a pipe".to_owned())?;
    match syscall::clone(libc::CLONE_NEWUSER).doing(|| "make a user namespace".to_owned())? {
        Side::Child => {
            drop(writer);
            // The end of the pipe tells that the parent has what it wants, or is gone.
            let _ = syscall::as_file(reader).read(&mut [0]);
            syscall::exit_now(0)
        }
        Side::Parent(pid) => {
            drop(reader);
            let namespace = map_ids(pid, map).and_then(|()| {
                let path = format!("/proc/{pid}/ns/user");
                File::open(&path).doing(|| format!("open {path}"))
            });
            drop(writer);
            wait_for(pid);
            Ok(OwnedFd::from(namespace?))
        }
    }
}

/// Reaps a child of this process.
pub(super) fn wait_for(pid: u32) -> Option<rustix::process::WaitStatus> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)?;
    loop {
        match rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()) {
            Ok(found) => return found.map(|(_, status)| status),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// The three standard streams of a process about to be executed.
pub(super) fn set_streams(
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    error: BorrowedFd<'_>,
) -> io::Result<()> {
    syscall::duplicate_to(input, 0)?;
    syscall::duplicate_to(output, 1)?;
    syscall::duplicate_to(error, 2)
}
