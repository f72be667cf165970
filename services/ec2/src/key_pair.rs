//! Key pairs: made or imported, shown by name and fingerprint. A private key is answered once and
//! kept nowhere.

mod format;

use base::{ResourceId, Timestamp};
use ec2_api::{
    CreateKeyPairInput, CreateKeyPairOutput, DeleteKeyPairInput, DeleteKeyPairOutput,
    DescribeKeyPairsInput, DescribeKeyPairsOutput, ImportKeyPairInput, ImportKeyPairOutput,
    KeyFormat, KeyPairInfo, KeyType,
};
use kernel::ServiceError;
use serde::{Deserialize, Serialize};
use store::{Index, ReadTx, Record, Table, WriteTx};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Field};
use crate::tags;

/// A key pair, without its private half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeyPair {
    /// `key-…`.
    pub(crate) id: ResourceId,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) fingerprint: String,
    /// As OpenSSH writes it, with the name as its comment.
    pub(crate) openssh: String,
    pub(crate) created: Timestamp,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Rsa,
    Ed25519,
}

impl Record for KeyPair {
    type Key = ResourceId;

    fn key(&self) -> ResourceId {
        self.id.clone()
    }
}

pub(crate) const KEY_PAIRS: Table<KeyPair> =
    Table::new("ec2.key_pairs").with_indexes(&[&KEY_PAIRS_BY_NAME]);
pub(crate) const KEY_PAIRS_BY_NAME: Index<KeyPair, String> =
    Index::new(|| KEY_PAIRS, "name", |pair| vec![pair.name.clone()]);

const TAG_KIND: &str = "key-pair";
/// The longest name of a key pair.
///
/// AWS: CreateKeyPair.
const NAME_MAX: usize = 255;

/// The key pair called `name`.
pub(crate) fn named(tx: &ReadTx<'_>, name: &str) -> Result<KeyPair> {
    let found = tx.find_one(&KEY_PAIRS_BY_NAME, name)?;
    found.ok_or_else(|| Error::KeyPairNotFound(name.to_owned()))
}

fn require_name(name: &str) -> Result<()> {
    let plain = !name.is_empty() && name.chars().count() <= NAME_MAX && name.is_ascii();
    if plain && name.trim() == name {
        return Ok(());
    }
    Err(Error::value(format!(
        "Value ({name}) for parameter KeyName is invalid. It must be 1 to {NAME_MAX} ASCII \
         characters without leading or trailing spaces."
    )))
}

fn put_new(tx: &mut WriteTx<'_>, pair: &KeyPair, wanted: &base::Tags) -> Result<()> {
    if tx.find_one(&KEY_PAIRS_BY_NAME, &pair.name)?.is_some() {
        return Err(Error::KeyPairDuplicate(pair.name.clone()));
    }
    tx.put(&KEY_PAIRS, pair)?;
    tags::begin(tx, &pair.id, TAG_KIND, wanted)
}

/// Makes a key pair and answers its private key, this once.
///
/// AWS: CreateKeyPair.
pub(crate) async fn create_key_pair(
    ctx: Ctx,
    input: CreateKeyPairInput,
) -> Result<CreateKeyPairOutput> {
    require_name(&input.key_name)?;
    if input.key_format == Some(KeyFormat::Ppk) {
        return Err(Error::Unsupported(
            "KeyFormat ppk is not supported by this region; ask for pem and convert it with \
             puttygen"
                .to_owned(),
        ));
    }
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[TAG_KIND], TAG_KIND)?;
    let made = match input.key_type.unwrap_or(KeyType::Rsa) {
        KeyType::Rsa => {
            let making = tokio::task::spawn_blocking(format::new_rsa);
            making.await.map_err(ServiceError::internal)??
        }
        KeyType::Ed25519 => {
            let mut seed = [0; 32];
            ctx.random().fill(&mut seed);
            format::new_ed25519(&seed)?
        }
    };
    let pair = KeyPair {
        id: ctx.id("key"),
        openssh: format!("{} {}", made.openssh, input.key_name),
        name: input.key_name,
        kind: made.kind,
        fingerprint: made.fingerprint,
        created: ctx.now(),
    };
    ctx.store.write(|tx| put_new(tx, &pair, &wanted)).await?;
    Ok(CreateKeyPairOutput {
        key_pair_id: Some(pair.id.to_string()),
        tags: tags::to_wire(&wanted),
        key_name: Some(pair.name),
        key_fingerprint: Some(pair.fingerprint),
        key_material: Some(made.private),
    })
}

