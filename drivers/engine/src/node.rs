//! A node of a cluster: what the caller decides about it, and what its volume remembers.
//!
//! The marker on the volume makes a cluster's state observable: after a restart of the control
//! plane the highest epoch tells who was made primary last, even when no process runs.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};
use crate::tool::Owner;

/// A node's name, unique in its cluster.
pub type NodeId = String;

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Holds every acknowledged commit and takes over.
    Standby,
    /// Follows the primary without holding it up, and serves reads.
    Replica,
}

/// A node as the caller defines it.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name.
    pub id: NodeId,
    /// A number above zero that no other node of the cluster has or had; MariaDB's `server_id`.
    pub number: u32,
    /// The zone, for events.
    pub zone: String,
    /// The address at which the other nodes and clients reach it.
    pub address: IpAddr,
    /// The port at that address.
    pub port: u16,
    /// The volume's folder on the host, there as long as the node is defined, running or not; the
    /// workload sees it as `/data`.
    pub volume: PathBuf,
    /// The owner of the engine's files as the host counts users: [`EngineProcess::uid`] where the
    /// workload has no user namespace, else what that maps to.
    ///
    /// [`EngineProcess::uid`]: crate::EngineProcess::uid
    pub owner: Owner,
}

/// Where the data on a volume came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seed {
    /// A template of this name: all of the history since is in the logs.
    Template(String),
    /// A copy of a running or a stopped server.
    Copy,
}

/// What a volume remembers of its node's part in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) version: u32,
    /// Counts the promotions of the cluster.
    pub(crate) epoch: u64,
    pub(crate) role: Role,
    /// Whether the standby held every acknowledged commit when this was written, and the primary
    /// acknowledges none without it.
    pub(crate) in_sync: bool,
    pub(crate) seed: Seed,
    /// Where each promotion found the node that it promoted: what another node holds beyond that
    /// is not part of the cluster's history.
    pub(crate) branches: Vec<Branch>,
}

/// A promotion's place in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Branch {
    pub(crate) epoch: u64,
    pub(crate) position: String,
}

/// How many promotions are remembered; a node that slept through more gets a new copy.
pub(crate) const BRANCHES_MAX: usize = 64;

const MARKER: &str = "cluster.json";

impl Marker {
    pub(crate) fn read(volume: &Path) -> Option<Self> {
        let text = fs::read(volume.join(MARKER)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes the marker so that it survives a power cut.
    pub(crate) fn write(&self, volume: &Path) -> Result<()> {
        let (path, fresh) = (volume.join(MARKER), volume.join("cluster.json.new"));
        let text = serde_json::to_vec(self).map_err(std::io::Error::from).at("encode", &path)?;
        let mut file = fs::File::create(&fresh).at("make", &fresh)?;
        file.write_all(&text).at("write", &fresh)?;
        file.sync_all().at("write", &fresh)?;
        fs::rename(&fresh, &path).at("put in place", &path)?;
        fs::File::open(volume).and_then(|folder| folder.sync_all()).at("write", volume)
    }
}

impl Node {
    pub(crate) fn marker(&self) -> Option<Marker> {
        Marker::read(&self.volume)
    }

    /// Whether it took writes when it last ran.
    pub(crate) fn was_primary(&self) -> bool {
        self.marker().is_some_and(|marker| marker.role == Role::Primary)
    }

    /// The folder of the node's sockets.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.volume.join("run")
    }

    /// A name that PostgreSQL and Valkey take unquoted.
    pub(crate) fn plain_name(&self) -> String {
        format!("node_{}", self.number)
    }
}
