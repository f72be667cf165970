//! The tables of IAM. They belong to an account in all regions; access keys to nobody, as a
//! request names a key before its account is known.

use std::collections::{BTreeMap, BTreeSet};

use base::{AccountId, Tags, Timestamp};
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

/// A service-linked role that was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deletion {
    pub(crate) id: String,
    pub(crate) role: String,
    pub(crate) at: Timestamp,
}

/// What a stack is about to make: names that were free before it started, so that a step that is
/// repeated after a crash knows its own work from another's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) token: String,
    /// What was there before, where the name is not known beforehand.
    pub(crate) before: BTreeSet<String>,
}

/// What somebody holds: a user, by its unique id so that a new name changes nothing, or under the
/// account's id the root user.
pub(crate) type HolderId = String;

/// A virtual MFA device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MfaDevice {
    pub(crate) serial: String,
    /// The seed, sealed for the serial number.
    pub(crate) seed: String,
    pub(crate) created: Timestamp,
    #[serde(default)]
    pub(crate) holder: Option<HolderId>,
    #[serde(default)]
    pub(crate) enabled: Option<Timestamp>,
    /// How many steps the device's clock is ahead.
    #[serde(default)]
    pub(crate) drift: i64,
    /// The last step whose code was taken, and no step up to it is taken again.
    #[serde(default)]
    pub(crate) spent: i64,
    pub(crate) tags: Tags,
}

/// A user's password, as a hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoginProfile {
    pub(crate) holder: HolderId,
    pub(crate) hash: String,
    pub(crate) created: Timestamp,
    pub(crate) changed: Timestamp,
    pub(crate) reset_required: bool,
    /// Hashes of earlier passwords, the newest last.
    #[serde(default)]
    pub(crate) earlier: Vec<String>,
}

/// What the account asks of passwords.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PasswordRules {
    /// One row an account.
    pub(crate) id: String,
    pub(crate) length_min: i32,
    pub(crate) symbols: bool,
    pub(crate) numbers: bool,
    pub(crate) uppercase: bool,
    pub(crate) lowercase: bool,
    pub(crate) users_may_change: bool,
    pub(crate) age_max_days: Option<i32>,
    pub(crate) reuse_prevention: Option<i32>,
    pub(crate) hard_expiry: bool,
}

/// A SAML identity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SamlIdp {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) metadata: String,
    pub(crate) created: Timestamp,
    pub(crate) tags: Tags,
}

/// An OpenID Connect identity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OidcIdp {
    /// The issuer without its scheme.
    pub(crate) issuer: String,
    pub(crate) client_ids: Vec<String>,
    pub(crate) thumbprints: Vec<String>,
    pub(crate) created: Timestamp,
    pub(crate) tags: Tags,
}

/// A certificate of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerCert {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) chain: Option<String>,
    /// The private key, sealed for the id.
    pub(crate) key: String,
    pub(crate) uploaded: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) tags: Tags,
}

/// A signing certificate or an SSH key of a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PublicKey {
    pub(crate) id: String,
    pub(crate) holder: HolderId,
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) fingerprint: String,
    pub(crate) active: bool,
    pub(crate) uploaded: Timestamp,
}

/// A user name and password for one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceLogin {
    pub(crate) id: String,
    pub(crate) holder: HolderId,
    pub(crate) service: String,
    pub(crate) user_name: String,
    pub(crate) hash: String,
    pub(crate) active: bool,
    pub(crate) created: Timestamp,
    #[serde(default)]
    pub(crate) expires: Option<Timestamp>,
}

/// A credential report or a report of last accesses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) id: String,
    pub(crate) made: Timestamp,
    /// The report, or for last accesses the ARN that it is about.
    pub(crate) text: String,
    /// Last accesses by action, too.
    #[serde(default)]
    pub(crate) actions: bool,
}

/// When a user or role last asked something of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// The user's or role's unique id.
    pub(crate) entity: String,
    pub(crate) service: String,
    pub(crate) at: Timestamp,
    pub(crate) region: String,
    #[serde(default)]
    pub(crate) actions: BTreeMap<String, Timestamp>,
}

impl Record for Access {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.entity.clone(), self.service.clone())
    }
}

/// An account's alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alias {
    pub(crate) alias: String,
    pub(crate) account: AccountId,
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
    Deletion: id,
    Intent: token,
    Alias: alias,
    MfaDevice: serial,
    LoginProfile: holder,
    PasswordRules: id,
    SamlIdp: name,
    OidcIdp: issuer,
    ServerCert: name,
    PublicKey: id,
    ServiceLogin: id,
    Report: id,
);

pub(crate) const USERS: Table<User> =
    Table::account("iam.users").with_indexes(&[&USERS_BY_NAME, &USERS_BY_GROUP, &USERS_BY_POLICY]);
pub(crate) const GROUPS: Table<Group> =
    Table::account("iam.groups").with_indexes(&[&GROUPS_BY_NAME, &GROUPS_BY_POLICY]);
pub(crate) const ROLES: Table<Role> =
    Table::account("iam.roles").with_indexes(&[&ROLES_BY_NAME, &ROLES_BY_POLICY]);
pub(crate) const POLICIES: Table<ManagedPolicy> =
    Table::account("iam.policies").with_indexes(&[&POLICIES_BY_NAME]);
pub(crate) const PROFILES: Table<InstanceProfile> =
    Table::account("iam.instance-profiles").with_indexes(&[&PROFILES_BY_NAME, &PROFILES_BY_ROLE]);
pub(crate) const DELETIONS: Table<Deletion> = Table::account("iam.role-deletions");
pub(crate) const INTENTS: Table<Intent> = Table::account("iam.stack-intents");
pub(crate) const ALIASES: Table<Alias> =
    Table::global("iam.account-aliases").with_indexes(&[&ALIASES_BY_ACCOUNT]);

