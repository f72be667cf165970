//! The names of caches: of the primary, of its readers, of each node.

use std::net::Ipv4Addr;

use base::Arn;
use kernel::names::{self, Name};
use kernel::token;
use store::{Scope, WriteTx};

use crate::error::Result;
use crate::store::{Cache, Kind, NodeRecord, Status};

/// How long a resolver may keep an answer, so that clients find a new primary.
const TTL_SECS: u32 = 5;

/// What AWS writes for the region in these names.
fn region_code(scope: &Scope) -> String {
    match scope.region.as_str() {
        // Seoul's names came before the scheme of the others.
        "ap-northeast-2" => "apn2".to_owned(),
        _ => scope.region.short_code(),
    }
}

fn hash(scope: &Scope) -> String {
    let account =
        token::fingerprint(&(scope.account.as_str(), scope.region.as_str(), "elasticache"));
    account.get(..6).unwrap_or_default().to_owned()
}

/// The name that leads to a group's primary.
///
/// AWS: "Finding connection endpoints in ElastiCache".
pub(crate) fn primary(scope: &Scope, group: &str) -> String {
    let code = region_code(scope);
    format!("{group}.{}.ng.0001.{code}.cache.amazonaws.com", hash(scope))
}

/// The name that leads to a group's replicas.
pub(crate) fn reader(scope: &Scope, group: &str) -> String {
    primary(scope, &format!("{group}-ro"))
}

/// The name of one node.
pub(crate) fn node(scope: &Scope, cluster: &str) -> String {
    format!("{cluster}.{}.0001.{}.cache.amazonaws.com", hash(scope), region_code(scope))
}

/// The ARN of a resource of this kind (`cluster`, `replicationgroup`, …).
pub(crate) fn arn(scope: &Scope, kind: &str, name: &str) -> String {
    Arn::new("elasticache", &scope.region, &scope.account, format!("{kind}:{name}")).to_string()
}

/// The ARN of a cache.
pub(crate) fn arn_of(scope: &Scope, cache: &Cache) -> String {
    let kind = match cache.kind {
        Kind::Group => "replicationgroup",
        Kind::Cluster => "cluster",
    };
    arn(scope, kind, &cache.name)
}

fn set(tx: &mut WriteTx<'_>, owner: String, name: String, to: Vec<Ipv4Addr>) -> Result<()> {
    let name =
        Name { name, owner, inside: to.clone(), outside: to, vpcs: Vec::new(), ttl_secs: TTL_SECS };
    names::set(tx, &name)?;
    Ok(())
}

/// The addresses of the replicas that were last seen to serve; the primary's when there is none.
fn readers(cache: &Cache) -> Vec<Ipv4Addr> {
    let serves = |node: &&NodeRecord| node.id != cache.primary && node.serving && !node.leaving;
    let found: Vec<_> = cache.nodes.iter().filter(serves).filter_map(|node| node.address).collect();
    if found.is_empty() {
        return cache.primary_node().and_then(|node| node.address).into_iter().collect();
    }
    found
}

/// Makes a cache's names lead to its nodes.
pub(crate) fn write(tx: &mut WriteTx<'_>, scope: &Scope, cache: &Cache) -> Result<()> {
    if cache.status == Status::Deleting {
        return Ok(());
    }
    let owner = arn_of(scope, cache);
    for one in cache.nodes.iter().filter(|node| node.joined) {
        if let Some(address) = one.address {
            set(tx, owner.clone(), node(scope, &one.cluster), vec![address])?;
        }
    }
    let leads = cache.primary_node().and_then(|node| node.address);
    if let (Kind::Group, Some(address)) = (cache.kind, leads) {
        set(tx, owner.clone(), primary(scope, &cache.name), vec![address])?;
        set(tx, owner, reader(scope, &cache.name), readers(cache))?;
    }
    Ok(())
}

/// Takes a node's name away.
pub(crate) fn remove_node(tx: &mut WriteTx<'_>, scope: &Scope, cluster: &str) -> Result<()> {
    names::remove(tx, &node(scope, cluster))?;
    Ok(())
}

/// Takes all names of a cache away.
pub(crate) fn remove(tx: &mut WriteTx<'_>, scope: &Scope, cache: &Cache) -> Result<()> {
    for one in &cache.nodes {
        remove_node(tx, scope, &one.cluster)?;
    }
    if cache.kind == Kind::Group {
        names::remove(tx, &primary(scope, &cache.name))?;
        names::remove(tx, &reader(scope, &cache.name))?;
    }
    Ok(())
}
