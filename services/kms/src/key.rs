//! Making and describing keys, and finding the key that a request names.

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use base::{AccountId, Tags};
use kms_api::{
    CreateKeyInput, CreateKeyOutput, CustomerMasterKeySpec, DescribeKeyInput, DescribeKeyOutput,
    ExpirationModelType, KeyManagerType, KeyMetadata, KeySpec, KeyState, KeyUsageType,
    MultiRegionConfiguration, MultiRegionKey, MultiRegionKeyType, OriginType, ReplicateKeyInput,
    ReplicateKeyOutput, UpdateKeyDescriptionInput, UpdateKeyDescriptionOutput,
    UpdatePrimaryRegionInput, UpdatePrimaryRegionOutput,
};
use store::Scope;

use crate::error::{Error, Result};
use crate::keyring::{Opened, arn_of, sealed};
use crate::spec::{self, Family};
use crate::store::{KEYS, Key, Material, State};
use crate::{Ctx, asymmetric, key_policy, managed, tags};

/// The most keys of an account in a region.
///
/// AWS: "Resource quotas" (AWS KMS), KMS keys.
const KEYS_QUOTA: usize = 100_000;

/// Makes a key.
///
/// AWS: CreateKey.
///
/// # Errors
///
/// [`Error::Validation`] for a usage that the spec does not have, [`Error::MalformedPolicy`],
/// [`Error::UnsupportedOperation`] for specs and origins that are not here.
pub(crate) async fn create_key(ctx: Ctx, input: CreateKeyInput) -> Result<CreateKeyOutput> {
    let (spec, usage) = kind_of(&input)?;
    let origin = origin_of(&input)?;
    let tags = tags::checked(&ctx, &input.tags)?;
    let id = new_id(&ctx, input.multi_region == Some(true));
    let arn = arn_of(&ctx.region, ctx.account.as_str(), &id);
    let document = match input.policy {
        Some(document) => {
            let bypass = input.bypass_policy_lockout_safety_check == Some(true);
            key_policy::check(&ctx, &arn, &document, bypass).await?;
            document
        }
        None => key_policy::default_of(&ctx.account),
    };
    let mut key = blank(&ctx, id, spec, usage, document);
    key.description = input.description.unwrap_or_default();
    key.multi_region = input.multi_region == Some(true);
    key.tags = tags;
    if origin == OriginType::External {
        key.origin = origin.as_str().to_owned();
        key.state = State::PendingImport;
    } else {
        add_new_material(&ctx, &mut key).await?;
    }
    let key = insert(&ctx, key).await?;
    Ok(CreateKeyOutput { key_metadata: Some(metadata(&key)) })
}

fn kind_of(input: &CreateKeyInput) -> Result<(KeySpec, KeyUsageType)> {
    let old = input.customer_master_key_spec.and_then(|spec| spec.as_str().parse().ok());
    let spec = match (input.key_spec, old) {
        (Some(_), Some(_)) => {
            return Err(Error::Validation(
                "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. \
                 CustomerMasterKeySpec is deprecated."
                    .to_owned(),
            ));
        }
        (spec, old) => spec.or(old).unwrap_or(KeySpec::SymmetricDefault),
    };
    let usages = spec::usages(spec)?;
    let usage = match input.key_usage {
        Some(usage) => usage,
        None if spec == KeySpec::SymmetricDefault => KeyUsageType::EncryptDecrypt,
        None => {
            return Err(Error::Validation(format!(
                "You must specify a KeyUsage value for all KMS keys except for symmetric \
                 encryption keys; the key spec is {spec}."
            )));
        }
    };
    if !usages.contains(&usage) {
        return Err(Error::Validation(format!(
            "KeyUsage {usage} is not compatible with KeySpec {spec}"
        )));
    }
    Ok((spec, usage))
}

fn origin_of(input: &CreateKeyInput) -> Result<OriginType> {
    let origin = input.origin.unwrap_or(OriginType::AwsKms);
    if let Some(id) = &input.custom_key_store_id {
        return Err(Error::CustomKeyStoreNotFound(format!(
            "Custom key store {id} is not found: there are no custom key stores in this region."
        )));
    }
    if matches!(origin, OriginType::AwsCloudhsm | OriginType::ExternalKeyStore)
        || input.xks_key_id.is_some()
    {
        return Err(Error::UnsupportedOperation(
            "Custom key stores are not supported in this region.".to_owned(),
        ));
    }
    Ok(origin)
}

