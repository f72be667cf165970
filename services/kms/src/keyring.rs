//! Keys in memory: what was read and opened is kept until a write changes it, so that encrypting
//! costs no read of the store and no parsing of policies and keys.
//!
//! The control plane alone writes these tables, and every write ends with [`Keyring::forget`]
//! before it is answered. A read that began before a write was finished is recognized by the
//! generation, and not kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::hmac;
use base::{AccountId, Region};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::ServiceError;
use kernel::cipher::Cipher;
use kms_api::KeyUsageType;
use policy::{Kind, Policy};
use store::{Scope, Store, WriteTx};

use crate::asymmetric::Pair;
use crate::error::{Error, Result};
use crate::spec::{Family, family};
use crate::store::{ALIASES, GRANTS, Grant, KEYS, Key, Material};

/// How many keys, and how many aliases, are kept.
const KEYS_MAX: usize = 2048;
/// How many compiled policies of grantees one key keeps.
const GRANTED_MAX: usize = 64;

/// A key that was read: its record, its grants, its policy compiled, its material opened.
pub(crate) struct Opened {
    pub(crate) key: Key,
    pub(crate) grants: Vec<Grant>,
    pub(crate) policy: Arc<Policy>,
    secrets: Vec<(u32, Secret)>,
    granted: Mutex<HashMap<String, Arc<Policy>>>,
    aliases: OnceLock<Arc<Vec<String>>>,
}

/// Key material, ready for use.
pub(crate) enum Secret {
    Symmetric(hmac::Key),
    Hmac(hmac::Key),
    Pair(Box<Pair>),
}

/// The keys that were read.
#[derive(Default)]
pub(crate) struct Keyring(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    generation: u64,
    keys: HashMap<String, Arc<Opened>>,
    aliases: HashMap<(AccountId, String), String>,
}

impl Keyring {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing that holds the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was read before: something was written.
    pub(crate) fn forget(&self) {
        let mut kept = self.kept();
        kept.generation += 1;
        kept.keys.clear();
        kept.aliases.clear();
    }

