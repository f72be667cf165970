//! Users, roles, keys and policies as the kernel asks for them, on every call.
//!
//! Compiled policies are kept by where they stand, beside their text: a changed text is compiled
//! anew, so nothing is ever stale, and an unchanged one costs a look-up.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base::{AccountId, Arn, Clock, Random, Region, Tags};
use kernel::identity::{AccessKey, Identity, OidcProvider, RoleInfo, SamlProvider, Standing};
use kernel::session::Sealer;
use kernel::{Caller, ServiceError};
use policy::{Kind, NamedPolicy, Policy, PolicySet, Principal, managed};
use store::{ReadTx, Scope, Store};

use crate::entity::Entity;
use crate::store::{
    ACCESSES, ACCOUNTS, Access, Account, GROUPS, KEY_USES, KEYS, Key, KeyUse, OIDC_IDPS, POLICIES,
    PROFILES, Permissions, ROLES, Role, SAML_IDPS, USERS, User,
};
use crate::{linked_role, mfa_device};

/// How often a key's last use is written down, at most.
///
/// AWS: "Getting access key last used information" is minutes behind as well.
const USE_PERIOD_SECS: u64 = 60;
/// How many uses are remembered as written down.
const USES_MAX: usize = 65_536;

/// The keeper of identities.
pub struct Directory {
    store: Store,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    compiled: policy::Cache,
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
        Self { store, clock, random, compiled: policy::Cache::new(), uses: Mutex::default() }
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
                attached: [ADMINISTRATOR.to_owned()].into(),
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

    /// A policy, compiled. `place` tells where it stands, so that its text is compared, not
    /// hashed.
    fn compile(&self, place: &str, text: &str, kind: Kind) -> Result<Arc<Policy>, ServiceError> {
        self.compiled.get(kind, place, text).map_err(ServiceError::internal)
    }

    /// The policies that permissions of `account` stand for.
    pub(crate) async fn set_of(
        &self,
        account: &AccountId,
        all: Vec<Permissions>,
    ) -> Result<PolicySet, ServiceError> {
        let owned = all.into_iter().map(|permissions| (String::new(), permissions)).collect();
        let owners = Owners { permissions: owned, tags: Tags::new() };
        let found = self.standing_of(account, |_| Ok(Some(owners))).await?;
        Ok(found.unwrap_or_default().policies)
    }

    async fn standing_of(
        &self,
        account: &AccountId,
        read: impl FnOnce(&ReadTx<'_>) -> Result<Option<Owners>, store::Error> + Send,
    ) -> Result<Option<Standing>, ServiceError> {
        let store = self.store.scoped(account_scope(account));
        let found = store
            .read(|tx| {
                let Some(owners) = read(tx)? else { return Ok(None) };
                let mut documents = Vec::new();
                let mut boundary = None;
                for (owner, permissions) in owners.permissions {
                    for (name, text) in permissions.inline {
                        documents.push(Document::new(
                            format!("{account}/{owner}#{name}"),
                            name,
                            text,
                        ));
                    }
                    for arn in permissions.attached {
                        documents.extend(
                            managed_document(tx, &arn)?.map(|text| Document::of(arn, text)),
                        );
                    }
                    if let Some(arn) = permissions.boundary {
                        // A boundary that is not there must not set its principal free.
                        let text = managed_document(tx, &arn)?.ok_or_else(|| {
                            store::Error::Corrupt(format!("the boundary {arn} is not there"))
                        })?;
                        boundary = Some(Document::of(arn, text));
                    }
                }
                Ok::<_, store::Error>(Some((documents, boundary, owners.tags)))
            })
            .await
            .map_err(ServiceError::internal)?;
        let Some((documents, boundary, tags)) = found else { return Ok(None) };
        let named = |document: Document, kind| {
            let policy = self.compile(&document.place, &document.text, kind)?;
            Ok::<_, ServiceError>(NamedPolicy::new(document.name, policy))
        };
        let boundary = boundary.map(|document| named(document, Kind::Boundary)).transpose()?;
        let identity = documents.into_iter().map(|document| named(document, Kind::Identity));
        let identity = identity.collect::<Result<_, _>>()?;
        let policies = PolicySet { identity, boundary, ..PolicySet::default() };
        Ok(Some(Standing { policies, tags }))
    }
}

/// The entities whose policies a principal has, by what tells them apart, and its tags.
struct Owners {
    permissions: Vec<(String, Permissions)>,
    tags: Tags,
}

/// A policy's text, its name, and where it stands.
struct Document {
    place: String,
    name: String,
    text: String,
}

impl Document {
    fn new(place: String, name: String, text: String) -> Self {
        Self { place, name, text }
    }

