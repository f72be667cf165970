//! What a cluster needs from whoever runs its nodes.

use std::io;
use std::time::Duration;

use async_trait::async_trait;

use crate::node::{Node, NodeId};
use crate::spec::EngineProcess;

/// Runs the nodes of clusters: the service that holds the workloads, or a test.
///
/// Every method may be called again for what is already so.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Starts the node's process with the volume at its place and the link up, and returns when the
    /// process exists. A process of the node that still runs is an error.
    async fn start(&self, node: &Node, process: &EngineProcess) -> io::Result<()>;

    /// Ends the node's process in order, and returns when it is gone.
    async fn stop(&self, node: &Node) -> io::Result<()>;

    /// Kills the node's process, stopped or not, and returns when it is seen to be gone; where
    /// that cannot be seen, cuts its link first. From then on it can neither acknowledge nor write
    /// anything. Where the node's zone is gone with all its processes, cutting the link is all
    /// there is to do.
    async fn fence(&self, node: &Node) -> io::Result<()>;

    /// Whether the node's process exists now, frozen or not.
    async fn runs(&self, node: &Node) -> io::Result<bool>;

    /// Tries the node's port from outside its zone, over the network that its clients use.
    async fn reach(&self, node: &Node) -> io::Result<()>;

    /// Makes the writer endpoint lead to this node, which takes writes.
    async fn primary_changed(&self, node: &Node) -> io::Result<()>;

    /// Tells what happened. Must not wait.
    fn notice(&self, event: Event);
}

/// Something that happened in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The primary does not answer or has ended.
    PrimaryLost {
        /// The node.
        node: NodeId,
        /// What was seen.
        reason: String,
    },
    /// A follower has become the primary.
    Promoted {
        /// The node.
        node: NodeId,
        /// From the decision to the writer endpoint's change.
        took: Duration,
    },
    /// The primary is lost, and the standby may lack acknowledged commits.
    FailoverRefused {
        /// Why.
        reason: String,
    },
    /// The primary was started again where it was.
    PrimaryRecovered {
        /// The node.
        node: NodeId,
    },
    /// Commits are acknowledged without the standby from now on.
    ReplicationDegraded {
        /// The standby.
        node: NodeId,
    },
    /// The standby holds every acknowledged commit from now on.
    ReplicationInStep {
        /// The standby.
        node: NodeId,
    },
    /// A follower follows the present primary again.
    Rejoined {
        /// The node.
        node: NodeId,
    },
    /// A follower got a new copy of the primary's data.
    Reseeded {
        /// The node.
        node: NodeId,
        /// Why it needed one.
        reason: String,
    },
    /// Something that will be tried again did not succeed.
    Trouble {
        /// The node.
        node: NodeId,
        /// What went wrong.
        reason: String,
    },
}
