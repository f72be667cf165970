//! What an engine must offer: the one seam between the typed store and what keeps the bytes.
//!
//! Keys and values are bytes, keyspaces are names. A transaction is serializable: its effect is as
//! if it had run alone. An engine may run a write closure several times and keep only the last
//! run, as one that detects conflicts at commit must. Transactions take `&self`, so that reads can
//! be shared while a write is open; they are used by one thread at a time.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::Result;

/// A future in a box, as object-safe traits return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sees a row's key and value; says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>> + 'a;

/// An engine that keeps rows.
pub trait Backend: Send + Sync + 'static {
    /// Runs `work` once over a snapshot that holds everything acknowledged before the call.
    fn read<'a>(
        &'a self,
        work: &'a mut (dyn FnMut(&dyn Snapshot) + Send),
    ) -> BoxFuture<'a, Result<()>>;

    /// Runs `work` in a serializable transaction and returns when its writes, and all writes it
    /// saw, are durable. `work` may run several times; what its last run wrote is kept if that
    /// returned [`Verdict::Commit`]. Dropping the future does not undo a commit.
    fn write<'a>(
        &'a self,
        work: &'a mut (dyn FnMut(&dyn Transaction) -> Verdict + Send),
    ) -> BoxFuture<'a, Result<()>>;

    /// The batches committed from now on, in commit order. A receiver that falls behind is told so.
    fn subscribe(&self) -> broadcast::Receiver<Arc<Batch>>;

    /// Moves what is only in a log into the engine's resting form.
    fn checkpoint(&self) -> BoxFuture<'_, Result<()>>;

    /// Ends all work and releases the files; later calls fail.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// A consistent view of all rows.
pub trait Snapshot {
    /// The value at `key` in `space`.
    ///
    /// # Errors
    ///
    /// When the engine cannot read.
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Shows the rows of `space` in `span` to `visit`, until it breaks off.
    ///
    /// # Errors
    ///
    /// When the engine cannot read, and what `visit` returns.
    fn scan(&self, space: &str, span: &Span, visit: &mut Visit<'_>) -> Result<()>;
}

/// A view that can be changed.
pub trait Transaction: Snapshot {
    /// Sets the value at `key` in `space`.
    ///
    /// # Errors
    ///
    /// When the transaction grows too large or the engine fails.
    fn put(&self, space: &str, key: Vec<u8>, value: Vec<u8>) -> Result<()>;

    /// Removes `key` from `space`, where it need not be.
    ///
    /// # Errors
    ///
    /// As [`Transaction::put`].
    fn delete(&self, space: &str, key: &[u8]) -> Result<()>;

    /// Adds `value` at the end of `space` under the next number, which no row of the space had
    /// before, and whose eight big-endian bytes are the key. Numbers rise in commit order.
    ///
    /// # Errors
    ///
    /// As [`Transaction::put`].
    fn append(&self, space: &str, value: Vec<u8>) -> Result<u64>;
}

/// Whether a run of a write closure is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Keep its writes.
    Commit,
    /// Forget its writes.
    Discard,
}

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the lowest key.
    Ascending,
    /// From the highest key.
    Descending,
}

/// A stretch of keys and the direction to walk it in.
#[derive(Debug, Clone)]
pub struct Span {
    /// The lowest key in it.
    pub from: Vec<u8>,
    /// The key it ends before; none to go to the keyspace's end.
    pub until: Option<Vec<u8>>,
    /// The direction.
    pub order: Order,
}

impl Span {
    /// All keys that start with `prefix`, from the lowest.
    pub fn prefix(prefix: Vec<u8>) -> Self {
        let until = after_prefix(&prefix);
        Self { from: prefix, until, order: Order::Ascending }
    }

    /// The part of this stretch behind `key` and everything that `key` is a prefix of.
    #[must_use]
    pub fn beyond(mut self, key: &[u8]) -> Self {
        match after_prefix(key) {
            Some(next) if next > self.from => self.from = next,
            Some(_) => {}
            // Nothing sorts behind a key of only 0xff bytes.
            None => self.until = Some(self.from.clone()),
        }
        self
    }

    /// The part of this stretch behind `key`.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        let mut next = key.to_vec();
        next.push(0);
        if next > self.from {
            self.from = next;
        }
        self
    }

    /// The same stretch walked the other way.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.order = Order::Descending;
        self
    }

    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.until.as_ref().is_some_and(|until| *until <= self.from)
    }
}

/// The lowest key behind all that start with `prefix`; none when there is no such key.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < 0xff {
            next.push(last + 1);
            return Some(next);
        }
    }
    None
}

/// What one or more transactions, committed together, changed.
#[derive(Debug)]
pub struct Batch {
    /// Rises by one from batch to batch while the store is open.
    pub sequence: u64,
    /// The rows written or removed, by keyspace and key.
    pub changes: Vec<Change>,
}

/// A row that was written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The keyspace.
    pub space: String,
    /// The row's key.
    pub key: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(after_prefix(b"a"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }

    #[test]
    fn nothing_is_beyond_the_highest_prefix() {
        assert!(Span::prefix(Vec::new()).beyond(b"\xff").is_empty());
        assert_eq!(Span::prefix(b"a".to_vec()).beyond(b"ab").from, b"ac");
        assert_eq!(Span::prefix(b"b".to_vec()).beyond(b"ab").from, b"b");
    }
}
