//! SAML providers that the account trusts.
//!
//! AWS: "Create a SAML identity provider in IAM".

use base::Arn;
use iam_api::{
    CreateSAMLProviderInput, CreateSAMLProviderOutput, DeleteSAMLProviderInput,
    DeleteSAMLProviderOutput, GetSAMLProviderInput, GetSAMLProviderOutput,
    ListSAMLProviderTagsInput, ListSAMLProviderTagsOutput, ListSAMLProvidersInput,
    ListSAMLProvidersOutput, SAMLProviderListEntry, TagSAMLProviderInput, TagSAMLProviderOutput,
    UntagSAMLProviderInput, UntagSAMLProviderOutput, UpdateSAMLProviderInput,
    UpdateSAMLProviderOutput,
};
use store::ReadTx;

use crate::access::{self, Keys};
use crate::entity::date;
use crate::error::{Error, Result};
use crate::store::{SAML_IDPS, SamlIdp};
use crate::{Ctx, tag};

/// AWS: "IAM and AWS STS quotas", SAML providers in an account.
const PROVIDERS_MAX: usize = 100;

fn arn(ctx: &Ctx, name: &str) -> String {
    Arn::new("iam", "", &ctx.account, format!("saml-provider/{name}")).to_string()
}

fn missing(arn: &str) -> Error {
    Error::NoSuchEntity(format!("Manifest not found for arn {arn}"))
}

fn name_of(ctx: &Ctx, text: &str) -> Result<String> {
    text.strip_prefix(&arn(ctx, "")).map(str::to_owned).ok_or_else(|| missing(text))
}

fn get(tx: &ReadTx<'_>, name: &str, arn: &str) -> Result<SamlIdp> {
    tx.get(&SAML_IDPS, name)?.ok_or_else(|| missing(arn))
}

/// Refuses what is no description of an identity provider with a certificate.
fn check_metadata(text: &str) -> Result<()> {
    let whole = text.contains("EntityDescriptor")
        && text.contains("IDPSSODescriptor")
        && text.contains("X509Certificate");
    if !whole {
        return Err(Error::InvalidInput("Could not parse metadata".to_owned()));
    }
    Ok(())
}

/// Encrypted assertions are not taken, so nothing may ask for them.
fn refuse_encryption(mode: bool, key: bool) -> Result<()> {
    if mode || key {
        return Err(Error::InvalidInput(
            "Encrypted assertions are not supported by this region.".to_owned(),
        ));
    }
    Ok(())
}

/// Trusts an identity provider.
///
/// AWS: CreateSAMLProvider.
///
/// # Errors
///
/// [`Error::InvalidInput`], [`Error::EntityAlreadyExists`], [`Error::LimitExceeded`].
pub(crate) async fn create_saml_provider(
    ctx: Ctx,
    input: CreateSAMLProviderInput,
) -> Result<CreateSAMLProviderOutput> {
    let resource = arn(&ctx, &input.name);
    let keys = Keys::new().sets(&input.tags);
    access::require(&ctx, "CreateSAMLProvider", &resource, keys).await?;
    refuse_encryption(input.assertion_encryption_mode.is_some(), input.add_private_key.is_some())?;
    check_metadata(&input.saml_metadata_document)?;
    let provider = SamlIdp {
        name: input.name,
        uuid: ctx.random().uuid(),
        metadata: input.saml_metadata_document,
        created: ctx.now(),
        tags: tag::from_request(&ctx, &input.tags)?,
    };
    ctx.store
        .write(|tx| {
            if tx.contains(&SAML_IDPS, &provider.name)? {
                return Err(Error::EntityAlreadyExists(format!(
                    "Provider with name {} already exists.",
                    provider.name
                )));
            }
            if tx.scan(&SAML_IDPS, ())?.len() >= PROVIDERS_MAX {
                return Err(Error::quota("SAMLProvidersPerAccount", PROVIDERS_MAX));
            }
            Ok(tx.put(&SAML_IDPS, &provider)?)
        })
        .await?;
    Ok(CreateSAMLProviderOutput {
        saml_provider_arn: Some(resource),
        tags: tag::view(&provider.tags),
    })
}

/// What is known of a provider.
///
/// AWS: GetSAMLProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_saml_provider(
    ctx: Ctx,
    input: GetSAMLProviderInput,
) -> Result<GetSAMLProviderOutput> {
    let arn = &input.saml_provider_arn;
    access::require(&ctx, "GetSAMLProvider", arn, Keys::new()).await?;
    let name = name_of(&ctx, arn)?;
    let found = ctx.store.read(|tx| get(tx, &name, arn)).await?;
    Ok(GetSAMLProviderOutput {
        saml_provider_uuid: Some(found.uuid),
        saml_metadata_document: Some(found.metadata),
        create_date: Some(date(found.created)),
        tags: tag::view(&found.tags),
        ..GetSAMLProviderOutput::default()
    })
}

