//! What a cluster has decided and noted on its volumes, and how it is read back from them.

use std::sync::Arc;

use tokio::time::Instant;

use crate::member::Member;
use crate::node::{Branch, Marker, NodeId, Role, Seed};

/// What the cluster has decided and noted on its volumes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) epoch: u64,
    /// Whether commits wait for the standby and it holds all that were acknowledged.
    pub(crate) promised: bool,
    /// When the primary was last seen to wait for the standby.
    pub(crate) confirmed: Option<Instant>,
    /// Whether the refusal to fail over was told.
    pub(crate) refused: bool,
    /// The primary that the host was told last.
    pub(crate) announced: Option<NodeId>,
    /// The promotions until now.
    pub(crate) branches: Vec<Branch>,
}

impl Ledger {
    /// What a node's volume is to remember, in a cluster that makes no promise.
    pub(crate) fn marker(&self, role: Role, seed: Seed) -> Marker {
        let (epoch, branches) = (self.epoch, self.branches.clone());
        Marker { version: 1, epoch, role, in_sync: false, seed, branches }
    }
}

/// Takes the roles from the volumes: the primary of the highest epoch is the primary, and the node
/// that was meant to be has its part instead.
pub(crate) fn recall(members: &[Arc<Member>]) -> Ledger {
    let marked = members.iter().filter_map(|member| Some((member, member.node.marker()?)));
    let primaries = marked.filter(|(_, marker)| marker.role == Role::Primary);
    let Some((last, marker)) = primaries.max_by_key(|(_, marker)| marker.epoch) else {
        return Ledger::default();
    };
    let given = last.role();
    if let Some(meant) = members.iter().find(|member| member.role() == Role::Primary)
        && meant.node.id != last.node.id
    {
        meant.seen().role = given;
        last.seen().role = Role::Primary;
    }
    let standby = members.iter().find(|member| member.role() == Role::Standby);
    let agreed = standby.and_then(|member| member.node.marker()).is_some_and(|other| {
        other.in_sync && other.epoch == marker.epoch && other.role == Role::Standby
    });
    let promised = marker.in_sync && agreed;
    Ledger { epoch: marker.epoch, promised, branches: marker.branches, ..Ledger::default() }
}
