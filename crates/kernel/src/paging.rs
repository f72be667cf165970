//! Pages of a list that is sorted by a key. A token names the last key shown, so that a page
//! neither repeats nor misses what stayed in the list between two calls.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A page token that this region did not give out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the page token is not valid")]
pub struct InvalidToken;

/// One page and the token of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, at most the limit.
    pub items: Vec<T>,
    /// Where the next page starts; none on the last.
    pub next: Option<String>,
}

/// The page of `items` behind `token`, at most `limit` long. Sorts by `key`, which must be unique.
///
/// # Errors
///
/// [`InvalidToken`] when the token is not one of ours.
pub fn page<T>(
    mut items: Vec<T>,
    token: Option<&str>,
    limit: usize,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>, InvalidToken> {
    items.sort_by_key(&key);
    if let Some(token) = token {
        let after = decode(token)?;
        items.retain(|item| key(item) > after);
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(|item| encode(&key(item))) } else { None };
    Ok(Page { items, next })
}

fn encode(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1:{key}"))
}

fn decode(token: &str) -> Result<String, InvalidToken> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken)?;
    let text = String::from_utf8(bytes).map_err(|_| InvalidToken)?;
    text.strip_prefix("1:").map(str::to_owned).ok_or(InvalidToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_list_once() {
        let all: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let page = page(all.clone(), token.as_deref(), 10, String::clone).unwrap();
            seen.extend(page.items);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        assert_eq!(page(all, Some("garbage!"), 10, String::clone), Err(InvalidToken));
    }
}
