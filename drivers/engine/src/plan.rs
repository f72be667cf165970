//! What a cluster must do next, from what was seen of its nodes. Pure.
//!
//! Safety first: a standby takes over only if it was in step with the primary, and the primary
//! stops waiting for a standby only after that has been noted on disk. So whichever process dies
//! at whichever moment, an acknowledged commit is on the node that takes writes next.

use crate::node::{NodeId, Role};

/// What is known of a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It answers.
    Up,
    /// It did not answer lately, too briefly to act upon; or it was just started.
    Unsure,
    /// It does not answer, or its link is gone, though its process may live.
    Lost,
    /// Its process has ended.
    Ended,
}

/// What is known of a follower's following.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// It gets what the present primary writes.
    Well,
    /// It follows the present primary, and is not connected at the moment.
    Interrupted,
    /// It has not been connected for so long that commits must not wait for it any more.
    Stalled,
    /// It follows another, or nobody.
    Elsewhere,
    /// It cannot follow without a new copy of the data.
    Broken,
}

/// A node as the plan sees it.
#[derive(Clone, Debug)]
pub(crate) struct NodeView {
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    pub(crate) life: Life,
    /// Whether other work on it may not begin now: some is under way, or failed a moment ago.
    pub(crate) busy: bool,
    /// Whether work on it is under way.
    pub(crate) working: bool,
    /// Whether it takes writes.
    pub(crate) writable: bool,
    pub(crate) following: Following,
    /// How much of the primary's stream it holds, where that can be compared.
    pub(crate) offset: u64,
}

/// What is known of the promise that the standby holds every acknowledged commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It does, as seen lately enough to rely upon it.
    Kept,
    /// It did when last seen; nobody watched for so long that the primary may have given up
    /// waiting.
    Unproven,
    /// The primary was seen to have given up waiting.
    Broken,
    /// No such promise was made: commits do not wait for the standby.
    None,
}

/// A cluster as the plan sees it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) promise: Promise,
    /// Whether the primary makes commits wait for the standby.
    pub(crate) waiting: bool,
    /// Whether any follower may take over, at the loss of what it has not got (a cache).
    pub(crate) best_effort: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Fence the primary and make this node take writes.
    FailOver(NodeId),
    /// The primary is gone and nobody may take over: start it again where it is.
    Recover(NodeId),
    /// Let the primary take writes.
    Open(NodeId),
    /// Note that the standby is stale and let the primary go on without it.
    Release,
    /// Make commits wait for this standby, which follows well.
    Hold(NodeId),
    /// Start a follower, again if it hangs, and make it follow.
    Start(NodeId),
    /// Make a running follower follow the present primary.
    Follow(NodeId),
    /// Give a follower a new copy of the primary's data.
    Reseed(NodeId),
}

/// The actions that can be taken now. They are independent of each other.
pub(crate) fn next(view: &View) -> Vec<Action> {
    let Some(primary) = view.nodes.iter().find(|node| node.role == Role::Primary) else {
        return Vec::new();
    };
    match primary.life {
        Life::Up => {}
        Life::Unsure => return Vec::new(),
        Life::Lost | Life::Ended => return without_primary(view, primary),
    }
    if primary.busy {
        return Vec::new();
    }
    if !primary.writable {
        return vec![Action::Open(primary.id.clone())];
    }
    let followers = view.nodes.iter().filter(|node| node.role != Role::Primary);
    let mut actions: Vec<Action> = followers.filter_map(|node| follower(view, node)).collect();
    let joining = view.nodes.iter().any(|node| node.role == Role::Standby && node.working);
    let holds = actions.iter().any(|action| matches!(action, Action::Hold(_)));
    // Commits that wait for nobody in particular would wait for long.
    let vain = view.promise == Promise::None && view.waiting && !joining && !holds;
    if (view.promise == Promise::Broken || vain) && !actions.contains(&Action::Release) {
        actions.push(Action::Release);
    }
    actions
}

fn without_primary(view: &View, primary: &NodeView) -> Vec<Action> {
    let ready = |node: &&NodeView| node.life == Life::Up && !node.busy;
    let standby = view.nodes.iter().find(|node| node.role == Role::Standby);
    if let (Some(standby), Promise::Kept) = (standby, view.promise) {
        match standby.life {
            Life::Up if !standby.busy => return vec![Action::FailOver(standby.id.clone())],
            // It may take over in a moment; to start the old primary now would be hasty.
            Life::Up | Life::Unsure => return Vec::new(),
            Life::Lost | Life::Ended => {}
        }
    }
    if view.best_effort {
        let followers = view.nodes.iter().filter(|node| node.role != Role::Primary);
        let best =
            followers.filter(ready).max_by_key(|node| (node.offset, node.role == Role::Standby));
        if let Some(best) = best {
            return vec![Action::FailOver(best.id.clone())];
        }
        let unsure = |node: &NodeView| node.role != Role::Primary && node.life == Life::Unsure;
        if view.nodes.iter().any(unsure) {
            return Vec::new();
        }
    }
    if primary.busy { Vec::new() } else { vec![Action::Recover(primary.id.clone())] }
}

