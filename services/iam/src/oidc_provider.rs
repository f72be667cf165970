//! OpenID Connect providers that the account trusts.
//!
//! AWS: "Create an OpenID Connect (OIDC) identity provider in IAM".

use base::Arn;
use iam_api::{
    AddClientIDToOpenIDConnectProviderInput, AddClientIDToOpenIDConnectProviderOutput,
    CreateOpenIDConnectProviderInput, CreateOpenIDConnectProviderOutput,
    DeleteOpenIDConnectProviderInput, DeleteOpenIDConnectProviderOutput,
    GetOpenIDConnectProviderInput, GetOpenIDConnectProviderOutput,
    ListOpenIDConnectProviderTagsInput, ListOpenIDConnectProviderTagsOutput,
    ListOpenIDConnectProvidersInput, ListOpenIDConnectProvidersOutput,
    OpenIDConnectProviderListEntry, RemoveClientIDFromOpenIDConnectProviderInput,
    RemoveClientIDFromOpenIDConnectProviderOutput, TagOpenIDConnectProviderInput,
    TagOpenIDConnectProviderOutput, UntagOpenIDConnectProviderInput,
    UntagOpenIDConnectProviderOutput, UpdateOpenIDConnectProviderThumbprintInput,
    UpdateOpenIDConnectProviderThumbprintOutput,
};
use store::ReadTx;

use crate::access::{self, Keys};
use crate::entity::date;
use crate::error::{Error, Result};
use crate::store::{OIDC_IDPS, OidcIdp};
use crate::{Ctx, tag};

/// AWS: "IAM and AWS STS quotas", OpenID Connect identity providers per account.
const PROVIDERS_MAX: usize = 100;
/// AWS: CreateOpenIDConnectProvider, `ClientIDList`.
const CLIENT_IDS_MAX: usize = 100;
/// AWS: CreateOpenIDConnectProvider, `ThumbprintList`.
const THUMBPRINTS_MAX: usize = 5;

fn arn(ctx: &Ctx, issuer: &str) -> String {
    Arn::new("iam", "", &ctx.account, format!("oidc-provider/{issuer}")).to_string()
}

/// The issuer in an ARN of this account's; others name nothing here.
fn issuer_of(ctx: &Ctx, text: &str) -> Result<String> {
    let start = arn(ctx, "");
    text.strip_prefix(&start).map(str::to_owned).ok_or_else(|| missing(text))
}

fn missing(arn: &str) -> Error {
    Error::NoSuchEntity(format!("OpenIDConnect Provider not found for arn {arn}"))
}

fn get(tx: &ReadTx<'_>, issuer: &str, arn: &str) -> Result<OidcIdp> {
    tx.get(&OIDC_IDPS, issuer)?.ok_or_else(|| missing(arn))
}

fn check_thumbprints(list: &[String]) -> Result<()> {
    if list.len() > THUMBPRINTS_MAX {
        return Err(Error::InvalidInput(
            "Thumbprint list must contain fewer than 5 entries.".into(),
        ));
    }
    let good = |text: &String| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !list.iter().all(good) {
        return Err(Error::InvalidInput("Thumbprint is not a SHA-1 hash in hexadecimal.".into()));
    }
    Ok(())
}

