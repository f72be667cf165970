//! Storage classes: what an object's bytes cost and how they are reached.
//!
//! AWS: "Understanding and managing Amazon S3 storage classes".

use s3_api::{ObjectStorageClass, StorageClass, TransitionStorageClass};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A storage class that objects here may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Class {
    #[default]
    Standard,
    ReducedRedundancy,
    StandardIa,
    OnezoneIa,
    IntelligentTiering,
    GlacierIr,
    Glacier,
    DeepArchive,
}

impl Class {
    /// The class that a write asks for.
    pub(crate) fn asked(class: Option<StorageClass>) -> Result<Self> {
        let Some(class) = class else { return Ok(Self::Standard) };
        Self::of_name(class.as_str()).ok_or(Error::InvalidStorageClass)
    }

    /// The class that a lifecycle rule moves to.
    pub(crate) fn of_transition(class: TransitionStorageClass) -> Self {
        Self::of_name(class.as_str()).unwrap_or_default()
    }

    fn of_name(name: &str) -> Option<Self> {
        let all = [
            Self::Standard,
            Self::ReducedRedundancy,
            Self::StandardIa,
            Self::OnezoneIa,
            Self::IntelligentTiering,
            Self::GlacierIr,
            Self::Glacier,
            Self::DeepArchive,
        ];
        all.into_iter().find(|class| class.name() == name)
    }

    /// As AWS writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
            Self::StandardIa => "STANDARD_IA",
            Self::OnezoneIa => "ONEZONE_IA",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// Whether its objects must be restored before they are read.
    pub(crate) fn is_archive(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }

    /// Where the class stands on the way down: an object only ever moves to a later one.
    ///
    /// AWS: "Transitioning objects using Amazon S3 Lifecycle", the supported transitions.
    pub(crate) fn depth(self) -> u8 {
        match self {
            Self::Standard | Self::ReducedRedundancy => 0,
            Self::StandardIa => 1,
            Self::IntelligentTiering => 2,
            Self::OnezoneIa => 3,
            Self::GlacierIr => 4,
            Self::Glacier => 5,
            Self::DeepArchive => 6,
        }
    }

    /// Whether lifecycle rules may move objects of this class to `to`.
    pub(crate) fn may_move_to(self, to: Self) -> bool {
        let skips = self == Self::OnezoneIa && to == Self::GlacierIr;
        to.depth() > self.depth() && !skips
    }

    /// In listings.
    pub(crate) fn listed(self) -> Option<ObjectStorageClass> {
        self.name().parse().ok()
    }

    /// In listings of versions, uploads and parts.
    pub(crate) fn shown(self) -> Option<StorageClass> {
        self.name().parse().ok()
    }

    /// In headers, which leave out the class that is meant when nothing is said.
    pub(crate) fn header(self) -> Option<StorageClass> {
        match self {
            Self::Standard => None,
            Self::ReducedRedundancy
            | Self::StandardIa
            | Self::OnezoneIa
            | Self::IntelligentTiering
            | Self::GlacierIr
            | Self::Glacier
            | Self::DeepArchive => self.shown(),
        }
    }
}
