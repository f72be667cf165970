//! Records, the tables they lie in, and the indexes over them.
//!
//! A row is two bytes of version and the record as JSON: self-describing, so that a field added
//! with `#[serde(default)]` needs no migration, and readable in a dump.

use std::fmt;
use std::sync::Arc;

use base::{AccountId, Region};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::{self, Key, KeyLike};
use crate::scope::Scope;
use crate::{Error, Result};

/// What a table keeps. Stored types are not wire types: they change by adding fields with
/// `#[serde(default)]`, or by a new version and a migration.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What a record is found by.
    type Key: Key;

    /// The version that is written.
    const VERSION: u16 = 1;

    /// What this record is found by.
    fn key(&self) -> Self::Key;

    /// The record that `value`, stored with the older `version`, means today.
    ///
    /// # Errors
    ///
    /// [`Error::NoMigration`] unless the record's type says otherwise.
    fn migrate(version: u16, value: serde_json::Value) -> Result<Self> {
        drop(value);
        Err(Error::NoMigration { found: version, wanted: Self::VERSION })
    }
}

/// How far a table's rows are shared: what their keys start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Rows of an account in a region.
    Regional,
    /// Rows of an account.
    Account,
    /// Rows of everyone.
    Global,
}

/// A table, declared once as a constant: `pub const QUEUES: Table<Queue> = Table::new("sqs.queues");`.
pub struct Table<R: Record> {
    name: &'static str,
    reach: Reach,
    indexes: &'static [&'static dyn AnyIndex<R>],
}

/// An index of a table: finds records by values computed from them. Declared as a constant beside
/// its table and kept by the same transaction as the rows.
pub struct Index<R: Record, V: Key> {
    table: fn() -> Table<R>,
    name: &'static str,
    unique: bool,
    values: fn(&R) -> Vec<V>,
}

/// An index whatever its value's type; only [`Index`] is one.
pub trait AnyIndex<R>: Send + Sync + sealed::Sealed {
    /// The index's name.
    fn name(&self) -> &'static str;
    /// Whether no two records may have the same value.
    fn unique(&self) -> bool;
    /// The encoded values that `record` is found by.
    fn encoded(&self, record: &R) -> Vec<Vec<u8>>;
}

mod sealed {
    pub trait Sealed {}
}

impl<R: Record> Table<R> {
    /// A table whose rows belong to an account in a region.
    pub const fn new(name: &'static str) -> Self {
        Self { name, reach: Reach::Regional, indexes: &[] }
    }

    /// A table whose rows belong to an account in all regions, as IAM's.
    pub const fn account(name: &'static str) -> Self {
        Self { name, reach: Reach::Account, indexes: &[] }
    }

    /// A table whose rows belong to nobody, as the names of all buckets.
    pub const fn global(name: &'static str) -> Self {
        Self { name, reach: Reach::Global, indexes: &[] }
    }

