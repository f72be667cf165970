//! The passwords with which the nodes of a cache follow each other.

use base::Random;
use engine::Secrets;
use serde::{Deserialize, Serialize};

use crate::cluster::ElastiCache;
use crate::error::{Error, Result};
use crate::store::Cache;

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#[derive(Serialize, Deserialize)]
struct Stored {
    management: String,
    replication: String,
}

fn internal(cause: impl std::fmt::Display) -> Error {
    Error::Inside(kernel::ServiceError::internal(cause))
}

/// New passwords, sealed for `place`.
pub(crate) fn make(service: &ElastiCache, random: &dyn Random, place: &str) -> Result<Vec<u8>> {
    let stored =
        Stored { management: random.text(LETTERS, 32), replication: random.text(LETTERS, 32) };
    let plain = serde_json::to_vec(&stored).map_err(internal)?;
    Ok(service.drivers.cipher.seal(place, &plain))
}

/// The passwords of a cache.
pub(crate) fn open(service: &ElastiCache, cache: &Cache) -> Result<Secrets> {
    let plain = service.drivers.cipher.open(&cache.place(), &cache.secrets).map_err(internal)?;
    let stored: Stored = serde_json::from_slice(&plain).map_err(internal)?;
    Ok(Secrets { management: stored.management, replication: stored.replication })
}
