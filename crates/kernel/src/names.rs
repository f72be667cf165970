//! DNS names that services hand out: load balancers, database endpoints, caches. A service writes
//! a name in the transaction that changes what it stands for; whoever serves DNS reads them all.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use store::{Record, Scope, Table, WriteTx};

/// A name and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The full name, lower case, without a dot at its end.
    pub name: String,
    /// The ARN or id of what it stands for.
    pub owner: String,
    /// What a resolver inside `vpcs` answers, or everywhere inside when `vpcs` is empty.
    pub inside: Vec<Ipv4Addr>,
    /// What the world outside is answered; empty for names that exist inside only.
    pub outside: Vec<Ipv4Addr>,
    /// The VPCs that see the inside answer.
    pub vpcs: Vec<String>,
    /// How long an answer may be kept, in seconds.
    pub ttl_secs: u32,
}

impl Record for Name {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// The table of names; it wakes tasks as [`TABLE`].
pub const NAMES: Table<Name> = Table::new(TABLE);
/// The table's name.
pub const TABLE: &str = "kernel.names";

/// Sets a name. Nothing is written when it stands for the same already.
///
/// # Errors
///
/// When the store cannot be written.
pub fn set(tx: &mut WriteTx<'_>, name: &Name) -> Result<(), store::Error> {
    if tx.get(&NAMES, &name.name)?.as_ref() == Some(name) {
        return Ok(());
    }
    tx.put(&NAMES, name)
}

/// Takes a name away.
///
/// # Errors
///
/// When the store cannot be written.
pub fn remove(tx: &mut WriteTx<'_>, name: &str) -> Result<(), store::Error> {
    tx.delete(&NAMES, name).map(|_| ())
}

/// Every name of the region with its scope.
///
/// # Errors
///
/// When the store cannot be read.
pub async fn all(store: &store::Store) -> Result<Vec<(Scope, Name)>, store::Error> {
    store.read(|tx| tx.scan_all(&NAMES)).await
}
