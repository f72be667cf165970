//! What can go wrong in the store.

use std::sync::Arc;

/// What the store's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The log or the data file could not be read or written.
    #[error("{during}")]
    Io {
        /// What was being done.
        during: &'static str,
        /// The operating system's answer.
        source: Arc<std::io::Error>,
    },
    /// The engine failed.
    #[error("the storage engine failed")]
    Engine(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Another process, or another part of this one, has the store open.
    #[error("the store is open elsewhere")]
    InUse,
    /// What is on disk is not what was written there.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// An earlier failure to write made the store read-only; it stays so until it is opened again.
    /// The outcome of the transaction that got this answer is unknown: it was not acknowledged,
    /// but may be found written when the store is opened again.
    #[error("the store takes no writes since an earlier failure: {0}")]
    ReadOnly(Arc<str>),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A stored row does not read as its table's record.
    #[error("a row of table {table} does not read: {cause}")]
    Undecodable {
        /// The table.
        table: &'static str,
        /// What the decoder said.
        cause: Arc<str>,
    },
    /// A record does not serialize.
    #[error("a record of {table} does not serialize: {cause}")]
    Unencodable {
        /// The table.
        table: &'static str,
        /// What the encoder said.
        cause: Arc<str>,
    },
    /// A row was written by a newer release than this one.
    #[error("a row of table {table} has version {found}, this release knows versions to {known}")]
    NewerVersion {
        /// The table.
        table: &'static str,
        /// The row's version.
        found: u16,
        /// The record's version here.
        known: u16,
    },
    /// A row has an old version that its record cannot be migrated from.
    #[error("a record of version {found} cannot be read as version {wanted}")]
    NoMigration {
        /// The row's version.
        found: u16,
        /// The record's version.
        wanted: u16,
    },
    /// Another record has this value in a unique index.
    #[error("another record of table {table} has the same {index}")]
    Duplicate {
        /// The table.
        table: &'static str,
        /// The index's name.
        index: &'static str,
    },
    /// A key does not decode to its type.
    #[error("a key does not read as {expected}")]
    BadKey {
        /// The type expected.
        expected: &'static str,
    },
    /// A key is longer than every backend can hold.
    #[error("a key of {length} bytes is longer than {max} bytes")]
    KeyTooLong {
        /// The encoded key's length.
        length: usize,
        /// The longest.
        max: usize,
    },
    /// A transaction writes more than one may.
    #[error("a transaction writes more than {max} bytes")]
    TransactionTooLarge {
        /// The most bytes of keys and values a transaction may write.
        max: usize,
    },
    /// The table's rows lie under an account and the transaction has none, or the reverse.
    #[error("table {table} cannot be used in this scope")]
    WrongScope {
        /// The table.
        table: &'static str,
    },
}

impl Error {
    pub(crate) fn io(during: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { during, source: Arc::new(source) }
    }

    pub(crate) fn engine(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Engine(Arc::new(error))
    }
}