fn new_id(ctx: &Ctx, multi_region: bool) -> String {
    let id = ctx.random().uuid();
    if multi_region { format!("mrk-{}", id.replace('-', "")) } else { id }
}

/// A key without material.
pub(crate) fn blank(
    ctx: &Ctx,
    id: String,
    spec: KeySpec,
    usage: KeyUsageType,
    policy: String,
) -> Key {
    Key {
        arn: arn_of(&ctx.region, ctx.account.as_str(), &id),
        id,
        account: ctx.account.to_string(),
        created: ctx.now(),
        description: String::new(),
        spec: spec.as_str().to_owned(),
        usage: usage.as_str().to_owned(),
        origin: OriginType::AwsKms.as_str().to_owned(),
        state: State::Enabled,
        multi_region: false,
        managed_for: None,
        policy,
        tags: Tags::new(),
        deletion: None,
        rotation: None,
        materials: Vec::new(),
        current: None,
    }
}

/// Makes the first material of a key.
pub(crate) async fn add_new_material(ctx: &Ctx, key: &mut Key) -> Result<()> {
    let spec = key.spec();
    let plain = match spec::family(spec)? {
        Family::Symmetric | Family::Hmac => {
            let mut bytes = vec![0; *spec::imported_length(spec).end()];
            ctx.random().fill(&mut bytes);
            bytes
        }
        Family::Rsa | Family::Curve | Family::Edwards | Family::MlDsa => {
            let making = tokio::task::spawn_blocking(move || asymmetric::generate(spec));
            making.await.map_err(kernel::ServiceError::internal)??
        }
    };
    key.materials.push(material(&ctx.drivers.cipher, &key.arn, 1, &plain));
    key.current = Some(1);
    Ok(())
}

/// A generation of material.
pub(crate) fn material(
    cipher: &kernel::cipher::Cipher,
    arn: &str,
    number: u32,
    plain: &[u8],
) -> Material {
    Material {
        number,
        id: fingerprint(arn, plain),
        sealed: Some(sealed(cipher, arn, number, plain)),
        rotated: None,
        description: None,
        valid_to: None,
    }
}

/// What AWS shows as the id of key material: a code of the key's ARN under the material itself,
/// which tells nothing of it.
fn fingerprint(arn: &str, plain: &[u8]) -> String {
    // A digest makes keys of any length equally good for HMAC.
    let short = digest::digest(&digest::SHA256, plain);
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, short.as_ref()), arn.as_bytes());
    code.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn insert(ctx: &Ctx, key: Key) -> Result<Key> {
    let scope = Scope::new(ctx.account.clone(), ctx.region.clone());
    ctx.drivers
        .keyring
        .write(ctx.store.store(), &scope, |tx| {
            if tx.scan_page(&KEYS, None, KEYS_QUOTA)?.next.is_some() {
                return Err(Error::LimitExceeded(format!(
                    "The account has reached its limit of {KEYS_QUOTA} KMS keys in this region."
                )));
            }
            tx.put(&KEYS, &key)?;
            Ok(())
        })
        .await?;
    Ok(key)
}

/// Shows a key.
///
/// AWS: DescribeKey.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidGrantToken`].
pub(crate) async fn describe_key(ctx: Ctx, input: DescribeKeyInput) -> Result<DescribeKeyOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let opened = named(&ctx, &input.key_id).await?;
    Ok(DescribeKeyOutput { key_metadata: Some(metadata(&opened.key)) })
}

/// Changes a key's description.
///
/// AWS: UpdateKeyDescription.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidState`] for a key that is to be deleted.
pub(crate) async fn update_key_description(
    ctx: Ctx,
    input: UpdateKeyDescriptionInput,
) -> Result<UpdateKeyDescriptionOutput> {
    change(&ctx, &input.key_id, |key| {
        not_pending_deletion(key)?;
        key.description.clone_from(&input.description);
        Ok(())
    })
    .await?;
    Ok(UpdateKeyDescriptionOutput {})
}

