//! The tables of KMS.

use std::collections::{BTreeMap, BTreeSet};

use base::{Tags, Timestamp};
use kms_api::{KeySpec, KeyUsageType, OriginType};
use serde::{Deserialize, Serialize};
use store::{Index, Record, Table};

/// A KMS key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) account: String,
    pub(crate) created: Timestamp,
    pub(crate) description: String,
    pub(crate) spec: String,
    pub(crate) usage: String,
    pub(crate) origin: String,
    pub(crate) state: State,
    pub(crate) multi_region: bool,
    /// The service whose AWS managed key this is, as `s3`.
    pub(crate) managed_for: Option<String>,
    pub(crate) policy: String,
    pub(crate) tags: Tags,
    /// When it is to be deleted, once that is scheduled.
    pub(crate) deletion: Option<Deletion>,
    pub(crate) rotation: Option<Rotation>,
    pub(crate) materials: Vec<Material>,
    /// The number of the material that encrypts; none before the first import.
    pub(crate) current: Option<u32>,
}

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Enabled,
    Disabled,
    PendingDeletion,
    PendingImport,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deletion {
    pub(crate) at: Timestamp,
    pub(crate) window_days: i32,
}

/// Automatic rotation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rotation {
    pub(crate) period_days: i32,
    pub(crate) next: Timestamp,
}

/// One generation of a key's material.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Material {
    pub(crate) number: u32,
    /// What AWS shows as the material's id: a fingerprint, the same when the same material is
    /// imported anew.
    pub(crate) id: String,
    /// The bytes, sealed and in base64; none when imported material was deleted or has expired.
    pub(crate) sealed: Option<String>,
    /// When it became the key's current material, and why, unless it is the first.
    pub(crate) rotated: Option<(Timestamp, Why)>,
    pub(crate) description: Option<String>,
    /// When imported material ends.
    pub(crate) valid_to: Option<Timestamp>,
}

/// Why material became current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    Automatic,
    OnDemand,
}

/// A name of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alias {
    /// With its prefix, as `alias/app`.
    pub(crate) name: String,
    pub(crate) key_id: String,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) key_id: String,
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) grantee: String,
    pub(crate) retiring: Option<String>,
    /// The account that made it.
    pub(crate) issuer: String,
    pub(crate) operations: BTreeSet<String>,
    pub(crate) context_equals: Option<BTreeMap<String, String>>,
    pub(crate) context_subset: Option<BTreeMap<String, String>>,
    pub(crate) created: Timestamp,
}

impl Record for Key {
    type Key = String;

    fn key(&self) -> String {
        self.id.clone()
    }
}

impl Record for Alias {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

impl Record for Grant {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.key_id.clone(), self.id.clone())
    }
}

pub(crate) const KEYS: Table<Key> = Table::new("kms.keys");
pub(crate) const ALIASES: Table<Alias> = Table::new("kms.aliases").with_indexes(&[&BY_KEY]);
pub(crate) const BY_KEY: Index<Alias, String> =
    Index::new(|| ALIASES, "by_key", |alias| vec![alias.key_id.clone()]);
pub(crate) const GRANTS: Table<Grant> = Table::new("kms.grants");

impl Key {
    pub(crate) fn spec(&self) -> KeySpec {
        self.spec.parse().unwrap_or(KeySpec::SymmetricDefault)
    }

    pub(crate) fn usage(&self) -> KeyUsageType {
        self.usage.parse().unwrap_or(KeyUsageType::EncryptDecrypt)
    }

    pub(crate) fn origin(&self) -> OriginType {
        self.origin.parse().unwrap_or(OriginType::AwsKms)
    }

    pub(crate) fn material(&self, number: u32) -> Option<&Material> {
        self.materials.iter().find(|material| material.number == number)
    }

    pub(crate) fn current(&self) -> Option<&Material> {
        self.material(self.current?)
    }

    /// Material that was imported and waits for a rotation.
    pub(crate) fn pending(&self) -> Option<&Material> {
        self.materials.iter().find(|m| self.current.is_none_or(|current| m.number > current))
    }
}
