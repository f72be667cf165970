//! What the `Describe…` operations share: page sizes and markers.

use kernel::paging;

use crate::error::{Error, Result};

/// The default and largest page, and the smallest.
///
/// AWS: DescribeCacheClusters, `MaxRecords`.
const RECORDS_MAX: i32 = 100;
const RECORDS_MIN: i32 = 20;

/// The size of a page.
pub(crate) fn limit(asked: Option<i32>) -> Result<usize> {
    let asked = asked.unwrap_or(RECORDS_MAX);
    if !(RECORDS_MIN..=RECORDS_MAX).contains(&asked) {
        return Err(Error::value(format!(
            "Invalid value {asked} for MaxRecords. Must be between {RECORDS_MIN} and {RECORDS_MAX}"
        )));
    }
    usize::try_from(asked).map_err(|_| Error::value("Invalid value for MaxRecords."))
}

pub(crate) fn bad_marker() -> Error {
    Error::value("The Marker provided is invalid.")
}

/// A page of `items` and the marker of the next.
pub(crate) fn page<T>(
    items: Vec<T>,
    marker: Option<&str>,
    max_records: Option<i32>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>)> {
    let page = paging::page(items, marker, limit(max_records)?, key).map_err(|_| bad_marker())?;
    Ok((page.items, page.next))
}