/// The providers that the account trusts.
///
/// AWS: ListSAMLProviders.
pub(crate) async fn list_saml_providers(
    ctx: Ctx,
    _input: ListSAMLProvidersInput,
) -> Result<ListSAMLProvidersOutput> {
    access::require(&ctx, "ListSAMLProviders", "*", Keys::new()).await?;
    let all = ctx.store.read(|tx| tx.scan(&SAML_IDPS, ())).await?;
    let entry = |found: &SamlIdp| SAMLProviderListEntry {
        arn: Some(arn(&ctx, &found.name)),
        create_date: Some(date(found.created)),
        ..SAMLProviderListEntry::default()
    };
    Ok(ListSAMLProvidersOutput { saml_provider_list: all.iter().map(entry).collect() })
}

/// Changes a provider, once the caller may do `action` on it.
async fn change(
    ctx: &Ctx,
    action: &str,
    arn: &str,
    keys: Keys,
    with: impl Fn(&mut SamlIdp) -> Result<()> + Send + Sync,
) -> Result<()> {
    access::require(ctx, action, arn, keys).await?;
    let name = name_of(ctx, arn)?;
    ctx.store
        .write(|tx| {
            let mut found = get(tx, &name, arn)?;
            with(&mut found)?;
            Ok(tx.put(&SAML_IDPS, &found)?)
        })
        .await
}

/// Sets a provider's metadata anew.
///
/// AWS: UpdateSAMLProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::InvalidInput`].
pub(crate) async fn update_saml_provider(
    ctx: Ctx,
    input: UpdateSAMLProviderInput,
) -> Result<UpdateSAMLProviderOutput> {
    refuse_encryption(
        input.assertion_encryption_mode.is_some(),
        input.add_private_key.is_some() || input.remove_private_key.is_some(),
    )?;
    let arn = &input.saml_provider_arn;
    change(&ctx, "UpdateSAMLProvider", arn, Keys::new(), |found| {
        if let Some(metadata) = &input.saml_metadata_document {
            check_metadata(metadata)?;
            found.metadata.clone_from(metadata);
        }
        Ok(())
    })
    .await?;
    Ok(UpdateSAMLProviderOutput { saml_provider_arn: Some(input.saml_provider_arn) })
}

/// Trusts a provider no more.
///
/// AWS: DeleteSAMLProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_saml_provider(
    ctx: Ctx,
    input: DeleteSAMLProviderInput,
) -> Result<DeleteSAMLProviderOutput> {
    let arn = &input.saml_provider_arn;
    access::require(&ctx, "DeleteSAMLProvider", arn, Keys::new()).await?;
    let name = name_of(&ctx, arn)?;
    ctx.store
        .write(|tx| {
            get(tx, &name, arn)?;
            tx.delete(&SAML_IDPS, &name)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(DeleteSAMLProviderOutput {})
}

/// Sets tags of a provider.
///
/// AWS: TagSAMLProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn tag_saml_provider(
    ctx: Ctx,
    input: TagSAMLProviderInput,
) -> Result<TagSAMLProviderOutput> {
    let wanted = tag::from_request(&ctx, &input.tags)?;
    let keys = Keys::new().sets(&input.tags);
    change(&ctx, "TagSAMLProvider", &input.saml_provider_arn, keys, |found| {
        tag::merge(&mut found.tags, &wanted)
    })
    .await?;
    Ok(TagSAMLProviderOutput {})
}

/// Takes tags of a provider away.
///
/// AWS: UntagSAMLProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn untag_saml_provider(
    ctx: Ctx,
    input: UntagSAMLProviderInput,
) -> Result<UntagSAMLProviderOutput> {
    let keys = Keys::new().names(input.tag_keys.clone());
    change(&ctx, "UntagSAMLProvider", &input.saml_provider_arn, keys, |found| {
        tag::cut(&mut found.tags, &input.tag_keys);
        Ok(())
    })
    .await?;
    Ok(UntagSAMLProviderOutput {})
}

/// The tags of a provider.
///
/// AWS: ListSAMLProviderTags.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_saml_provider_tags(
    ctx: Ctx,
    input: ListSAMLProviderTagsInput,
) -> Result<ListSAMLProviderTagsOutput> {
    let arn = &input.saml_provider_arn;
    access::require(&ctx, "ListSAMLProviderTags", arn, Keys::new()).await?;
    let name = name_of(&ctx, arn)?;
    let found = ctx.store.read(|tx| get(tx, &name, arn)).await?;
    let page = tag::page(&found.tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListSAMLProviderTagsOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        tags: page.items,
    })
}
