//! What requests about caches have in common: names, engines, node types, ports, zones.

use base::Random;
use engine::{Engine, EngineKind, Engines, Release};
use nodes::GroupSubnet;

use crate::cluster::ElastiCache;
use crate::error::{Error, Result};
use crate::store::{Cache, NodeRecord, SubnetGroup};
use crate::{node_type, window};

/// The most replicas of a replication group.
///
/// AWS: CreateReplicationGroup, `NumCacheClusters` ("between 2 and 6").
pub(crate) const REPLICAS_MAX: usize = 5;

/// The longest ids.
///
/// AWS: CreateReplicationGroup, `ReplicationGroupId`; CreateCacheCluster, `CacheClusterId`.
pub(crate) const GROUP_ID_MAX: usize = 40;
pub(crate) const CLUSTER_ID_MAX: usize = 50;

/// Checks an identifier and gives it in lower case, as it is kept.
pub(crate) fn identifier(member: &str, text: &str, length_max: usize) -> Result<String> {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let well_formed = plain
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.len() <= length_max;
    if well_formed {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Error::value(format!(
        "The parameter {member} is not a valid identifier. Identifiers must begin with a letter; \
         must contain only ASCII letters, digits, and hyphens; must not end with a hyphen or \
         contain two consecutive hyphens; and must be at most {length_max} characters long."
    )))
}

/// The engine of AWS's name, and the series and version that a request names.
pub(crate) fn engine(
    service: &ElastiCache,
    name: &str,
    version: Option<&str>,
) -> Result<(EngineKind, &'static str, String)> {
    let kind = match name {
        "valkey" => EngineKind::Valkey,
        "redis" => EngineKind::Redis,
        "memcached" => {
            return Err(Error::InsufficientCapacity(
                "The engine memcached is not available in this Region; choose valkey or redis."
                    .to_owned(),
            ));
        }
        _ => return Err(Error::value(format!("Invalid Cache Engine: {name}"))),
    };
    let newest = Engines::releases().iter().rfind(|release| release.kind == kind);
    let asked = version.or(newest.map(|release| release.series)).unwrap_or_default();
    let unknown = || Error::combination(format!("Cannot find version {asked} for {name}"));
    let wanted = Engine { kind, version: asked.to_owned() };
    let release = Release::find(&wanted).ok_or_else(unknown)?;
    let installed = service.drivers.engines.installed(&wanted)?.map(|root| root.version);
    let full = installed.unwrap_or_else(|| release.series.to_owned());
    if asked != release.series && asked != full {
        return Err(unknown());
    }
    Ok((kind, release.series, full))
}

/// Checks a node type against what there is, and against the host.
pub(crate) fn node_type(text: Option<&str>) -> Result<String> {
    let text = text.ok_or_else(|| {
        Error::value("The parameter CacheNodeType must be provided and must not be blank.")
    })?;
    let found = node_type::find(text)
        .ok_or_else(|| Error::value(format!("Invalid Cache Node Type: {text}")))?;
    if memory_bytes().is_some_and(|host| found.memory_bytes > host) {
        return Err(Error::InsufficientCapacity(format!(
            "This host has less memory than the cache node type {text}."
        )));
    }
    Ok(text.to_owned())
}

/// What the kernel calls `MemTotal`.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    kib.checked_mul(1024)
}

/// Checks a port.
pub(crate) fn port(kind: EngineKind, asked: Option<i32>) -> Result<u16> {
    let Some(asked) = asked else { return Ok(kind.default_port()) };
    let port = u16::try_from(asked).ok().filter(|port| *port > 0);
    port.ok_or_else(|| {
        Error::value(format!("Invalid port number: {asked}. Must be between 1 and 65535."))
    })
}

/// The maintenance window, chosen where a request names none.
pub(crate) fn maintenance(asked: Option<&str>, random: &dyn Random) -> Result<String> {
    let Some(asked) = asked else { return Ok(window::default(random.below(42))) };
    let asked = asked.to_ascii_lowercase();
    if window::is_weekly(&asked) {
        return Ok(asked);
    }
    Err(Error::value(format!(
        "Invalid maintenance window format: {asked}. Should be specified as a range \
         ddd:hh24:mi-ddd:hh24:mi (24H Clock UTC) of at least 60 minutes."
    )))
}

/// The subnets of new nodes: in the zones that are named, else spread over those that have the
/// fewest nodes yet.
pub(crate) fn subnets_for(
    group: &SubnetGroup,
    taken: &[NodeRecord],
    count: usize,
    zones: &[String],
) -> Result<Vec<GroupSubnet>> {
    let mut chosen: Vec<GroupSubnet> = Vec::new();
    for index in 0..count {
        let asked = zones.get(index);
        let load = |subnet: &GroupSubnet| {
            let of_zone = |zone: &base::Zone| *zone == subnet.zone;
            let old = taken.iter().filter(|node| of_zone(&node.zone)).count();
            let new = chosen.iter().filter(|other| of_zone(&other.zone)).count();
            let used = chosen.iter().filter(|other| other.id == subnet.id).count();
            (old + new, used)
        };
        let fits = |subnet: &&GroupSubnet| asked.is_none_or(|zone| subnet.zone.as_str() == zone);
        let best = group.subnets.iter().filter(fits).min_by_key(|subnet| load(subnet)).cloned();
        let best = best.ok_or_else(|| {
            let zone = asked.cloned().unwrap_or_default();
            Error::combination(format!(
                "The cache subnet group {} has no subnet in the availability zone {zone}.",
                group.name
            ))
        })?;
        chosen.push(best);
    }
    Ok(chosen)
}

/// The characters of what makes a cache's folders unlike those of an earlier one of its name.
const RESOURCE_LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";

/// A new resource id.
pub(crate) fn resource_id(random: &dyn Random) -> String {
    random.text(RESOURCE_LETTERS, 16)
}

impl Cache {
    /// Adds a node in a subnet, under this cache cluster's id.
    pub(crate) fn add_node(&mut self, cluster: String, subnet: &GroupSubnet) {
        let number = self.next_number;
        self.next_number += 1;
        self.nodes.push(NodeRecord {
            id: format!("{}-{number}", self.resource_id),
            cluster,
            number,
            zone: subnet.zone.clone(),
            subnet: subnet.id.clone(),
            eni: None,
            address: None,
            created: None,
            joined: false,
            leaving: false,
            reboot: false,
            serving: false,
            stale: false,
            tags: self.tags.clone(),
        });
    }

    /// Adds a group's node under the next free of the ids that AWS gives: `name-001`.
    pub(crate) fn add_member(&mut self, subnet: &GroupSubnet) {
        let free = (1..)
            .map(|at: u32| format!("{}-{at:03}", self.name))
            .find(|id| self.nodes.iter().all(|node| node.cluster != *id));
        self.add_node(free.unwrap_or_default(), subnet);
    }
}
