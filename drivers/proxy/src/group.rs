//! A target group while it runs: which targets there are, which may be sent to, whose turn it is.
//!
//! The request path reads one snapshot ([`View`]). Everything that changes what may be sent to
//! (configuration, health, anomalies) makes a new snapshot, so a choice is a look into a list.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{self, Algorithm, ConfigError, TargetGroup, TargetProtocol, Unusable};
use crate::cookie;
use crate::counters::GroupCounts;
use crate::dice::Dice;
use crate::health::{Check, Matcher};
use crate::status::{HealthState, Reason, TargetGroupStatus, TargetStatus};
use crate::target::{FULL_SHARE, Tag, Target, TargetKey, lock};
use crate::tls;

/// A running target group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    /// Names the group in stickiness cookies.
    pub(crate) tag: Tag,
    pub(crate) counts: GroupCounts,
    view: RwLock<Arc<View>>,
    turn: AtomicUsize,
    upkeep: Mutex<Upkeep>,
    tasks: TaskTracker,
    kill: CancellationToken,
}

/// What a request sees of a group.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) config: Arc<TargetGroup>,
    place: Arc<Place>,
    /// In the order of the configuration.
    members: Vec<Member>,
    /// Who gets traffic.
    open: Vec<Arc<Target>>,
}

/// Where the node is, and whether the group is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) zone: String,
    pub(crate) enabled: BTreeSet<String>,
    pub(crate) used: bool,
}

#[derive(Debug, Clone)]
struct Member {
    target: Arc<Target>,
    spec: config::Target,
}

/// What goes on beside requests.
#[derive(Debug, Default)]
struct Upkeep {
    checks: HashMap<TargetKey, (Check, CancellationToken)>,
    drains: HashMap<TargetKey, (Arc<Target>, CancellationToken)>,
}

