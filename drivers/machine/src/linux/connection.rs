//! One connection to a supervisor: many requests at a time, answers in any order, events between.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base::Zone;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{oneshot, watch};

use super::Shared;
use crate::error::{Doing as _, Error, Result};
use crate::wire::frame_length;
use crate::zone::ZoneOptions;
use crate::zone::protocol::{Action, Message, Refusal, Reply, Request};

type Outcome = std::result::Result<Reply, Refusal>;

/// A supervisor's other end.
pub(super) struct Connection {
    zone: Zone,
    pid: Pid,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
    number: AtomicU64,
    closed: watch::Sender<bool>,
    end_expected: AtomicBool,
}

impl Connection {
    /// Connects, and reads in the background until the supervisor is gone.
    pub(super) async fn open(shared: &Arc<Shared>, zone: &ZoneOptions) -> Result<Arc<Self>> {
        let connecting = || format!("connect to {}", zone.socket.display());
        let stream = UnixStream::connect(&zone.socket).await.doing(connecting)?;
        let peer = rustix::net::sockopt::socket_peercred(&stream).doing(connecting)?;
        let (reader, writer) = stream.into_split();
        let connection = Arc::new(Self {
            zone: zone.zone.clone(),
            pid: peer.pid,
            writer: tokio::sync::Mutex::new(writer),
            waiting: Mutex::default(),
            number: AtomicU64::new(0),
            closed: watch::channel(false).0,
            end_expected: AtomicBool::new(false),
        });
        let (reading, shared) = (Arc::clone(&connection), Arc::downgrade(shared));
        #[expect(
            clippy::disallowed_methods,
            reason = "drivers stand below the kernel's task registry; it ends with its supervisor"
        )]
        drop(tokio::spawn(reading.read_until_lost(reader, shared)));
        Ok(connection)
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&self, action: Action, patience: Duration) -> Result<Reply> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(number, sender);
        if *self.closed.borrow() {
            self.waiting().remove(&number);
            return Err(self.down());
        }
        let asking = async {
            self.send(&Request { number, action }).await?;
            match answer.await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(refusal)) => Err(refusal.into()),
                Err(_) => Err(self.down()),
            }
        };
        let outcome = tokio::time::timeout(patience, asking).await;
        self.waiting().remove(&number);
        let late = || Error::TimedOut(format!("the supervisor of {}", self.zone));
        outcome.map_err(|_| late())?
    }

    /// Kills the supervisor and its process group.
    pub(super) fn kill_group(&self) -> Result<()> {
        match kill_process_group(self.pid, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).doing(|| format!("kill {}", self.zone)),
        }
    }

    /// Its end is asked for and needs no event.
    pub(super) fn expect_end(&self) {
        self.end_expected.store(true, Ordering::SeqCst);
    }

    /// Waits until the supervisor is gone.
    pub(super) async fn closed(&self) {
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    async fn send(&self, request: &Request) -> Result<()> {
        let text = serde_json::to_vec(request).map_err(|e| Error::Refused(e.to_string()))?;
        let length = u32::try_from(text.len())
            .ok()
            .filter(|length| frame_length(length.to_be_bytes()).is_ok())
            .ok_or_else(|| Error::Refused("the request is too large".to_owned()))?;
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(&text);
        self.writer.lock().await.write_all(&frame).await.map_err(|_| self.down())
    }

    async fn read_until_lost(self: Arc<Self>, mut reader: OwnedReadHalf, shared: Weak<Shared>) {
        while let Ok(message) = read_message(&mut reader).await {
            match message {
                Message::Answer { number, outcome } => {
                    if let Some(waiting) = self.waiting().remove(&number) {
                        // Whoever asked may have given up.
                        let _ = waiting.send(outcome);
                    }
                }
                Message::Event { id, kind } => {
                    let Some(shared) = shared.upgrade() else { return };
                    shared.send(&self.zone, id, kind);
                }
            }
        }
        // Forgotten before anybody who waits for the end can ask for a new connection.
        if let Some(shared) = shared.upgrade() {
            if self.end_expected.load(Ordering::SeqCst) {
                shared.forget(&self.zone, &self);
            } else {
                shared.lost(&self.zone, &self);
            }
        }
        self.closed.send_replace(true);
        // Dropped senders tell those who wait.
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Outcome>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn down(&self) -> Error {
        Error::ZoneDown { zone: self.zone.to_string() }
    }
}

async fn read_message(reader: &mut OwnedReadHalf) -> io::Result<Message> {
    let mut header = [0; 4];
    reader.read_exact(&mut header).await?;
    let mut frame = vec![0; frame_length(header)?];
    reader.read_exact(&mut frame).await?;
    serde_json::from_slice(&frame).map_err(io::Error::from)
}