/// Trusts an issuer. Without thumbprints nothing vouches for it: AWS would ask public
/// authorities, which this region does not know.
///
/// AWS: CreateOpenIDConnectProvider.
///
/// # Errors
///
/// [`Error::InvalidInput`], [`Error::EntityAlreadyExists`], [`Error::LimitExceeded`].
pub(crate) async fn create_open_id_connect_provider(
    ctx: Ctx,
    input: CreateOpenIDConnectProviderInput,
) -> Result<CreateOpenIDConnectProviderOutput> {
    let issuer = input.url.strip_prefix("https://").unwrap_or_default();
    let issuer = issuer.trim_end_matches('/').to_owned();
    let resource = arn(&ctx, &issuer);
    let keys = Keys::new().sets(&input.tags);
    access::require(&ctx, "CreateOpenIDConnectProvider", &resource, keys).await?;
    if issuer.is_empty() || issuer.contains(['?', '#', ' ']) {
        return Err(Error::Validation(
            "Invalid Open ID Connect Provider URL. The URL must begin with https://".to_owned(),
        ));
    }
    if input.thumbprint_list.is_empty() {
        return Err(Error::InvalidInput(
            "ThumbprintList is needed: this region asks no public authorities.".to_owned(),
        ));
    }
    check_thumbprints(&input.thumbprint_list)?;
    if input.client_id_list.len() > CLIENT_IDS_MAX {
        return Err(Error::quota("ClientIdsPerOpenIdConnectProvider", CLIENT_IDS_MAX));
    }
    let provider = OidcIdp {
        issuer,
        client_ids: input.client_id_list,
        thumbprints: input.thumbprint_list,
        created: ctx.now(),
        tags: tag::from_request(&ctx, &input.tags)?,
    };
    ctx.store
        .write(|tx| {
            if tx.contains(&OIDC_IDPS, &provider.issuer)? {
                return Err(Error::EntityAlreadyExists(format!(
                    "Provider with url https://{} already exists.",
                    provider.issuer
                )));
            }
            if tx.scan(&OIDC_IDPS, ())?.len() >= PROVIDERS_MAX {
                return Err(Error::quota("OpenIdConnectProvidersPerAccount", PROVIDERS_MAX));
            }
            Ok(tx.put(&OIDC_IDPS, &provider)?)
        })
        .await?;
    Ok(CreateOpenIDConnectProviderOutput {
        open_id_connect_provider_arn: Some(resource),
        tags: tag::view(&provider.tags),
    })
}

/// What is known of an issuer.
///
/// AWS: GetOpenIDConnectProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_open_id_connect_provider(
    ctx: Ctx,
    input: GetOpenIDConnectProviderInput,
) -> Result<GetOpenIDConnectProviderOutput> {
    let arn = &input.open_id_connect_provider_arn;
    access::require(&ctx, "GetOpenIDConnectProvider", arn, Keys::new()).await?;
    let issuer = issuer_of(&ctx, arn)?;
    let found = ctx.store.read(|tx| get(tx, &issuer, arn)).await?;
    Ok(GetOpenIDConnectProviderOutput {
        url: Some(found.issuer),
        client_id_list: found.client_ids,
        thumbprint_list: found.thumbprints,
        create_date: Some(date(found.created)),
        tags: tag::view(&found.tags),
    })
}

/// The issuers that the account trusts.
///
/// AWS: ListOpenIDConnectProviders.
pub(crate) async fn list_open_id_connect_providers(
    ctx: Ctx,
    _input: ListOpenIDConnectProvidersInput,
) -> Result<ListOpenIDConnectProvidersOutput> {
    access::require(&ctx, "ListOpenIDConnectProviders", "*", Keys::new()).await?;
    let all = ctx.store.read(|tx| tx.scan(&OIDC_IDPS, ())).await?;
    let entry =
        |found: &OidcIdp| OpenIDConnectProviderListEntry { arn: Some(arn(&ctx, &found.issuer)) };
    Ok(ListOpenIDConnectProvidersOutput {
        open_id_connect_provider_list: all.iter().map(entry).collect(),
    })
}

/// Trusts an issuer no more. Deleting one that is not there succeeds, as AWS says.
///
/// AWS: DeleteOpenIDConnectProvider.
pub(crate) async fn delete_open_id_connect_provider(
    ctx: Ctx,
    input: DeleteOpenIDConnectProviderInput,
) -> Result<DeleteOpenIDConnectProviderOutput> {
    let arn = &input.open_id_connect_provider_arn;
    access::require(&ctx, "DeleteOpenIDConnectProvider", arn, Keys::new()).await?;
    let issuer = issuer_of(&ctx, arn)?;
    ctx.store.write(|tx| tx.delete(&OIDC_IDPS, &issuer).map(|_| ())).await?;
    Ok(DeleteOpenIDConnectProviderOutput {})
}

/// Changes a provider, once the caller may do `action` on it.
async fn change(
    ctx: &Ctx,
    action: &str,
    arn: &str,
    keys: Keys,
    with: impl Fn(&mut OidcIdp) -> Result<()> + Send + Sync,
) -> Result<()> {
    access::require(ctx, action, arn, keys).await?;
    let issuer = issuer_of(ctx, arn)?;
    ctx.store
        .write(|tx| {
            let mut found = get(tx, &issuer, arn)?;
            with(&mut found)?;
            Ok(tx.put(&OIDC_IDPS, &found)?)
        })
        .await
}

