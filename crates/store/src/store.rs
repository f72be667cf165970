//! The store as handlers and tasks hold it.

use std::path::Path;
use std::sync::Arc;

use crate::backend::{Backend, Snapshot, Transaction, Verdict};
use crate::embedded::Embedded;
use crate::feed::ChangeFeed;
use crate::scope::Scope;
use crate::transaction::{ReadTx, WriteTx};
use crate::{Error, Result};

/// The region's state. Clones share it.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// The state of one account in one region. Clones share it.
#[derive(Clone)]
pub struct ScopedStore {
    store: Store,
    scope: Arc<Scope>,
}

/// How the embedded engine keeps its rows.
#[derive(Debug, Clone)]
pub struct Options {
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// How many bytes of the data file are kept in memory.
    pub cache_bytes: usize,
    /// How much log may gather before it is moved into the data file; also what an opening after
    /// a crash has to replay at most.
    pub checkpoint_bytes: u64,
}

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: it is on disk when it is acknowledged.
    Durable,
    /// Nothing: the rows are in memory only.
    Ephemeral,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Durable,
            cache_bytes: 8 * 1024 * 1024,
            checkpoint_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Options {
    /// Rows in memory, gone when the store is.
    pub fn ephemeral() -> Self {
        Self { durability: Durability::Ephemeral, ..Self::default() }
    }
}

impl Store {
    /// Opens the embedded engine's store in the folder `dir`, making both where they are not.
    ///
    /// # Errors
    ///
    /// When the files cannot be opened or locked, or are damaged.
    pub async fn open(dir: &Path, options: Options) -> Result<Self> {
        let dir = dir.to_path_buf();
        let opening = tokio::task::spawn_blocking(move || Embedded::open(&dir, &options));
        let engine = opening.await.map_err(Error::engine)??;
        Ok(Self::on(Arc::new(engine)))
    }

    /// The store on `backend`.
    pub fn on(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The part of the store that belongs to `scope`.
    pub fn scoped(&self, scope: Scope) -> ScopedStore {
        ScopedStore { store: self.clone(), scope: Arc::new(scope) }
    }

    /// Runs `work` over a consistent snapshot of all that was acknowledged. Scoped tables are
    /// reached through [`ReadTx::scope`] and [`ReadTx::scan_all`].
    ///
    /// # Errors
    ///
    /// What `work` returns, or the store's own failure.
    pub async fn read<T: Send, E: From<Error> + Send>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.read_in(None, work).await
    }

    /// Runs `work` in a serializable transaction, and returns when what it wrote is durable. An
    /// error of `work` discards what it wrote. `work` may run more than once, of which the last
    /// run counts. Dropping the future neither undoes nor loses a commit.
    ///
    /// # Errors
    ///
    /// What `work` returns, or the store's own failure.
    pub async fn write<T: Send, E: From<Error> + Send>(
        &self,
        work: impl FnMut(&mut WriteTx<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.write_in(None, work).await
    }

    /// The changes committed from now on.
    pub fn changes(&self) -> ChangeFeed {
        ChangeFeed::new(self.backend.subscribe())
    }

    /// Moves the log into the data file.
    ///
    /// # Errors
    ///
    /// When the files cannot be written.
    pub async fn checkpoint(&self) -> Result<()> {
        self.backend.checkpoint().await
    }

    /// Finishes what was begun, moves the log into the data file and releases the files. Every
    /// later call on any clone fails with [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// When the files cannot be written.
    pub async fn close(&self) -> Result<()> {
        self.backend.close().await
    }

    async fn read_in<T: Send, E: From<Error> + Send>(
        &self,
        scope: Option<&Scope>,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let mut work = Some(work);
        let mut answer = None;
        let mut run = |rows: &dyn Snapshot| {
            answer = work.take().map(|work| work(&ReadTx::new(rows, scope)));
        };
        self.backend.read(&mut run).await?;
        answer.unwrap_or_else(|| Err(Error::Closed.into()))
    }

    async fn write_in<T: Send, E: From<Error> + Send>(
        &self,
        scope: Option<&Scope>,
        mut work: impl FnMut(&mut WriteTx<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let mut answer = None;
        let mut run = |rows: &dyn Transaction| {
            let result = work(&mut WriteTx::new(rows, scope));
            let verdict = if result.is_ok() { Verdict::Commit } else { Verdict::Discard };
            answer = Some(result);
            verdict
        };
        self.backend.write(&mut run).await?;
        answer.unwrap_or_else(|| Err(Error::Closed.into()))
    }
}

impl ScopedStore {
    /// Whose rows these are.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The whole store, for what crosses scopes.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The same store for another scope.
    #[must_use]
    pub fn rescoped(&self, scope: Scope) -> Self {
        self.store.scoped(scope)
    }

    /// As [`Store::read`], in this scope.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    pub async fn read<T: Send, E: From<Error> + Send>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.store.read_in(Some(&self.scope), work).await
    }

    /// As [`Store::write`], in this scope.
    ///
    /// # Errors
    ///
    /// As [`Store::write`].
    pub async fn write<T: Send, E: From<Error> + Send>(
        &self,
        work: impl FnMut(&mut WriteTx<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.store.write_in(Some(&self.scope), work).await
    }

    /// As [`Store::changes`]: of all scopes.
    pub fn changes(&self) -> ChangeFeed {
        self.store.changes()
    }
}
