//! Keeping a cluster whole: asking its nodes, and doing what the [plan](crate::plan) says.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

use crate::cluster::{Cluster, host_error, standby};
use crate::error::{Error, Result};
use crate::host::Event;
use crate::ledger::Ledger;
use crate::member::Member;
use crate::node::{BRANCHES_MAX, Branch, Marker, NodeId, Role, Seed};
use crate::plan::{self, Action, Promise};
use crate::seed;
use crate::spec::Start;

/// How often the nodes are asked.
const INTERVAL: Duration = Duration::from_millis(500);

/// How often they are asked while one of them does not answer.
const INTERVAL_ALERT: Duration = Duration::from_millis(100);

/// How long a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long the host may take to tell whether a process exists.
const DOUBT_MAX: Duration = Duration::from_millis(500);

/// How long a standby may take to catch up before commits stop waiting for it.
const CATCH_UP_MAX: Duration = Duration::from_secs(20);

/// The longest that a promotion may take. What a standby has received it applies first.
const PROMOTE_MAX: Duration = Duration::from_secs(900);

/// How long an engine may take to do what takes a moment.
const SMALL_MAX: Duration = Duration::from_secs(20);

/// How long a follower may take to connect to its source.
const SETTLE_MAX: Duration = Duration::from_secs(15);

/// How long a cache's followers may take to read what their dead primary has sent.
const SETTLED_MAX: Duration = Duration::from_millis(300);

