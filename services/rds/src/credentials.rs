//! Passwords: of the master user and of the users that run a cluster.

use base::Random;
use engine::{EngineKind, Login, Secrets};
use serde::{Deserialize, Serialize};

use crate::cluster::Rds;
use crate::error::{Error, Result};
use crate::store::DbInstance;

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What a password that the region makes is made of.
const PASSWORD_LETTERS: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,-.:;<=>?[]^_{|}~";

#[derive(Serialize, Deserialize)]
struct Stored {
    management: String,
    replication: String,
}

fn internal(what: &str) -> Error {
    Error::Inside(kernel::ServiceError::internal(what))
}

/// New passwords for a cluster's own users, sealed for `place`.
pub(crate) fn make_cluster_secrets(rds: &Rds, random: &dyn Random, place: &str) -> Result<Vec<u8>> {
    let stored =
        Stored { management: random.text(LETTERS, 32), replication: random.text(LETTERS, 32) };
    let plain = serde_json::to_vec(&stored).map_err(|error| internal(&error.to_string()))?;
    Ok(rds.drivers.cipher.seal(place, &plain))
}

/// The passwords of a cluster's own users.
pub(crate) fn cluster_secrets(rds: &Rds, instance: &DbInstance) -> Result<Secrets> {
    let plain = open(rds, &instance.place(), &instance.cluster_secrets)?;
    let stored: Stored =
        serde_json::from_slice(&plain).map_err(|error| internal(&error.to_string()))?;
    Ok(Secrets { management: stored.management, replication: stored.replication })
}

fn open(rds: &Rds, place: &str, sealed: &[u8]) -> Result<Vec<u8>> {
    rds.drivers.cipher.open(place, sealed).map_err(|error| internal(&error.to_string()))
}

/// What was sealed for one instance, sealed for another.
pub(crate) fn hand_on(rds: &Rds, from: &str, to: &str, sealed: &[u8]) -> Result<Vec<u8>> {
    Ok(rds.drivers.cipher.seal(to, &open(rds, from, sealed)?))
}

/// The master user's name and password.
pub(crate) fn login(rds: &Rds, instance: &DbInstance) -> Result<Login> {
    let plain = open(rds, &instance.place(), &instance.password)?;
    let password = String::from_utf8(plain).map_err(|error| internal(&error.to_string()))?;
    Ok(Login { user: instance.master.clone(), password })
}

/// A new password as RDS makes them for a managed secret.
pub(crate) fn make_password(random: &dyn Random) -> String {
    random.text(PASSWORD_LETTERS, 28)
}

/// Checks a password that a client chose.
///
/// AWS: CreateDBInstance, `MasterUserPassword`.
pub(crate) fn check_password(kind: EngineKind, password: &str) -> Result<()> {
    let longest = match kind {
        EngineKind::PostgreSql => 128,
        EngineKind::MariaDb | EngineKind::MySql | EngineKind::Valkey | EngineKind::Redis => 41,
    };
    let length = password.chars().count();
    let printable = |c: char| matches!(c, '!'..='~') && !matches!(c, '/' | '"' | '@');
    if !(8..=longest).contains(&length) {
        return Err(Error::value(format!(
            "The parameter MasterUserPassword is not a valid password because it is {}.",
            if length < 8 {
                "shorter than 8 characters".to_owned()
            } else {
                format!("longer than {longest} characters")
            }
        )));
    }
    if !password.chars().all(printable) {
        return Err(Error::value(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII \
             characters besides '/', '@', '\"', ' ' may be used.",
        ));
    }
    Ok(())
}

/// Names that the engines keep for themselves, and those that run a cluster.
const RESERVED: &[&str] =
    &["rdsadmin", "rdsrepladmin", "root", "mysql", "mariadb.sys", "public", "none", "replication"];

/// Checks the master user's name.
///
/// AWS: CreateDBInstance, `MasterUsername`.
pub(crate) fn check_username(kind: EngineKind, name: &str) -> Result<()> {
    let longest = match kind {
        EngineKind::PostgreSql => 63,
        EngineKind::MariaDb | EngineKind::MySql | EngineKind::Valkey | EngineKind::Redis => 16,
    };
    let reserved = RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name))
        || name.to_ascii_lowercase().starts_with("pg_");
    if reserved {
        return Err(Error::value(format!(
            "MasterUsername {name} cannot be used as it is a reserved word used by the engine"
        )));
    }
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= longest;
    if well_formed {
        return Ok(());
    }
    Err(Error::value(format!(
        "The parameter MasterUsername must begin with a letter, contain only alphanumeric \
         characters and underscores, and be at most {longest} characters long."
    )))
}