/// Refuses to replicate a key: this installation has one region.
///
/// AWS: ReplicateKey.
///
/// # Errors
///
/// [`Error::UnsupportedOperation`], always, unless the key itself cannot be replicated.
pub(crate) async fn replicate_key(
    ctx: Ctx,
    input: ReplicateKeyInput,
) -> Result<ReplicateKeyOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    if !opened.key.multi_region {
        return Err(Error::UnsupportedOperation(format!(
            "{} is not a multi-Region key.",
            opened.key.arn
        )));
    }
    Err(Error::UnsupportedOperation(format!(
        "The key cannot be replicated to {}: this installation has one region, {}.",
        input.replica_region, ctx.region
    )))
}

/// Refuses to move the primary key: this installation has one region.
///
/// AWS: UpdatePrimaryRegion.
///
/// # Errors
///
/// [`Error::UnsupportedOperation`], always: no multi-Region key has a replica.
pub(crate) async fn update_primary_region(
    ctx: Ctx,
    input: UpdatePrimaryRegionInput,
) -> Result<UpdatePrimaryRegionOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    Err(Error::UnsupportedOperation(format!(
        "{} has no replica key in {}: this installation has one region, {}.",
        opened.key.arn, input.primary_region, ctx.region
    )))
}

/// What a request's key id means: whose key, and by what name.
pub(crate) enum Reference {
    Id(Scope, String),
    Alias(Scope, String),
}

/// Reads a key id, key ARN, alias name or alias ARN.
pub(crate) fn reference(ctx: &Ctx, text: &str) -> Option<Reference> {
    let own = || Scope::new(ctx.account.clone(), ctx.region.clone());
    if let Some(rest) = text.strip_prefix("arn:") {
        let mut parts = rest.splitn(5, ':');
        let _partition = parts.next()?;
        let (service, region) = (parts.next()?, parts.next()?);
        let account: AccountId = parts.next()?.parse().ok()?;
        let name = parts.next()?;
        if service != "kms" || region != ctx.region.as_str() {
            return None;
        }
        let scope = Scope::new(account, ctx.region.clone());
        return match name.strip_prefix("key/") {
            Some(id) => Some(Reference::Id(scope, id.to_owned())),
            None if name.starts_with("alias/") => Some(Reference::Alias(scope, name.to_owned())),
            None => None,
        };
    }
    if text.starts_with("alias/") {
        return Some(Reference::Alias(own(), text.to_owned()));
    }
    Some(Reference::Id(own(), text.to_owned()))
}

/// The key that `text` names, by id, ARN, alias or alias ARN; an AWS managed key is made when it is
/// asked for the first time.
///
/// # Errors
///
/// [`Error::NotFound`].
pub(crate) async fn named(ctx: &Ctx, text: &str) -> Result<Arc<Opened>> {
    let invalid = || Error::NotFound(format!("Invalid keyId '{text}'"));
    match reference(ctx, text).ok_or_else(invalid)? {
        Reference::Id(scope, id) => found(ctx, &scope, &id).await,
        Reference::Alias(scope, alias) => {
            let store = ctx.store.store();
            let id = match ctx.drivers.keyring.alias(store, &scope, &alias).await? {
                Some(id) => id,
                None => managed::make(ctx, &scope, &alias).await?.ok_or_else(|| {
                    let (region, account) = (&scope.region, &scope.account);
                    Error::NotFound(format!(
                        "Alias arn:aws:kms:{region}:{account}:{alias} is not found."
                    ))
                })?,
            };
            found(ctx, &scope, &id).await
        }
    }
}

/// The key that `text` names by its id or ARN: what operations on keys, unlike those with keys,
/// take.
///
/// # Errors
///
/// [`Error::NotFound`].
pub(crate) async fn own(ctx: &Ctx, text: &str) -> Result<Arc<Opened>> {
    match reference(ctx, text) {
        Some(Reference::Id(scope, id)) => found(ctx, &scope, &id).await,
        Some(Reference::Alias(..)) | None => {
            Err(Error::NotFound(format!("Invalid keyId '{text}'")))
        }
    }
}

async fn found(ctx: &Ctx, scope: &Scope, id: &str) -> Result<Arc<Opened>> {
    let (store, cipher) = (ctx.store.store(), &ctx.drivers.cipher);
    let found = ctx.drivers.keyring.key(store, cipher, scope, id).await?;
    found.ok_or_else(|| {
        let arn = arn_of(&scope.region, scope.account.as_str(), id);
        Error::NotFound(format!("Key '{arn}' does not exist"))
    })
}