fn follower(view: &View, node: &NodeView) -> Option<Action> {
    let promised = view.promise != Promise::None;
    let standby = node.role == Role::Standby;
    match node.life {
        Life::Unsure => None,
        // Commits wait for it: they must be let go before anything that takes time.
        Life::Lost | Life::Ended if standby && promised && !view.best_effort => {
            Some(Action::Release)
        }
        _ if node.busy => None,
        Life::Lost | Life::Ended => Some(Action::Start(node.id.clone())),
        // Two must not take writes; starting it anew ends its process first.
        Life::Up if node.writable => Some(Action::Start(node.id.clone())),
        Life::Up => match node.following {
            Following::Elsewhere => Some(Action::Follow(node.id.clone())),
            Following::Broken | Following::Stalled if standby && promised && !view.best_effort => {
                Some(Action::Release)
            }
            Following::Broken => Some(Action::Reseed(node.id.clone())),
            Following::Well if standby && !promised && !view.best_effort => {
                Some(Action::Hold(node.id.clone()))
            }
            Following::Well | Following::Interrupted | Following::Stalled => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, role: Role) -> NodeView {
        NodeView {
            id: id.into(),
            role,
            life: Life::Up,
            busy: false,
            working: false,
            writable: role == Role::Primary,
            following: Following::Well,
            offset: 0,
        }
    }

    fn pair() -> View {
        let nodes =
            vec![node("p", Role::Primary), node("s", Role::Standby), node("r", Role::Replica)];
        View { nodes, promise: Promise::Kept, waiting: true, best_effort: false }
    }

    fn check(change: impl Fn(&mut View), expected: &[Action]) {
        let mut view = pair();
        change(&mut view);
        assert_eq!(next(&view), expected, "{view:?}");
    }

    #[test]
    fn a_healthy_cluster_is_left_alone() {
        check(|_| {}, &[]);
        check(|view| view.nodes[0].life = Life::Unsure, &[]);
    }

    #[test]
    fn only_a_standby_in_step_takes_over() {
        let over = [Action::FailOver("s".into())];
        let again = [Action::Recover("p".into())];
        for life in [Life::Lost, Life::Ended] {
            check(|view| view.nodes[0].life = life, &over);
            for promise in [Promise::None, Promise::Unproven, Promise::Broken] {
                check(
                    |view| {
                        view.nodes[0].life = life;
                        view.promise = promise;
                    },
                    &again,
                );
            }
            check(
                |view| {
                    view.nodes[0].life = life;
                    view.nodes[1].life = Life::Ended;
                },
                &again,
            );
        }
    }

    #[test]
    fn a_cache_takes_the_follower_with_the_most() {
        check(
            |view| {
                view.best_effort = true;
                view.promise = Promise::None;
                view.nodes[0].life = Life::Ended;
                view.nodes[1].offset = 5;
                view.nodes[2].offset = 9;
            },
            &[Action::FailOver("r".into())],
        );
    }

    #[test]
    fn a_lost_standby_is_released_before_it_is_started() {
        check(|view| view.nodes[1].life = Life::Ended, &[Action::Release]);
        check(
            |view| {
                view.nodes[1].life = Life::Ended;
                view.promise = Promise::None;
                view.waiting = false;
            },
            &[Action::Start("s".into())],
        );
        check(
            |view| {
                view.nodes[1].following = Following::Broken;
                view.promise = Promise::None;
            },
            &[Action::Reseed("s".into()), Action::Release],
        );
        check(|view| view.nodes[1].following = Following::Stalled, &[Action::Release]);
        check(|view| view.promise = Promise::Broken, &[Action::Release]);
        check(|view| view.promise = Promise::None, &[Action::Hold("s".into())]);
    }

    #[test]
    fn work_under_way_is_not_begun_twice() {
        check(
            |view| {
                view.nodes[2].life = Life::Ended;
                view.nodes[2].busy = true;
            },
            &[],
        );
        check(|view| view.nodes[2].writable = true, &[Action::Start("r".into())]);
        check(|view| view.nodes[2].following = Following::Elsewhere, &[Action::Follow("r".into())]);
        check(|view| view.nodes[0].writable = false, &[Action::Open("p".into())]);
    }
}