pub(crate) const MFA_DEVICES: Table<MfaDevice> =
    Table::account("iam.mfa-devices").with_indexes(&[&MFA_BY_HOLDER]);
pub(crate) const LOGIN_PROFILES: Table<LoginProfile> = Table::account("iam.login-profiles");
pub(crate) const PASSWORD_RULES: Table<PasswordRules> = Table::account("iam.password-policies");
pub(crate) const SAML_IDPS: Table<SamlIdp> = Table::account("iam.saml-providers");
pub(crate) const OIDC_IDPS: Table<OidcIdp> = Table::account("iam.oidc-providers");
pub(crate) const SERVER_CERTS: Table<ServerCert> = Table::account("iam.server-certificates");
pub(crate) const SIGNING_CERTS: Table<PublicKey> =
    Table::account("iam.signing-certificates").with_indexes(&[&SIGNING_BY_HOLDER]);
pub(crate) const SSH_KEYS: Table<PublicKey> =
    Table::account("iam.ssh-public-keys").with_indexes(&[&SSH_BY_HOLDER]);
pub(crate) const SERVICE_LOGINS: Table<ServiceLogin> =
    Table::account("iam.service-credentials").with_indexes(&[&LOGINS_BY_HOLDER]);
pub(crate) const REPORTS: Table<Report> = Table::account("iam.reports");
pub(crate) const ACCESSES: Table<Access> = Table::account("iam.accesses");

pub(crate) const MFA_BY_HOLDER: Index<MfaDevice, String> =
    Index::new(|| MFA_DEVICES, "holder", |device| device.holder.iter().cloned().collect());
pub(crate) const SIGNING_BY_HOLDER: Index<PublicKey, String> =
    Index::new(|| SIGNING_CERTS, "holder", |key| vec![key.holder.clone()]);
pub(crate) const SSH_BY_HOLDER: Index<PublicKey, String> =
    Index::new(|| SSH_KEYS, "holder", |key| vec![key.holder.clone()]);
pub(crate) const LOGINS_BY_HOLDER: Index<ServiceLogin, String> =
    Index::new(|| SERVICE_LOGINS, "holder", |login| vec![login.holder.clone()]);

// Names differ by more than case: the indexes hold them in lower case.
pub(crate) const USERS_BY_NAME: Index<User, String> =
    Index::new(|| USERS, "name", |user| vec![user.name.to_lowercase()]);
pub(crate) const GROUPS_BY_NAME: Index<Group, String> =
    Index::new(|| GROUPS, "name", |group| vec![group.name.to_lowercase()]);
pub(crate) const ROLES_BY_NAME: Index<Role, String> =
    Index::new(|| ROLES, "name", |role| vec![role.name.to_lowercase()]);
pub(crate) const POLICIES_BY_NAME: Index<ManagedPolicy, String> =
    Index::new(|| POLICIES, "name", |policy| vec![policy.name.to_lowercase()]);
pub(crate) const PROFILES_BY_NAME: Index<InstanceProfile, String> =
    Index::new(|| PROFILES, "name", |profile| vec![profile.name.to_lowercase()]);

pub(crate) const USERS_BY_GROUP: Index<User, String> =
    Index::new(|| USERS, "group", |user| user.groups.iter().cloned().collect());
pub(crate) const PROFILES_BY_ROLE: Index<InstanceProfile, String> =
    Index::new(|| PROFILES, "role", |profile| profile.role.iter().cloned().collect());
pub(crate) const ALIASES_BY_ACCOUNT: Index<Alias, String> =
    Index::new(|| ALIASES, "account", |alias| vec![alias.account.to_string()]);

// By the ARN of a managed policy and how it is used.
pub(crate) const USERS_BY_POLICY: Index<User, (String, String)> =
    Index::new(|| USERS, "policy", |user| user.permissions.policy_uses());
pub(crate) const GROUPS_BY_POLICY: Index<Group, (String, String)> =
    Index::new(|| GROUPS, "policy", |group| group.permissions.policy_uses());
pub(crate) const ROLES_BY_POLICY: Index<Role, (String, String)> =
    Index::new(|| ROLES, "policy", |role| role.permissions.policy_uses());

/// A managed policy gives permissions.
pub(crate) const ATTACHED: &str = "attached";
/// A managed policy bounds permissions.
pub(crate) const BOUNDARY: &str = "boundary";

impl Permissions {
    fn policy_uses(&self) -> Vec<(String, String)> {
        let attached = self.attached.iter().map(|arn| (arn.clone(), ATTACHED.to_owned()));
        let boundary = self.boundary.iter().map(|arn| (arn.clone(), BOUNDARY.to_owned()));
        attached.chain(boundary).collect()
    }
}
pub(crate) const ACCOUNTS: Table<Account> = Table::global("iam.accounts");
pub(crate) const KEY_USES: Table<KeyUse> = Table::global("iam.access-key-uses");
pub(crate) const KEYS: Table<Key> = Table::global("iam.access-keys").with_indexes(&[&KEYS_BY_USER]);
/// Keys by account and user; the root user's under an empty name.
pub(crate) const KEYS_BY_USER: Index<Key, (String, String)> = Index::new(
    || KEYS,
    "user",
    |key| vec![(key.account.to_string(), key.user.clone().unwrap_or_default())],
);

impl ManagedPolicy {
    /// The document of the default version.
    pub(crate) fn default_document(&self) -> &str {
        self.version(self.default_version).map_or("", |version| version.document.as_str())
    }

    pub(crate) fn version(&self, id: u32) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.id == id)
    }
}