    /// The same table with `indexes`.
    #[must_use]
    pub const fn with_indexes(self, indexes: &'static [&'static dyn AnyIndex<R>]) -> Self {
        Self { name: self.name, reach: self.reach, indexes }
    }

    /// The name, which is also that of the keyspace.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What the keys start with.
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    pub(crate) fn indexes(&self) -> &'static [&'static dyn AnyIndex<R>] {
        self.indexes
    }

    /// What the keys of this table's rows in `scope` start with.
    pub(crate) fn encode_scope(&self, scope: Option<&Scope>) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(64);
        match (self.reach, scope) {
            (Reach::Regional, Some(scope)) => {
                key::encode_text(scope.account.as_str(), &mut out);
                key::encode_text(scope.region.as_str(), &mut out);
            }
            (Reach::Account, Some(scope)) => key::encode_text(scope.account.as_str(), &mut out),
            (Reach::Global, _) => {}
            (Reach::Regional | Reach::Account, None) => {
                return Err(Error::WrongScope { table: self.name });
            }
        }
        Ok(out)
    }

    /// Takes the scope off the front of a row's key; global tables have none.
    pub(crate) fn decode_scope(&self, bytes: &mut &[u8]) -> Result<Option<Scope>> {
        if self.reach == Reach::Global {
            return Ok(None);
        }
        let account = AccountId::decode_key(bytes)?;
        let region = match self.reach {
            Reach::Regional => Region::decode_key(bytes)?,
            Reach::Account | Reach::Global => Region::new(Scope::GLOBAL_REGION),
        };
        Ok(Some(Scope::new(account, region)))
    }

    /// The key of the row of `key` in `scope`.
    pub(crate) fn row_key(
        &self,
        scope: Option<&Scope>,
        key: &impl KeyLike<R::Key>,
    ) -> Result<Vec<u8>> {
        let mut out = self.encode_scope(scope)?;
        key.encode_key(&mut out);
        key::check_length(&out)?;
        Ok(out)
    }

    /// The row's value for `record`.
    pub(crate) fn encode(&self, record: &R) -> Result<Vec<u8>> {
        let mut out = R::VERSION.to_be_bytes().to_vec();
        serde_json::to_writer(&mut out, record).map_err(|error| Error::Unencodable {
            table: self.name,
            cause: Arc::from(error.to_string()),
        })?;
        Ok(out)
    }

    /// The record in a row's value, migrated if it is older.
    pub(crate) fn decode(&self, row: &[u8]) -> Result<R> {
        let undecodable = |cause: &dyn fmt::Display| Error::Undecodable {
            table: self.name,
            cause: Arc::from(cause.to_string()),
        };
        let (version, body) =
            row.split_first_chunk::<2>().ok_or_else(|| undecodable(&"the row has no version"))?;
        let version = u16::from_be_bytes(*version);
        if version == R::VERSION {
            return serde_json::from_slice(body).map_err(|error| undecodable(&error));
        }
        if version > R::VERSION {
            let table = self.name;
            return Err(Error::NewerVersion { table, found: version, known: R::VERSION });
        }
        let value = serde_json::from_slice(body).map_err(|error| undecodable(&error))?;
        R::migrate(version, value)
    }
}

impl<R: Record> Clone for Table<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Record> Copy for Table<R> {}

impl<R: Record> fmt::Debug for Table<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.name).field("reach", &self.reach).finish()
    }
}

impl<R: Record, V: Key> Index<R, V> {
    /// An index called `name` of `table` by the `values` of each record.
    ///
    /// The table is given as a function, `|| QUEUES`, since the table's constant names its indexes.
    pub const fn new(
        table: fn() -> Table<R>,
        name: &'static str,
        values: fn(&R) -> Vec<V>,
    ) -> Self {
        Self { table, name, unique: false, values }
    }

    /// As [`Index::new`], but refusing a record whose value another record of the scope has.
    pub const fn unique(
        table: fn() -> Table<R>,
        name: &'static str,
        values: fn(&R) -> Vec<V>,
    ) -> Self {
        Self { table, name, unique: true, values }
    }

    /// The table it is of.
    pub fn table(&self) -> Table<R> {
        (self.table)()
    }

    pub(crate) fn space(&self) -> String {
        index_space(self.table().name(), self.name)
    }
}

/// The keyspace of an index's rows.
pub(crate) fn index_space(table: &str, index: &str) -> String {
    [table, "#", index].concat()
}

impl<R: Record, V: Key> sealed::Sealed for Index<R, V> {}

impl<R: Record, V: Key> AnyIndex<R> for Index<R, V> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn unique(&self) -> bool {
        self.unique
    }

    fn encoded(&self, record: &R) -> Vec<Vec<u8>> {
        let encode = |value: &V| {
            let mut out = Vec::new();
            value.encode_key(&mut out);
            out
        };
        (self.values)(record).iter().map(encode).collect()
    }
}

impl<R: Record, V: Key> fmt::Debug for Index<R, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("name", &self.name).field("unique", &self.unique).finish()
    }
}
