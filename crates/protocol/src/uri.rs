//! The templates of the REST protocols' paths and queries.

use crate::percent;

/// A template such as `/{Bucket}/{Key+}?acl`.
#[derive(Debug, Clone, Default)]
pub struct UriTemplate {
    /// The parts of the path.
    pub segments: Vec<Segment>,
    /// Parameters that must be there, with this value if one is given.
    pub query: Vec<(&'static str, Option<&'static str>)>,
}

/// A part of a path between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Itself.
    Literal(&'static str),
    /// Anything without a slash.
    Label(&'static str),
    /// Anything.
    Greedy(&'static str),
}

/// The labels that a path gave, percent-decoded, by the template's names.
pub type Labels = Vec<(&'static str, String)>;

impl UriTemplate {
    /// Takes a template apart.
    pub fn parse(template: &'static str) -> Self {
        let (path, query) = template.split_once('?').unwrap_or((template, ""));
        let segments = path.split('/').filter(|s| !s.is_empty()).map(segment).collect();
        let query = query.split('&').filter(|p| !p.is_empty());
        let query = query.map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (pair, None),
        });
        Self { segments, query: query.collect() }
    }

    /// Whether a path fits, and the labels it gives.
    ///
    /// `path` is percent-encoded and split at its slashes before it is decoded, so that an encoded
    /// slash stays in its label.
    pub fn match_path(&self, path: &str) -> Option<Labels> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut labels = Labels::new();
        let mut rest = Some(path);
        for (index, segment) in self.segments.iter().enumerate() {
            let here = rest?;
            match segment {
                Segment::Greedy(name) => {
                    let after = self.segments.len() - index - 1;
                    let (taken, left) = split_tail(here, after)?;
                    if taken.is_empty() {
                        return None;
                    }
                    labels.push((name, percent::decode(taken)));
                    rest = left;
                }
                Segment::Label(name) => {
                    let (taken, left) = split_head(here);
                    if taken.is_empty() {
                        return None;
                    }
                    labels.push((name, percent::decode(taken)));
                    rest = left;
                }
                Segment::Literal(literal) => {
                    let (taken, left) = split_head(here);
                    if percent::decode(taken) != *literal {
                        return None;
                    }
                    rest = left;
                }
            }
        }
        // One slash at the end is allowed, as AWS does (`GET /bucket/`).
        rest.is_none_or(str::is_empty).then_some(labels)
    }

    /// Whether a query has what the template demands.
    pub fn match_query(&self, query: &[(String, String)]) -> bool {
        self.query.iter().all(|(name, value)| {
            query.iter().any(|(n, v)| n == name && value.is_none_or(|value| v == value))
        })
    }

    /// How many parts of the path are literal; more is more specific.
    pub fn literals(&self) -> usize {
        self.segments.iter().filter(|s| matches!(s, Segment::Literal(_))).count()
    }

    /// Whether the path ends in a label that takes slashes.
    pub fn is_greedy(&self) -> bool {
        self.segments.iter().any(|s| matches!(s, Segment::Greedy(_)))
    }
}

fn segment(text: &'static str) -> Segment {
    let Some(label) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        return Segment::Literal(text);
    };
    label.strip_suffix('+').map_or(Segment::Label(label), Segment::Greedy)
}

fn split_head(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(head, tail)| (head, Some(tail)))
}

/// Splits `path` before its last `count` segments.
fn split_tail(path: &str, count: usize) -> Option<(&str, Option<&str>)> {
    if count == 0 {
        return Some((path, None));
    }
    let (at, _) = path.rmatch_indices('/').nth(count - 1)?;
    Some((path.get(..at)?, path.get(at + 1..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_give_their_labels() {
        let check = |template, path: &str, want: Option<&[(&str, &str)]>| {
            let got = UriTemplate::parse(template).match_path(path);
            let got = got.map(|l| l.into_iter().collect::<Vec<_>>());
            let want =
                want.map(|w| w.iter().map(|(n, v)| (*n, (*v).to_owned())).collect::<Vec<_>>());
            assert_eq!(
                got.map(|g| g.into_iter().map(|(n, v)| (n.to_owned(), v)).collect::<Vec<_>>()),
                want.map(|g| g.into_iter().map(|(n, v)| (n.to_owned(), v)).collect::<Vec<_>>()),
                "{template} {path}"
            );
        };
        check("/{Bucket}/{Key+}", "/b/a/c%2Fd%20e", Some(&[("Bucket", "b"), ("Key", "a/c/d e")]));
        check("/{Bucket}/{Key+}", "/b/", None);
        check("/{Bucket}/{Key+}", "/b/dir/", Some(&[("Bucket", "b"), ("Key", "dir/")]));
        check("/{Bucket}?acl", "/b/", Some(&[("Bucket", "b")]));
        check("/{Bucket}", "/b", Some(&[("Bucket", "b")]));
        check("/", "/", Some(&[]));
        check("/", "", Some(&[]));
        check("/tags/{arn+}/end", "/tags/a/b/end", Some(&[("arn", "a/b")]));
        check("/2013-04-01/hostedzone/{Id}", "/2013-04-01/hostedzone/Z1", Some(&[("Id", "Z1")]));
        check("/a/{Id}", "/b/Z1", None);
        check("/a/{Id}", "/a/x%2Fy", Some(&[("Id", "x/y")]));
    }
}
