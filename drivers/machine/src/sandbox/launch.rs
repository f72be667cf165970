//! Starting launchers, and talking to them.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Doing as _, Error, Result};
use crate::wire::{read_frame, write_frame};

use super::plan::{Job, LAUNCHER, Report};
use super::syscall;

/// This process's executable, also when it was replaced on disk since.
pub(crate) const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// A launcher's command, and our end of its status socket.
pub(crate) fn command(executable: &Path) -> Result<(Command, UnixStream)> {
    let (ours, theirs) = UnixStream::pair().doing(|| "make a socket pair".to_owned())?;
    #[expect(clippy::disallowed_methods, reason = "a driver starts processes")]
    let mut command = Command::new(executable);
    command.arg(LAUNCHER).env_clear().stdin(Stdio::from(OwnedFd::from(theirs)));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((command, ours))
}

/// Sends a launcher its job.
pub(crate) fn send(mut status: &UnixStream, job: &Job) -> Result<()> {
    let text = serde_json::to_vec(job).map_err(|error| Error::Refused(error.to_string()))?;
    write_frame(&mut status, &text).doing(|| "send the launcher its job".to_owned())
}

/// Runs a job that has no workload and only succeeds or fails.
pub(crate) fn run_to_end(executable: &Path, job: &Job) -> Result<()> {
    let (mut command, mut status) = command(executable)?;
    command.stderr(Stdio::piped());
    let child = command.spawn().doing(|| "start a launcher".to_owned())?;
    // The command holds its copy of the other end; without it a dead launcher ends the stream.
    drop(command);
    send(&status, job)?;
    let output = child.wait_with_output().doing(|| "wait for the launcher".to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let report = read_frame(&mut status).ok().flatten().unwrap_or_default();
    match serde_json::from_slice(&report) {
        Ok(Report::Failed(reason)) => Err(Error::Refused(reason)),
        Ok(Report::Pid(_) | Report::Started | Report::Exited(_) | Report::Output(_)) | Err(_) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(Error::Command { command: "the launcher".to_owned(), output: text })
        }
    }
}

/// Gives a launcher where the workload's output goes, and a program's control socket.
pub(crate) fn connect(
    command: &mut Command,
    output: &OwnedFd,
    control: Option<&OwnedFd>,
) -> Result<()> {
    let duplicate = |fd: &OwnedFd| syscall::as_stdio(fd).doing(|| "copy a descriptor".to_owned());
    command.stdout(duplicate(output)?);
    if let Some(control) = control {
        command.stderr(duplicate(control)?);
    }
    Ok(())
}