/// Lets an issuer speak to one more audience.
///
/// AWS: AddClientIDToOpenIDConnectProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::LimitExceeded`].
pub(crate) async fn add_client_id_to_open_id_connect_provider(
    ctx: Ctx,
    input: AddClientIDToOpenIDConnectProviderInput,
) -> Result<AddClientIDToOpenIDConnectProviderOutput> {
    let arn = &input.open_id_connect_provider_arn;
    change(&ctx, "AddClientIDToOpenIDConnectProvider", arn, Keys::new(), |found| {
        if !found.client_ids.contains(&input.client_id) {
            found.client_ids.push(input.client_id.clone());
        }
        if found.client_ids.len() > CLIENT_IDS_MAX {
            return Err(Error::quota("ClientIdsPerOpenIdConnectProvider", CLIENT_IDS_MAX));
        }
        Ok(())
    })
    .await?;
    Ok(AddClientIDToOpenIDConnectProviderOutput {})
}

/// Lets an issuer speak to an audience no more.
///
/// AWS: RemoveClientIDFromOpenIDConnectProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn remove_client_id_from_open_id_connect_provider(
    ctx: Ctx,
    input: RemoveClientIDFromOpenIDConnectProviderInput,
) -> Result<RemoveClientIDFromOpenIDConnectProviderOutput> {
    let arn = &input.open_id_connect_provider_arn;
    change(&ctx, "RemoveClientIDFromOpenIDConnectProvider", arn, Keys::new(), |found| {
        found.client_ids.retain(|id| *id != input.client_id);
        Ok(())
    })
    .await?;
    Ok(RemoveClientIDFromOpenIDConnectProviderOutput {})
}

/// Sets which certificates vouch for an issuer.
///
/// AWS: UpdateOpenIDConnectProviderThumbprint.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::InvalidInput`].
pub(crate) async fn update_open_id_connect_provider_thumbprint(
    ctx: Ctx,
    input: UpdateOpenIDConnectProviderThumbprintInput,
) -> Result<UpdateOpenIDConnectProviderThumbprintOutput> {
    let arn = &input.open_id_connect_provider_arn;
    change(&ctx, "UpdateOpenIDConnectProviderThumbprint", arn, Keys::new(), |found| {
        check_thumbprints(&input.thumbprint_list)?;
        found.thumbprints.clone_from(&input.thumbprint_list);
        Ok(())
    })
    .await?;
    Ok(UpdateOpenIDConnectProviderThumbprintOutput {})
}

/// Sets tags of a provider.
///
/// AWS: TagOpenIDConnectProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn tag_open_id_connect_provider(
    ctx: Ctx,
    input: TagOpenIDConnectProviderInput,
) -> Result<TagOpenIDConnectProviderOutput> {
    let arn = &input.open_id_connect_provider_arn;
    let keys = Keys::new().sets(&input.tags);
    let wanted = tag::from_request(&ctx, &input.tags)?;
    change(&ctx, "TagOpenIDConnectProvider", arn, keys, |found| {
        tag::merge(&mut found.tags, &wanted)
    })
    .await?;
    Ok(TagOpenIDConnectProviderOutput {})
}

/// Takes tags of a provider away.
///
/// AWS: UntagOpenIDConnectProvider.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn untag_open_id_connect_provider(
    ctx: Ctx,
    input: UntagOpenIDConnectProviderInput,
) -> Result<UntagOpenIDConnectProviderOutput> {
    let arn = &input.open_id_connect_provider_arn;
    let keys = Keys::new().names(input.tag_keys.clone());
    change(&ctx, "UntagOpenIDConnectProvider", arn, keys, |found| {
        tag::cut(&mut found.tags, &input.tag_keys);
        Ok(())
    })
    .await?;
    Ok(UntagOpenIDConnectProviderOutput {})
}

/// The tags of a provider.
///
/// AWS: ListOpenIDConnectProviderTags.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_open_id_connect_provider_tags(
    ctx: Ctx,
    input: ListOpenIDConnectProviderTagsInput,
) -> Result<ListOpenIDConnectProviderTagsOutput> {
    let arn = &input.open_id_connect_provider_arn;
    access::require(&ctx, "ListOpenIDConnectProviderTags", arn, Keys::new()).await?;
    let issuer = issuer_of(&ctx, arn)?;
    let found = ctx.store.read(|tx| get(tx, &issuer, arn)).await?;
    let page = tag::page(&found.tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListOpenIDConnectProviderTagsOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        tags: page.items,
    })
}
