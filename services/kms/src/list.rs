//! The list of keys.

use kernel::paging;
use kms_api::{KeyListEntry, ListKeysInput, ListKeysOutput, ResourceOwnerType};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{KEYS, Key};

/// AWS: ListKeys, `Limit`.
const PAGE: i32 = 100;

/// Lists the keys of the account and region.
///
/// AWS: ListKeys.
///
/// # Errors
///
/// [`Error::InvalidMarker`], [`Error::NotImplemented`] for keys that others share.
pub(crate) async fn list_keys(ctx: Ctx, input: ListKeysInput) -> Result<ListKeysOutput> {
    if input.resource_owners.contains(&ResourceOwnerType::OtherAccountsViaRam) {
        return Err(Error::NotImplemented(
            "Keys that are shared through AWS RAM are not implemented yet.".to_owned(),
        ));
    }
    let found = ctx.store.read(|tx| tx.scan(&KEYS, ())).await?;
    let limit = usize::try_from(input.limit.unwrap_or(PAGE)).unwrap_or(1);
    let page = paging::page(found, input.marker.as_deref(), limit, |key| key.id.clone())
        .map_err(|_| Error::InvalidMarker)?;
    let entry = |key: Key| KeyListEntry { key_id: Some(key.id), key_arn: Some(key.arn) };
    let truncated = Some(page.next.is_some());
    let keys = page.items.into_iter().map(entry).collect();
    Ok(ListKeysOutput { keys, next_marker: page.next, truncated })
}
