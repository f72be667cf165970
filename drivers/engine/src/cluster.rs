//! A cluster of engine nodes: one that takes writes, a standby that holds every acknowledged
//! commit, and replicas that follow.
//!
//! What a cluster knows it has seen: the markers on its volumes tell who was made primary last and
//! whether the standby was in step, its nodes tell who they are. A cluster made anew over nodes
//! that run goes on where the last one was stopped. [`Cluster::watch`] keeps it whole; the other
//! methods are what a service does to it. One change of who is primary happens at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::control::{self, Login};
use crate::error::{Error, Result};
use crate::host::{Event, Host};
use crate::kind::EngineKind;
use crate::ledger::{Ledger, recall};
use crate::member::Member;
use crate::node::{Node, NodeId, Role, Seed};
use crate::plan::{Life, Promise, View};
use crate::seed::{self, SnapshotInfo};
use crate::spec::{ClusterSpec, Start};
use crate::status::{ClusterStatus, NodeStatus};
use crate::steer::{in_time, settle};
use crate::template::Template;

/// The longest that an engine may take to answer after its start, crash recovery included.
const READY_MAX: Duration = Duration::from_secs(300);

/// How often a node that is starting is asked whether it is there.
const READY_POLL: Duration = Duration::from_millis(10);

/// Where the data of a new cluster comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// An empty instance.
    Template(Template),
    /// A snapshot's folder.
    Snapshot(std::path::PathBuf),
}

/// How a caller stands to the loss of acknowledged commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The standby takes over only if it holds them all.
    Refuse,
    /// The standby takes over with what it has.
    Accept,
}

/// A cluster. See the module's text.
pub struct Cluster {
    pub(crate) host: Arc<dyn Host>,
    spec: Mutex<ClusterSpec>,
    members: Mutex<Vec<Arc<Member>>>,
    pub(crate) ledger: Mutex<Ledger>,
    /// The limits that a follower must not be under, because the primary runs with them.
    pub(crate) floor: Mutex<BTreeMap<String, u64>>,
    /// Held by whoever changes who is primary or what commits wait for.
    pub(crate) operation: tokio::sync::Mutex<()>,
    pub(crate) wake: Notify,
}

impl Cluster {
    /// A cluster of these nodes. Where their volumes tell who is primary that holds, and the roles
    /// given here say what a node is for when they do not.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the engine cannot be managed.
    pub fn new(spec: ClusterSpec, nodes: Vec<(Node, Role)>, host: Arc<dyn Host>) -> Result<Self> {
        let mut members = Vec::new();
        for (node, role) in nodes {
            let control = control::of(&spec, &node)?;
            members.push(Arc::new(Member::new(node, role, control)));
        }
        let ledger = recall(&members);
        Ok(Self {
            host,
            spec: Mutex::new(spec),
            members: Mutex::new(members),
            ledger: Mutex::new(ledger),
            floor: Mutex::default(),
            operation: tokio::sync::Mutex::new(()),
            wake: Notify::new(),
        })
    }

