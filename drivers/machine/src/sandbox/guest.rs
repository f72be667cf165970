//! The workload's first process, from its birth in new namespaces to the program it becomes.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, move_mount,
    open_tree, unmount,
};

use crate::Exit;
use crate::error::{Doing as _, Error, Result, chain};
use crate::spec::{Kind, Process, Root, Sandbox, SeedFile};

use super::assemble::{attach, new_mount};
use super::confine;
use super::init::{Launcher, set_streams};
use super::inroot::{InRoot, Target};
use super::plan::{CgroupView, Plan, Report};
use super::syscall::{self, Side};

/// The group that owns terminals, in Debian and nearly everywhere else.
const TERMINAL_OPTIONS: &std::ffi::CStr = c"newinstance,ptmxmode=0666,mode=0620,gid=5";

/// Runs as process 1 of the new namespaces; never returns.
pub(super) fn run(launcher: &Launcher, plan: &Plan, go: File) -> ! {
    let error = match become_workload(launcher, plan, go) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    launcher.report(&Report::Failed(chain(&error)));
    syscall::exit_now(1)
}

enum Never {}

fn become_workload(launcher: &Launcher, plan: &Plan, mut go: File) -> Result<Never> {
    let mut answer = [0];
    go.read_exact(&mut answer).doing(|| "wait for the launcher".to_owned())?;
    syscall::become_user(0, 0).doing(|| "become the guest's root".to_owned())?;
    // After the change of user, which clears it.
    launcher.die_with_supervisor()?;
    // Refused only to a process that leads a group already, which a fresh clone does not.
    rustix::process::setsid().doing(|| "leave the supervisor's session".to_owned())?;
    if plan.spec.netns.is_none() {
        syscall::loopback_up().doing(|| "bring up the loopback interface".to_owned())?;
    }
    match &plan.spec.kind {
        Kind::Sandbox(sandbox) => {
            enter_root(&sandbox.root, &sandbox.hostname, plan.cgroup_view)?;
            // The init sets the name from this file.
            let content = format!("{}\n", sandbox.hostname).into_bytes();
            write_seed(&SeedFile { path: "/etc/hostname".into(), mode: 0o644, content })?;
            become_init(launcher, sandbox)
        }
        Kind::Process(process) => {
            enter_root(&process.root, &process.hostname, plan.cgroup_view)?;
            watch_process(launcher, process)
        }
        Kind::Program(_) => Err(Error::Refused("a program has no root".to_owned())),
    }
}

/// Makes the assembled root, which is the working folder, the only thing there is.
fn enter_root(root: &Root, hostname: &str, view: CgroupView) -> Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, ".", flags).doing(|| "copy the root's mounts".to_owned())?;
    move_mount(&tree, "", CWD, ".", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .doing(|| "put the root on itself".to_owned())?;
    rustix::process::fchdir(&tree).doing(|| "enter the root".to_owned())?;
    // While the host's /proc can still be seen: the kernel grants a new one only then.
    let safe = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let proc = new_mount("proc", &[], safe)?;
    let inside = InRoot { root: tree.as_fd(), owner: 0 };
    let place =
        inside.place(Path::new("/proc"), Target::Folder).doing(|| "make /proc".to_owned())?;
    attach(&proc, &place, Path::new("/proc"))?;
    rustix::process::pivot_root(".", ".").doing(|| "change the root".to_owned())?;
    unmount(".", UnmountFlags::DETACH).doing(|| "let the host's files go".to_owned())?;
    rustix::process::chdir("/").doing(|| "enter the new root".to_owned())?;
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("devpts", "/dev/pts", "devpts", quiet, TERMINAL_OPTIONS)
        .doing(|| "mount /dev/pts".to_owned())?;
    mount("mqueue", "/dev/mqueue", "mqueue", quiet | MountFlags::NODEV, None)
        .doing(|| "mount /dev/mqueue".to_owned())?;
    mount_cgroup(view)?;
    rustix::system::sethostname(hostname.as_bytes()).doing(|| "set the host name".to_owned())?;
    root.files.iter().try_for_each(write_seed)
}

fn mount_cgroup(view: CgroupView) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let doing = || "mount /sys/fs/cgroup".to_owned();
    match view {
        CgroupView::Nothing => Ok(()),
        CgroupView::Unified => {
            mount("cgroup2", "/sys/fs/cgroup", "cgroup2", flags, None).doing(doing)
        }
        CgroupView::NamedSystemd => {
            mount("tmpfs", "/sys/fs/cgroup", "tmpfs", flags, c"mode=0755,size=64k").doing(doing)?;
            fs::create_dir("/sys/fs/cgroup/systemd").doing(doing)?;
            mount("cgroup", "/sys/fs/cgroup/systemd", "cgroup", flags, c"none,name=systemd")
                .doing(doing)
        }
    }
}