impl Group {
    pub(crate) fn new(id: &str, tasks: TaskTracker, kill: &CancellationToken) -> Self {
        let place = Place { zone: String::new(), enabled: BTreeSet::new(), used: false };
        let view = View {
            config: Arc::new(TargetGroup::new(id)),
            place: Arc::new(place),
            members: Vec::new(),
            open: Vec::new(),
        };
        Self {
            id: id.to_owned(),
            tag: cookie::tag(&["group", id]),
            counts: GroupCounts::default(),
            view: RwLock::new(Arc::new(view)),
            turn: AtomicUsize::new(0),
            upkeep: Mutex::default(),
            tasks,
            kill: kill.clone(),
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a new configuration. Targets that it shares with the last one keep their state.
    pub(crate) fn configure(self: &Arc<Self>, config: &TargetGroup, place: &Place) {
        let mut upkeep = lock(&self.upkeep);
        let before = self.view();
        let known: HashMap<&TargetKey, &Arc<Target>> =
            before.members.iter().map(|member| (&member.target.key, &member.target)).collect();
        let draining: HashMap<TargetKey, Arc<Target>> =
            upkeep.drains.iter().map(|(key, (target, _))| (key.clone(), target.clone())).collect();
        let tls = match config.protocol {
            TargetProtocol::Http => None,
            TargetProtocol::Https => Some(tls::client_config(config.protocol_version)),
        };
        let member = |spec: &config::Target| {
            let key = TargetKey { id: spec.id.clone(), address: spec.address };
            let target = known.get(&key).copied().or_else(|| draining.get(&key)).cloned();
            let target = target.unwrap_or_else(|| {
                let address = key.address.to_string();
                let tag = cookie::tag(&["target", &self.id, &key.id, &address]);
                Arc::new(Target::new(key, tag, tls.clone()))
            });
            Member { target, spec: spec.clone() }
        };
        let members: Vec<Member> = config.targets.iter().map(member).collect();
        let view = View {
            config: Arc::new(config.clone()),
            place: Arc::new(place.clone()),
            open: Vec::new(),
            members,
        };
        self.keep_drains(&mut upkeep, &before, &view);
        self.keep_checks(&mut upkeep, &view);
        self.publish(view);
    }

    /// Makes the newest health count.
    fn refresh(&self) {
        // One at a time, so that an older reading never replaces a newer one.
        let _turn = lock(&self.upkeep);
        let now = self.view();
        self.publish(View {
            config: now.config.clone(),
            place: now.place.clone(),
            members: now.members.clone(),
            open: Vec::new(),
        });
    }

    fn publish(&self, mut view: View) {
        let candidates: Vec<&Member> = view.members.iter().filter(|it| view.reaches(it)).collect();
        let healthy = |member: &&&Member| match member.target.health().state {
            HealthState::Healthy | HealthState::Unavailable => true,
            HealthState::Initial
            | HealthState::Unhealthy
            | HealthState::Draining
            | HealthState::Unused => view.config.health_check.is_none(),
        };
        let target = |member: &&Member| member.target.clone();
        let mut open: Vec<_> = candidates.iter().filter(healthy).map(target).collect();
        if open.is_empty() {
            // Fail open: with nobody healthy, anybody is better than nobody.
            open = candidates.iter().map(target).collect();
        }
        view.open = open;
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Starts the end of targets that are deregistered, and takes back those that return.
    fn keep_drains(self: &Arc<Self>, upkeep: &mut Upkeep, before: &View, now: &View) {
        let staying: HashMap<&TargetKey, bool> =
            now.members.iter().map(|it| (&it.target.key, it.spec.draining)).collect();
        upkeep.drains.retain(|key, (target, cancel)| {
            let back = staying.get(key) == Some(&false);
            if back {
                cancel.cancel();
                target.reopen();
                *target.health() = crate::health::Health::registered();
            }
            !back
        });
        let leaving = |member: &&Member| {
            staying.get(&member.target.key).copied().unwrap_or(true) && !member.spec.draining
        };
        let left = before.members.iter().filter(leaving).map(|member| &member.target);
        let new = now.members.iter().filter(|it| it.spec.draining).map(|member| &member.target);
        for target in left.chain(new) {
            if upkeep.drains.contains_key(&target.key) {
                continue;
            }
            let cancel = self.kill.child_token();
            upkeep.drains.insert(target.key.clone(), (target.clone(), cancel.clone()));
            target.drop_idle();
            let (group, target) = (self.clone(), target.clone());
            let delay = now.config.deregistration_delay();
            self.tasks.spawn(async move {
                if cancel.run_until_cancelled(tokio::time::sleep(delay)).await.is_some() {
                    target.close();
                    group.forget_drain(&target);
                }
            });
        }
    }

    /// Drops the record of a target's end once the target is in no configuration.
    fn forget_drain(&self, target: &Target) {
        let mut upkeep = lock(&self.upkeep);
        if !self.view().members.iter().any(|member| member.target.key == target.key) {
            upkeep.drains.remove(&target.key);
        }
    }

    /// Sees to it that exactly the targets that need it are checked, in the configured way.
    fn keep_checks(self: &Arc<Self>, upkeep: &mut Upkeep, view: &View) {
        let mut wanted = HashMap::new();
        if let Some(settings) = &view.config.health_check {
            for member in view.members.iter().filter(|it| view.place.used && view.reaches(it)) {
                let mut address = member.spec.address;
                if let Some(port) = settings.port {
                    address.set_port(port);
                }
                let version = view.config.protocol_version;
                let check = Check { address, version, settings: settings.clone() };
                wanted.insert(member.target.key.clone(), (check, member.target.clone()));
            }
        }
        upkeep.checks.retain(|key, (check, cancel)| {
            let stays = wanted.get(key).is_some_and(|(new, _)| new == check);
            if !stays {
                cancel.cancel();
            }
            stays
        });
        for (key, (check, target)) in wanted {
            if upkeep.checks.contains_key(&key) {
                continue;
            }
            let cancel = self.kill.child_token();
            upkeep.checks.insert(key, (check.clone(), cancel.clone()));
            let group = self.clone();
            let checks = async move { group.check_for_ever(&target, &check).await };
            self.tasks.spawn(async move { cancel.run_until_cancelled(checks).await });
        }
    }

    async fn check_for_ever(self: &Arc<Self>, target: &Arc<Target>, check: &Check) {
        let Ok(matcher) = Matcher::parse(&check.settings.matcher) else { return };
        let mut ticks = tokio::time::interval(check.interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let outcome = check.run(&matcher).await;
            let changed = target.health().observe(&outcome, check.thresholds());
            if changed {
                self.health_changed(target);
            }
        }
    }

    fn health_changed(&self, target: &Arc<Target>) {
        let health = target.health().clone();
        let why = health.description.unwrap_or_default();
        tracing::info!(target = %target.key.id, state = ?health.state, why, "health changed");
        let view = self.view();
        let alone = view.open.iter().all(|other| other.health().state != HealthState::Healthy);
        if health.state == HealthState::Healthy && view.config.slow_start_seconds > 0 && !alone {
            target.warm_up();
        }
        if health.state == HealthState::Unhealthy {
            // What is idle was opened to a target that may be another one by now.
            target.drop_idle();
        }
        self.refresh();
    }

    /// Ends all that goes on beside requests.
    pub(crate) fn stop(&self) {
        let mut upkeep = lock(&self.upkeep);
        for (_, (_, cancel)) in upkeep.checks.drain() {
            cancel.cancel();
        }
    }

    /// Chooses a target, none of `tried` if it can be helped.
    pub(crate) fn choose(
        &self,
        view: &View,
        dice: &Dice,
        tried: &[Arc<Target>],
    ) -> Option<Arc<Target>> {
        match view.config.algorithm {
            Algorithm::RoundRobin => self.in_turn(view, dice, tried),
            Algorithm::LeastOutstandingRequests => self.least_busy(view, tried),
            Algorithm::WeightedRandom { .. } => by_lot(view, dice, tried),
        }
    }

    fn in_turn(&self, view: &View, dice: &Dice, tried: &[Arc<Target>]) -> Option<Arc<Target>> {
        let slow_start = Duration::from_secs(view.config.slow_start_seconds.into());
        let count = view.open.len();
        // A target in slow start may pass its turn on; after two rounds it takes it. So does one
        // that could not be reached a moment ago, in the first round.
        for step in 0..2 * count {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % count;
            let target = view.open.get(turn)?;
            if is_in(target, tried) || (step < count && target.is_avoided()) {
                continue;
            }
            if slow_start.is_zero() {
                return Some(target.clone());
            }
            let warmth = target.warmth(slow_start);
            if warmth == FULL_SHARE || dice.below(FULL_SHARE.into()) < warmth.into() {
                return Some(target.clone());
            }
        }
        view.open.iter().find(|target| !is_in(target, tried)).cloned()
    }

    fn least_busy(&self, view: &View, tried: &[Arc<Target>]) -> Option<Arc<Target>> {
        let count = view.open.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
        // Beginning somewhere else each time makes equals take turns.
        let (late, early) = view.open.split_at_checked(first)?;
        let untried = early.iter().chain(late).filter(|target| !is_in(target, tried));
        untried.min_by_key(|target| (target.is_avoided(), target.in_flight())).cloned()
    }

    /// Lowers the share of targets whose errors stand out, and restores it slowly.
    ///
    /// AWS: "Anomaly mitigation" (Target groups for your Application Load Balancers). AWS does not
    /// publish its rule; this one compares each target's error rate with the others' together.
    pub(crate) fn weigh_anomalies(&self) {
        const TARGETS_MIN: usize = 3;
        const REQUESTS_MIN: u64 = 10;
        const SHARE_MIN: u64 = 100;
        const SHARE_STEP: u64 = 100;
        let view = self.view();
        let counts: Vec<_> = view
            .open
            .iter()
            .map(|it| (it, it.counts.recent_requests.take(), it.counts.recent_errors.take()))
            .collect();
        let (requests, errors) = counts.iter().fold((0, 0), |sum, it| (sum.0 + it.1, sum.1 + it.2));
        let mitigate =
            matches!(view.config.algorithm, Algorithm::WeightedRandom { anomaly_mitigation: true })
                && counts.len() >= TARGETS_MIN;
        for (target, own_requests, own_errors) in counts {
            let others = (requests - own_requests).max(1);
            let others_errors = errors - own_errors;
            // At least one request in twenty fails, and three times the others' rate.
            let stands_out = mitigate
                && own_requests >= REQUESTS_MIN
                && own_errors * 20 >= own_requests
                && own_errors * others >= 3 * others_errors * own_requests;
            let share = target.share();
            target.set_share(if stands_out {
                (share / 2).max(SHARE_MIN)
            } else {
                (share + SHARE_STEP).min(FULL_SHARE.into())
            });
        }
    }

    /// Closes connections that have been idle for `limit`.
    pub(crate) fn sweep_idle(&self, limit: Duration) {
        for member in &self.view().members {
            member.target.sweep_idle(limit);
        }
    }

    pub(crate) fn status(&self) -> TargetGroupStatus {
        let view = self.view();
        let visible = view.members.iter().filter(|member| view.shows(member));
        let targets: Vec<_> = visible.map(|member| view.status(member)).collect();
        let count = |state: HealthState| {
            targets.iter().filter(|target| target.state == state).count() as u64
        };
        let mut counters = self.counts.read();
        counters.healthy = count(HealthState::Healthy);
        counters.unhealthy = count(HealthState::Unhealthy);
        TargetGroupStatus { id: self.id.clone(), targets, counters }
    }
}

fn is_in(target: &Arc<Target>, tried: &[Arc<Target>]) -> bool {
    tried.iter().any(|other| Arc::ptr_eq(other, target))
}

fn by_lot(view: &View, dice: &Dice, tried: &[Arc<Target>]) -> Option<Arc<Target>> {
    let slow_start = Duration::from_secs(view.config.slow_start_seconds.into());
    let weight = |target: &Arc<Target>| {
        let warmth = if slow_start.is_zero() { FULL_SHARE } else { target.warmth(slow_start) };
        if target.is_avoided() { 0 } else { target.share() * u64::from(warmth) }
    };
    let untried = || view.open.iter().filter(|target| !is_in(target, tried));
    let total: u64 = untried().map(weight).sum();
    let mut lot = dice.below(total);
    for target in untried() {
        let weight = weight(target);
        if lot < weight {
            return Some(target.clone());
        }
        lot -= weight;
    }
    untried().next().cloned()
}

impl View {
    /// The target that a cookie names, if it gets traffic.
    pub(crate) fn named(&self, tag: &Tag) -> Option<Arc<Target>> {
        self.open.iter().find(|target| target.tag == *tag).cloned()
    }

    /// How many targets get traffic.
    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Whether this node may send to a target, were it healthy.
    fn reaches(&self, member: &Member) -> bool {
        !member.spec.draining
            && member.spec.unusable.is_none()
            && self.enables(member)
            && self.shows(member)
    }

    /// Whether a target's zone is enabled for the load balancer.
    fn enables(&self, member: &Member) -> bool {
        let zone = member.spec.zone.as_ref();
        self.place.enabled.is_empty() || zone.is_none_or(|zone| self.place.enabled.contains(zone))
    }

    /// Whether a target is this node's business: without cross-zone balancing, those of its own
    /// zone are.
    fn shows(&self, member: &Member) -> bool {
        let zone = member.spec.zone.as_ref();
        self.config.cross_zone
            || zone.is_none_or(|zone| *zone == self.place.zone || !self.enables(member))
    }

    fn status(&self, member: &Member) -> TargetStatus {
        let target = &member.target;
        let (state, reason, description) = self.judge(member);
        TargetStatus {
            id: target.key.id.clone(),
            address: target.key.address,
            state,
            reason,
            description,
            in_flight: target.in_flight() as u64,
            requests: target.counts.requests.get(),
            connection_errors: target.counts.connection_errors.get(),
            anomalous: target.share() < FULL_SHARE.into(),
        }
    }

    fn judge(&self, member: &Member) -> (HealthState, Option<Reason>, Option<String>) {
        let say = |state, reason, text: &str| (state, Some(reason), Some(text.to_owned()));
        if member.spec.draining {
            let text = "Target deregistration is in progress";
            return say(HealthState::Draining, Reason::DeregistrationInProgress, text);
        }
        match member.spec.unusable {
            Some(Unusable::Stopped) => {
                let text = "Target is in the stopped state";
                return say(HealthState::Unused, Reason::InvalidState, text);
            }
            Some(Unusable::Terminated) => {
                let text = "Target is in the terminated state";
                return say(HealthState::Unused, Reason::InvalidState, text);
            }
            Some(Unusable::AddressInUse) => {
                let text = "Target IP address is in use by a load balancer";
                return say(HealthState::Unused, Reason::IpUnusable, text);
            }
            None => {}
        }
        if !self.place.used {
            let text = "Target group is not configured to receive traffic from the load balancer";
            return say(HealthState::Unused, Reason::NotInUse, text);
        }
        if !self.enables(member) {
            let text =
                "Target is in an Availability Zone that is not enabled for the load balancer";
            return say(HealthState::Unused, Reason::NotInUse, text);
        }
        if self.config.health_check.is_none() {
            let text = "Health checks are disabled for this target";
            return say(HealthState::Unavailable, Reason::HealthCheckDisabled, text);
        }
        let health = member.target.health();
        (health.state, health.reason, health.description.clone())
    }
}

/// Whether a group's settings can be carried out.
pub(crate) fn check(config: &TargetGroup) -> Result<(), ConfigError> {
    let Some(health_check) = &config.health_check else { return Ok(()) };
    Matcher::parse(&health_check.matcher)?;
    let path = &health_check.path;
    path.parse::<http::uri::PathAndQuery>().map_err(|_| ConfigError::NotHttp(path.clone()))?;
    Ok(())
}
