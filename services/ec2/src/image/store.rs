//! The tables of images and snapshots.

use std::path::PathBuf;

use base::{ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Record, Table};

/// What an instance's root file system is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    /// An image that is built on demand, by the name of its recipe.
    Recipe(String),
    /// Layers that are there, the uppermost first.
    Layers(Vec<PathBuf>),
}

/// An image that a customer made. Public images are not kept: they follow from the recipes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) id: ResourceId,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) root_device: String,
    pub(crate) size_gib: u32,
    pub(crate) delete_on_termination: bool,
    pub(crate) state: ImageState,
    /// Why it failed.
    pub(crate) reason: Option<String>,
    pub(crate) snapshot: ResourceId,
    /// The instance that it was made of.
    pub(crate) instance: Option<ResourceId>,
    /// The image that instance was launched from.
    pub(crate) source_image: Option<String>,
    pub(crate) imds_v2: bool,
    pub(crate) public: bool,
    /// Accounts that may launch it.
    pub(crate) launchers: Vec<String>,
}

/// The state of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ImageState {
    Pending,
    Available,
    Failed,
}

/// A snapshot of a root volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: ResourceId,
    pub(crate) description: String,
    pub(crate) volume: ResourceId,
    pub(crate) size_gib: u32,
    pub(crate) started: Timestamp,
    /// When it was complete, and what it is.
    pub(crate) completed: Option<Completed>,
    pub(crate) failure: Option<String>,
    /// Whether the instance goes on running while it is made.
    pub(crate) no_reboot: bool,
    /// The instance whose volume it is of.
    pub(crate) instance: ResourceId,
}

/// A snapshot that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Completed {
    pub(crate) at: Timestamp,
    /// The driver's id.
    pub(crate) image: String,
    pub(crate) layers: Vec<PathBuf>,
    pub(crate) size_bytes: u64,
}

impl Record for Image {
    type Key = ResourceId;

    fn key(&self) -> ResourceId {
        self.id.clone()
    }
}

impl Record for Snapshot {
    type Key = ResourceId;

    fn key(&self) -> ResourceId {
        self.id.clone()
    }
}

pub(crate) const IMAGES: Table<Image> = Table::new("ec2.images");
pub(crate) const SNAPSHOTS: Table<Snapshot> = Table::new("ec2.snapshots");