    /// Makes the volumes, starts the nodes and joins them; returns when the primary takes writes
    /// and every follower follows, the standby in step.
    ///
    /// May be called again after it failed half-way; volumes that are there already are kept.
    ///
    /// # Errors
    ///
    /// The first failure of any node.
    pub async fn create(
        &self,
        origin: &Origin,
        login: &Login,
        database: Option<&str>,
    ) -> Result<()> {
        let _operation = self.operation.lock().await;
        let primary = self.primary()?;
        let followers: Vec<_> =
            self.members().into_iter().filter(|member| member.role() != Role::Primary).collect();
        match origin {
            Origin::Template(_) => {
                let all = self.members();
                let starts = all.iter().map(|member| self.bring_up(member, origin, &primary));
                futures_util::future::try_join_all(starts).await?;
            }
            Origin::Snapshot(_) => self.bring_up(&primary, origin, &primary).await?,
        }
        primary.control.open().await?;
        primary.control.set_master(login).await?;
        if let Some(name) = database {
            primary.control.create_database(name, &login.user).await?;
        }
        let joins = followers.iter().map(|member| async {
            match origin {
                Origin::Template(_) => self.follow_fresh(member, &primary).await,
                Origin::Snapshot(_) => self.reseed(member, &primary).await,
            }
        });
        futures_util::future::try_join_all(joins).await?;
        for member in self.members() {
            member.changed();
        }
        match followers.iter().find(|member| standby(member)) {
            Some(member) if !self.best_effort() => self.hold_now(member, &primary).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Adds a follower: from the template when the primary's log reaches back to it, else with a
    /// copy of the primary's data. Returns when it follows; [`ClusterStatus::in_step`] tells when a
    /// standby has caught up, which is so at once in a cluster that is not very busy.
    ///
    /// # Errors
    ///
    /// The node's failure; it is then not part of the cluster.
    pub async fn add(&self, node: Node, role: Role, template: &Template) -> Result<()> {
        let primary = self.primary()?;
        let control = control::of(&self.spec(), &node)?;
        let member = Arc::new(Member::new(node, role, control));
        member.seen().busy = true;
        let seeded = primary.node.marker().map(|marker| marker.seed);
        let fresh = async {
            if seeded != Some(Seed::Template(template.name.clone())) {
                return Ok(false);
            }
            let origin = Origin::Template(template.clone());
            self.bring_up(&member, &origin, &primary).await?;
            self.follow_fresh(&member, &primary).await?;
            match settle(&member).await {
                Ok(()) => Ok(true),
                Err(Error::Diverged { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        if !fresh.await? {
            self.reseed(&member, &primary).await?;
            settle(&member).await?;
        }
        let _operation = self.operation.lock().await;
        self.locked_members().push(Arc::clone(&member));
        member.changed();
        member.seen().busy = false;
        if standby(&member)
            && !self.best_effort()
            && let Err(error) = self.hold_now(&member, &primary).await
        {
            // It follows, and whoever watches makes it catch up.
            self.host
                .notice(Event::Trouble { node: member.node.id.clone(), reason: error.chain() });
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Takes a follower out of the cluster and ends its process. Its volume is the caller's.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for the primary, [`Error::Host`] when the process cannot be ended.
    pub async fn remove(&self, id: &str) -> Result<()> {
        let _operation = self.operation.lock().await;
        let member = self.member(id)?;
        if member.role() == Role::Primary {
            return Err(Error::Refused("the primary cannot be taken out of its cluster".into()));
        }
        if standby(&member) {
            self.release_now().await?;
        }
        self.locked_members().retain(|other| other.node.id != id);
        let stopped = self.host.stop(&member.node).await;
        stopped.map_err(|source| host_error("stop", &member.node, source))
    }

    /// Makes a replica an instance of its own: it applies what it has, stops following and takes
    /// writes. It leaves this cluster; the caller makes a new one with it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for the primary and the standby.
    pub async fn promote_replica(&self, id: &str) -> Result<Node> {
        let member = self.member(id)?;
        if member.role() != Role::Replica {
            return Err(Error::Refused(format!("{id} is not a read replica")));
        }
        member.seen().busy = true;
        let made = self.make_own(&member).await;
        if made.is_ok() {
            self.locked_members().retain(|other| other.node.id != id);
        }
        member.seen().busy = false;
        made.map(|()| member.node.clone())
    }

    async fn make_own(&self, member: &Member) -> Result<()> {
        member.control.drain().await?;
        // Should the caller not get to record this, the cluster that it leaves has the higher
        // epoch.
        let own = Ledger::default();
        own.marker(Role::Primary, Seed::Copy).write(&member.node.volume)?;
        member.control.promote().await?;
        member.control.forget_source().await?;
        self.process(&member.node, Start::Primary { standby: None })?.install(&member.node)
    }

    /// Fences the primary and makes the standby (or, in a cache, the best follower) the primary.
    /// Returns the new primary when it takes writes and the host has been told.
    ///
    /// # Errors
    ///
    /// [`Error::StandbyStale`] when acknowledged commits would be lost and `loss` refuses that.
    pub async fn failover(&self, reason: &str, loss: Loss) -> Result<NodeId> {
        let _operation = self.operation.lock().await;
        let primary = self.primary().ok();
        if self.view().nodes.iter().all(|node| node.life != Life::Up) {
            self.ask_all().await;
        }
        let view = self.view();
        let followers = view.nodes.iter().filter(|node| node.role != Role::Primary);
        let mut up = followers.filter(|node| node.life == Life::Up);
        let target = if view.best_effort {
            up.max_by_key(|node| (node.offset, node.role == Role::Standby))
        } else {
            up.find(|node| node.role == Role::Standby)
        };
        let target = target.ok_or_else(|| Error::StandbyStale("no follower answers".into()))?;
        let safe = view.promise == Promise::Kept || view.best_effort;
        if !safe && loss == Loss::Refuse {
            let why = "the standby is not known to hold every acknowledged commit";
            return Err(Error::StandbyStale(why.into()));
        }
        if let Some(primary) = primary {
            let node = primary.node.id.clone();
            self.host.notice(Event::PrimaryLost { node, reason: reason.into() });
        }
        let target = target.id.clone();
        self.fail_over(&target).await?;
        self.wake.notify_one();
        Ok(self.primary()?.node.id.clone())
    }

    /// Tells that a node's process has ended, as the host saw it. The word may be late or wrong:
    /// the host is asked before anything is done.
    pub fn node_exited(&self, id: &str) {
        if let Ok(member) = self.member(id) {
            let mut seen = member.seen();
            seen.generation += 1;
            seen.ended = true;
        }
        self.wake.notify_one();
    }

    /// Tries again at once what failed and waits for its next try: the host can do now what it
    /// could not do before (a zone is back).
    pub fn retry_now(&self) {
        for member in self.members() {
            member.seen().not_before = None;
        }
        self.wake.notify_one();
    }

    /// Starts a node again, in order, with its present parameters. Writes stop for that time if it
    /// is the primary; nothing fails over.
    ///
    /// # Errors
    ///
    /// The host's or the engine's failure.
    pub async fn restart(&self, id: &str) -> Result<()> {
        let _operation = self.operation.lock().await;
        let member = self.member(id)?;
        let primary = self.primary()?;
        let stopped = self.host.stop(&member.node).await;
        stopped.map_err(|source| host_error("stop", &member.node, source))?;
        self.launch(&member, &primary).await?;
        if member.role() == Role::Primary {
            in_time(member.control.open()).await?;
            self.learn_limits(&member).await;
            self.install_all()?;
        }
        member.changed();
        Ok(())
    }

    /// Ends all nodes in order, followers first.
    ///
    /// # Errors
    ///
    /// [`Error::Host`] for the first that cannot be ended; the others are ended all the same.
    pub async fn stop(&self) -> Result<()> {
        let _operation = self.operation.lock().await;
        let mut members = self.members();
        members.sort_by_key(|member| member.role() == Role::Primary);
        let mut result = Ok(());
        for member in members {
            let stopped = self.host.stop(&member.node).await;
            let stopped = stopped.map_err(|source| host_error("stop", &member.node, source));
            member.changed();
            result = result.and(stopped);
        }
        result
    }

    /// Copies the data of the cluster to a folder, as it was at one moment, while it serves. The
    /// copy is taken from the standby where there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Tool`] when the engine's backup fails.
    pub async fn snapshot(&self, target: &Path) -> Result<SnapshotInfo> {
        let source = {
            let view = self.view();
            let well = |id: &str| {
                view.nodes.iter().any(|node| node.id == id && node.life == Life::Up && !node.busy)
            };
            let standby = self.members().into_iter().find(|member| standby(member));
            standby.filter(|member| self.is_in_step() && well(&member.node.id))
        };
        let source = match source {
            Some(standby) => standby,
            None => self.primary()?,
        };
        seed::snapshot(&self.spec(), &source, target).await
    }

    /// What was last seen of the cluster.
    pub fn status(&self) -> ClusterStatus {
        let nodes = self.members().into_iter().map(|member| {
            let seen = member.seen();
            let state = seen.state.clone().unwrap_or_default();
            NodeStatus {
                id: member.node.id.clone(),
                role: seen.role,
                answers: seen.life() == Life::Up,
                writable: state.writable,
                lag: state.lag,
                broken: state.broken,
            }
        });
        let primary = self.primary().ok().map(|member| member.node.id.clone());
        ClusterStatus { primary, in_step: self.is_in_step(), nodes: nodes.collect() }
    }

    /// Asks every node now who it is and how far it is, and returns what they said.
    pub async fn observe(&self) -> ClusterStatus {
        self.ask_all().await;
        self.status()
    }
}

/// What is shared with the part that steers.
impl Cluster {
    pub(crate) fn spec(&self) -> ClusterSpec {
        self.locked_spec().clone()
    }

    pub(crate) fn locked_spec(&self) -> MutexGuard<'_, ClusterSpec> {
        self.spec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked_members(&self) -> MutexGuard<'_, Vec<Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        self.locked_members().clone()
    }

    pub(crate) fn member(&self, id: &str) -> Result<Arc<Member>> {
        let found = self.members().into_iter().find(|member| member.node.id == id);
        found.ok_or_else(|| Error::UnknownNode(id.into()))
    }

    pub(crate) fn primary(&self) -> Result<Arc<Member>> {
        let mut members = self.members().into_iter();
        members.find(|member| member.role() == Role::Primary).ok_or(Error::NoPrimary)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_in_step(&self) -> bool {
        self.ledger().promised
    }

    /// Whether any follower may take over, because the engine makes no promise about writes.
    pub(crate) fn best_effort(&self) -> bool {
        match self.spec().root.kind {
            EngineKind::Valkey | EngineKind::Redis => true,
            EngineKind::MariaDb | EngineKind::MySql | EngineKind::PostgreSql => false,
        }
    }

    pub(crate) fn view(&self) -> View {
        let primary = self.primary().ok();
        let node = primary.as_ref().map(|member| &member.node);
        let nodes = self.members().iter().map(|member| member.view(node)).collect();
        let holding = primary.as_ref().and_then(|member| {
            let seen = member.seen();
            seen.state.as_ref().filter(|state| state.writable).map(|state| state.holding)
        });
        let (best_effort, waiting) = (self.best_effort(), holding == Some(true));
        View { nodes, promise: self.promise(holding), waiting, best_effort }
    }

    fn promise(&self, holding: Option<bool>) -> Promise {
        let proof = self.proof_lasts();
        let ledger = self.ledger();
        if !ledger.promised {
            return Promise::None;
        }
        if holding == Some(false) {
            return Promise::Broken;
        }
        match proof {
            None => Promise::Kept,
            Some(lasts) if ledger.confirmed.is_some_and(|at| at.elapsed() < lasts) => Promise::Kept,
            Some(_) => Promise::Unproven,
        }
    }

    /// How long an observation that commits wait proves that they still do; none is for ever.
    fn proof_lasts(&self) -> Option<Duration> {
        match self.spec().root.kind {
            EngineKind::MariaDb | EngineKind::MySql => {
                Some(Duration::from_millis(crate::config::MARIADB_SYNC_WAIT_MS * 5 / 6))
            }
            EngineKind::PostgreSql | EngineKind::Valkey | EngineKind::Redis => None,
        }
    }

    /// Fills a node's volume, starts it and waits until it answers.
    async fn bring_up(&self, member: &Member, origin: &Origin, primary: &Member) -> Result<()> {
        let role = member.role();
        if member.node.marker().is_none() {
            let seed = seed::fill(&self.spec(), &member.node, origin).await?;
            let epoch = self.ledger().epoch.max(1);
            self.ledger().epoch = epoch;
            self.ledger().marker(role, seed).write(&member.node.volume)?;
        }
        if member.control.state().await.is_ok() {
            return Ok(());
        }
        self.launch(member, primary).await
    }

    /// Makes a node follow that holds nothing yet that another could lack.
    async fn follow_fresh(&self, member: &Member, primary: &Member) -> Result<()> {
        member.control.follow(&primary.node, standby(member), "").await
    }

    /// Installs a node's files for its part, starts it and waits until it answers.
    pub(crate) async fn launch(&self, member: &Member, primary: &Member) -> Result<()> {
        if member.node.id != primary.node.id {
            self.learn_limits(primary).await;
        }
        let start = self.start_of(member, &primary.node);
        let process = self.process(&member.node, start.get())?;
        process.install(&member.node)?;
        member.control.forget().await;
        let started = self.host.start(&member.node, &process).await;
        started.map_err(|source| host_error("start", &member.node, source))?;
        member.changed();
        self.wait_ready(member).await
    }

    /// Waits until a node that was started answers.
    async fn wait_ready(&self, member: &Member) -> Result<()> {
        let until = Instant::now() + READY_MAX;
        loop {
            let answer = member.control.state().await;
            let error = match answer {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let gone = member.seen().ended && !self.has_process(member).await;
            if gone || Instant::now() > until {
                let log = seed::log_tail(&member.node);
                let message = format!("{}; the end of its log: {log}", error.chain());
                return Err(Error::Tool { tool: member.node.id.clone(), message });
            }
            member.seen().ended = false;
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// How a node starts, given who is primary.
    pub(crate) fn start_of(&self, member: &Member, primary: &Node) -> OwnedStart {
        if member.node.id != primary.id {
            let (source, was_primary) = (primary.clone(), member.node.was_primary());
            return OwnedStart::Follower { source, standby: standby(member), was_primary };
        }
        let standby = self.members().into_iter().find(|member| standby(member));
        let standby = standby.filter(|_| self.is_in_step()).map(|member| member.node.clone());
        OwnedStart::Primary(standby)
    }
}

/// A [`Start`] that owns the nodes it names.
pub(crate) enum OwnedStart {
    Primary(Option<Node>),
    Follower { source: Node, standby: bool, was_primary: bool },
}

impl OwnedStart {
    pub(crate) fn get(&self) -> Start<'_> {
        match self {
            Self::Primary(standby) => Start::Primary { standby: standby.as_ref() },
            Self::Follower { source, standby, was_primary } => {
                Start::Follower { source, standby: *standby, was_primary: *was_primary }
            }
        }
    }
}

pub(crate) fn standby(member: &Member) -> bool {
    member.role() == Role::Standby
}

pub(crate) fn host_error(action: &'static str, node: &Node, source: std::io::Error) -> Error {
    Error::Host { action, node: node.id.clone(), source }
}
