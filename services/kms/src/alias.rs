//! Aliases.

use std::collections::BTreeMap;

use kernel::paging;
use kms_api::{
    AliasListEntry, CreateAliasInput, CreateAliasOutput, DeleteAliasInput, DeleteAliasOutput,
    ListAliasesInput, ListAliasesOutput, UpdateAliasInput, UpdateAliasOutput,
};
use store::Scope;

use crate::error::{Error, Result};
use crate::key::{not_pending_deletion, own};
use crate::store::{ALIASES, Alias, BY_KEY, Key};
use crate::{Ctx, managed};

/// AWS: "Resource quotas" (AWS KMS), aliases per KMS key.
const ALIASES_MAX: usize = 50;
/// AWS: ListAliases, `Limit`.
const PAGE: i32 = 50;

/// Gives a key a name.
///
/// AWS: CreateAlias.
///
/// # Errors
///
/// [`Error::AlreadyExists`], [`Error::InvalidAliasName`], [`Error::NotFound`],
/// [`Error::InvalidState`], [`Error::LimitExceeded`].
pub(crate) async fn create_alias(ctx: Ctx, input: CreateAliasInput) -> Result<CreateAliasOutput> {
    check_name(&input.alias_name)?;
    let target = target(&ctx, &input.target_key_id).await?;
    let now = ctx.now();
    write(&ctx, |tx| {
        if tx.contains(&ALIASES, &input.alias_name)? {
            let arn = arn(&ctx, &input.alias_name);
            return Err(Error::AlreadyExists(format!(
                "An alias with the name {arn} already exists"
            )));
        }
        check_room(tx, &target)?;
        let name = input.alias_name.clone();
        tx.put(&ALIASES, &Alias { name, key_id: target.id.clone(), created: now, updated: now })?;
        Ok(())
    })
    .await?;
    Ok(CreateAliasOutput {})
}

/// Gives an alias to another key of the same kind.
///
/// AWS: UpdateAlias.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Validation`] for a key of another kind, [`Error::InvalidState`],
/// [`Error::LimitExceeded`].
pub(crate) async fn update_alias(ctx: Ctx, input: UpdateAliasInput) -> Result<UpdateAliasOutput> {
    check_name(&input.alias_name)?;
    let target = target(&ctx, &input.target_key_id).await?;
    let known = ctx.store.read(|tx| tx.get(&ALIASES, &input.alias_name)).await?;
    let known = known.ok_or_else(|| not_found(&ctx, &input.alias_name))?;
    let current = own(&ctx, &known.key_id).await?;
    if current.key.usage != target.usage || kind(&current.key) != kind(&target) {
        return Err(Error::Validation(
            "An alias can only be moved between KMS keys of the same type and key usage."
                .to_owned(),
        ));
    }
    let now = ctx.now();
    write(&ctx, |tx| {
        let alias = tx.get(&ALIASES, &input.alias_name)?;
        let mut alias = alias.ok_or_else(|| not_found(&ctx, &input.alias_name))?;
        if alias.key_id != target.id {
            check_room(tx, &target)?;
        }
        alias.key_id.clone_from(&target.id);
        alias.updated = now;
        tx.put(&ALIASES, &alias)?;
        Ok(())
    })
    .await?;
    Ok(UpdateAliasOutput {})
}

/// Takes a name away.
///
/// AWS: DeleteAlias.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidAliasName`].
pub(crate) async fn delete_alias(ctx: Ctx, input: DeleteAliasInput) -> Result<DeleteAliasOutput> {
    check_name(&input.alias_name)?;
    let found = write(&ctx, |tx| Ok(tx.delete(&ALIASES, &input.alias_name)?)).await?;
    if !found {
        return Err(not_found(&ctx, &input.alias_name));
    }
    Ok(DeleteAliasOutput {})
}

