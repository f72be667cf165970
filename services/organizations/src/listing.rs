//! Pages of lists, by `NextToken` and `MaxResults`.

use kernel::paging::{self, Page};

use crate::error::{Error, Result};

/// How long a page is, at most and by default. AWS: ListAccounts, `MaxResults`.
const RESULTS_MAX: usize = 20;

/// The page of `items` that the caller asked for, ordered by `key`.
///
/// # Errors
///
/// [`Error::InvalidInput`] for a token that this region did not give out.
pub(crate) fn page<T>(
    items: Vec<T>,
    token: Option<&str>,
    max_results: Option<i32>,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>> {
    let limit = max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(RESULTS_MAX);
    paging::page(items, token, limit.min(RESULTS_MAX), key).map_err(|_| {
        Error::input(
            "INVALID_NEXT_TOKEN",
            "Get the NextToken parameter from the response to a \
                                            previous call of the operation.",
        )
    })
}
