//! Pages of the `Describe…` operations, and the lists of names and ARNs that they take.

use kernel::paging::Page;

use crate::error::{Error, Result, invalid};

/// Results on a page when none are asked for.
///
/// AWS: DescribeLoadBalancers (`PageSize`, at most 400).
const PAGE_MAX: usize = 400;
/// Names or ARNs that one call may ask for.
const ASKED_MAX: usize = 20;

/// The page behind `marker`.
pub(crate) fn page<T>(
    items: Vec<T>,
    marker: Option<&str>,
    size: Option<i32>,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>> {
    let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE_MAX);
    kernel::paging::page(items, marker, size.clamp(1, PAGE_MAX), key)
        .map_err(|_| invalid("The marker is not valid"))
}

/// Keeps what was asked for (everything, if nothing was), and refuses what is not there.
pub(crate) fn asked_for<T>(
    items: Vec<T>,
    asked: &[String],
    key: impl Fn(&T) -> String,
    missing: impl Fn(String) -> Error,
) -> Result<Vec<T>> {
    if asked.is_empty() {
        return Ok(items);
    }
    if asked.len() > ASKED_MAX {
        return Err(invalid(format!("At most '{ASKED_MAX}' can be asked for at once")));
    }
    let kept: Vec<T> = items.into_iter().filter(|item| asked.contains(&key(item))).collect();
    let absent: Vec<&str> = asked
        .iter()
        .filter(|asked| !kept.iter().any(|item| key(item) == **asked))
        .map(String::as_str)
        .collect();
    if absent.is_empty() { Ok(kept) } else { Err(missing(absent.join(", "))) }
}
