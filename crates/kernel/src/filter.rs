//! Filters of the `Describe…` operations, as EC2 defined them: values of one filter are
//! alternatives, filters must all hold, `*` and `?` are wildcards, case counts.
//!
//! AWS: "List and filter using the CLI and API" (Amazon EC2 User Guide).

use base::Tags;

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What is looked at, as `vpc-id` or `tag:Name`.
    pub name: String,
    /// The alternatives.
    pub values: Vec<String>,
}

/// A filter's name is none that the operation knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The filter '{0}' is invalid")]
pub struct UnknownFilter(pub String);

/// Whether a resource passes. `look_up` gives the resource's values for a filter name, or nothing
/// when it knows no such filter; `tag:…`, `tag-key` and `tag-value` are answered from `tags`.
///
/// # Errors
///
/// [`UnknownFilter`] when neither knows the name.
pub fn passes(
    filters: &[Filter],
    tags: &Tags,
    look_up: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<bool, UnknownFilter> {
    for filter in filters {
        let found = tag_values(&filter.name, tags)
            .or_else(|| look_up(&filter.name))
            .ok_or_else(|| UnknownFilter(filter.name.clone()))?;
        let holds = found.iter().any(|v| filter.values.iter().any(|p| wildcard_matches(p, v)));
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn tag_values(name: &str, tags: &Tags) -> Option<Vec<String>> {
    match name {
        "tag-key" => Some(tags.keys().cloned().collect()),
        "tag-value" => Some(tags.values().cloned().collect()),
        _ => {
            let key = name.strip_prefix("tag:")?;
            Some(tags.get(key).cloned().into_iter().collect())
        }
    }
}

/// Whether `text` matches `pattern`, in which `*` is any run, `?` any character, and `\` takes the
/// next character as it is.
pub fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<(char, bool)> = unescape(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(('*', true)), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(('?', true)), _) => (p, t) = (p + 1, t + 1),
            (Some((c, _)), Some(d)) if c == d => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    (p, t) = (at + 1, from + 1);
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == ('*', true))
}

fn unescape(pattern: &str) -> Vec<(char, bool)> {
    let mut out = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|next| (next, false))),
            '*' | '?' => out.push((c, true)),
            _ => out.push((c, false)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_ec2_documents() {
        for (pattern, text, want) in [
            ("web", "web", true),
            ("web", "Web", false),
            ("web*", "web-1", true),
            ("*-1", "web-1", true),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("*a*b*", "xaxxbx", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(wildcard_matches(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn values_are_alternatives_and_filters_all_hold() {
        let tags = Tags::from([("Name".to_owned(), "a".to_owned())]);
        let look_up = |name: &str| (name == "vpc-id").then(|| vec!["vpc-1".to_owned()]);
        let filter = |name: &str, values: &[&str]| Filter {
            name: name.to_owned(),
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        };
        let both = [filter("vpc-id", &["vpc-0", "vpc-1"]), filter("tag:Name", &["a"])];
        assert_eq!(passes(&both, &tags, look_up), Ok(true));
        assert_eq!(passes(&[filter("tag:Name", &["b"])], &tags, look_up), Ok(false));
        assert!(passes(&[filter("colour", &["red"])], &tags, look_up).is_err());
    }
}