/// Changes the key that `text` names by id or ARN, and gives it as it is then.
pub(crate) async fn change(
    ctx: &Ctx,
    text: &str,
    edit: impl Fn(&mut Key) -> Result<()> + Send + Sync,
) -> Result<Key> {
    let opened = own(ctx, text).await?;
    let scope = scope_of(ctx, &opened.key)?;
    ctx.drivers
        .keyring
        .write(ctx.store.store(), &scope, |tx| {
            let key = tx.get(&KEYS, &opened.key.id)?;
            let mut key = key.ok_or_else(|| {
                Error::NotFound(format!("Key '{}' does not exist", opened.key.arn))
            })?;
            edit(&mut key)?;
            tx.put(&KEYS, &key)?;
            Ok(key)
        })
        .await
}

/// Where a key's rows lie.
pub(crate) fn scope_of(ctx: &Ctx, key: &Key) -> Result<Scope> {
    let account = key.account.parse().map_err(kernel::ServiceError::internal)?;
    Ok(Scope::new(account, ctx.region.clone()))
}

/// Refuses a key that is to be deleted.
pub(crate) fn not_pending_deletion(key: &Key) -> Result<()> {
    if key.state == State::PendingDeletion {
        return Err(Error::InvalidState(format!("{} is pending deletion.", key.arn)));
    }
    Ok(())
}

/// Refuses a key that cannot be used now.
pub(crate) fn usable(key: &Key) -> Result<()> {
    match key.state {
        State::Enabled => Ok(()),
        State::Disabled => Err(Error::Disabled(key.arn.clone())),
        State::PendingDeletion => not_pending_deletion(key),
        State::PendingImport => Err(Error::InvalidState(format!("{} is pending import.", key.arn))),
    }
}

/// A key as answers show it.
pub(crate) fn metadata(key: &Key) -> KeyMetadata {
    let (spec, usage) = (key.spec(), key.usage());
    let state = match key.state {
        State::Enabled => KeyState::Enabled,
        State::Disabled => KeyState::Disabled,
        State::PendingDeletion => KeyState::PendingDeletion,
        State::PendingImport => KeyState::PendingImport,
    };
    let external = key.origin() == OriginType::External;
    let current = key.current().filter(|material| material.sealed.is_some());
    let expiration = current.filter(|_| external).map(|material| match material.valid_to {
        Some(_) => ExpirationModelType::KeyMaterialExpires,
        None => ExpirationModelType::KeyMaterialDoesNotExpire,
    });
    let primary = key.multi_region.then(|| MultiRegionConfiguration {
        multi_region_key_type: Some(MultiRegionKeyType::Primary),
        primary_key: Some(MultiRegionKey {
            arn: Some(key.arn.clone()),
            region: key.arn.split(':').nth(3).map(str::to_owned),
        }),
        replica_keys: Vec::new(),
    });
    let manager = match key.managed_for {
        Some(_) => KeyManagerType::Aws,
        None => KeyManagerType::Customer,
    };
    KeyMetadata {
        aws_account_id: Some(key.account.clone()),
        key_id: key.id.clone(),
        arn: Some(key.arn.clone()),
        creation_date: Some(key.created),
        enabled: Some(key.state == State::Enabled),
        description: Some(key.description.clone()),
        key_usage: Some(usage),
        key_state: Some(state),
        deletion_date: key.deletion.map(|deletion| deletion.at),
        valid_to: current.and_then(|material| material.valid_to),
        origin: Some(key.origin()),
        expiration_model: expiration,
        key_manager: Some(manager),
        customer_master_key_spec: old_spec(spec),
        key_spec: Some(spec),
        encryption_algorithms: spec::encryption(spec, usage).to_vec(),
        signing_algorithms: spec::signing(spec, usage).to_vec(),
        key_agreement_algorithms: spec::agreement(usage).to_vec(),
        multi_region: Some(key.multi_region),
        multi_region_configuration: primary,
        mac_algorithms: spec::mac(spec).into_iter().collect(),
        current_key_material_id: current
            .filter(|_| spec == KeySpec::SymmetricDefault)
            .map(|material| material.id.clone()),
        ..KeyMetadata::default()
    }
}

/// The spec under its deprecated name, where it has one.
pub(crate) fn old_spec(spec: KeySpec) -> Option<CustomerMasterKeySpec> {
    spec.as_str().parse().ok()
}
