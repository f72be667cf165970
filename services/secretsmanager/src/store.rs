//! The tables of Secrets Manager.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use store::{ReadTx, Record, Table};

use crate::Ctx;
use crate::error::{Error, Result};

/// The stage of the version that is in force.
pub(crate) const CURRENT: &str = "AWSCURRENT";
/// How many versions a secret keeps.
///
/// AWS: "AWS Secrets Manager quotas", Versions per secret.
pub(crate) const VERSIONS_MAX: usize = 100;
const DAY: Duration = Duration::from_secs(86_400);
/// The stage of the version that was in force before.
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) changed: Timestamp,
    pub(crate) accessed: Option<Timestamp>,
    /// When it is to be deleted for good, once it is marked for deletion.
    pub(crate) deletion: Option<Timestamp>,
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) tags: Tags,
    pub(crate) versions: Vec<Version>,
    pub(crate) policy: Option<String>,
    pub(crate) owning_service: Option<String>,
    /// The KMS key that new versions are sealed under; none for the service's own.
    pub(crate) key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    /// The data key as KMS wrapped it, in base64.
    pub(crate) data_key: String,
    /// The value, sealed under the data key and in base64.
    pub(crate) sealed: String,
    /// The value's digest, sealed and in base64.
    pub(crate) digest: String,
    pub(crate) binary: bool,
    /// The KMS key as it was named; none for the service's own.
    pub(crate) key: Option<String>,
    pub(crate) stages: BTreeSet<String>,
    pub(crate) created: Timestamp,
    /// The day of the last reading.
    pub(crate) accessed: Option<Timestamp>,
}

impl Record for Secret {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub(crate) const SECRETS: Table<Secret> = Table::new("secretsmanager.secrets");

/// The secret that `id` means: a name, an ARN, or an ARN without its last seven characters.
pub(crate) fn find(tx: &ReadTx<'_>, ctx: &Ctx, id: &str) -> Result<Secret> {
    let prefix = format!("arn:aws:secretsmanager:{}:{}:secret:", ctx.region, ctx.account);
    let Some(rest) = id.strip_prefix(&prefix) else {
        return tx.get(&SECRETS, id)?.ok_or(Error::SecretNotFound);
    };
    let stem = rest.rsplit_once('-').map(|(stem, _)| stem).unwrap_or(rest);
    for name in [stem, rest] {
        if let Some(secret) = tx.get(&SECRETS, name)?
            && (secret.arn == id || name == rest)
        {
            return Ok(secret);
        }
    }
    Err(Error::SecretNotFound)
}

impl Secret {
    pub(crate) fn usable(self) -> Result<Self> {
        if self.deletion.is_some() { Err(Error::MarkedForDeletion) } else { Ok(self) }
    }

    /// The stages of every version that has one.
    pub(crate) fn shown_stages(&self) -> BTreeMap<String, Vec<String>> {
        let live = self.versions.iter().filter(|version| !version.stages.is_empty());
        live.map(|v| (v.id.clone(), v.stages.iter().cloned().collect())).collect()
    }

    pub(crate) fn version(&self, id: Option<&str>, stage: Option<&str>) -> Option<&Version> {
        let stage = match (id, stage) {
            (None, None) => Some(CURRENT),
            (_, stage) => stage,
        };
        self.versions.iter().find(|version| {
            id.is_none_or(|id| version.id == id)
                && stage.is_none_or(|stage| version.stages.contains(stage))
        })
    }

    /// Moves `stage` to the version `id`, the current's to the previous where it is taken away.
    pub(crate) fn move_stage(&mut self, stage: &str, id: &str) {
        let holder = self.versions.iter().find(|v| v.stages.contains(stage)).map(|v| v.id.clone());
        for version in &mut self.versions {
            version.stages.remove(stage);
            if version.id == id {
                version.stages.insert(stage.to_owned());
            }
        }
        if stage == CURRENT
            && let Some(holder) = holder
            && holder != id
        {
            for version in &mut self.versions {
                version.stages.remove(PREVIOUS);
                if version.id == holder {
                    version.stages.insert(PREVIOUS.to_owned());
                }
            }
        }
    }

    /// Forgets the oldest versions that no stage names, when there are too many; none of the last
    /// day.
    ///
    /// AWS: "What's in a Secrets Manager secret?", Version.
    pub(crate) fn forget_deprecated(&mut self, now: Timestamp) {
        let mut excess = self.versions.len().saturating_sub(VERSIONS_MAX);
        self.versions.retain(|version| {
            let old = now.since(version.created) > DAY;
            let goes = excess > 0 && old && version.stages.is_empty();
            excess -= usize::from(goes);
            !goes
        });
    }
}
