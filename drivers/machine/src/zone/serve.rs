//! Connections of the control plane: requests in, answers and events out.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use crate::error::{Doing as _, Error, Result};
use crate::wire::{read_frame, write_frame};

use super::protocol::{Action, Bytes, Message, Reply, Request};
use super::run::Supervisor;
use super::{console, workload};

/// Messages that wait for a connection to read them.
const WAITING_MAX: usize = 4096;

/// Requests worked on at a time, over all connections.
const REQUESTS_MAX: usize = 512;

/// Threads here only wait; the default of 2 MiB of address space each is not needed.
pub(super) const STACK_BYTES: usize = 256 << 10;

/// Accepts connections in a thread of its own.
pub(super) fn start(supervisor: Arc<Supervisor>, listener: UnixListener) -> Result<()> {
    let requests = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let (supervisor, requests) = (Arc::clone(&supervisor), Arc::clone(&requests));
            // Without a thread the connection is dropped, and its other end tries again.
            let _ = spawn("connection", move || connection(&supervisor, stream, &requests));
        }
    };
    spawn("accept", accept)
}

/// Starts a thread that is never joined: it ends with its work or with the process.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map(drop)
        .doing(|| format!("start the {name} thread"))
}

fn connection(supervisor: &Arc<Supervisor>, mut stream: UnixStream, requests: &Arc<AtomicUsize>) {
    let (answers, waiting) = sync_channel(WAITING_MAX);
    let Ok(writer) = stream.try_clone() else { return };
    if spawn("writer", move || write_all(writer, &waiting)).is_err() {
        return;
    }
    supervisor.listen(answers.clone());
    while let Ok(Some(frame)) = read_frame(&mut stream) {
        let Ok(request) = serde_json::from_slice::<Request>(&frame) else { break };
        let (supervisor, answers) = (Arc::clone(supervisor), answers.clone());
        let number = request.number;
        let counter = Arc::clone(requests);
        if requests.fetch_add(1, Ordering::SeqCst) >= REQUESTS_MAX {
            requests.fetch_sub(1, Ordering::SeqCst);
            answer(&answers, number, Err(Error::Refused("too many requests".to_owned())));
            continue;
        }
        let refused = answers.clone();
        let started = spawn("request", move || {
            let outcome = act(&supervisor, request.action);
            let ends = matches!(outcome, Ok(Outcome::End));
            answer(&answers, number, outcome.map(Outcome::into_reply));
            counter.fetch_sub(1, Ordering::SeqCst);
            if ends {
                supervisor.end();
            }
        });
        if let Err(error) = started {
            requests.fetch_sub(1, Ordering::SeqCst);
            answer(&refused, number, Err(error));
        }
    }
    // Wakes the writer's peer and ends it on its next message.
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

/// What a request came to.
enum Outcome {
    Reply(Reply),
    End,
}

impl Outcome {
    fn into_reply(self) -> Reply {
        match self {
            Self::Reply(reply) => reply,
            Self::End => Reply::Done,
        }
    }
}

fn act(supervisor: &Arc<Supervisor>, action: Action) -> Result<Outcome> {
    let reply = match action {
        Action::Start(spec) => workload::start(supervisor, *spec).map(|()| Reply::Done),
        Action::Stop { id, how } => match supervisor.find(&id) {
            Ok(workload) => workload.stop(how).map(|()| Reply::Done),
            Err(_) => Ok(Reply::Done),
        },
        Action::Remove { id } => workload::remove(supervisor, &id).map(|()| Reply::Done),
        Action::Reboot { id } => supervisor.find(&id)?.reboot().map(|()| Reply::Done),
        Action::List => Ok(Reply::List(supervisor.list())),
        Action::Call { id, message } => {
            supervisor.find(&id)?.call(&message.0).map(|bytes| Reply::Bytes(Bytes(bytes)))
        }
        Action::Console { id, max_bytes } => {
            let bytes = match supervisor.find(&id) {
                Ok(workload) => workload.console_tail(max_bytes),
                Err(_) => {
                    workload::require_name(&id)?;
                    console::read(&supervisor.console_path(&id), max_bytes)
                }
            };
            Ok(Reply::Bytes(Bytes(bytes)))
        }
        Action::Freeze { id } => supervisor.find(&id)?.set_frozen(true).map(|()| Reply::Done),
        Action::Thaw { id } => supervisor.find(&id)?.set_frozen(false).map(|()| Reply::Done),
        Action::Exec { id, command } => {
            let output = supervisor.find(&id)?.exec(supervisor, *command)?;
            Ok(Reply::Output(Box::new(output)))
        }
        Action::Shutdown { how } => {
            supervisor.stop_all(how);
            return Ok(Outcome::End);
        }
    };
    reply.map(Outcome::Reply)
}

fn answer(to: &SyncSender<Vec<u8>>, number: u64, outcome: Result<Reply>) {
    let message = Message::Answer { number, outcome: outcome.map_err(Into::into) };
    let Ok(frame) = serde_json::to_vec(&message) else { return };
    // A connection that is gone needs no answer.
    let _ = to.send(frame);
}

fn write_all(mut stream: UnixStream, waiting: &Receiver<Vec<u8>>) {
    while let Ok(frame) = waiting.recv() {
        if write_frame(&mut stream, &frame).is_err() {
            return;
        }
    }
}