/// Writes one file as the guest's root, inside the guest's root: its links lead nowhere else.
fn write_seed(file: &SeedFile) -> Result<()> {
    let write = || -> io::Result<()> {
        if let Some(parent) = file.path.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::remove_file(&file.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(file.mode);
        options.open(&file.path)?.write_all(&file.content)?;
        fs::set_permissions(&file.path, std::os::unix::fs::PermissionsExt::from_mode(file.mode))
    };
    write().doing(|| format!("write {}", file.path.display()))
}

fn become_init(launcher: &Launcher, sandbox: &Sandbox) -> Result<Never> {
    let prepare = || -> io::Result<()> {
        let console = launcher.console.as_fd();
        set_streams(console, console, console)?;
        syscall::close_at_exec_from(3)?;
        syscall::reset_signals()?;
        confine::sandbox()
    };
    prepare().doing(|| "prepare the first process".to_owned())?;
    let path = first(&sandbox.init)?;
    let mut env = sandbox.env.clone();
    // systemd and others ask this to leave alone what only a real machine has.
    env.push(("container".to_owned(), "skyhold".to_owned()));
    Err(syscall::exec(&path, &sandbox.init, &env)).doing(|| format!("execute {path}"))
}

/// Starts the one program of a workload without an init, and is its init: forwards signals to it,
/// reaps what it leaves behind, ends with it.
fn watch_process(launcher: &Launcher, process: &Process) -> Result<Never> {
    confine::sandbox().doing(|| "confine the process".to_owned())?;
    let (mut failure, failed) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map(|(reader, writer)| (syscall::as_file(reader), syscall::as_file(writer)))
        .doing(|| "make a pipe".to_owned())?;
    syscall::block_signals().doing(|| "block signals".to_owned())?;
    let pid = match syscall::clone(0).doing(|| "fork".to_owned())? {
        Side::Child => {
            let Err(error) = become_process(launcher, process);
            // The reader sees the text, or the end if even that fails.
            let _ = (&failed).write_all(chain(&error).as_bytes());
            syscall::exit_now(127)
        }
        Side::Parent(pid) => pid,
    };
    drop(failed);
    let mut text = String::new();
    failure.read_to_string(&mut text).doing(|| "hear from the process".to_owned())?;
    if !text.is_empty() {
        return Err(Error::Refused(text));
    }
    launcher.report(&Report::Started);
    let exit = forward_until_end(pid)?;
    launcher.report(&Report::Exited(exit));
    syscall::exit_now(0)
}

fn become_process(launcher: &Launcher, process: &Process) -> Result<std::convert::Infallible> {
    let prepare = || -> io::Result<()> {
        let nothing = File::open("/dev/null")?;
        let console = launcher.console.as_fd();
        set_streams(nothing.as_fd(), console, console)?;
        syscall::close_at_exec_from(3)?;
        rustix::process::setsid()?;
        syscall::become_user(process.uid, process.gid)?;
        std::env::set_current_dir(&process.cwd)?;
        syscall::reset_signals()
    };
    prepare().doing(|| "prepare the process".to_owned())?;
    let path = first(&process.argv)?;
    Err(syscall::exec(&path, &process.argv, &process.env)).doing(|| format!("execute {path}"))
}

fn first(argv: &[String]) -> Result<String> {
    let missing = || Error::Refused("the command is empty".to_owned());
    argv.first().cloned().ok_or_else(missing)
}

fn forward_until_end(main: u32) -> Result<Exit> {
    loop {
        let signal = match syscall::next_signal() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.doing(|| "wait for signals".to_owned())?,
        };
        if signal != libc::SIGCHLD {
            // It may just have ended; the next SIGCHLD tells.
            let _ = syscall::kill(main, signal);
            continue;
        }
        if let Some(exit) = reap(main) {
            return Ok(exit);
        }
    }
}

/// Reaps all that has ended; tells if the main process was among it.
fn reap(main: u32) -> Option<Exit> {
    use rustix::process::{WaitOptions, wait};
    let mut ended = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if u32::try_from(pid.as_raw_nonzero().get()).ok() == Some(main) {
            ended = Some(exit_of(status));
        }
    }
    ended
}

/// A wait status as an [`Exit`].
pub(super) fn exit_of(status: rustix::process::WaitStatus) -> Exit {
    match status.terminating_signal() {
        Some(signal) => Exit::Signal(signal),
        None => Exit::Code(status.exit_status().unwrap_or(-1)),
    }
}
