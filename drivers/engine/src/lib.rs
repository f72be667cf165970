//! Real database and cache engines: unpacked from distribution packages, configured from parameter
//! groups, replicated, failed over without the loss of an acknowledged commit, copied and restored.
//!
//! A service makes a [`Cluster`] of [`Node`]s, whose processes its [`Host`] runs as workloads from
//! the [`EngineProcess`] that it is handed, and spawns [`Cluster::watch`]. The crate itself starts
//! no engine; it works them over the sockets on their volumes.

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
