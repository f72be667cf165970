//! What a cluster asks of an engine, in one language for all of them.
//!
//! Every question goes over the socket on the node's volume, which the host sees whatever network
//! namespace the engine is in, and over connections that stay open, so that neither a cut link nor
//! a full connection table stands between a cluster and its engines.

mod mariadb;
mod postgres;
mod valkey;

use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Context, Error, Result};
use crate::kind::EngineKind;
use crate::node::Node;
use crate::spec::{CacheAccess, ClusterSpec};

/// The name of the user that a database's owner works as, and its password.
#[derive(Clone)]
pub struct Login {
    /// The name (`MasterUsername`).
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a running node says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeState {
    /// Whether it takes writes.
    pub writable: bool,
    /// The address that it follows, if it follows one.
    pub source: Option<(String, u16)>,
    /// Whether it is connected to that source and gets what is written there.
    pub receiving: bool,
    /// How far its data is behind its source's; none while it receives nothing.
    pub lag: Option<Duration>,
    /// Why it cannot go on following: only a new copy helps.
    pub broken: Option<String>,
    /// For a node that takes writes: whether commits wait for the standby.
    pub holding: bool,
    /// For a cache: how many bytes of the replication stream it has applied.
    pub offset: u64,
}

/// An engine as a cluster works it.
#[async_trait]
pub(crate) trait Control: Send + Sync {
    /// What the node says of itself, over a connection of its own so that work never delays it.
    async fn state(&self) -> Result<NodeState>;

    /// The limits that it runs with and that its followers must not be under.
    async fn limits(&self) -> Result<Vec<(String, u64)>> {
        Ok(Vec::new())
    }

    /// Gives up the connections to a process that is no more.
    async fn forget(&self);

    /// Makes a running follower follow `source` from where it stands, unless it stands behind the
    /// `branch` at which the histories of the two part.
    async fn follow(&self, source: &Node, standby: bool, branch: &str) -> Result<()>;

    /// Makes a follower apply all it has received and no more; returns where it then stands,
    /// empty where the engine tells diverging histories apart by itself.
    async fn drain(&self) -> Result<String>;

    /// Makes a drained follower take writes.
    async fn promote(&self) -> Result<()>;

    /// Ends what still ties a promoted node to its former source. An engine that tries to reach a
    /// source that is gone may take a moment, for which nobody should wait to write.
    async fn forget_source(&self) -> Result<()> {
        Ok(())
    }

    /// Makes a node take writes that follows nobody.
    async fn open(&self) -> Result<()>;

    /// Makes commits on this node wait for the standby.
    async fn hold(&self, standby: &Node) -> Result<()>;

    /// Makes commits on this node wait for nobody.
    async fn release(&self) -> Result<()>;

    /// Where the node's own log of changes ends.
    async fn position(&self) -> Result<String>;

    /// Waits until a follower has safely got everything up to a position of its source.
    async fn reached(&self, position: &str, limit: Duration) -> Result<bool>;

    /// Tells a fresh copy at which position of its source's log it was taken.
    async fn copied_at(&self, position: &str) -> Result<()>;

    /// Makes what happened until now findable by a node that compares its data with this one's.
    async fn checkpoint(&self) -> Result<()>;

    /// Writes everything to the data folder, for a copy that is taken of its files.
    async fn save(&self) -> Result<()>;

    /// Makes the owner's user with AWS's rights, or gives it the password.
    async fn set_master(&self, login: &Login) -> Result<()>;

    /// Makes a database, if it is not there.
    async fn create_database(&self, name: &str, owner: &str) -> Result<()>;

    /// Gives a running cache new rules about who may use it.
    async fn set_access(&self, access: &CacheAccess) -> Result<()>;

    /// Gives a running server the new value of a dynamic parameter.
    async fn set_parameter(&self, name: &str, value: &str) -> Result<()>;
}

/// The management connection of a node.
pub(crate) fn of(spec: &ClusterSpec, node: &Node) -> Result<Arc<dyn Control>> {
    let password = spec.secrets.management.clone();
    let replication = spec.secrets.replication.clone();
    Ok(match spec.root.kind {
        EngineKind::MariaDb => Arc::new(mariadb::MariaDb::new(node, password, replication)),
        EngineKind::PostgreSql => Arc::new(postgres::Postgres::new(node, replication)),
        EngineKind::Valkey | EngineKind::Redis => {
            Arc::new(valkey::Valkey::new(node, password, spec.memory_bytes))
        }
        EngineKind::MySql => {
            let reason = "MySQL's own server is not managed".into();
            return Err(Error::Unavailable { engine: "mysql".into(), reason });
        }
    })
}

/// The longest that opening a management connection may take.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A folder of sockets, held open, so that a socket in it has a path short enough for the kernel
/// however deep the volume lies.
pub(crate) struct SocketFolder(std::fs::File);

impl SocketFolder {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Ok(Self(std::fs::File::open(folder).at("open", folder)?))
    }

    pub(crate) fn path(&self, socket: &str) -> String {
        format!("/proc/self/fd/{}/{socket}", self.0.as_raw_fd())
    }
}

/// Whether a node's idea of its source is this node.
pub(crate) fn is_source(seen: &(String, u16), source: &Node) -> bool {
    seen.1 == source.port && seen.0.parse::<IpAddr>().is_ok_and(|address| address == source.address)
}

/// A connection's own task, which ends with the connection.
pub(crate) struct Driving(tokio::task::JoinHandle<()>);

impl Driving {
    #[expect(
        clippy::disallowed_methods,
        reason = "the task moves one connection's bytes, is owned by it and ends with it"
    )]
    pub(crate) fn start(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.abort();
    }
}
