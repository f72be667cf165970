//! The tables of IAM. They belong to an account in all regions; access keys to nobody, as a
//! request names a key before its account is known.

use std::collections::{BTreeMap, BTreeSet};

use base::{AccountId, Arn, Tags, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Index, Record, Table};

/// What users, groups and roles have in common: policies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Permissions {
    /// Inline policies: their documents by name.
    #[serde(default)]
    pub(crate) inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    #[serde(default)]
    pub(crate) attached: BTreeSet<String>,
    /// The ARN of the permissions boundary.
    #[serde(default)]
    pub(crate) boundary: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) created: Timestamp,
    pub(crate) tags: Tags,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) permissions: Permissions,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) created: Timestamp,
    pub(crate) permissions: Permissions,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) created: Timestamp,
    pub(crate) trust_policy: String,
    pub(crate) description: Option<String>,
    pub(crate) max_session_secs: i64,
    pub(crate) tags: Tags,
    pub(crate) permissions: Permissions,
    /// The service that the role is linked to, as `autoscaling.amazonaws.com`.
    #[serde(default)]
    pub(crate) linked_service: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PolicyVersion {
    pub(crate) id: u32,
    pub(crate) document: String,
    pub(crate) created: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ManagedPolicy {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) versions: Vec<PolicyVersion>,
    pub(crate) default_version: u32,
    /// The number of the next version; versions are never numbered twice.
    pub(crate) next_version: u32,
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InstanceProfile {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) created: Timestamp,
    pub(crate) role: Option<String>,
    pub(crate) tags: Tags,
}

/// An access key of a user, or of the account's root user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) account: AccountId,
    /// None for the root user.
    pub(crate) user: Option<String>,
    pub(crate) active: bool,
    pub(crate) created: Timestamp,
}

/// When and where a key was last used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeyUse {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) service: String,
    pub(crate) region: String,
}

/// An account of the region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) created: Timestamp,
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
    User: name,
    Group: name,
    Role: name,
    ManagedPolicy: name,
    InstanceProfile: name,
    Key: id,
    KeyUse: id,
    Account: id,
);

pub(crate) const USERS: Table<User> = Table::account("iam.users");
pub(crate) const GROUPS: Table<Group> = Table::account("iam.groups");
pub(crate) const ROLES: Table<Role> = Table::account("iam.roles");
pub(crate) const POLICIES: Table<ManagedPolicy> = Table::account("iam.policies");
pub(crate) const PROFILES: Table<InstanceProfile> = Table::account("iam.instance-profiles");
pub(crate) const ACCOUNTS: Table<Account> = Table::global("iam.accounts");
pub(crate) const KEY_USES: Table<KeyUse> = Table::global("iam.access-key-uses");
pub(crate) const KEYS: Table<Key> =
    Table::global("iam.access-keys").with_indexes(&[&KEYS_BY_USER]);
/// Keys by account and user; the root user's under an empty name.
pub(crate) const KEYS_BY_USER: Index<Key, (String, String)> = Index::new(
    || KEYS,
    "user",
    |key| vec![(key.account.to_string(), key.user.clone().unwrap_or_default())],
);

impl User {
    pub(crate) fn arn(&self, account: &AccountId) -> Arn {
        Arn::new("iam", "", account, format!("user{}{}", self.path, self.name))
    }
}

impl Group {
    pub(crate) fn arn(&self, account: &AccountId) -> Arn {
        Arn::new("iam", "", account, format!("group{}{}", self.path, self.name))
    }
}

impl Role {
    pub(crate) fn arn(&self, account: &AccountId) -> Arn {
        Arn::new("iam", "", account, format!("role{}{}", self.path, self.name))
    }
}

impl ManagedPolicy {
    pub(crate) fn arn(&self, account: &AccountId) -> Arn {
        Arn::new("iam", "", account, format!("policy{}{}", self.path, self.name))
    }

    pub(crate) fn default_document(&self) -> &str {
        let found = self.versions.iter().find(|version| version.id == self.default_version);
        found.map_or("", |version| version.document.as_str())
    }
}

impl InstanceProfile {
    pub(crate) fn arn(&self, account: &AccountId) -> Arn {
        Arn::new("iam", "", account, format!("instance-profile{}{}", self.path, self.name))
    }
}
