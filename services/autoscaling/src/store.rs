//! The tables of Auto Scaling.

use std::collections::{BTreeMap, BTreeSet};

use base::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Record, Table};

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) arn: String,
    /// The same for the group's life; client tokens are made of it.
    pub(crate) uid: String,
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) desired: usize,
    pub(crate) template: Template,
    pub(crate) subnets: Vec<Subnet>,
    pub(crate) elb_health: bool,
    pub(crate) grace_secs: u64,
    pub(crate) cooldown_secs: i32,
    pub(crate) target_groups: BTreeSet<String>,
    /// Target groups that were detached and may still hold members.
    #[serde(default)]
    pub(crate) leaving_target_groups: BTreeSet<String>,
    pub(crate) termination_policies: Vec<String>,
    pub(crate) protect_new: bool,
    pub(crate) tags: BTreeMap<String, GroupTag>,
    pub(crate) suspended: BTreeSet<String>,
    pub(crate) created: Timestamp,
    pub(crate) deleting: bool,
    pub(crate) members: Vec<Member>,
    /// The number of the next launch; launches are never numbered twice.
    pub(crate) next_launch: u64,
    pub(crate) refresh: Option<Refresh>,
    /// Zones in which a launch failed, and when.
    #[serde(default)]
    pub(crate) failed_zones: BTreeMap<String, Timestamp>,
    /// Launches that failed since one succeeded.
    #[serde(default)]
    pub(crate) failures: u32,
    /// Why the desired capacity last changed, for the activities that follow.
    pub(crate) cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) name: String,
    /// A number, `$Latest` or `$Default`.
    pub(crate) version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) zone: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupTag {
    pub(crate) value: String,
    pub(crate) propagate: bool,
}

/// Where a member is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Life {
    Pending,
    InService,
    Terminating,
}

/// An instance of the group, or one that is being launched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) number: u64,
    pub(crate) subnet: Subnet,
    pub(crate) life: Life,
    pub(crate) instance: Option<String>,
    pub(crate) instance_type: Option<String>,
    pub(crate) template_version: Option<String>,
    pub(crate) healthy: bool,
    /// Whether it was found not to run any more.
    #[serde(default)]
    pub(crate) ended: bool,
    pub(crate) protected: bool,
    pub(crate) launched: Timestamp,
    pub(crate) in_service: Option<Timestamp>,
    /// Target groups that it was registered with.
    pub(crate) registered: BTreeSet<String>,
    /// The activity that is under way for it.
    pub(crate) activity: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refresh {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) min_healthy_percent: i32,
    pub(crate) warmup_secs: u64,
    pub(crate) total: usize,
    pub(crate) left: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Activity {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) group_arn: String,
    pub(crate) group_deleted: bool,
    pub(crate) description: String,
    pub(crate) cause: String,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) status: String,
    pub(crate) message: Option<String>,
    pub(crate) progress: i32,
    pub(crate) details: String,
}

impl Record for Group {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// A refresh that another one followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PastRefresh {
    pub(crate) group: String,
    pub(crate) refresh: Refresh,
}

impl Record for PastRefresh {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.group.clone(), self.refresh.id.clone())
    }
}

impl Record for Activity {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.group.clone(), self.id.clone())
    }
}

pub(crate) const GROUPS: Table<Group> = Table::new("autoscaling.groups");
pub(crate) const PAST_REFRESHES: Table<PastRefresh> = Table::new("autoscaling.past_refreshes");
pub(crate) const ACTIVITIES: Table<Activity> = Table::new("autoscaling.activities");

impl Group {
    /// Notes that an instance could not be launched in a zone.
    pub(crate) fn launch_failed(&mut self, zone: &str, now: Timestamp) {
        self.failed_zones.insert(zone.to_owned(), now);
        self.failures = self.failures.saturating_add(1);
    }

    /// Members that count towards the desired capacity.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.life != Life::Terminating)
    }

    pub(crate) fn member_of(&self, instance: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.instance.as_deref() == Some(instance))
    }

    /// The zones of the group's subnets, each once, in order.
    pub(crate) fn zones(&self) -> Vec<String> {
        let zones: BTreeSet<&String> = self.subnets.iter().map(|subnet| &subnet.zone).collect();
        zones.into_iter().cloned().collect()
    }
}
