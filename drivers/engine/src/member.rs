//! A node of a running cluster with what was last seen of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::control::{Control, NodeState, is_source};
use crate::node::{Node, Role};
use crate::plan::{Following, Life, NodeView};

/// How many questions in a row stay unanswered before a node counts as lost.
const FAILURES_MAX: u32 = 3;

/// How long a follower may be without its source before nobody waits for it any more.
const STALL_MAX: Duration = Duration::from_secs(6);

/// How long it may be so before it gets a new copy, since it may never find its way back.
const ESTRANGED_MAX: Duration = Duration::from_secs(30);

/// The longest pause before something that failed is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A node and what is known of it.
pub(crate) struct Member {
    pub(crate) node: Node,
    pub(crate) control: Arc<dyn Control>,
    seen: Mutex<Seen>,
}

/// What was last seen of a node.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) role: Role,
    /// Counts the changes that make an answer under way worthless.
    pub(crate) generation: u64,
    pub(crate) state: Option<NodeState>,
    pub(crate) failures: u32,
    pub(crate) link_failures: u32,
    pub(crate) ended: bool,
    pub(crate) busy: bool,
    /// Since when it is without its source.
    apart_since: Option<Instant>,
    attempts: u32,
    /// When work on it may be tried again.
    pub(crate) not_before: Option<Instant>,
}

impl Member {
    pub(crate) fn new(node: Node, role: Role, control: Arc<dyn Control>) -> Self {
        let seen = Seen {
            role,
            generation: 0,
            state: None,
            failures: 0,
            link_failures: 0,
            ended: false,
            busy: false,
            apart_since: None,
            attempts: 0,
            not_before: None,
        };
        Self { node, control, seen: Mutex::new(seen) }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn role(&self) -> Role {
        self.seen().role
    }

    /// Forgets what was seen, because it was changed: nothing is decided until it is seen anew.
    pub(crate) fn changed(&self) {
        let mut seen = self.seen();
        seen.generation += 1;
        seen.state = None;
        seen.failures = 0;
        seen.link_failures = 0;
        seen.ended = false;
        seen.apart_since = None;
    }

    /// Takes note of an answer that was asked for in `generation`.
    pub(crate) fn answered(&self, generation: u64, answer: Option<NodeState>, link: bool) {
        let mut seen = self.seen();
        if seen.generation != generation {
            return;
        }
        match answer {
            Some(state) => {
                seen.failures = 0;
                seen.ended = false;
                seen.apart_since = match (&state.source, state.receiving) {
                    (Some(_), false) => seen.apart_since.or_else(|| Some(Instant::now())),
                    (Some(_), true) | (None, _) => None,
                };
                seen.state = Some(state);
            }
            None => seen.failures += 1,
        }
        seen.link_failures = if link { 0 } else { seen.link_failures + 1 };
    }

    /// Sets when the next try may be, after one that failed or succeeded.
    pub(crate) fn tried(&self, success: bool) {
        let mut seen = self.seen();
        seen.busy = false;
        if success {
            (seen.attempts, seen.not_before) = (0, None);
            return;
        }
        let pause = Duration::from_secs(1 << seen.attempts.min(5)).min(PAUSE_MAX);
        seen.attempts += 1;
        seen.not_before = Some(Instant::now() + pause);
    }

    /// The node as the plan sees it, given the present primary.
    pub(crate) fn view(&self, primary: Option<&Node>) -> NodeView {
        let seen = self.seen();
        let paused = seen.not_before.is_some_and(|at| at > Instant::now());
        NodeView {
            id: self.node.id.clone(),
            role: seen.role,
            life: seen.life(),
            busy: seen.busy || paused,
            working: seen.busy,
            writable: seen.state.as_ref().is_some_and(|state| state.writable),
            following: seen.following(primary),
            offset: seen.state.as_ref().map_or(0, |state| state.offset),
        }
    }
}

impl Seen {
    pub(crate) fn life(&self) -> Life {
        if self.ended {
            Life::Ended
        } else if self.failures >= FAILURES_MAX || self.link_failures >= FAILURES_MAX {
            Life::Lost
        } else if self.failures > 0 || self.link_failures > 0 || self.state.is_none() {
            Life::Unsure
        } else {
            Life::Up
        }
    }

    fn following(&self, primary: Option<&Node>) -> Following {
        let (Some(state), Some(primary)) = (&self.state, primary) else {
            return Following::Interrupted;
        };
        if !state.source.as_ref().is_some_and(|source| is_source(source, primary)) {
            return Following::Elsewhere;
        }
        if state.broken.is_some() {
            return Following::Broken;
        }
        match self.apart_since.map(|since| since.elapsed()) {
            None => Following::Well,
            Some(apart) if apart > ESTRANGED_MAX => Following::Broken,
            Some(apart) if apart > STALL_MAX => Following::Stalled,
            Some(_) => Following::Interrupted,
        }
    }

    /// What is wrong with the node, in words.
    pub(crate) fn complaint(&self) -> String {
        if self.ended {
            "its process has ended".into()
        } else if self.failures >= FAILURES_MAX {
            "it does not answer".into()
        } else {
            "its link is gone".into()
        }
    }
}
