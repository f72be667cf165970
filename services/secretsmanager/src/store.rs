//! The tables of Secrets Manager.

use std::collections::BTreeSet;

use base::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use store::{ReadTx, Record, Table};

use crate::Ctx;
use crate::error::{Error, Result};

/// The stage of the version that is in force.
pub(crate) const CURRENT: &str = "AWSCURRENT";
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
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    /// The value, sealed and in base64.
    pub(crate) sealed: String,
    pub(crate) binary: bool,
    pub(crate) stages: BTreeSet<String>,
    pub(crate) created: Timestamp,
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
        self.versions.retain(|version| !version.stages.is_empty());
    }
}
