//! What the `Describe…` operations share: selection by filters and pages. Filters look at what is
//! answered, so that a value that is shown can always be asked for.

use ec2_api::{Filter, Tag};

use crate::error::{Error, Result};

/// The most values of all filters of a call.
const FILTER_VALUES_MAX: usize = 200;

/// A filter's name and what it looks at.
pub(crate) type Field<T> = (&'static str, fn(&T) -> Vec<String>);

/// The `items` that pass `filters`.
///
/// AWS: "List and filter using the CLI and API".
pub(crate) fn select<T>(
    items: Vec<T>,
    filters: &[Filter],
    fields: &[Field<T>],
    tags: fn(&T) -> &[Tag],
) -> Result<Vec<T>> {
    let filters = filters.iter().map(filter_from).collect::<Result<Vec<_>>>()?;
    if filters.iter().map(|filter| filter.values.len()).sum::<usize>() > FILTER_VALUES_MAX {
        return Err(Error::FilterLimitExceeded);
    }
    for filter in &filters {
        let of_tags = filter.name.starts_with("tag:")
            || matches!(filter.name.as_str(), "tag-key" | "tag-value");
        if !of_tags && !fields.iter().any(|(name, _)| *name == filter.name) {
            return Err(kernel::filter::UnknownFilter(filter.name.clone()).into());
        }
    }
    let mut selected = Vec::new();
    for item in items {
        let tags = crate::tags::from_wire(tags(&item));
        let look_up = |name: &str| {
            fields.iter().find(|(known, _)| *known == name).map(|(_, values)| values(&item))
        };
        if kernel::filter::passes(&filters, &tags, look_up)? {
            selected.push(item);
        }
    }
    Ok(selected)
}

fn filter_from(filter: &Filter) -> Result<kernel::filter::Filter> {
    let name = filter.name.clone().ok_or_else(|| Error::value("The filter 'null' is invalid"))?;
    Ok(kernel::filter::Filter { name, values: filter.values.clone() })
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) ids: &'a [String],
    pub(crate) max_results: Option<i32>,
    pub(crate) next_token: Option<&'a str>,
}

/// The page of `items` that is asked for and the token of the next.
pub(crate) fn page<T>(
    items: Vec<T>,
    asked: Asked<'_>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>)> {
    if !asked.ids.is_empty() && asked.max_results.is_some() {
        return Err(Error::InvalidParameterCombination(
            "The parameter maxResults cannot be used with the parameter for IDs".to_owned(),
        ));
    }
    let limit = asked.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let page = kernel::paging::page(items, asked.next_token, limit, key)?;
    Ok((page.items, page.next))
}

/// Keeps the items that are named; all when none is. `missing` makes the error of a name that no
/// item has.
pub(crate) fn named<T>(
    items: Vec<T>,
    names: &[String],
    name: impl Fn(&T) -> &str,
    missing: impl Fn(String) -> Error,
) -> Result<Vec<T>> {
    if names.is_empty() {
        return Ok(items);
    }
    let unknown = names.iter().find(|wanted| !items.iter().any(|item| name(item) == *wanted));
    if let Some(unknown) = unknown {
        return Err(missing(unknown.clone()));
    }
    Ok(items.into_iter().filter(|item| names.iter().any(|wanted| name(item) == wanted)).collect())
}

/// The values of a filter on an optional text.
pub(crate) fn text(value: Option<&String>) -> Vec<String> {
    value.cloned().into_iter().collect()
}

/// The values of a filter on something that prints.
pub(crate) fn shown(value: Option<impl ToString>) -> Vec<String> {
    value.map(|value| value.to_string()).into_iter().collect()
}
