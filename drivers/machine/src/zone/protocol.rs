//! What the control plane and a zone supervisor say to each other: JSON in frames.

use serde::{Deserialize, Serialize};

use crate::error::{Error, chain};
use crate::spec::{EventKind, Exec, Output, Stop, WorkloadSpec, WorkloadStatus};
use crate::wire::bytes_base64;

/// A request to a supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Repeated in the answer; answers may come in any order.
    pub(crate) number: u64,
    /// What to do.
    pub(crate) action: Action,
}

/// What a supervisor can do, after [`crate::Machine`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Action {
    Start(Box<WorkloadSpec>),
    Stop {
        id: String,
        how: Stop,
    },
    Remove {
        id: String,
    },
    Reboot {
        id: String,
    },
    List,
    Call {
        id: String,
        message: Bytes,
    },
    Console {
        id: String,
        max_bytes: usize,
    },
    Freeze {
        id: String,
    },
    Thaw {
        id: String,
    },
    Exec {
        id: String,
        command: Box<Exec>,
    },
    /// Stop everything, then end.
    Shutdown {
        how: Stop,
    },
}

/// What a supervisor sends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// To a request.
    Answer { number: u64, outcome: Result<Reply, Refusal> },
    /// Unasked.
    Event { id: String, kind: EventKind },
}

/// A good answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    List(Vec<WorkloadStatus>),
    Bytes(Bytes),
    Output(Box<Output>),
}

/// Bytes inside JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bytes(#[serde(with = "bytes_base64")] pub(crate) Vec<u8>);

/// A bad answer: an [`Error`] that crosses the process border.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Refusal {
    NoSuchWorkload { id: String },
    NotRunning { id: String },
    StartFailed { id: String, reason: String },
    HostLacks(String),
    TimedOut(String),
    Refused(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSuchWorkload { id } => Self::NoSuchWorkload { id },
            Error::NotRunning { id } => Self::NotRunning { id },
            Error::StartFailed { id, reason } => Self::StartFailed { id, reason },
            Error::HostLacks(what) => Self::HostLacks(what),
            Error::TimedOut(what) => Self::TimedOut(what),
            Error::Refused(why) => Self::Refused(why),
            Error::ZoneDown { .. } | Error::Command { .. } | Error::Io { .. } => {
                Self::Refused(chain(&error))
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchWorkload { id } => Self::NoSuchWorkload { id },
            Refusal::NotRunning { id } => Self::NotRunning { id },
            Refusal::StartFailed { id, reason } => Self::StartFailed { id, reason },
            Refusal::HostLacks(what) => Self::HostLacks(what),
            Refusal::TimedOut(what) => Self::TimedOut(what),
            Refusal::Refused(why) => Self::Refused(why),
        }
    }
}
