//! The tables of Parameter Store.

use std::collections::BTreeSet;

use base::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Index, Record, Table};

use crate::policy::{Policy, expires};

/// A parameter with all its versions, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) tags: Tags,
    pub(crate) versions: Vec<Version>,
}

/// One version of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) number: i64,
    pub(crate) kind: String,
    /// The value; of a `SecureString` sealed and in base64.
    pub(crate) value: String,
    /// The data key that seals the value, as KMS wrapped it; none where KMS sealed it itself.
    pub(crate) data_key: Option<String>,
    /// The KMS key of a `SecureString`, as it was named.
    pub(crate) key: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) allowed_pattern: Option<String>,
    pub(crate) tier: String,
    pub(crate) data_type: String,
    pub(crate) modified: Timestamp,
    pub(crate) modified_by: String,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) policies: Vec<Policy>,
}

impl Record for Parameter {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub(crate) const PARAMETERS: Table<Parameter> =
    Table::new("ssm.parameters").with_indexes(&[&BY_EXPIRY]);
/// The parameters that have an end, by it.
pub(crate) const BY_EXPIRY: Index<Parameter, Timestamp> =
    Index::new(|| PARAMETERS, "by_expiry", |parameter| expires(parameter).into_iter().collect());
