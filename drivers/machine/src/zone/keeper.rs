//! Watching a workload that runs, to its end and beyond.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::sandbox::plan::Report;
use crate::spec::{EventKind, Exit, Kind};

use super::run::{Supervisor, now};
use super::start::{clear, next_report};
use super::workload::{Phase, Running, Then, Workload};

/// Waits for a workload's end, collecting its output.
pub(super) struct Keeper {
    pub(super) workload: Arc<Workload>,
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) running: Arc<Running>,
    pub(super) output: OwnedFd,
    /// The workload's side of a terminal that nobody else had open.
    pub(super) terminal: Mutex<Option<OwnedFd>>,
    pub(super) status: UnixStream,
}

impl Keeper {
    pub(super) fn keep(self) {
        self.watch();
        let exit = self.exit();
        let (spec, then) = {
            let life = self.workload.life();
            (life.spec.clone(), life.then)
        };
        clear(&self.supervisor, &self.running.group, self.running.id_base, &spec);
        self.workload.set_control(None);
        // A machine that resets itself ends with this signal (reboot(2)).
        let is_machine = matches!(spec.kind, Kind::Sandbox(_));
        let again = then == Then::StartAgain || (is_machine && exit == Exit::Signal(libc::SIGHUP));
        let exit =
            if is_machine && exit == Exit::Signal(libc::SIGINT) { Exit::PoweredOff } else { exit };
        if !again {
            self.workload.set_phase(Phase::Ended { exit, at: now() });
            self.supervisor.tell(self.workload.id(), EventKind::Exited(exit));
            return;
        }
        self.workload.begin_again();
        if self.workload.launch(&self.supervisor).is_err() {
            self.supervisor.tell(self.workload.id(), EventKind::Exited(exit));
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
                self.workload.print(chunk.get(..count).unwrap_or_default());
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
            Ok(
                Some(Report::Pid(_) | Report::Failed(_) | Report::Started | Report::Output(_))
                | None,
            )
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
