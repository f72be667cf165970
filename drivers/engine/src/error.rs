//! What can go wrong with an engine, each with what the reader can do about it.

use std::io;
use std::path::PathBuf;

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an engine or a cluster could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine is not one that can run on this host.
    #[error("{engine} cannot run here: {reason}")]
    Unavailable {
        /// The engine and version that were asked for.
        engine: String,
        /// What is missing and how to get it.
        reason: String,
    },
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A tool of the engine or of the distribution ended with an error.
    #[error("{tool} failed: {message}")]
    Tool {
        /// The program.
        tool: String,
        /// The end of what it wrote.
        message: String,
    },
    /// The caller's [`Host`](crate::Host) could not do its part.
    #[error("the host could not {action} node {node}")]
    Host {
        /// What was asked of it.
        action: &'static str,
        /// The node.
        node: String,
        /// Its answer.
        source: io::Error,
    },
    /// The MariaDB server answered with an error or the connection broke.
    #[error("MariaDB")]
    MariaDb(#[from] mysql_async::Error),
    /// The PostgreSQL server answered with an error or the connection broke.
    #[error("PostgreSQL")]
    PostgreSql(#[from] tokio_postgres::Error),
    /// The Valkey or Redis server answered with an error or the connection broke.
    #[error("cache engine")]
    Cache(#[from] redis::RedisError),
    /// An answer did not come in time.
    #[error("no answer to {0} in time")]
    Timeout(&'static str),
    /// There is no node of that name in the cluster.
    #[error("the cluster has no node {0}")]
    UnknownNode(String),
    /// The cluster has no node that takes writes.
    #[error("the cluster has no primary")]
    NoPrimary,
    /// A promotion would lose commits that were acknowledged to clients.
    #[error("no failover: {0}")]
    StandbyStale(String),
    /// The data of a node has gone another way than its source's.
    #[error("node {node} has diverged from its source: {detail}")]
    Diverged {
        /// The node.
        node: String,
        /// What the engine said.
        detail: String,
    },
    /// A request that this engine cannot carry out.
    #[error("{0}")]
    Refused(String),
}

/// Names the file and the action in an input or output error.
pub(crate) trait Context<T> {
    /// Turns the error into [`Error::Io`].
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.into(), source })
    }
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|errno| Error::Io { action, path: path.into(), source: errno.into() })
    }
}

impl Error {
    /// The message with the chain of its causes, for an event or a log line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text
    }
}
