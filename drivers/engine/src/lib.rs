//! Real database and cache engines: unpacked from distribution packages, configured from parameter
//! groups, replicated, failed over without the loss of an acknowledged commit, copied and restored.
//!
//! A service makes a [`Cluster`] of [`Node`]s, whose processes its [`Host`] runs as workloads from
//! the [`EngineProcess`] that it is handed, and spawns [`Cluster::watch`]. The crate itself starts
//! no engine; it works them over the sockets on their volumes.
//!
//! As a workload, a node is one process: the engine's root ([`EngineRoot::path`]) as the only
//! layer, a few megabytes of memory for writes to it, the node's volume (a folder of the host)
//! bound at [`EngineProcess::data_mount`], the namespace of its interface, and `argv`, `env`, `uid`
//! and `gid` as they are handed over. Logs are in `log/error.log` of the volume.
//!
//! # Limits
//!
//! - A standby answers connections (MariaDB, PostgreSQL with reads): its interface must keep
//!   clients out.
//! - MySQL's own server is refused. Point-in-time recovery and cache clusters of several shards are
//!   not here yet.
//! - PostgreSQL databases are made with the locale `C.UTF-8` and log segments of 4 MB.
//! - A PostgreSQL primary whose standby is lost while no [`Cluster::watch`] runs waits until one
//!   does; MariaDB goes on alone after 30 s, and is then not failed over by itself.
//! - The lag of MariaDB is in whole seconds, as its server counts them.

mod cluster;
mod config;
mod control;
mod error;
mod host;
mod kind;
mod ledger;
mod member;
mod node;
mod packages;
mod parameters;
mod plan;
mod seed;
mod settings;
mod spec;
mod status;
mod steer;
mod template;
mod tool;

pub use cluster::{Cluster, Loss, Origin};
pub use config::Parameters;
pub use control::Login;
pub use error::{Error, Result};
pub use host::{Event, Host};
pub use kind::{Engine, EngineKind, Release, host_mysql};
pub use node::{Node, NodeId, Role};
pub use packages::{EngineRoot, Engines};
pub use parameters::{Parameter, ValueType, of as parameters};
pub use seed::SnapshotInfo;
pub use spec::{
    CacheAccess, CacheUser, ClusterSpec, EngineFile, EngineProcess, Secrets, Start, Tls, user_of,
};
pub use status::{ClusterStatus, NodeStatus};
pub use template::{Template, copy_tree};
pub use tool::{Owner, RootCommand};
