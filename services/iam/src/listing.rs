//! Pages of lists, by `Marker` and `MaxItems`.

use kernel::paging::{self, Page};

use crate::error::{Error, Result};

/// How long a page is when the caller does not say. AWS: ListUsers, `MaxItems`.
const ITEMS_DEFAULT: usize = 100;

/// The page of `items` that the caller asked for, ordered by `key`.
///
/// # Errors
///
/// [`Error::Validation`] for a marker that this region did not give out.
pub(crate) fn page<T>(
    items: Vec<T>,
    marker: Option<&str>,
    max_items: Option<i32>,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>> {
    let limit = max_items.and_then(|n| usize::try_from(n).ok()).unwrap_or(ITEMS_DEFAULT);
    paging::page(items, marker, limit, key)
        .map_err(|_| Error::Validation("Invalid Marker.".to_owned()))
}

/// Whether `path` lies under the prefix that the caller asked for.
pub(crate) fn under(path: &str, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| path.starts_with(prefix))
}