    /// The key `id` of `scope`, from memory or from the store.
    pub(crate) async fn key(
        &self,
        store: &Store,
        cipher: &Cipher,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<Arc<Opened>>> {
        let arn = arn_of(&scope.region, scope.account.as_str(), id);
        let generation = {
            let kept = self.kept();
            if let Some(found) = kept.keys.get(&arn) {
                return Ok(Some(found.clone()));
            }
            kept.generation
        };
        let scoped = store.scoped(scope.clone());
        let read = scoped
            .read(|tx| -> store::Result<_> {
                let Some(key) = tx.get(&KEYS, id)? else { return Ok(None) };
                let grants = tx.scan(&GRANTS, (id.to_owned(),))?;
                Ok(Some((key, grants)))
            })
            .await?;
        let Some((key, grants)) = read else { return Ok(None) };
        let opened = Arc::new(Opened::new(key, grants, cipher)?);
        let mut kept = self.kept();
        if kept.generation == generation {
            if kept.keys.len() >= KEYS_MAX {
                kept.keys.clear();
            }
            kept.keys.insert(arn, opened.clone());
        }
        Ok(Some(opened))
    }

    /// The id of the key that `alias` of `scope` names.
    pub(crate) async fn alias(
        &self,
        store: &Store,
        scope: &Scope,
        alias: &str,
    ) -> Result<Option<String>> {
        let name = (scope.account.clone(), alias.to_owned());
        let generation = {
            let kept = self.kept();
            if let Some(found) = kept.aliases.get(&name) {
                return Ok(Some(found.clone()));
            }
            kept.generation
        };
        let found = store.scoped(scope.clone()).read(|tx| tx.get(&ALIASES, alias)).await?;
        let Some(found) = found else { return Ok(None) };
        let mut kept = self.kept();
        if kept.generation == generation {
            if kept.aliases.len() >= KEYS_MAX {
                kept.aliases.clear();
            }
            kept.aliases.insert(name, found.key_id.clone());
        }
        Ok(Some(found.key_id))
    }

    /// Writes in `scope` and forgets what the write may have changed.
    pub(crate) async fn write<T: Send>(
        &self,
        store: &Store,
        scope: &Scope,
        work: impl FnMut(&mut WriteTx<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        let result = store.scoped(scope.clone()).write(work).await;
        self.forget();
        result
    }
}

/// The ARN of a key.
pub(crate) fn arn_of(region: &Region, account: &str, id: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

/// What a material's bytes are sealed for.
pub(crate) fn place(arn: &str, number: u32) -> String {
    format!("kms key material {arn} {number}")
}

/// `plain` as a key's record keeps it.
pub(crate) fn sealed(cipher: &Cipher, arn: &str, number: u32, plain: &[u8]) -> String {
    STANDARD.encode(cipher.seal(&place(arn, number), plain))
}

impl Opened {
    fn new(key: Key, grants: Vec<Grant>, cipher: &Cipher) -> Result<Self> {
        let parsed = Policy::parse(&key.policy, Kind::Key).map_err(ServiceError::internal)?;
        let mut secrets = Vec::new();
        for material in &key.materials {
            if let Some(secret) = open(&key, material, cipher)? {
                secrets.push((material.number, secret));
            }
        }
        let (granted, aliases) = (Mutex::default(), OnceLock::new());
        Ok(Self { key, grants, policy: Arc::new(parsed), secrets, granted, aliases })
    }

    /// The material `number`, unless it was deleted.
    pub(crate) fn secret(&self, number: u32) -> Option<&Secret> {
        self.secrets.iter().find(|(known, _)| *known == number).map(|(_, secret)| secret)
    }

    /// The material that encrypts, with its number.
    pub(crate) fn current(&self) -> Option<(u32, &Secret)> {
        let number = self.key.current?;
        Some((number, self.secret(number)?))
    }

    /// The key's aliases, once they were read.
    pub(crate) fn known_aliases(&self) -> Option<Arc<Vec<String>>> {
        self.aliases.get().cloned()
    }

    /// Keeps the key's aliases as they were read.
    pub(crate) fn keep_aliases(&self, aliases: Vec<String>) -> Arc<Vec<String>> {
        self.aliases.get_or_init(|| Arc::new(aliases)).clone()
    }

    /// The key's policy with a statement that grants `action` to `principal`, which has a grant
    /// for it.
    pub(crate) fn policy_granting(&self, kind: &str, principal: &str, action: &str) -> Arc<Policy> {
        let name = format!("{action} {principal}");
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = granted.get(&name) {
            return known.clone();
        }
        let statement = serde_json::json!({
            "Sid": "Grant",
            "Effect": "Allow",
            "Principal": { kind: principal },
            "Action": action,
            "Resource": "*",
        });
        let Some(policy) = with_statement(&self.key.policy, statement) else {
            return self.policy.clone();
        };
        if granted.len() >= GRANTED_MAX {
            granted.clear();
        }
        granted.insert(name, policy.clone());
        policy
    }
}

/// `document` with one more statement. Its own statements keep their meaning; one of the same id
/// gives way, as ids serve explanations only.
fn with_statement(document: &str, statement: serde_json::Value) -> Option<Arc<Policy>> {
    let mut document: serde_json::Value = serde_json::from_str(document).ok()?;
    let statements = document.as_object_mut()?.get_mut("Statement")?;
    if statements.is_object() {
        *statements = serde_json::Value::Array(vec![statements.take()]);
    }
    let list = statements.as_array_mut()?;
    for own in list.iter_mut().filter_map(serde_json::Value::as_object_mut) {
        own.retain(|name, value| name != "Sid" || value != "Grant");
    }
    list.push(statement);
    Policy::parse(&document.to_string(), Kind::Key).ok().map(Arc::new)
}

fn open(key: &Key, material: &Material, cipher: &Cipher) -> Result<Option<Secret>> {
    let Some(sealed) = &material.sealed else { return Ok(None) };
    let sealed = STANDARD.decode(sealed).map_err(ServiceError::internal)?;
    let plain = cipher.open(&place(&key.arn, material.number), &sealed);
    let plain = plain.map_err(ServiceError::internal)?;
    secret(key, &plain).map(Some).ok_or(Error::Crypto)
}

/// The material `plain` of `key`, if it is of the key's spec.
pub(crate) fn secret(key: &Key, plain: &[u8]) -> Option<Secret> {
    let spec = key.spec();
    Some(match family(spec).ok()? {
        Family::Symmetric => Secret::Symmetric(hmac::Key::new(hmac::HMAC_SHA256, plain)),
        Family::Hmac => Secret::Hmac(hmac::Key::new(crate::mac::algorithm(spec)?, plain)),
        Family::Rsa | Family::Curve | Family::Edwards | Family::MlDsa => {
            let agrees = key.usage() == KeyUsageType::KeyAgreement;
            Secret::Pair(Box::new(Pair::open(spec, agrees, plain)?))
        }
    })
}
