//! Lists of secrets and of their versions.

use kernel::paging;
use secretsmanager_api::{
    Filter, FilterNameStringType, ListSecretVersionIdsInput, ListSecretVersionIdsOutput,
    ListSecretsInput, ListSecretsOutput, SecretListEntry, SecretVersionsListEntry, SortByType,
    SortOrderType,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{SECRETS, Secret, find};
use crate::tags::shown;

/// AWS: ListSecrets, `MaxResults`.
const PAGE: i32 = 100;

/// Lists secrets.
///
/// AWS: ListSecrets.
///
/// # Errors
///
/// [`Error::InvalidNextToken`].
pub(crate) async fn list_secrets(ctx: Ctx, input: ListSecretsInput) -> Result<ListSecretsOutput> {
    let mut found = ctx.store.read(|tx| tx.scan(&SECRETS, ())).await?;
    let deleted = input.include_planned_deletion.unwrap_or(false);
    found.retain(|secret| deleted || secret.deletion.is_none());
    found.retain(|secret| input.filters.iter().all(|filter| passes(secret, filter)));
    let by = input.sort_by.unwrap_or(SortByType::CreatedDate);
    let sort_key = |secret: &Secret| {
        let at = match by {
            SortByType::Name => return secret.name.clone(),
            SortByType::LastChangedDate => secret.changed,
            SortByType::LastAccessedDate => secret.accessed.unwrap_or(secret.created),
            SortByType::CreatedDate => secret.created,
        };
        format!("{:020}/{}", at.as_millis(), secret.name)
    };
    let descends = input.sort_order == Some(SortOrderType::Desc);
    let key = |secret: &Secret| {
        let key = sort_key(secret);
        if descends { mirrored(&key) } else { key }
    };
    let limit = usize::try_from(input.max_results.unwrap_or(PAGE)).unwrap_or(1);
    let page = paging::page(found, input.next_token.as_deref(), limit, key)
        .map_err(|_| Error::InvalidNextToken)?;
    let secret_list = page.items.into_iter().map(entry).collect();
    Ok(ListSecretsOutput { secret_list, next_token: page.next })
}

/// A key that sorts the other way round.
fn mirrored(key: &str) -> String {
    let turned = key.bytes().fold(String::new(), |text, byte| format!("{text}{:02x}", 255 - byte));
    // What goes on sorts before what ends here.
    turned + "~"
}

fn entry(secret: Secret) -> SecretListEntry {
    let secret_versions_to_stages = secret.shown_stages();
    SecretListEntry {
        kms_key_id: secret.key,
        arn: Some(secret.arn),
        name: Some(secret.name),
        description: secret.description,
        last_changed_date: Some(secret.changed),
        last_accessed_date: secret.accessed,
        deleted_date: secret.deleted,
        tags: shown(&secret.tags),
        secret_versions_to_stages,
        owning_service: secret.owning_service,
        created_date: Some(secret.created),
        ..SecretListEntry::default()
    }
}

/// A filter's values are prefixes; one that starts with `!` must not match.
fn passes(secret: &Secret, filter: &Filter) -> bool {
    let description = secret.description.clone().unwrap_or_default();
    let keys = || secret.tags.keys().cloned();
    let values = || secret.tags.values().cloned();
    let owner = secret.owning_service.clone().unwrap_or_default();
    let found: Vec<String> = match filter.key {
        Some(FilterNameStringType::Name) => vec![secret.name.clone()],
        Some(FilterNameStringType::Description) => vec![description],
        Some(FilterNameStringType::TagKey) => keys().collect(),
        Some(FilterNameStringType::TagValue) => values().collect(),
        Some(FilterNameStringType::OwningService) => vec![owner],
        Some(FilterNameStringType::PrimaryRegion) => Vec::new(),
        Some(FilterNameStringType::All) | None => {
            [secret.name.clone(), description].into_iter().chain(keys()).chain(values()).collect()
        }
    };
    let any_case = matches!(
        filter.key,
        Some(FilterNameStringType::Description | FilterNameStringType::All) | None
    );
    let starts = |value: &String, prefix: &str| {
        if any_case {
            value.to_lowercase().starts_with(&prefix.to_lowercase())
        } else {
            value.starts_with(prefix)
        }
    };
    filter.values.iter().any(|wanted| match wanted.strip_prefix('!') {
        Some(unwanted) => !found.iter().any(|value| starts(value, unwanted)),
        None => found.iter().any(|value| starts(value, wanted)),
    })
}

/// Lists the versions of a secret.
///
/// AWS: ListSecretVersionIds.
///
/// # Errors
///
/// [`Error::SecretNotFound`], [`Error::InvalidNextToken`].
pub(crate) async fn list_secret_version_ids(
    ctx: Ctx,
    input: ListSecretVersionIdsInput,
) -> Result<ListSecretVersionIdsOutput> {
    let secret = ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?;
    let limit = usize::try_from(input.max_results.unwrap_or(PAGE)).unwrap_or(1);
    // Versions without a stage are deprecated.
    let deprecated = input.include_deprecated.unwrap_or(false);
    let mut versions = secret.versions;
    versions.retain(|version| deprecated || !version.stages.is_empty());
    let page = paging::page(versions, input.next_token.as_deref(), limit, |v| v.id.clone())
        .map_err(|_| Error::InvalidNextToken)?;
    let versions = page.items.into_iter().map(|version| SecretVersionsListEntry {
        version_id: Some(version.id),
        version_stages: version.stages.into_iter().collect(),
        last_accessed_date: version.accessed,
        created_date: Some(version.created),
        kms_key_ids: vec![version.key.unwrap_or_else(|| "DefaultEncryptionKey".to_owned())],
    });
    Ok(ListSecretVersionIdsOutput {
        versions: versions.collect(),
        next_token: page.next,
        arn: Some(secret.arn),
        name: Some(secret.name),
    })
}
