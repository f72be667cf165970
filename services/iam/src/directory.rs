//! Users, roles, keys and policies as the kernel asks for them, on every call.
//!
//! Compiled policies are kept by their document: a changed document is another key, so nothing is
//! ever stale, and an unchanged one costs a look-up.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base::{AccountId, Arn, Clock, Random, Region, Tags};
use kernel::identity::{AccessKey, Identity, RoleInfo};
use kernel::{Caller, ServiceError};
use policy::{Kind, NamedPolicy, Policy, PolicySet, Principal, managed};
use store::{ReadTx, Scope, Store};

use crate::entity::Entity;
use crate::linked_role;
use crate::store::{
    ACCOUNTS, Account, GROUPS, KEY_USES, KEYS, Key, KeyUse, POLICIES, PROFILES, Permissions, ROLES,
    Role, USERS, User,
};

/// How many compiled policies are kept.
const COMPILED_MAX: usize = 4096;
/// How often a key's last use is written down, at most.
///
/// AWS: "Getting access key last used information" is minutes behind as well.
const USE_PERIOD_SECS: u64 = 60;

/// The keeper of identities.
pub struct Directory {
    store: Store,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    compiled: Mutex<HashMap<Kind, HashMap<String, Arc<Policy>>>>,
    uses: Mutex<HashMap<String, base::Timestamp>>,
}

/// A new access key.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

/// The account that the first start makes.
#[derive(Debug, Clone)]
pub struct FirstAccount {
    /// Its id.
    pub account: AccountId,
    /// The key of the user `administrator`.
    pub administrator: KeyPair,
    /// The key of the root user.
    pub root: KeyPair,
}

impl Directory {
    /// A directory over `store`.
    pub fn new(store: Store, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { store, clock, random, compiled: Mutex::default(), uses: Mutex::default() }
    }

    /// Makes an account with a root key and a user `administrator` who may do everything.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn create_first_account(&self) -> Result<FirstAccount, store::Error> {
        let digits =
            format!("{}{}", self.random.text("123456789", 1), self.random.text("0123456789", 11));
        let account: AccountId = digits.parse().map_err(|_| store::Error::Closed)?;
        let (administrator, root) = (self.new_key(), self.new_key());
        let now = self.clock.now();
        let scope = account_scope(&account);
        let user = User {
            name: "administrator".to_owned(),
            id: unique_id("AIDA", &*self.random),
            path: "/".to_owned(),
            created: now,
            tags: Tags::new(),
            groups: BTreeSet::new(),
            permissions: Permissions {
                attached: ["arn:aws:iam::aws:policy/AdministratorAccess".to_owned()].into(),
                ..Permissions::default()
            },
        };
        self.store
            .write(|tx| {
                tx.put(&ACCOUNTS, &Account { id: account.clone(), created: now })?;
                tx.put(&KEYS, &key_record(&root, &account, None, now))?;
                tx.put(&KEYS, &key_record(&administrator, &account, Some(&user.name), now))?;
                tx.scope(&scope).put(&USERS, &user)
            })
            .await?;
        Ok(FirstAccount { account, administrator, root })
    }

    pub(crate) fn new_key(&self) -> KeyPair {
        let secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        KeyPair {
            access_key_id: format!("AKIA{}", self.random.text(UNIQUE_LETTERS, 16)),
            secret_access_key: self.random.text(secret, 40),
        }
    }

    /// Forgets when a deleted key was used.
    pub(crate) fn forget_key(&self, id: &str) {
        if let Ok(mut uses) = self.uses.lock() {
            uses.remove(id);
        }
    }

    /// What a stack is about to make, and all else that is no client's to see.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// A policy, compiled.
    fn compile(&self, document: &str, kind: Kind) -> Result<Arc<Policy>, ServiceError> {
        let mut compiled = self.compiled.lock().map_err(ServiceError::internal)?;
        let known = compiled.entry(kind).or_default();
        if let Some(policy) = known.get(document) {
            return Ok(policy.clone());
        }
        let policy = Arc::new(Policy::parse(document, kind).map_err(ServiceError::internal)?);
        if known.len() >= COMPILED_MAX {
            known.clear();
        }
        known.insert(document.to_owned(), policy.clone());
        Ok(policy)
    }

    fn named(&self, named: &[(String, String)]) -> Result<Vec<NamedPolicy>, ServiceError> {
        let compile = |(name, document): &(String, String)| {
            Ok(NamedPolicy::new(name.as_str(), self.compile(document, Kind::Identity)?))
        };
        named.iter().map(compile).collect()
    }

    /// The policies that permissions of `account` stand for.
    pub(crate) async fn set_of(
        &self,
        account: &AccountId,
        all: Vec<Permissions>,
    ) -> Result<PolicySet, ServiceError> {
        Ok(self.identity_set(account, |_| Ok(Some(all))).await?.unwrap_or_default())
    }

    async fn identity_set(
        &self,
        account: &AccountId,
        read: impl FnOnce(&ReadTx<'_>) -> Result<Option<Vec<Permissions>>, store::Error> + Send,
    ) -> Result<Option<PolicySet>, ServiceError> {
        let store = self.store.scoped(account_scope(account));
        let found = store
            .read(|tx| {
                let Some(all) = read(tx)? else { return Ok(None) };
                let mut documents = Vec::new();
                let mut boundary = None;
                for permissions in &all {
                    for (name, document) in &permissions.inline {
                        documents.push((name.clone(), document.clone()));
                    }
                    for arn in &permissions.attached {
                        if let Some(document) = managed_document(tx, arn)? {
                            documents.push((arn.clone(), document));
                        }
                    }
                    if let Some(arn) = &permissions.boundary {
                        // A boundary that is not there must not set its principal free.
                        let text = managed_document(tx, arn)?.ok_or_else(|| {
                            store::Error::Corrupt(format!("the boundary {arn} is not there"))
                        })?;
                        boundary = Some((arn.clone(), text));
                    }
                }
                Ok::<_, store::Error>(Some((documents, boundary)))
            })
            .await
            .map_err(ServiceError::internal)?;
        let Some((documents, boundary)) = found else { return Ok(None) };
        let boundary = match boundary {
            Some((name, text)) => {
                Some(NamedPolicy::new(name, self.compile(&text, Kind::Boundary)?))
            }
            None => None,
        };
        Ok(Some(PolicySet { identity: self.named(&documents)?, boundary, ..PolicySet::default() }))
    }
}

