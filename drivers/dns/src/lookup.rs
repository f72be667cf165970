//! Finding a name: pure, over an index of the document.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::zones::{Names, Records};

/// Aliases that are followed before a chain is taken for a loop.
const ALIASES_MAX: usize = 8;

/// What one listener's clients may ask for: a VPC's names before the shared ones.
#[derive(Debug, Default)]
pub(crate) struct View {
    indexes: Vec<Arc<Index>>,
}

/// Names, made quick to find.
#[derive(Debug, Default)]
pub(crate) struct Index {
    records: HashMap<String, Records>,
    /// Names that exist only because there are names below them.
    parents: HashSet<String>,
    reverse: HashMap<Ipv4Addr, String>,
    authoritative: HashSet<String>,
}

/// What is known of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Each name of the chain of aliases with the one it stands for, and how long it holds.
    pub(crate) aliases: Vec<(String, String, u32)>,
    pub(crate) end: End,
}

/// Where a chain of aliases ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Records(String, Records),
    /// The name exists, without any records.
    Nothing(String),
    /// There is no such name.
    Missing(String),
    /// The name is not ours to know.
    Elsewhere(String),
    /// The chain has no end.
    Loop,
}

impl Index {
    pub(crate) fn new(names: &Names) -> Self {
        let mut index = Self::default();
        for (name, records) in &names.records {
            let name = normal(name);
            let mut parent = name.as_str();
            while let Some((_, above)) = parent.split_once('.') {
                index.parents.insert(above.to_owned());
                parent = above;
            }
            index.records.insert(name, records.clone());
        }
        index.reverse = names.reverse.iter().map(|(at, name)| (*at, normal(name))).collect();
        index.authoritative = names.authoritative.iter().map(|name| normal(name)).collect();
        index
    }
}

impl View {
    pub(crate) fn new(indexes: Vec<Arc<Index>>) -> Self {
        Self { indexes }
    }

    /// Follows a name, which must be in its [`normal`] form, to its end.
    pub(crate) fn find(&self, name: &str) -> Found {
        let mut aliases: Vec<(String, String, u32)> = Vec::new();
        let mut name = name.to_owned();
        loop {
            if aliases.len() > ALIASES_MAX {
                return Found { aliases: Vec::new(), end: End::Loop };
            }
            let records = self.exact(&name).or_else(|| self.wildcard(&name));
            match records {
                Some(records) if records.addresses.is_empty() && records.alias.is_some() => {
                    let target = normal(records.alias.as_deref().unwrap_or_default());
                    aliases.push((name, target.clone(), records.ttl()));
                    name = target;
                }
                Some(records) => {
                    return Found { aliases, end: End::Records(name, records.clone()) };
                }
                None => {
                    let end = if self.indexes.iter().any(|index| index.parents.contains(&name)) {
                        End::Nothing(name)
                    } else if self.domain_of(&name).is_some() {
                        End::Missing(name)
                    } else {
                        End::Elsewhere(name)
                    };
                    return Found { aliases, end };
                }
            }
        }
    }

    /// The name of an address.
    pub(crate) fn reverse(&self, address: Ipv4Addr) -> Option<&str> {
        self.indexes.iter().find_map(|index| index.reverse.get(&address)).map(String::as_str)
    }

    /// The nearest authoritative domain that holds a name.
    pub(crate) fn domain_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        ancestors(name).find(|domain| self.is_authoritative(domain))
    }

    fn is_authoritative(&self, domain: &str) -> bool {
        self.indexes.iter().any(|index| index.authoritative.contains(domain))
    }

    fn exact(&self, name: &str) -> Option<&Records> {
        self.indexes.iter().find_map(|index| index.records.get(name))
    }

    /// The wildcard that stands for a name: the nearest one, unless a domain of ours lies between.
    fn wildcard(&self, name: &str) -> Option<&Records> {
        if self.is_authoritative(name) || self.indexes.iter().any(|it| it.parents.contains(name)) {
            return None;
        }
        for domain in ancestors(name).skip(1) {
            if let Some(records) = self.exact(&format!("*.{domain}")) {
                return Some(records);
            }
            if self.is_authoritative(domain) {
                return None;
            }
        }
        None
    }
}

/// A name and the domains above it.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, above)| above))
}

/// A name in lower case and without its last dot.
pub(crate) fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The address that a reverse name (`5.1.0.10.in-addr.arpa`) asks for.
pub(crate) fn reversed_address(name: &str) -> Option<Ipv4Addr> {
    let mut bytes = [0; 4];
    let mut parts = name.strip_suffix(".in-addr.arpa")?.split('.');
    for byte in bytes.iter_mut().rev() {
        *byte = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(records: &[(&str, Records)], authoritative: &[&str]) -> Arc<Index> {
        Arc::new(Index::new(&Names {
            records: records.iter().map(|(name, it)| ((*name).to_owned(), it.clone())).collect(),
            reverse: [(Ipv4Addr::new(10, 0, 1, 5), "ip-10-0-1-5.test".to_owned())].into(),
            authoritative: authoritative.iter().map(|name| (*name).to_owned()).collect(),
        }))
    }

    fn address(last: u8) -> Records {
        Records::addresses([Ipv4Addr::new(10, 0, 0, last)])
    }

    fn view() -> View {
        let private = names(&[("db.r.aws", address(1)), ("Only.Here.", address(2))], &["internal"]);
        let shared = names(
            &[
                ("db.r.aws", address(3)),
                ("*.r.aws", address(4)),
                ("lb.elb.r.aws", address(5)),
                ("www.corp", Records::alias("LB.elb.r.aws.")),
                ("far.corp", Records::alias("www.example.org")),
                ("loop.corp", Records::alias("loop.corp")),
            ],
            &["r.aws", "elb.r.aws", "corp"],
        );
        View::new(vec![private, shared])
    }

    #[test]
    fn names_are_found_where_dns_says() {
        let view = view();
        let end = |name: &str| view.find(name).end;
        let is = |name: &str, last: u8| {
            assert_eq!(end(name), End::Records(name.to_owned(), address(last)), "{name}");
        };
        is("db.r.aws", 1);
        is("only.here", 2);
        is("sts.r.aws", 4);
        is("bucket.s3.r.aws", 4);
        is("lb.elb.r.aws", 5);
        assert_eq!(end("elb.r.aws"), End::Nothing("elb.r.aws".to_owned()));
        assert_eq!(end("none.elb.r.aws"), End::Missing("none.elb.r.aws".to_owned()));
        assert_eq!(end("none.internal"), End::Missing("none.internal".to_owned()));
        assert_eq!(end("example.org"), End::Elsewhere("example.org".to_owned()));
        assert_eq!(end("loop.corp"), End::Loop);
        let found = view.find("www.corp");
        assert_eq!(found.aliases, [("www.corp".into(), "lb.elb.r.aws".into(), 60)]);
        assert_eq!(found.end, End::Records("lb.elb.r.aws".to_owned(), address(5)));
        assert_eq!(end("far.corp"), End::Elsewhere("www.example.org".to_owned()));
    }

    #[test]
    fn reverse_names_are_read_backwards() {
        assert_eq!(reversed_address("5.1.0.10.in-addr.arpa"), Some(Ipv4Addr::new(10, 0, 1, 5)));
        for name in ["1.0.10.in-addr.arpa", "1.5.1.0.10.in-addr.arpa", "x.1.0.10.in-addr.arpa", "a"]
        {
            assert_eq!(reversed_address(name), None, "{name}");
        }
        assert_eq!(view().reverse(Ipv4Addr::new(10, 0, 1, 5)), Some("ip-10-0-1-5.test"));
    }
}
