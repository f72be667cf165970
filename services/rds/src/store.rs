//! What RDS keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use base::{ResourceId, Tags, Timestamp, Zone};
use engine::EngineKind;
use nodes::GroupSubnet;
use serde::{Deserialize, Serialize};
use store::{Record, Table};

/// Where a DB instance stands.
///
/// AWS: "Viewing Amazon RDS DB instance status".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    Creating,
    Available,
    Modifying,
    Rebooting,
    BackingUp,
    Stopping,
    Stopped,
    Starting,
    Deleting,
    Failed,
    IncompatibleParameters,
}

impl Status {
    /// AWS's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Modifying => "modifying",
            Self::Rebooting => "rebooting",
            Self::BackingUp => "backing-up",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
            Self::IncompatibleParameters => "incompatible-parameters",
        }
    }

    /// Whether its engine is to run.
    pub(crate) fn runs(self) -> bool {
        match self {
            Self::Available | Self::Modifying | Self::Rebooting | Self::BackingUp => true,
            Self::Creating
            | Self::Stopping
            | Self::Stopped
            | Self::Starting
            | Self::Deleting
            | Self::Failed
            | Self::IncompatibleParameters => false,
        }
    }
}

/// A server of an instance: the one that takes writes, or its standby.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) id: String,
    pub(crate) number: u32,
    pub(crate) zone: Zone,
    pub(crate) subnet: String,
    pub(crate) eni: Option<ResourceId>,
    pub(crate) address: Option<Ipv4Addr>,
}

/// Where an instance's data comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    /// An empty instance.
    Nothing,
    /// A DB snapshot, by the folder of its data.
    Snapshot { name: String, folder: String },
    /// It follows this DB instance.
    Replica { of: String },
}

/// Changes that wait for the maintenance window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) class: Option<String>,
    pub(crate) allocated_storage: Option<i32>,
    pub(crate) storage_type: Option<String>,
    pub(crate) multi_az: Option<bool>,
    pub(crate) port: Option<u16>,
}

/// What the engine was last brought to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) class: String,
    pub(crate) port: u16,
    pub(crate) groups: Vec<String>,
    pub(crate) password: u32,
    pub(crate) parameter_group: String,
    pub(crate) values: BTreeMap<String, String>,
}

/// A secret of Secrets Manager that holds the master user's password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManagedSecret {
    pub(crate) arn: String,
}

/// A DB instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DbInstance {
    pub(crate) name: String,
    pub(crate) resource_id: String,
    pub(crate) status: Status,
    pub(crate) why: Option<String>,
    pub(crate) engine: EngineKind,
    pub(crate) series: String,
    pub(crate) version: String,
    pub(crate) class: String,
    pub(crate) allocated_storage: i32,
    pub(crate) storage_type: String,
    pub(crate) master: String,
    pub(crate) password: Vec<u8>,
    pub(crate) password_revision: u32,
    pub(crate) secret: Option<ManagedSecret>,
    pub(crate) cluster_secrets: Vec<u8>,
    pub(crate) database: Option<String>,
    pub(crate) port: u16,
    pub(crate) multi_az: bool,
    pub(crate) subnet_group: String,
    pub(crate) vpc: ResourceId,
    pub(crate) groups: Vec<String>,
    pub(crate) parameter_group: String,
    pub(crate) parameters_pending: Vec<String>,
    pub(crate) nodes: Vec<NodeRecord>,
    pub(crate) primary: String,
    pub(crate) next_number: u32,
    pub(crate) source: Source,
    /// Whether a read replica is part of its source's cluster.
    pub(crate) joined: bool,
    /// Whether a read replica is to become an instance of its own.
    pub(crate) promote: bool,
    pub(crate) force_failover: bool,
    pub(crate) final_snapshot: Option<String>,
    pub(crate) backup_retention_days: i32,
    pub(crate) backup_window: String,
    pub(crate) next_backup: Option<Timestamp>,
    pub(crate) maintenance_window: String,
    pub(crate) pending: Pending,
    pub(crate) pending_since: Option<Timestamp>,
    pub(crate) applied: Applied,
    pub(crate) deletion_protection: bool,
    pub(crate) copy_tags_to_snapshot: bool,
    pub(crate) auto_minor_version_upgrade: bool,
    pub(crate) created: Option<Timestamp>,
    pub(crate) tags: Tags,
}

impl DbInstance {
    /// The node that takes writes, or the replica's own.
    pub(crate) fn primary_node(&self) -> Option<&NodeRecord> {
        self.nodes.iter().find(|node| node.id == self.primary)
    }

    /// The instance that it follows.
    pub(crate) fn follows(&self) -> Option<&str> {
        match &self.source {
            Source::Replica { of } => Some(of),
            Source::Nothing | Source::Snapshot { .. } => None,
        }
    }

    /// The name and password of the master user are sealed for this place.
    pub(crate) fn place(&self) -> String {
        format!("rds/{}", self.resource_id)
    }
}

impl Record for DbInstance {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub(crate) const INSTANCES: Table<DbInstance> = Table::new("rds.instances");

/// A DB subnet group.
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

pub(crate) const SUBNET_GROUPS: Table<SubnetGroup> = Table::new("rds.subnet_groups");

/// A DB parameter group that somebody made; the defaults are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParameterGroup {
    pub(crate) name: String,
    pub(crate) family: String,
    pub(crate) description: String,
    pub(crate) values: BTreeMap<String, String>,
    /// Names whose values are taken at an instance's next start only, as the request said.
    pub(crate) held: BTreeSet<String>,
    pub(crate) tags: Tags,
}

impl Record for ParameterGroup {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub(crate) const PARAMETER_GROUPS: Table<ParameterGroup> = Table::new("rds.parameter_groups");

/// Where a DB snapshot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SnapshotStatus {
    Creating,
    Available,
    Failed,
}

/// How a DB snapshot came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SnapshotKind {
    Manual,
    Automated,
}

/// A DB snapshot: the instance as it was, but for its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) kind: SnapshotKind,
    pub(crate) status: SnapshotStatus,
    pub(crate) created: Option<Timestamp>,
    pub(crate) asked: Timestamp,
    pub(crate) folder: String,
    pub(crate) size_bytes: u64,
    pub(crate) of: DbInstance,
    pub(crate) tags: Tags,
}

impl Record for Snapshot {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub(crate) const SNAPSHOTS: Table<Snapshot> = Table::new("rds.snapshots");

/// Something that happened to a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventRecord {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
    pub(crate) source_type: String,
    pub(crate) source: String,
    pub(crate) arn: String,
    pub(crate) category: String,
    pub(crate) message: String,
}

impl Record for EventRecord {
    type Key = (Timestamp, String);

    fn key(&self) -> Self::Key {
        (self.at, self.id.clone())
    }
}

pub(crate) const EVENTS: Table<EventRecord> = Table::new("rds.events");
