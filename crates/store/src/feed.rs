//! The change feed: who waits for a table to change waits here.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::backend::Batch;
use crate::record::{Record, Table};
use crate::scope::Scope;
use crate::transaction::OUTBOX;
use crate::{Error, Result};

/// The changes committed since it was made.
#[derive(Debug)]
pub struct ChangeFeed(broadcast::Receiver<Arc<Batch>>);

/// What a feed tells.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A batch was committed.
    Committed(Arc<Batch>),
    /// Batches were missed because the receiver was slow: read everything anew.
    Lagged,
}

impl ChangeFeed {
    pub(crate) fn new(receiver: broadcast::Receiver<Arc<Batch>>) -> Self {
        Self(receiver)
    }

    /// The next notice; none when the store is closed. Cancellation-safe.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(batch) => Some(Notice::Committed(batch)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Lagged),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Notice {
    /// Whether rows of `table` changed, or may have.
    pub fn touches<R: Record>(&self, table: &Table<R>) -> bool {
        match self {
            Self::Committed(batch) => batch.touches(table),
            Self::Lagged => true,
        }
    }

    /// Whether events were emitted, or may have been.
    pub fn has_events(&self) -> bool {
        match self {
            Self::Committed(batch) => batch.has_events(),
            Self::Lagged => true,
        }
    }
}

impl Batch {
    /// Whether rows of `table` changed.
    pub fn touches<R: Record>(&self, table: &Table<R>) -> bool {
        self.changes.iter().any(|change| change.space == table.name())
    }

    /// Whether events were emitted.
    pub fn has_events(&self) -> bool {
        self.changes.iter().any(|change| change.space == OUTBOX)
    }

    /// The keys of the rows of `table` that changed, with the scope they lie in. Account-wide
    /// tables give [`Scope::GLOBAL_REGION`] as region.
    ///
    /// # Errors
    ///
    /// [`Error::WrongScope`] for a table without scopes, [`Error::BadKey`] for damaged rows.
    pub fn keys<R: Record>(&self, table: &Table<R>) -> Result<Vec<(Scope, R::Key)>> {
        let changed = self.changes.iter().filter(|change| change.space == table.name());
        let split = |key: &[u8]| {
            let mut rest = key;
            let scope =
                table.decode_scope(&mut rest)?.ok_or(Error::WrongScope { table: table.name() })?;
            Ok((scope, crate::key::decode_whole(rest)?))
        };
        changed.map(|change| split(&change.key)).collect()
    }
}