/// How often it is asked meanwhile.
const SETTLE_POLL: Duration = Duration::from_millis(20);

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Cluster {
    /// Keeps the cluster whole, for ever. It may be dropped at any moment and called again, by this
    /// process or by the next.
    pub async fn watch(self: Arc<Self>) {
        let asking = async {
            loop {
                self.ask_all().await;
                self.wake.notify_one();
                let alert = self.members().iter().any(|member| member.seen().failures > 0);
                tokio::time::sleep(if alert { INTERVAL_ALERT } else { INTERVAL }).await;
            }
        };
        let steering = async {
            let mut jobs = FuturesUnordered::<Job>::new();
            loop {
                for job in self.step().await {
                    jobs.push(job);
                }
                tokio::select! {
                    () = self.wake.notified() => {}
                    Some(()) = jobs.next() => {}
                }
            }
        };
        futures_util::join!(asking, steering);
    }

    /// Asks every node for its state.
    pub(crate) async fn ask_all(&self) {
        let members = self.members();
        let answers = members.iter().map(|member| async move {
            let generation = member.seen().generation;
            let asked = Instant::now();
            let state = timeout(ANSWER_MAX, member.control.state());
            let link = timeout(ANSWER_MAX, self.host.reach(&member.node));
            let (state, link) = futures_util::join!(state, link);
            let state = state.ok().and_then(Result::ok);
            (member, generation, asked, state, matches!(link, Ok(Ok(()))))
        });
        let answers = futures_util::future::join_all(answers).await;
        // When no link works it is the way from here that is broken, and no node is to blame.
        let some_link = answers.iter().any(|(.., link)| *link);
        for (member, generation, asked, state, link) in answers {
            let holding = state.as_ref().is_some_and(|state| state.writable && state.holding);
            if holding && member.role() == Role::Primary {
                self.ledger().confirmed = Some(asked);
            }
            member.answered(generation, state, link || !some_link);
        }
    }

    /// Does what cannot wait and returns what may take long.
    async fn step(self: &Arc<Self>) -> Vec<Job> {
        let _operation = self.operation.lock().await;
        self.doubt_the_ends().await;
        if let Err(error) = self.announce_anew().await {
            tracing::warn!(error = error.chain(), "the writer endpoint could not be moved");
        }
        if let Err(error) = self.forget_sources().await {
            tracing::warn!(error = error.chain(), "a primary still has a source");
        }
        let mut jobs = Vec::new();
        for action in plan::next(&self.view()) {
            let done = match &action {
                Action::FailOver(id) => {
                    self.tell_loss();
                    self.fail_over(id).await
                }
                // A primary that hangs just now must not hold up what is decided about it next.
                Action::Release => in_time(self.release_now()).await,
                Action::Open(id) => in_time(self.open(id)).await,
                Action::Recover(id)
                | Action::Hold(id)
                | Action::Start(id)
                | Action::Follow(id)
                | Action::Reseed(id) => {
                    if matches!(action, Action::Recover(_)) {
                        self.tell_refusal();
                    }
                    if let Ok(member) = self.member(id) {
                        member.seen().busy = true;
                        let job = Arc::clone(self).work(action.clone(), member);
                        jobs.push(Box::pin(job) as Job);
                    }
                    Ok(())
                }
            };
            if let (Err(error), Ok(primary)) = (done, self.primary()) {
                let reason = format!("{action:?}: {}", error.chain());
                self.host.notice(Event::Trouble { node: primary.node.id.clone(), reason });
                primary.tried(false);
            }
        }
        jobs
    }

    /// A word that a process has ended may be late, and be about one before the present one.
    async fn doubt_the_ends(&self) {
        for member in self.members() {
            if member.seen().ended && self.has_process(&member).await {
                member.changed();
            }
        }
    }

    /// Whether the host says that a node's process exists.
    pub(crate) async fn has_process(&self, member: &Member) -> bool {
        matches!(timeout(DOUBT_MAX, self.host.runs(&member.node)).await, Ok(Ok(true)))
    }

    fn tell_loss(&self) {
        if let Ok(primary) = self.primary() {
            let reason = primary.seen().complaint();
            self.host.notice(Event::PrimaryLost { node: primary.node.id.clone(), reason });
        }
    }

    fn tell_refusal(&self) {
        let has_standby = self.members().iter().any(|member| standby(member));
        let told = std::mem::replace(&mut self.ledger().refused, true);
        if has_standby && !told {
            let reason = match self.view().promise {
                Promise::None | Promise::Broken => "the standby was not in step with it",
                Promise::Unproven => "it is not known whether the standby was in step with it",
                Promise::Kept => "the standby does not answer",
            };
            self.host.notice(Event::FailoverRefused { reason: reason.into() });
        }
    }

    async fn work(self: Arc<Self>, action: Action, member: Arc<Member>) {
        let done = async {
            let primary = self.primary()?;
            match &action {
                Action::Recover(_) => self.recover(&member).await,
                Action::Hold(_) => self.hold(&member, &primary).await,
                Action::Start(_) => self.rejoin(&member, &primary).await,
                Action::Follow(_) => match self.follow(&member, &primary).await {
                    Err(error @ Error::Diverged { .. }) => {
                        self.renew(&member, &primary, error.chain()).await
                    }
                    done => done,
                },
                Action::Reseed(_) => {
                    let broken = member.seen().state.clone().and_then(|state| state.broken);
                    let reason = broken.unwrap_or_else(|| "it found no way to follow".into());
                    self.renew(&member, &primary, reason).await
                }
                Action::FailOver(_) | Action::Release | Action::Open(_) => Ok(()),
            }
        };
        let done = done.await;
        if !matches!(action, Action::Hold(_)) {
            member.changed();
        }
        if let Err(error) = &done {
            let reason = format!("{action:?}: {}", error.chain());
            self.host.notice(Event::Trouble { node: member.node.id.clone(), reason });
        }
        member.tried(done.is_ok());
    }

    /// Fences the primary and makes `id` the primary. The decision is on disk before the promotion,
    /// so that whoever comes after a crash in between ends it the same way.
    pub(crate) async fn fail_over(&self, id: &str) -> Result<()> {
        let began = Instant::now();
        let target = self.member(id)?;
        let former = self.primary().ok();
        if let Some(former) = &former {
            let fenced = self.host.fence(&former.node).await;
            fenced.map_err(|source| host_error("fence", &former.node, source))?;
        }
        let target = match self.best_effort() {
            true => self.furthest().await.unwrap_or(target),
            false => target,
        };
        let drained = timeout(PROMOTE_MAX, target.control.drain()).await;
        let position = drained.map_err(|_| Error::Timeout("a follower to apply its log"))??;
        let seed = target.node.marker().map_or(Seed::Copy, |marker| marker.seed);
        let marker = {
            let mut ledger = self.ledger();
            let epoch = ledger.epoch + 1;
            let mut branches = ledger.branches.clone();
            branches.push(Branch { epoch, position });
            let forgotten = branches.len().saturating_sub(BRANCHES_MAX);
            branches.drain(..forgotten);
            *ledger = Ledger { epoch, branches, ..Ledger::default() };
            ledger.marker(Role::Primary, seed)
        };
        marker.write(&target.node.volume)?;
        let part = std::mem::replace(&mut target.seen().role, Role::Primary);
        if let Some(former) = &former {
            former.changed();
            let mut seen = former.seen();
            seen.role = part;
            seen.ended = true;
        }
        self.promote(&target).await?;
        self.announce(&target).await?;
        let node = target.node.id.clone();
        self.host.notice(Event::Promoted { node, took: began.elapsed() });
        in_time(target.control.forget_source()).await?;
        let generation = target.seen().generation;
        target.answered(generation, target.control.state().await.ok(), true);
        Ok(())
    }

    /// The follower that holds the most of what the primary wrote, now that it writes no more and
    /// all of them have read what was on its way.
    async fn furthest(&self) -> Option<Arc<Member>> {
        let until = Instant::now() + SETTLED_MAX;
        let followers: Vec<_> =
            self.members().into_iter().filter(|member| member.role() != Role::Primary).collect();
        loop {
            let states = followers.iter().map(|member| async {
                let answer = timeout(SETTLED_MAX, member.control.state()).await;
                answer.ok().and_then(Result::ok).map(|state| (Arc::clone(member), state))
            });
            let states: Vec<_> =
                futures_util::future::join_all(states).await.into_iter().flatten().collect();
            let reading = states.iter().any(|(_, state)| state.receiving);
            if !reading || Instant::now() > until {
                let best = states.into_iter().max_by_key(|(_, state)| state.offset);
                return best.map(|(member, _)| member);
            }
            tokio::time::sleep(SETTLE_POLL / 4).await;
        }
    }

    async fn promote(&self, target: &Member) -> Result<()> {
        let promoted = timeout(PROMOTE_MAX, target.control.promote()).await;
        promoted.map_err(|_| Error::Timeout("a promotion"))??;
        target.changed();
        let start = Start::Primary { standby: None };
        self.process(&target.node, start)?.install(&target.node)
    }

    /// Lets the primary take writes: after its start, or when a promotion was left half-way.
    async fn open(&self, id: &NodeId) -> Result<()> {
        let member = self.member(id)?;
        let follows = member.seen().state.as_ref().is_some_and(|state| state.source.is_some());
        if follows {
            member.control.drain().await?;
            self.promote(&member).await?;
        } else {
            member.control.open().await?;
        }
        member.changed();
        self.announce(&member).await?;
        if follows {
            member.control.forget_source().await?;
            member.changed();
        }
        Ok(())
    }

    async fn announce(&self, primary: &Member) -> Result<()> {
        let told = self.host.primary_changed(&primary.node).await;
        told.map_err(|source| host_error("lead writers to", &primary.node, source))?;
        self.ledger().announced = Some(primary.node.id.clone());
        Ok(())
    }

    /// Leads writers to a primary that takes writes and that the host does not know of: because
    /// telling it failed, or because it was told to one who is no more.
    async fn announce_anew(&self) -> Result<()> {
        let Ok(primary) = self.primary() else { return Ok(()) };
        let known = self.ledger().announced.as_ref() == Some(&primary.node.id);
        let open = primary.seen().state.as_ref().is_some_and(|state| state.writable);
        if known || !open { Ok(()) } else { self.announce(&primary).await }
    }

    /// Ends what ties the primary to a former source, where a promotion was cut off before that.
    async fn forget_sources(&self) -> Result<()> {
        let Ok(primary) = self.primary() else { return Ok(()) };
        let state = primary.seen().state.clone();
        if state.is_some_and(|state| state.writable && state.source.is_some()) {
            in_time(primary.control.forget_source()).await?;
            primary.changed();
        }
        Ok(())
    }

    /// Starts the primary again where it was, waiting for its standby if it did before.
    async fn recover(&self, member: &Member) -> Result<()> {
        let fenced = self.host.fence(&member.node).await;
        fenced.map_err(|source| host_error("fence", &member.node, source))?;
        self.launch(member, member).await?;
        self.ledger().refused = false;
        self.host.notice(Event::PrimaryRecovered { node: member.node.id.clone() });
        Ok(())
    }

    /// Notes that the standby may lack commits, then lets the primary go on without it.
    pub(crate) async fn release_now(&self) -> Result<()> {
        let primary = self.primary()?;
        if self.is_in_step() {
            self.note_promise(false)?;
            if let Some(member) = self.members().iter().find(|member| standby(member)) {
                let node = member.node.id.clone();
                self.host.notice(Event::ReplicationDegraded { node });
            }
        }
        primary.control.release().await?;
        primary.changed();
        Ok(())
    }

    async fn hold(&self, member: &Member, primary: &Member) -> Result<()> {
        let epoch = self.ledger().epoch;
        if let Err(error) = self.catch_up(member, primary).await {
            in_time(primary.control.release()).await?;
            return Err(error);
        }
        let _operation = self.operation.lock().await;
        if self.ledger().epoch != epoch || self.is_in_step() {
            return Ok(());
        }
        self.keep_promise(member)
    }

    /// As [`hold`](Self::hold), by one who holds the operation's lock.
    pub(crate) async fn hold_now(&self, member: &Member, primary: &Member) -> Result<()> {
        self.catch_up(member, primary).await?;
        self.keep_promise(member)
    }

    /// Makes commits wait for the standby from now on, and waits until it has those before.
    async fn catch_up(&self, member: &Member, primary: &Member) -> Result<()> {
        in_time(primary.control.hold(&member.node)).await?;
        primary.changed();
        let position = in_time(primary.control.position()).await?;
        if member.control.reached(&position, CATCH_UP_MAX).await? {
            return Ok(());
        }
        Err(Error::Timeout("the standby to catch up"))
    }

    fn keep_promise(&self, member: &Member) -> Result<()> {
        self.note_promise(true)?;
        self.host.notice(Event::ReplicationInStep { node: member.node.id.clone() });
        Ok(())
    }

    /// Writes the promise to both volumes: first where it matters less, so that a crash in between
    /// reads as no promise.
    fn note_promise(&self, promised: bool) -> Result<()> {
        let members = self.members();
        let pair = [Role::Standby, Role::Primary].map(|role| {
            members.iter().find(|member| member.role() == role).map(|member| (member, role))
        });
        for (member, role) in pair.into_iter().flatten() {
            let seed = member.node.marker().map_or(Seed::Copy, |marker| marker.seed);
            let marker = Marker { in_sync: promised, ..self.ledger().marker(role, seed) };
            marker.write(&member.node.volume)?;
        }
        let mut ledger = self.ledger();
        ledger.promised = promised;
        ledger.confirmed = promised.then(Instant::now);
        Ok(())
    }

    /// Starts a follower, first killing what hangs, and makes it follow; when its data has gone
    /// another way it gets a new copy.
    async fn rejoin(&self, member: &Member, primary: &Member) -> Result<()> {
        let fenced = self.host.fence(&member.node).await;
        fenced.map_err(|source| host_error("fence", &member.node, source))?;
        let again = async {
            seed::prepare_rejoin(&self.spec(), &member.node, primary).await?;
            self.launch(member, primary).await?;
            self.follow(member, primary).await
        };
        let reason = match again.await {
            Ok(()) => return Ok(()),
            Err(error @ (Error::Diverged { .. } | Error::Tool { .. })) => error.chain(),
            Err(error) => return Err(error),
        };
        self.renew(member, primary, reason).await
    }

    /// Gives a follower a new copy and tells why.
    async fn renew(&self, member: &Member, primary: &Member, reason: String) -> Result<()> {
        self.reseed(member, primary).await?;
        self.host.notice(Event::Reseeded { node: member.node.id.clone(), reason });
        Ok(())
    }

    async fn follow(&self, member: &Member, primary: &Member) -> Result<()> {
        let start = self.start_of(member, &primary.node);
        self.process(&member.node, start.get())?.install(&member.node)?;
        let branch = self.branch_after(member)?;
        in_time(member.control.follow(&primary.node, standby(member), &branch)).await?;
        settle(member).await?;
        self.mark_follower(member)?;
        let start = self.start_of(member, &primary.node);
        self.process(&member.node, start.get())?.install(&member.node)?;
        self.host.notice(Event::Rejoined { node: member.node.id.clone() });
        Ok(())
    }

    /// Where the cluster's history went on without this node, if it did.
    fn branch_after(&self, member: &Member) -> Result<String> {
        let known = member.node.marker().map_or(0, |marker| marker.epoch);
        let ledger = self.ledger();
        let first = ledger.branches.iter().find(|branch| branch.epoch > known);
        let oldest = ledger.branches.first().map_or(0, |branch| branch.epoch);
        if ledger.branches.len() == BRANCHES_MAX && known + 1 < oldest {
            let detail = "it was away for too many promotions".into();
            return Err(Error::Diverged { node: member.node.id.clone(), detail });
        }
        Ok(first.map(|branch| branch.position.clone()).unwrap_or_default())
    }

    fn mark_follower(&self, member: &Member) -> Result<()> {
        let seed = member.node.marker().map_or(Seed::Copy, |marker| marker.seed);
        let marker = self.ledger().marker(member.role(), seed);
        marker.write(&member.node.volume)
    }

    /// Gives a follower a copy of the primary's data and makes it follow.
    pub(crate) async fn reseed(&self, member: &Member, primary: &Member) -> Result<()> {
        let fenced = self.host.fence(&member.node).await;
        fenced.map_err(|source| host_error("fence", &member.node, source))?;
        let copied = seed::copy_node(&self.spec(), primary, &member.node).await?;
        let marker = self.ledger().marker(member.role(), Seed::Copy);
        marker.write(&member.node.volume)?;
        self.launch(member, primary).await?;
        seed::after_copy(member, &copied).await?;
        member.control.follow(&primary.node, standby(member), "").await
    }
}

/// Gives up on an engine that does not do a small thing.
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout(SMALL_MAX, work).await {
        Ok(done) => done,
        Err(_) => Err(Error::Timeout("an order")),
    }
}

/// Waits until a follower is connected to its source, or has found that it cannot follow it.
pub(crate) async fn settle(member: &Member) -> Result<()> {
    let until = Instant::now() + SETTLE_MAX;
    loop {
        let state = in_time(member.control.state()).await?;
        if let Some(detail) = state.broken {
            return Err(Error::Diverged { node: member.node.id.clone(), detail });
        }
        if state.receiving {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Error::Timeout("a follower to reach its source"));
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}
