//! What can go wrong when a workload is started, stopped or asked.

use std::io;

/// Why the machine driver could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The zone has no running supervisor: it was killed, or never started.
    #[error("zone {zone} is down")]
    ZoneDown {
        /// The zone asked for.
        zone: String,
    },
    /// The zone's supervisor does not know this workload.
    #[error("no workload {id} in this zone")]
    NoSuchWorkload {
        /// The workload asked for.
        id: String,
    },
    /// The workload is known but does not run.
    #[error("workload {id} is not running")]
    NotRunning {
        /// The workload asked for.
        id: String,
    },
    /// The request makes no sense for this workload or cannot be honoured at all.
    #[error("{0}")]
    Refused(String),
    /// The workload could not be started; the text names the step that failed.
    #[error("cannot start {id}: {reason}")]
    StartFailed {
        /// The workload.
        id: String,
        /// The step and the system's reason.
        reason: String,
    },
    /// The host lacks something; the text names it.
    #[error("this host lacks {0}")]
    HostLacks(String),
    /// Something did not answer in its time.
    #[error("no answer in time: {0}")]
    TimedOut(String),
    /// A command that the driver ran failed; the text ends with what it printed.
    #[error("{command} failed: {output}")]
    Command {
        /// The program.
        command: String,
        /// The end of its output.
        output: String,
    },
    /// The system refused; the text names what was tried.
    #[error("{doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// The driver's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds what was tried to a system error.
pub(crate) trait Doing<T> {
    /// Names the attempt; `doing` is evaluated only on failure.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { doing: doing(), source: source.into() })
    }
}

/// The error and its causes on one line, for messages that cross a process border.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
