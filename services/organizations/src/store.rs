//! The tables of Organizations. They are global, as an organization spans accounts.

use std::collections::{BTreeMap, BTreeSet};

use base::{AccountId, Tags, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Index, Record, Table};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) management: AccountId,
    /// All features, not consolidated billing alone.
    pub(crate) all_features: bool,
    pub(crate) created: Timestamp,
    pub(crate) root: String,
    /// The policy types that are enabled in the root.
    #[serde(default)]
    pub(crate) types: BTreeSet<String>,
    /// The policies that are attached to the root.
    #[serde(default)]
    pub(crate) policies: BTreeSet<String>,
    #[serde(default)]
    pub(crate) root_tags: Tags,
    /// The services that are trusted, since when.
    #[serde(default)]
    pub(crate) services: BTreeMap<String, Timestamp>,
}

/// An account in an organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) account: AccountId,
    pub(crate) organization: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) joined: Timestamp,
    /// The organization made the account; otherwise it was invited.
    pub(crate) created: bool,
    #[serde(default)]
    pub(crate) closed: Option<Timestamp>,
    #[serde(default)]
    pub(crate) policies: BTreeSet<String>,
    /// The services that the account administers, since when.
    #[serde(default)]
    pub(crate) delegated: BTreeMap<String, Timestamp>,
    #[serde(default)]
    pub(crate) tags: Tags,
}

/// An organizational unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unit {
    pub(crate) id: String,
    pub(crate) organization: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) policies: BTreeSet<String>,
    #[serde(default)]
    pub(crate) tags: Tags,
}

/// A policy that the organization wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OrgPolicy {
    pub(crate) id: String,
    pub(crate) organization: String,
    /// `SERVICE_CONTROL_POLICY`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) content: String,
    pub(crate) changed: Timestamp,
    #[serde(default)]
    pub(crate) tags: Tags,
}

/// How far the making of an account is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Creation {
    pub(crate) id: String,
    pub(crate) organization: String,
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) requested: Timestamp,
    #[serde(default)]
    pub(crate) completed: Option<Timestamp>,
    /// Why it failed.
    #[serde(default)]
    pub(crate) failure: Option<String>,
    #[serde(default)]
    pub(crate) tags: Tags,
}

/// An offer between an organization and an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Handshake {
    pub(crate) id: String,
    pub(crate) organization: String,
    pub(crate) management: AccountId,
    /// `INVITE` or `ENABLE_ALL_FEATURES`.
    pub(crate) action: String,
    /// The account that is asked; for all features every invited member.
    pub(crate) account: Option<AccountId>,
    pub(crate) email: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) state: State,
    pub(crate) requested: Timestamp,
    pub(crate) expires: Timestamp,
    #[serde(default)]
    pub(crate) tags: Tags,
    /// The invited members that agree to all features.
    #[serde(default)]
    pub(crate) agreed: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Open,
    Accepted,
    Declined,
    Canceled,
}

macro_rules! keyed_by_text {
    ($($record:ty: $field:ident),* $(,)?) => {
        $(impl Record for $record {
            type Key = String;

            fn key(&self) -> String {
                self.$field.to_string()
            }
        })*
    };
}

keyed_by_text!(
    Organization: id,
    Member: account,
    Unit: id,
    OrgPolicy: id,
    Creation: id,
    Handshake: id,
);

pub(crate) const ORGANIZATIONS: Table<Organization> = Table::global("organizations.organizations");
pub(crate) const MEMBERS: Table<Member> =
    Table::global("organizations.accounts").with_indexes(&[&MEMBERS_OF]);
pub(crate) const UNITS: Table<Unit> =
    Table::global("organizations.units").with_indexes(&[&UNITS_OF]);
pub(crate) const POLICIES: Table<OrgPolicy> =
    Table::global("organizations.policies").with_indexes(&[&POLICIES_OF]);
pub(crate) const CREATIONS: Table<Creation> =
    Table::global("organizations.creations").with_indexes(&[&CREATIONS_OF]);
pub(crate) const HANDSHAKES: Table<Handshake> =
    Table::global("organizations.handshakes").with_indexes(&[&HANDSHAKES_OF]);

pub(crate) const MEMBERS_OF: Index<Member, String> =
    Index::new(|| MEMBERS, "organization", |row| vec![row.organization.clone()]);
pub(crate) const UNITS_OF: Index<Unit, String> =
    Index::new(|| UNITS, "organization", |row| vec![row.organization.clone()]);
pub(crate) const POLICIES_OF: Index<OrgPolicy, String> =
    Index::new(|| POLICIES, "organization", |row| vec![row.organization.clone()]);
pub(crate) const CREATIONS_OF: Index<Creation, String> =
    Index::new(|| CREATIONS, "organization", |row| vec![row.organization.clone()]);
pub(crate) const HANDSHAKES_OF: Index<Handshake, String> =
    Index::new(|| HANDSHAKES, "organization", |row| vec![row.organization.clone()]);