/// Lists aliases, those of AWS managed keys that were not made yet included.
///
/// AWS: ListAliases.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidMarker`].
pub(crate) async fn list_aliases(ctx: Ctx, input: ListAliasesInput) -> Result<ListAliasesOutput> {
    let of = match &input.key_id {
        Some(id) => Some(own(&ctx, id).await?.key.id.clone()),
        None => None,
    };
    let made = match &of {
        Some(id) => ctx.store.read(|tx| tx.find(&BY_KEY, id.as_str())).await?,
        None => ctx.store.read(|tx| tx.scan(&ALIASES, ())).await?,
    };
    let mut found: BTreeMap<String, Option<Alias>> = BTreeMap::new();
    if of.is_none() {
        found.extend(managed::aliases().map(|name| (name, None)));
    }
    found.extend(made.into_iter().map(|alias| (alias.name.clone(), Some(alias))));
    let limit = usize::try_from(input.limit.unwrap_or(PAGE)).unwrap_or(1);
    let all: Vec<_> = found.into_iter().collect();
    let page = paging::page(all, input.marker.as_deref(), limit, |(name, _)| name.clone())
        .map_err(|_| Error::InvalidMarker)?;
    let shown = |(name, alias): (String, Option<Alias>)| AliasListEntry {
        alias_arn: Some(arn(&ctx, &name)),
        alias_name: Some(name),
        creation_date: alias.as_ref().map(|alias| alias.created),
        last_updated_date: alias.as_ref().map(|alias| alias.updated),
        target_key_id: alias.map(|alias| alias.key_id),
    };
    let truncated = Some(page.next.is_some());
    let aliases = page.items.into_iter().map(shown).collect();
    Ok(ListAliasesOutput { aliases, next_marker: page.next, truncated })
}

async fn target(ctx: &Ctx, id: &str) -> Result<Key> {
    let opened = own(ctx, id).await?;
    not_pending_deletion(&opened.key)?;
    if opened.key.account != ctx.account.as_str() {
        return Err(Error::NotFound(format!("Invalid keyId '{id}'")));
    }
    Ok(opened.key.clone())
}

async fn write<T: Send>(
    ctx: &Ctx,
    work: impl FnMut(&mut store::WriteTx<'_>) -> Result<T> + Send,
) -> Result<T> {
    let scope = Scope::new(ctx.account.clone(), ctx.region.clone());
    ctx.drivers.keyring.write(ctx.store.store(), &scope, work).await
}

fn check_room(tx: &store::WriteTx<'_>, key: &Key) -> Result<()> {
    if tx.find(&BY_KEY, key.id.as_str())?.len() < ALIASES_MAX {
        return Ok(());
    }
    Err(Error::LimitExceeded(format!("A KMS key cannot have more than {ALIASES_MAX} aliases.")))
}

/// Whether keys of a kind can stand in for each other: both symmetric, both pairs, both codes.
fn kind(key: &Key) -> u8 {
    use crate::spec::Family;
    match crate::spec::family(key.spec()) {
        Ok(Family::Symmetric) | Err(_) => 0,
        Ok(Family::Hmac) => 1,
        Ok(Family::Rsa | Family::Curve | Family::Edwards | Family::MlDsa) => 2,
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.starts_with("alias/aws/") || name == "alias/aws" {
        return Err(Error::InvalidAliasName(format!(
            "Alias names that begin with alias/aws/ are reserved: {name}"
        )));
    }
    let bare = name.strip_prefix("alias/").unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    if bare.is_empty() || !bare.chars().all(allowed) {
        return Err(Error::Validation(
            "Alias must start with the prefix \"alias/\". Please see \
             https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
                .to_owned(),
        ));
    }
    Ok(())
}

fn arn(ctx: &Ctx, name: &str) -> String {
    ctx.arn("kms", name).to_string()
}

fn not_found(ctx: &Ctx, name: &str) -> Error {
    Error::NotFound(format!("Alias {} is not found.", arn(ctx, name)))
}