/// Takes a public key that somebody has the private one of.
///
/// AWS: ImportKeyPair.
pub(crate) async fn import_key_pair(
    ctx: Ctx,
    input: ImportKeyPairInput,
) -> Result<ImportKeyPairOutput> {
    require_name(&input.key_name)?;
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[TAG_KIND], TAG_KIND)?;
    let key = format::imported(&input.public_key_material).ok_or(Error::KeyFormat)?;
    let pair = KeyPair {
        id: ctx.id("key"),
        openssh: format!("{} {}", key.openssh, input.key_name),
        name: input.key_name,
        kind: key.kind,
        fingerprint: key.fingerprint,
        created: ctx.now(),
    };
    ctx.store.write(|tx| put_new(tx, &pair, &wanted)).await?;
    Ok(ImportKeyPairOutput {
        key_fingerprint: Some(pair.fingerprint),
        key_name: Some(pair.name),
        key_pair_id: Some(pair.id.to_string()),
        tags: tags::to_wire(&wanted),
    })
}

/// Removes a key pair; one that is not there is no error. Instances keep what they got of it.
///
/// AWS: DeleteKeyPair.
pub(crate) async fn delete_key_pair(
    ctx: Ctx,
    input: DeleteKeyPairInput,
) -> Result<DeleteKeyPairOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let found = match (&input.key_pair_id, &input.key_name) {
            (Some(id), _) => match ResourceId::parse("key", id) {
                Some(id) => tx.get(&KEY_PAIRS, &id)?,
                None => return Err(Error::KeyPairIdMalformed(id.clone())),
            },
            (None, Some(name)) => tx.find_one(&KEY_PAIRS_BY_NAME, name)?,
            (None, None) => return Err(Error::missing("KeyName")),
        };
        if let Some(pair) = &found {
            tx.delete(&KEY_PAIRS, &pair.id)?;
            tags::end(tx, &pair.id)?;
        }
        Ok(found.map(|pair| pair.id.to_string()))
    };
    let key_pair_id = ctx.store.write(write).await?;
    Ok(DeleteKeyPairOutput { return_: Some(true), key_pair_id })
}

const FIELDS: &[Field<KeyPairInfo>] = &[
    ("key-name", |pair| listing::text(pair.key_name.as_ref())),
    ("key-pair-id", |pair| listing::text(pair.key_pair_id.as_ref())),
    ("fingerprint", |pair| listing::text(pair.key_fingerprint.as_ref())),
];

/// Tells the account's key pairs.
///
/// AWS: DescribeKeyPairs.
pub(crate) async fn describe_key_pairs(
    ctx: Ctx,
    input: DescribeKeyPairsInput,
) -> Result<DescribeKeyPairsOutput> {
    let with_key = input.include_public_key == Some(true);
    let read = |tx: &ReadTx<'_>| {
        let describe = |pair: KeyPair| {
            Ok::<_, Error>(KeyPairInfo {
                key_type: Some(match pair.kind {
                    Kind::Rsa => KeyType::Rsa,
                    Kind::Ed25519 => KeyType::Ed25519,
                }),
                tags: tags::wire_of(tx, &pair.id)?,
                public_key: with_key.then_some(pair.openssh),
                create_time: Some(pair.created),
                key_pair_id: Some(pair.id.to_string()),
                key_name: Some(pair.name),
                key_fingerprint: Some(pair.fingerprint),
            })
        };
        tx.scan(&KEY_PAIRS, ())?.into_iter().map(describe).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let name = |pair: &KeyPairInfo| pair.key_name.clone().unwrap_or_default();
    let id = |pair: &KeyPairInfo| pair.key_pair_id.clone().unwrap_or_default();
    require_all(&all, &input.key_names, name, Error::KeyPairNotFound)?;
    require_all(&all, &input.key_pair_ids, id, Error::KeyPairIdNotFound)?;
    let asked = |pair: &KeyPairInfo| {
        let none = input.key_names.is_empty() && input.key_pair_ids.is_empty();
        none || input.key_names.contains(&name(pair)) || input.key_pair_ids.contains(&id(pair))
    };
    let named = all.into_iter().filter(asked).collect();
    let mut key_pairs = listing::select(named, &input.filters, FIELDS, |pair| &pair.tags)?;
    key_pairs.sort_by_key(name);
    Ok(DescribeKeyPairsOutput { key_pairs })
}

fn require_all(
    all: &[KeyPairInfo],
    wanted: &[String],
    of: impl Fn(&KeyPairInfo) -> String,
    missing: impl Fn(String) -> Error,
) -> Result<()> {
    match wanted.iter().find(|name| !all.iter().any(|pair| of(pair) == **name)) {
        Some(unknown) => Err(missing(unknown.clone())),
        None => Ok(()),
    }
}
