//! The embedded engine: a B-tree file behind a write-ahead log of our own.
//!
//! A write closure runs in its caller's thread, under a lock that is held only for it: it reads
//! the data file through the writes that are still on their way there, and its own writes join
//! the open group. One thread, the committer, takes the open group, writes it as one log record,
//! waits for the disk, applies it to the B-tree without waiting, shows it to readers and only then
//! answers the writers; meanwhile the next group fills. So readers see what is durable and nothing
//! else, and a writer that saw another's unfinished write is answered after it.
//!
//! The B-tree is flushed when the log has grown by [`Options::checkpoint_bytes`]; after a crash it
//! stands as at the last flush, knows which record that was, and the log is replayed from there.

mod committer;
mod log;
mod overlay;

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use tokio::sync::{Notify, broadcast, oneshot};

use self::committer::Committer;
use self::overlay::{Layers, Rows, WriteSet};
use crate::backend::{Backend, Batch, BoxFuture, Snapshot, Span, Transaction, Verdict, Visit};
use crate::store::Options;
use crate::{Error, Result};

/// The most bytes that one transaction may write.
const TRANSACTION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much a group may hold before further writers wait for the next.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many batches a slow receiver of the change feed may be behind.
const FEED_BATCHES_MAX: usize = 1024;
/// The keyspace that counts the numbers given out by [`Transaction::append`].
const COUNTERS: &str = "store.counters";

/// The engine's handle; the committer ends when it is dropped.
pub(crate) struct Embedded {
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
}

/// What writers, readers and the committer share.
struct Shared {
    writer: Mutex<Writer>,
    /// Tells the committer that there is something to do.
    wake: Condvar,
    /// Tells writers that a group was taken.
    taken: Notify,
    /// What readers see; none when the store is closed.
    visible: RwLock<Option<Arc<Rows>>>,
    feed: broadcast::Sender<Arc<Batch>>,
}

/// Who waits for a group, or for the committer, to finish.
type Waiter = oneshot::Sender<Result<()>>;

/// The state that a write closure runs in.
struct Writer {
    /// The data file without the two groups; none when the store is closed.
    base: Option<Arc<Rows>>,
    open: WriteSet,
    open_waiters: Vec<Waiter>,
    syncing: Arc<WriteSet>,
    syncing_waiters: Vec<Waiter>,
    /// Why nothing more can be written.
    refusal: Option<Error>,
    checkpoints: Vec<Waiter>,
    stop: Option<Stop>,
}

/// How the committer is to end.
enum Stop {
    /// With everything in the data file; the waiter is told.
    Close(Waiter),
    /// With everything in the log.
    Abandon,
}

/// How far a write closure got.
enum Attempt {
    /// The open group is full; nothing was run.
    Full,
    /// It ran, and this tells when all it wrote and saw is durable.
    Waits(oneshot::Receiver<Result<()>>),
    /// It ran, wrote nothing and saw only what is durable.
    Done,
}

impl Embedded {
    /// Opens the files in `dir`, bringing the data file up to the log's end.
    pub(crate) fn open(dir: &Path, options: &Options) -> Result<Self> {
        let (committer, rows) = Committer::open(dir, options)?;
        Self::start(committer, Arc::new(rows))
    }

    fn start(committer: Committer, rows: Arc<Rows>) -> Result<Self> {
        let (feed, _) = broadcast::channel(FEED_BATCHES_MAX);
        let shared = Arc::new(Shared {
            writer: Mutex::new(Writer::on(rows.clone())),
            wake: Condvar::new(),
            taken: Notify::new(),
            visible: RwLock::new(Some(rows)),
            feed,
        });
        let run = {
            let shared = shared.clone();
            move || committer.run(&shared)
        };
        // A thread of its own, since it spends its life waiting for the disk.
        let thread = std::thread::Builder::new().name("store-committer".to_owned()).spawn(run);
        let committer = Some(thread.map_err(Error::io("starting the committer"))?);
        Ok(Self { shared, committer })
    }

    fn ask(&self, request: impl FnOnce(&mut Writer, Waiter)) -> oneshot::Receiver<Result<()>> {
        let (waiter, answer) = oneshot::channel();
        let mut writer = self.shared.lock();
        if writer.base.is_none() {
            drop(waiter);
            return answer;
        }
        request(&mut writer, waiter);
        self.shared.wake.notify_one();
        answer
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.lock().stop.get_or_insert(Stop::Abandon);
        self.shared.wake.notify_one();
        if let Some(committer) = self.committer.take()
            && committer.join().is_err()
        {
            tracing::error!("the store's committer panicked");
        }
    }
}