/// Account-wide tables are reached through any scope of the account.
pub(crate) fn account_scope(account: &AccountId) -> Scope {
    Scope::new(account.clone(), Region::new(Scope::GLOBAL_REGION))
}

/// What unique ids and keys are made of.
const UNIQUE_LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A unique id, as `AIDA…`: the prefix and 17 letters and digits.
///
/// AWS: "IAM identifiers", unique identifiers.
pub(crate) fn unique_id(prefix: &str, random: &dyn Random) -> String {
    format!("{prefix}{}", random.text(UNIQUE_LETTERS, 17))
}

fn key_record(
    pair: &KeyPair,
    account: &AccountId,
    user: Option<&str>,
    now: base::Timestamp,
) -> Key {
    Key {
        id: pair.access_key_id.clone(),
        secret: pair.secret_access_key.clone(),
        account: account.clone(),
        user: user.map(str::to_owned),
        active: true,
        created: now,
    }
}

/// The document of a managed policy in force: AWS's own or the account's.
pub(crate) fn managed_document(tx: &ReadTx<'_>, arn: &str) -> Result<Option<String>, store::Error> {
    if let Some(aws) = managed::find(arn) {
        return Ok(Some(aws.document.to_owned()));
    }
    let name = arn.rsplit('/').next().unwrap_or_default();
    Ok(tx.get(&POLICIES, name)?.map(|policy| policy.default_document().to_owned()))
}

fn role_info(account: &AccountId, role: &Role) -> RoleInfo {
    RoleInfo {
        arn: role.arn(account),
        role_id: role.id.clone(),
        trust_policy: role.trust_policy.clone(),
        max_session_duration_secs: role.max_session_secs,
        tags: role.tags.clone(),
    }
}

#[async_trait]
impl Identity for Directory {
    async fn access_key(&self, id: &str) -> Result<Option<AccessKey>, ServiceError> {
        let found = self
            .store
            .read(|tx| {
                let Some(key) = tx.get(&KEYS, id)? else { return Ok(None) };
                let user = match &key.user {
                    Some(name) => tx.scope(&account_scope(&key.account)).get(&USERS, name)?,
                    None => None,
                };
                Ok::<_, store::Error>(Some((key, user)))
            })
            .await
            .map_err(ServiceError::internal)?;
        let Some((key, user)) = found else { return Ok(None) };
        let (principal, user_id) = match (&key.user, user) {
            (None, _) => {
                (Principal::Root { account: key.account.clone() }, key.account.to_string())
            }
            (Some(_), Some(user)) => {
                let arn = user.arn(&key.account);
                (Principal::User { arn, id: user.id.clone() }, user.id)
            }
            (Some(_), None) => return Ok(None),
        };
        let caller = Caller {
            arn: principal.arn().map(|arn| arn.to_string()).unwrap_or_default(),
            principal,
            account: key.account,
            user_id,
            access_key_id: Some(key.id),
            invoked_by: None,
            session_policies: Vec::new(),
            expires: None,
        };
        Ok(Some(AccessKey { secret: key.secret, active: key.active, caller }))
    }

