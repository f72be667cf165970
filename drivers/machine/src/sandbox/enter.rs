//! Runs a command inside a running workload and collects what it prints.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};

use crate::error::{Doing as _, Error, Result, chain};
use crate::{EXEC_OUTPUT_MAX, Exit, Output};

use super::confine;
use super::guest::exit_of;
use super::init::{Launcher, prepare_process, set_streams, wait_for};
use super::plan::{Enter, Report};
use super::syscall::{self, Side};

/// All namespaces of a workload.
const ALL: libc::c_int = syscall::NAMESPACES | libc::CLONE_NEWNET;

pub(super) fn run(launcher: &Launcher, request: &Enter) -> Result<()> {
    prepare_process(&request.cgroup_procs)?;
    let target = open_target(request.pid)?;
    let pipe = || {
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing(|| "make a pipe".to_owned())
    };
    let (input, output, error, failure) = (pipe()?, pipe()?, pipe()?, pipe()?);
    syscall::join(target.as_fd(), ALL).doing(|| "join the workload".to_owned())?;
    launcher.die_with_supervisor()?;
    let pid = match syscall::clone(0).doing(|| "fork".to_owned())? {
        Side::Child => {
            let Err(problem) = become_command(request, &input.0, &output.1, &error.1);
            let text = chain(&problem);
            // The reader sees the text, or the end if even that fails.
            let _ = syscall::as_file(failure.1).write_all(text.as_bytes());
            syscall::exit_now(127)
        }
        Side::Parent(pid) => pid,
    };
    drop((input.0, output.1, error.1, failure.1));
    let mut text = String::new();
    syscall::as_file(failure.0)
        .read_to_string(&mut text)
        .doing(|| "hear from the command".to_owned())?;
    if !text.is_empty() {
        wait_for(pid);
        return Err(Error::Refused(text));
    }
    let mut streams = Streams {
        input: Some(syscall::as_file(input.1)),
        stdin: request.command.stdin.clone(),
        output: Capture::new(output.0),
        error: Capture::new(error.0),
    };
    let in_time = streams.pump(request.command.timeout).doing(|| "read its output".to_owned())?;
    if !in_time {
        // It may just have ended by itself.
        let _ = syscall::kill(pid, libc::SIGKILL);
    }
    let exit = wait_for(pid).map_or(Exit::Code(-1), exit_of);
    if !in_time {
        return Err(Error::TimedOut("the command".to_owned()));
    }
    launcher.report(&Report::Output(Output {
        exit,
        stdout: streams.output.bytes,
        stderr: streams.error.bytes,
    }));
    Ok(())
}

fn open_target(pid: u32) -> Result<OwnedFd> {
    let gone = || Error::Refused("the workload has ended".to_owned());
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
    pidfd_open(pid, PidfdFlags::empty()).doing(|| "find the workload's process".to_owned())
}

fn become_command(
    request: &Enter,
    input: &OwnedFd,
    output: &OwnedFd,
    error: &OwnedFd,
) -> Result<std::convert::Infallible> {
    let command = &request.command;
    let prepare = || -> io::Result<()> {
        set_streams(input.as_fd(), output.as_fd(), error.as_fd())?;
        syscall::close_at_exec_from(3)?;
        rustix::process::setsid()?;
        confine::sandbox()?;
        std::env::set_current_dir("/")?;
        syscall::become_user(command.uid, command.gid)?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        syscall::reset_signals()
    };
    prepare().doing(|| "prepare the command".to_owned())?;
    let path = command.argv.first().cloned().unwrap_or_default();
    Err(syscall::exec(&path, &command.argv, &command.env)).doing(|| format!("execute {path}"))
}

/// The command's three streams.
struct Streams {
    input: Option<File>,
    stdin: Vec<u8>,
    output: Capture,
    error: Capture,
}

/// One output stream and what came of it so far.
struct Capture {
    from: Option<File>,
    bytes: Vec<u8>,
}

impl Capture {
    fn new(from: OwnedFd) -> Self {
        Self { from: Some(syscall::as_file(from)), bytes: Vec::new() }
    }

    fn read(&mut self) -> io::Result<()> {
        let Some(from) = &mut self.from else { return Ok(()) };
        let mut chunk = [0; 16 << 10];
        let count = from.read(&mut chunk)?;
        if count == 0 {
            self.from = None;
        }
        let room = EXEC_OUTPUT_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend(chunk.iter().take(count.min(room)));
        Ok(())
    }
}

impl Streams {
    /// Moves bytes until both outputs end; false when that takes longer than `timeout`.
    fn pump(&mut self, timeout: Duration) -> io::Result<bool> {
        let begun = Instant::now();
        if let Some(input) = &self.input {
            rustix::fs::fcntl_setfl(input, OFlags::NONBLOCK)?;
        }
        while self.output.from.is_some() || self.error.from.is_some() {
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            self.step(left)?;
        }
        Ok(true)
    }

    fn step(&mut self, left: Duration) -> io::Result<()> {
        self.write_input();
        let watched = [
            self.input.as_ref().map(|file| (file, PollFlags::OUT)),
            self.output.from.as_ref().map(|file| (file, PollFlags::IN)),
            self.error.from.as_ref().map(|file| (file, PollFlags::IN)),
        ];
        let mut fds: Vec<_> =
            watched.iter().flatten().map(|(file, flags)| PollFd::new(*file, *flags)).collect();
        let left = rustix::time::Timespec::try_from(left).ok();
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        let mut next = |present: bool| present && ready.next().unwrap_or(false);
        let _ = next(self.input.is_some());
        let (output, error) = (next(self.output.from.is_some()), next(self.error.from.is_some()));
        if output {
            self.output.read()?;
        }
        if error {
            self.error.read()?;
        }
        Ok(())
    }

    /// Gives the command what it still has to read; a command that reads no further is no error.
    fn write_input(&mut self) {
        let Some(input) = &mut self.input else { return };
        let outcome = input.write(&self.stdin);
        match outcome {
            Ok(count) => {
                self.stdin.drain(..count);
                if self.stdin.is_empty() {
                    self.input = None;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.input = None,
        }
    }
}