impl Backend for Embedded {
    fn read<'a>(
        &'a self,
        work: &'a mut (dyn FnMut(&dyn Snapshot) + Send),
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let rows = self.shared.visible().ok_or(Error::Closed)?;
            work(&View { rows: &rows });
            Ok(())
        })
    }

    fn write<'a>(
        &'a self,
        work: &'a mut (dyn FnMut(&dyn Transaction) -> Verdict + Send),
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            loop {
                let taken = self.shared.taken.notified();
                match self.shared.attempt(work)? {
                    Attempt::Done => return Ok(()),
                    Attempt::Waits(answer) => return answer.await.unwrap_or(Err(Error::Closed)),
                    Attempt::Full => taken.await,
                }
            }
        })
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Batch>> {
        self.shared.feed.subscribe()
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<()>> {
        let answer = self.ask(|writer, waiter| writer.checkpoints.push(waiter));
        Box::pin(async { answer.await.unwrap_or(Err(Error::Closed)) })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        let answer = self.ask(|writer, waiter| {
            writer.refusal.get_or_insert(Error::Closed);
            writer.stop.get_or_insert(Stop::Close(waiter));
        });
        Box::pin(async { answer.await.unwrap_or(Err(Error::Closed)) })
    }
}

impl Shared {
    /// The writer's state. A closure that panicked has changed nothing in it.
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visible(&self) -> Option<Arc<Rows>> {
        self.visible.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, rows: Option<Arc<Rows>>) {
        *self.visible.write().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// Runs `work` in the open group, unless that is full.
    fn attempt(
        &self,
        work: &mut (dyn FnMut(&dyn Transaction) -> Verdict + Send),
    ) -> Result<Attempt> {
        let mut writer = self.lock();
        if let Some(refusal) = &writer.refusal {
            return Err(refusal.clone());
        }
        if writer.open.bytes() >= GROUP_BYTES_MAX {
            return Ok(Attempt::Full);
        }
        let base = writer.base.clone().ok_or(Error::Closed)?;
        let edit = Edit { own: RefCell::default(), writer: &writer, base: &base };
        let verdict = work(&edit);
        let own = edit.own.into_inner();
        if verdict == Verdict::Commit && !own.is_empty() {
            if own.bytes() > TRANSACTION_BYTES_MAX {
                return Err(Error::TransactionTooLarge { max: TRANSACTION_BYTES_MAX });
            }
            if writer.open.is_empty() {
                self.wake.notify_one();
            }
            writer.open.merge(own);
        }
        Ok(writer.wait_for_all_seen())
    }
}

impl Writer {
    fn on(base: Arc<Rows>) -> Self {
        Self {
            base: Some(base),
            open: WriteSet::default(),
            open_waiters: Vec::new(),
            syncing: Arc::default(),
            syncing_waiters: Vec::new(),
            refusal: None,
            checkpoints: Vec::new(),
            stop: None,
        }
    }

    /// An answer, even a refusal, may rest on another's write that is not durable yet; it must not
    /// leave before that is.
    fn wait_for_all_seen(&mut self) -> Attempt {
        let waiters = if !self.open.is_empty() {
            &mut self.open_waiters
        } else if !self.syncing.is_empty() {
            &mut self.syncing_waiters
        } else {
            return Attempt::Done;
        };
        let (waiter, answer) = oneshot::channel();
        waiters.push(waiter);
        Attempt::Waits(answer)
    }
}

/// A reader's view.
struct View<'a> {
    rows: &'a Rows,
}

impl Snapshot for View<'_> {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Layers { overlays: &[], base: self.rows }.get(space, key)
    }

    fn scan(&self, space: &str, span: &Span, visit: &mut Visit<'_>) -> Result<()> {
        Layers { overlays: &[], base: self.rows }.scan(space, span, visit)
    }
}

/// A write closure's view, and what it writes.
struct Edit<'a> {
    own: RefCell<WriteSet>,
    writer: &'a Writer,
    base: &'a Rows,
}

impl Edit<'_> {
    fn set(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<()> {
        let mut own = self.own.borrow_mut();
        own.set(key, value);
        if own.bytes() > TRANSACTION_BYTES_MAX {
            return Err(Error::TransactionTooLarge { max: TRANSACTION_BYTES_MAX });
        }
        Ok(())
    }
}

impl Snapshot for Edit<'_> {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let own = self.own.borrow();
        let overlays = [&*own, &self.writer.open, &*self.writer.syncing];
        Layers { overlays: &overlays, base: self.base }.get(space, key)
    }

    fn scan(&self, space: &str, span: &Span, visit: &mut Visit<'_>) -> Result<()> {
        let own = self.own.borrow();
        let overlays = [&*own, &self.writer.open, &*self.writer.syncing];
        Layers { overlays: &overlays, base: self.base }.scan(space, span, visit)
    }
}

impl Transaction for Edit<'_> {
    fn put(&self, space: &str, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.set(overlay::full_key(space, &key), Some(value))
    }

    fn delete(&self, space: &str, key: &[u8]) -> Result<()> {
        self.set(overlay::full_key(space, key), None)
    }

    fn append(&self, space: &str, value: Vec<u8>) -> Result<u64> {
        let counter = self.get(COUNTERS, space.as_bytes())?;
        let last = match counter.as_deref().map(<[u8; 8]>::try_from) {
            None => 0,
            Some(Ok(bytes)) => u64::from_be_bytes(bytes),
            Some(Err(_)) => return Err(Error::Corrupt(format!("the counter of {space}"))),
        };
        let number = last + 1;
        let key = number.to_be_bytes().to_vec();
        self.put(COUNTERS, space.as_bytes().to_vec(), key.clone())?;
        self.put(space, key, value)?;
        Ok(number)
    }
}

#[cfg(test)]
mod tests;
