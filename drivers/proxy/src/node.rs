//! The node: it turns a configuration into listeners and groups, and lives on between two of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{ConfigError, Listener, ListenerProtocol, NodeConfig, Tls};
use crate::cookie::Seal;
use crate::counters::NodeCounts;
use crate::dice::Dice;
use crate::group::{self, Group, Place};
use crate::listener::{Door, Plan, Secure};
use crate::rule::Rules;
use crate::status::NodeStatus;
use crate::target::lock;

/// How often idle connections and anomalies are looked at.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// A running node of a load balancer. Dropping it ends it at once; [`Node::shutdown`] lets
/// requests finish.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    running: Arc<Mutex<Running>>,
}

/// What every connection of a node shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) counts: NodeCounts,
    pub(crate) dice: Dice,
    pub(crate) tasks: TaskTracker,
    /// Ends everything at once.
    pub(crate) kill: CancellationToken,
    seal: RwLock<Arc<Seal>>,
}

#[derive(Debug, Default)]
struct Running {
    config: Option<NodeConfig>,
    doors: Vec<Arc<Door>>,
    groups: Vec<Arc<Group>>,
}

impl Shared {
    pub(crate) fn seal(&self) -> Arc<Seal> {
        self.seal.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Node {
    /// Starts a node. Its listeners accept when this returns; one that can't be opened is told in
    /// the status and tried again every second.
    ///
    /// # Errors
    ///
    /// The document is at fault, as [`NodeConfig::check`] tells.
    pub async fn start(config: NodeConfig) -> Result<Self, ConfigError> {
        let shared = Arc::new(Shared {
            counts: NodeCounts::default(),
            dice: Dice::new(),
            tasks: TaskTracker::new(),
            kill: CancellationToken::new(),
            seal: RwLock::new(Arc::new(Seal::new(&config.cookie_secret))),
        });
        let node = Self { shared, running: Arc::default() };
        node.configure(config).await?;
        node.keep_up();
        Ok(node)
    }

    /// Puts a new configuration in place of the last one.
    ///
    /// Connections stay, and the next request of each follows the new rules. Listeners and targets
    /// that both configurations have keep their state. Requests under way finish as they began.
    ///
    /// # Errors
    ///
    /// The document is at fault; the node goes on as before.
    #[expect(clippy::unused_async, reason = "callers may count on it to wait for sockets one day")]
    pub async fn configure(&self, config: NodeConfig) -> Result<(), ConfigError> {
        config.check()?;
        config.target_groups.iter().try_for_each(group::check)?;
        let mut running = lock(&self.running);
        let groups = self.groups(&config, &running);
        // All plans are made before anything changes, so a fault changes nothing.
        let plans = plans(&config, &groups, &running.doors)?;
        let seal = Arc::new(Seal::new(&config.cookie_secret));
        *self.shared.seal.write().unwrap_or_else(PoisonError::into_inner) = seal;
        self.configure_groups(&config, &groups);
        let doors = self.doors(&config, plans, &running);
        for door in running.doors.iter().filter(|door| !holds(&doors, door)) {
            door.close();
        }
        for group in running.groups.iter().filter(|group| !holds(&groups, group)) {
            group.stop();
        }
        // Ports of closed listeners are free only now.
        for door in doors.iter().filter(|door| !holds(&running.doors, door)) {
            door.open(&self.shared);
        }
        *running = Running { config: Some(config), doors, groups };
        Ok(())
    }

    /// What the node observes.
    pub fn status(&self) -> NodeStatus {
        let running = lock(&self.running);
        NodeStatus {
            listeners: running.doors.iter().map(|door| door.status()).collect(),
            target_groups: running.groups.iter().map(|group| group.status()).collect(),
            counters: self.shared.counts.read(),
        }
    }

    /// The configuration that the node follows.
    pub fn config(&self) -> Option<NodeConfig> {
        lock(&self.running).config.clone()
    }

    /// Stops listening, lets requests finish for `grace`, and ends what is left.
    pub async fn shutdown(&self, grace: Duration) {
        {
            let running = lock(&self.running);
            running.doors.iter().for_each(|door| door.close());
            running.groups.iter().for_each(|group| group.stop());
        }
        let counts = &self.shared.counts;
        let finished = async {
            while counts.active_connections.get() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::info!(left = counts.active_connections.get(), "connections were cut off");
        }
        self.shared.kill.cancel();
    }

    /// The running group of each configured one, in order.
    fn groups(&self, config: &NodeConfig, running: &Running) -> Vec<Arc<Group>> {
        let known: HashMap<_, _> = running.groups.iter().map(|it| (it.id.as_str(), it)).collect();
        let group = |id: &str| match known.get(id) {
            Some(group) => Arc::clone(group),
            None => Arc::new(Group::new(id, self.shared.tasks.clone(), &self.shared.kill)),
        };
        config.target_groups.iter().map(|it| group(&it.id)).collect()
    }

    fn configure_groups(&self, config: &NodeConfig, groups: &[Arc<Group>]) {
        let used: BTreeSet<&str> = config.forwards().map(|(_, group)| group).collect();
        for (group, wanted) in groups.iter().zip(&config.target_groups) {
            let place = Place {
                zone: config.node.zone.clone(),
                enabled: config.zones.clone(),
                used: used.contains(wanted.id.as_str()),
            };
            group.configure(wanted, &place);
        }
    }

    /// The listener of each configured one, old or new, following its new plan.
    fn doors(&self, config: &NodeConfig, plans: Vec<Plan>, running: &Running) -> Vec<Arc<Door>> {
        let known: HashMap<_, _> = running.doors.iter().map(|it| (it.id.as_str(), it)).collect();
        let door = |(listener, plan): (&Listener, Plan)| {
            let (address, port) = (config.node.address, listener.port);
            let same =
                |door: &&&Arc<Door>| door.wanted.ip() == address && door.wanted.port() == port;
            match known.get(listener.id.as_str()).filter(same) {
                Some(door) => {
                    door.follow(Arc::new(plan));
                    Arc::clone(door)
                }
                None => Arc::new(Door::new(&listener.id, address, port, Arc::new(plan))),
            }
        };
        config.listeners.iter().zip(plans).map(door).collect()
    }

    /// Closes idle connections and weighs anomalies from time to time.
    fn keep_up(&self) {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let running = self.running.clone();
        let upkeep = async move {
            loop {
                ticks.tick().await;
                let (groups, idle) = {
                    let running = lock(&running);
                    let attributes = running.config.as_ref().map(|config| &config.attributes);
                    let idle_seconds = attributes.map_or(0, |it| it.idle_timeout_seconds);
                    (running.groups.clone(), Duration::from_secs(idle_seconds.into()))
                };
                for group in groups {
                    group.sweep_idle(idle);
                    group.weigh_anomalies();
                }
            }
        };
        let kill = self.shared.kill.clone();
        self.shared.tasks.spawn(async move { kill.run_until_cancelled(upkeep).await });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        lock(&self.running).groups.iter().for_each(|group| group.stop());
        self.shared.kill.cancel();
        lock(&self.running).doors.iter().for_each(|door| door.close());
    }
}

fn holds<T>(all: &[Arc<T>], one: &Arc<T>) -> bool {
    all.iter().any(|other| Arc::ptr_eq(other, one))
}

fn plans(
    config: &NodeConfig,
    groups: &[Arc<Group>],
    doors: &[Arc<Door>],
) -> Result<Vec<Plan>, ConfigError> {
    let attributes = Arc::new(config.attributes.clone());
    let find = |id: &str| groups.iter().find(|group| group.id == id).cloned();
    let plan = |listener: &Listener| {
        let rules = Rules::compile(&listener.rules, &listener.default_action, &find)?;
        let tls = match &listener.protocol {
            ListenerProtocol::Http => None,
            ListenerProtocol::Https(tls) => {
                let before = doors.iter().find(|door| door.id == listener.id);
                let before = before.and_then(|door| door.plan().tls.clone());
                Some(secure(tls, config.attributes.http2, before)?)
            }
        };
        Ok(Plan { rules, attributes: attributes.clone(), tls })
    };
    config.listeners.iter().map(plan).collect()
}

/// A listener's TLS; what did not change is kept, and with it the sessions that clients resume.
fn secure(tls: &Tls, http2: bool, before: Option<Secure>) -> Result<Secure, ConfigError> {
    match before.filter(|before| before.told == *tls && before.http2 == http2) {
        Some(same) => Ok(same),
        None => {
            let config = crate::tls::server_config(tls, http2)?;
            Ok(Secure { told: tls.clone(), http2, config })
        }
    }
}
