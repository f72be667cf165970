//! What ElastiCache keeps.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base::{ResourceId, Tags, Timestamp, Zone};
use engine::EngineKind;
use nodes::GroupSubnet;
use serde::{Deserialize, Serialize};
use store::{Record, Table};

/// Where a replication group or a cache cluster stands.
///
/// AWS: DescribeReplicationGroups, `Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    Creating,
    Available,
    Modifying,
    Deleting,
    CreateFailed,
}

impl Status {
    /// AWS's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Modifying => "modifying",
            Self::Deleting => "deleting",
            Self::CreateFailed => "create-failed",
        }
    }
}

/// What a client made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A replication group: a primary and up to five replicas.
    Group,
    /// A cache cluster of one node, in no group.
    Cluster,
}

/// A node: in a group, a cache cluster of its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) id: String,
    /// The cache cluster's id.
    pub(crate) cluster: String,
    pub(crate) number: u32,
    pub(crate) zone: Zone,
    pub(crate) subnet: String,
    pub(crate) eni: Option<ResourceId>,
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) created: Option<Timestamp>,
    /// Whether it is part of the cluster that runs.
    pub(crate) joined: bool,
    /// Whether it is to be removed.
    pub(crate) leaving: bool,
    /// Whether it is to be started again.
    pub(crate) reboot: bool,
    /// Whether it was last seen to answer in its part.
    pub(crate) serving: bool,
    /// Whether parameters wait for its next start.
    pub(crate) stale: bool,
    pub(crate) tags: Tags,
}

/// What the engine was last brought to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) node_type: String,
    pub(crate) groups: Vec<String>,
    pub(crate) parameter_group: String,
    pub(crate) values: BTreeMap<String, String>,
}

/// A replication group, or a cache cluster that is in none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cache {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) resource_id: String,
    pub(crate) status: Status,
    pub(crate) why: Option<String>,
    pub(crate) engine: EngineKind,
    pub(crate) series: String,
    pub(crate) version: String,
    pub(crate) node_type: String,
    pub(crate) port: u16,
    pub(crate) automatic_failover: bool,
    pub(crate) multi_az: bool,
    pub(crate) subnet_group: String,
    pub(crate) vpc: ResourceId,
    pub(crate) groups: Vec<String>,
    pub(crate) parameter_group: String,
    pub(crate) nodes: Vec<NodeRecord>,
    pub(crate) primary: String,
    pub(crate) next_number: u32,
    pub(crate) secrets: Vec<u8>,
    pub(crate) test_failover: bool,
    pub(crate) maintenance_window: String,
    pub(crate) auto_minor_version_upgrade: bool,
    pub(crate) applied: Applied,
    pub(crate) created: Option<Timestamp>,
    pub(crate) tags: Tags,
}

/// The key of the replication group called `name`.
pub(crate) fn group_key(name: &str) -> String {
    format!("group/{}", name.to_ascii_lowercase())
}

/// The key of the cache cluster called `name`, if it is in no group.
pub(crate) fn cluster_key(name: &str) -> String {
    format!("cluster/{}", name.to_ascii_lowercase())
}

impl Cache {
    /// The node that takes writes.
    pub(crate) fn primary_node(&self) -> Option<&NodeRecord> {
        self.nodes.iter().find(|node| node.id == self.primary)
    }

    /// The nodes that are to stay.
    pub(crate) fn staying(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.iter().filter(|node| !node.leaving)
    }

    /// What its passwords are sealed for.
    pub(crate) fn place(&self) -> String {
        format!("elasticache/{}", self.resource_id)
    }
}

impl Record for Cache {
    type Key = String;

    fn key(&self) -> String {
        match self.kind {
            Kind::Group => group_key(&self.name),
            Kind::Cluster => cluster_key(&self.name),
        }
    }
}

pub(crate) const CACHES: Table<Cache> = Table::new("elasticache.caches");

/// A cache subnet group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubnetGroup {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc: ResourceId,
    pub(crate) subnets: Vec<GroupSubnet>,
    pub(crate) tags: Tags,
}

impl Record for SubnetGroup {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub(crate) const SUBNET_GROUPS: Table<SubnetGroup> = Table::new("elasticache.subnet_groups");

/// A cache parameter group that somebody made; the defaults are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParameterGroup {
    pub(crate) name: String,
    pub(crate) family: String,
    pub(crate) description: String,
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) tags: Tags,
}

impl Record for ParameterGroup {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub(crate) const PARAMETER_GROUPS: Table<ParameterGroup> =
    Table::new("elasticache.parameter_groups");

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventRecord {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
    pub(crate) source_type: String,
    pub(crate) source: String,
    pub(crate) message: String,
}

impl Record for EventRecord {
    type Key = (Timestamp, String);

    fn key(&self) -> Self::Key {
        (self.at, self.id.clone())
    }
}

pub(crate) const EVENTS: Table<EventRecord> = Table::new("elasticache.events");