    async fn access_key_used(&self, id: &str, service: &str, region: &str) {
        let now = self.clock.now();
        // Only long-term keys are asked about; temporary ones would fill the memory.
        if !id.starts_with("AKIA") {
            return;
        }
        let due = self.uses.lock().is_ok_and(|mut uses| {
            let due = uses.get(id).is_none_or(|at| now.since(*at).as_secs() >= USE_PERIOD_SECS);
            if due {
                uses.insert(id.to_owned(), now);
            }
            due
        });
        if !due {
            return;
        }
        let used = KeyUse {
            id: id.to_owned(),
            at: now,
            service: service.to_owned(),
            region: region.to_owned(),
        };
        if let Err(error) = self.store.write(|tx| tx.put(&KEY_USES, &used)).await {
            tracing::warn!(%error, "the last use of an access key was not noted");
        }
    }

    async fn policies(&self, principal: &Principal) -> Result<Option<PolicySet>, ServiceError> {
        match principal {
            Principal::User { arn, .. } => {
                let account = account_of(arn)?;
                let name = last_part(arn).to_owned();
                self.identity_set(&account, |tx| {
                    let Some(user) = tx.get(&USERS, &name)? else { return Ok(None) };
                    let mut all = vec![user.permissions];
                    for group in &user.groups {
                        all.extend(tx.get(&GROUPS, group)?.map(|group| group.permissions));
                    }
                    Ok(Some(all))
                })
                .await
            }
            Principal::AssumedRole { role, role_id, .. } => {
                let account = account_of(role)?;
                let name = last_part(role).to_owned();
                let id = role_id.clone();
                self.identity_set(&account, |tx| {
                    // A role made anew under an old name is another role.
                    let found = tx.get(&ROLES, &name)?.filter(|role| role.id == id);
                    Ok(found.map(|role| vec![role.permissions]))
                })
                .await
            }
            Principal::Root { .. }
            | Principal::FederatedUser { .. }
            | Principal::Service { .. }
            | Principal::Federated { .. }
            | Principal::Anonymous => Ok(None),
        }
    }

    async fn role(
        &self,
        account: &AccountId,
        name: &str,
    ) -> Result<Option<RoleInfo>, ServiceError> {
        let store = self.store.scoped(account_scope(account));
        let found = store.read(|tx| tx.get(&ROLES, name)).await.map_err(ServiceError::internal)?;
        Ok(found.map(|role| role_info(account, &role)))
    }

    async fn instance_profile_role(
        &self,
        account: &AccountId,
        profile: &str,
    ) -> Result<Option<RoleInfo>, ServiceError> {
        let name = profile.rsplit('/').next().unwrap_or(profile).to_owned();
        let store = self.store.scoped(account_scope(account));
        let found = store
            .read(|tx| {
                let profile = tx.get(&PROFILES, &name)?;
                let Some(role) = profile.and_then(|profile| profile.role) else { return Ok(None) };
                tx.get(&ROLES, &role)
            })
            .await
            .map_err(|error: store::Error| ServiceError::internal(error))?;
        Ok(found.map(|role| role_info(account, &role)))
    }

    async fn service_linked_role(
        &self,
        account: &AccountId,
        service: &str,
    ) -> Result<RoleInfo, ServiceError> {
        let fresh = linked_role::fresh(service, None, None, self.clock.now(), &*self.random)
            .ok_or_else(|| {
                ServiceError::internal(format!("{service} has no service-linked role"))
            })?;
        let store = self.store.scoped(account_scope(account));
        let known =
            store.read(|tx| tx.get(&ROLES, &fresh.name)).await.map_err(ServiceError::internal)?;
        if let Some(role) = known {
            return Ok(role_info(account, &role));
        }
        let role = store
            .write(|tx| match tx.get(&ROLES, &fresh.name)? {
                Some(role) => Ok(role),
                None => tx.put(&ROLES, &fresh).map(|()| fresh.clone()),
            })
            .await
            .map_err(|error: store::Error| ServiceError::internal(error))?;
        Ok(role_info(account, &role))
    }
}

fn account_of(arn: &Arn) -> Result<AccountId, ServiceError> {
    arn.account.parse().map_err(ServiceError::internal)
}

fn last_part(arn: &Arn) -> &str {
    arn.resource.rsplit('/').next().unwrap_or_default()
}
