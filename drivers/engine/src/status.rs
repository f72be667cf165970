//! What is seen of a cluster, for those who ask.

use std::time::Duration;

use crate::node::{NodeId, Role};

/// What is seen of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// The node that takes writes, or did last.
    pub primary: Option<NodeId>,
    /// Whether the standby holds every acknowledged commit.
    pub in_step: bool,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
}

/// What is seen of a node.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// The node.
    pub id: NodeId,
    /// Its part.
    pub role: Role,
    /// Whether it answers.
    pub answers: bool,
    /// Whether it takes writes.
    pub writable: bool,
    /// How far it is behind its source, if it follows one (`ReplicaLag`).
    pub lag: Option<Duration>,
    /// Why it cannot follow, if it cannot.
    pub broken: Option<String>,
}