    /// A managed policy, which stands at its ARN.
    fn of(arn: String, text: String) -> Self {
        Self { place: arn.clone(), name: arn, text }
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
            facts: kernel::session::SessionFacts::default(),
        };
        Ok(Some(AccessKey { secret: key.secret, active: key.active, caller }))
    }

    async fn access_key_used(&self, id: &str, service: &str, region: &str) {
        let now = self.clock.now();
        // Only long-term keys are asked about; temporary ones would fill the memory.
        if !id.starts_with("AKIA") {
            return;
        }
        if !self.is_due(id.to_owned(), now) {
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
        Ok(self.standing(principal).await?.map(|standing| standing.policies))
    }

    async fn standing(&self, principal: &Principal) -> Result<Option<Standing>, ServiceError> {
        match principal {
            Principal::User { arn, id } => self.user_standing(arn, Some(id)).await,
            Principal::FederatedUser { user: Some(arn), .. } => self.user_standing(arn, None).await,
            // The root user lends all it may do.
            Principal::FederatedUser { arn, user: None } => {
                let root = Permissions {
                    attached: [ADMINISTRATOR.into()].into(),
                    ..Permissions::default()
                };
                let policies = self.set_of(&account_of(arn)?, vec![root]).await?;
                Ok(Some(Standing { policies, tags: Tags::new() }))
            }
            Principal::AssumedRole { role, role_id, .. } => {
                let account = account_of(role)?;
                let name = last_part(role).to_owned();
                let id = role_id.clone();
                self.standing_of(&account, |tx| {
                    // A role made anew under an old name is another role.
                    let found = tx.get(&ROLES, &name)?.filter(|role| role.id == id);
                    Ok(found.map(|role| Owners {
                        permissions: vec![(role.id, role.permissions)],
                        tags: role.tags,
                    }))
                })
                .await
            }
            Principal::Root { .. }
            | Principal::Service { .. }
            | Principal::Federated { .. }
            | Principal::Anonymous => Ok(None),
        }
    }

    async fn account_made(&self, account: &AccountId) -> Result<(), ServiceError> {
        let created = self.clock.now();
        self.store
            .write(|tx| {
                if tx.contains(&ACCOUNTS, account.as_str())? {
                    return Ok(());
                }
                tx.put(&ACCOUNTS, &Account { id: account.clone(), created })
            })
            .await
            .map_err(|error: store::Error| ServiceError::internal(error))
    }

    async fn accessed(&self, caller: &Caller, service: &str, operation: &str, region: &str) {
        let (account, entity) = match &caller.principal {
            Principal::User { arn, id } => (arn.account.clone(), id.clone()),
            Principal::AssumedRole { role, role_id, .. } => (role.account.clone(), role_id.clone()),
            Principal::Root { .. }
            | Principal::FederatedUser { .. }
            | Principal::Service { .. }
            | Principal::Federated { .. }
            | Principal::Anonymous => return,
        };
        let now = self.clock.now();
        if !self.is_due(format!("{entity}/{service}/{operation}"), now) {
            return;
        }
        let Ok(account) = account.parse::<AccountId>() else { return };
        let store = self.store.scoped(account_scope(&account));
        let key = (entity, service.to_owned());
        let written = store
            .write(|tx| {
                let found = tx.get(&ACCESSES, key.clone())?;
                let mut access = found.unwrap_or_else(|| Access {
                    entity: key.0.clone(),
                    service: key.1.clone(),
                    at: now,
                    region: String::new(),
                    actions: std::collections::BTreeMap::new(),
                });
                access.at = now;
                region.clone_into(&mut access.region);
                access.actions.insert(operation.to_owned(), now);
                tx.put(&ACCESSES, &access)
            })
            .await;
        if let Err(error) = written {
            tracing::warn!(%error, "the last access to a service was not noted");
        }
    }

    async fn authenticates(
        &self,
        sealer: &Sealer,
        account: &AccountId,
        user: Option<&str>,
        serial: &str,
        code: &str,
    ) -> Result<bool, ServiceError> {
        let store = self.store.scoped(account_scope(account));
        let now = self.clock.now();
        let proof = (serial, code);
        store
            .write(|tx| mfa_device::authenticate(tx, sealer, account, user, proof, now))
            .await
            .map_err(ServiceError::from)
    }

    async fn managed_policy(
        &self,
        account: &AccountId,
        arn: &str,
    ) -> Result<Option<String>, ServiceError> {
        let own = format!("arn:aws:iam::{account}:policy/");
        if managed::find(arn).is_none() && !arn.starts_with(&own) {
            return Ok(None);
        }
        let store = self.store.scoped(account_scope(account));
        store.read(|tx| managed_document(tx, arn)).await.map_err(ServiceError::internal)
    }

    async fn oidc_provider(
        &self,
        account: &AccountId,
        issuer: &str,
    ) -> Result<Option<OidcProvider>, ServiceError> {
        let issuer = issuer.trim_end_matches('/');
        let store = self.store.scoped(account_scope(account));
        let found = store.read(|tx| tx.get(&OIDC_IDPS, issuer)).await;
        let found = found.map_err(ServiceError::internal)?;
        Ok(found.map(|found| OidcProvider {
            arn: format!("arn:aws:iam::{account}:oidc-provider/{}", found.issuer),
            issuer: found.issuer,
            client_ids: found.client_ids,
            thumbprints: found.thumbprints,
        }))
    }

    async fn saml_provider(
        &self,
        account: &AccountId,
        name: &str,
    ) -> Result<Option<SamlProvider>, ServiceError> {
        let store = self.store.scoped(account_scope(account));
        let found = store.read(|tx| tx.get(&SAML_IDPS, name)).await;
        let found = found.map_err(ServiceError::internal)?;
        Ok(found.map(|found| SamlProvider {
            arn: format!("arn:aws:iam::{account}:saml-provider/{}", found.name),
            name: found.name,
            metadata: found.metadata,
        }))
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

impl Directory {
    /// Whether a use is to be written down, for none was for a while.
    fn is_due(&self, what: String, now: base::Timestamp) -> bool {
        self.uses.lock().is_ok_and(|mut uses| {
            let due = uses.get(&what).is_none_or(|at| now.since(*at).as_secs() >= USE_PERIOD_SECS);
            if due {
                if uses.len() >= USES_MAX {
                    uses.clear();
                }
                uses.insert(what, now);
            }
            due
        })
    }

    /// What a user and its groups may do. A user made anew under an old name is another.
    async fn user_standing(
        &self,
        arn: &Arn,
        id: Option<&str>,
    ) -> Result<Option<Standing>, ServiceError> {
        let account = account_of(arn)?;
        let name = last_part(arn).to_owned();
        self.standing_of(&account, |tx| {
            let found = tx.get(&USERS, &name)?;
            let Some(user) = found.filter(|user| id.is_none_or(|id| id == user.id)) else {
                return Ok(None);
            };
            let mut permissions = vec![(user.id, user.permissions)];
            for group in &user.groups {
                let group = tx.get(&GROUPS, group)?;
                permissions.extend(group.map(|group| (group.id, group.permissions)));
            }
            Ok(Some(Owners { permissions, tags: user.tags }))
        })
        .await
    }
}

/// The policy that allows everything.
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

fn account_of(arn: &Arn) -> Result<AccountId, ServiceError> {
    arn.account.parse().map_err(ServiceError::internal)
}

fn last_part(arn: &Arn) -> &str {
    arn.resource.rsplit('/').next().unwrap_or_default()
}
