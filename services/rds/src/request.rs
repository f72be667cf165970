//! What requests about DB instances have in common: names, engines, storage, windows, zones.

use base::{Random, Zone};
use engine::{Engine, EngineKind, Engines, Release};
use nodes::GroupSubnet;

use crate::class;
use crate::cluster::Rds;
use crate::error::{Error, Result};
use crate::store::{DbInstance, NodeRecord, SubnetGroup};
use crate::window;

/// Bounds of a volume in GiB.
///
/// AWS: CreateDBInstance, `AllocatedStorage`.
const STORAGE_MIN: i32 = 20;
const STORAGE_MAX: i32 = 65_536;

/// The longest retention of daily snapshots.
///
/// AWS: CreateDBInstance, `BackupRetentionPeriod`.
const RETENTION_MAX: i32 = 35;

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
         must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or \
         contain two consecutive hyphens."
    )))
}

/// The engine of AWS's name, and the series and version that a request names.
pub(crate) fn engine(
    rds: &Rds,
    name: &str,
    version: Option<&str>,
) -> Result<(EngineKind, String, String)> {
    let kind = match name {
        "mariadb" => EngineKind::MariaDb,
        "postgres" => EngineKind::PostgreSql,
        "mysql" => {
            let asked =
                Engine { kind: EngineKind::MySql, version: version.unwrap_or("8.0").to_owned() };
            let why = rds.drivers.engines.installed(&asked).err().map(|error| error.to_string());
            return Err(Error::InsufficientCapacity(why.unwrap_or_default()));
        }
        _ => return Err(Error::value(format!("Invalid DB engine: {name}"))),
    };
    let first = Engines::releases().iter().find(|release| release.kind == kind);
    let asked = version.or(first.map(|release| release.series)).unwrap_or_default();
    let unknown = || Error::combination(format!("Cannot find version {asked} for {name}"));
    let wanted = Engine { kind, version: asked.to_owned() };
    let release = Release::find(&wanted).ok_or_else(unknown)?;
    let installed = rds.drivers.engines.installed(&wanted)?.map(|root| root.version);
    let full = installed.unwrap_or_else(|| release.series.to_owned());
    if asked != release.series && asked != full {
        return Err(unknown());
    }
    Ok((kind, release.series.to_owned(), full))
}

/// Checks a class against what there is, and against the host.
pub(crate) fn class_name(text: &str) -> Result<String> {
    let found = class::find(text)
        .ok_or_else(|| Error::value(format!("Invalid DB Instance class: {text}")))?;
    if memory_bytes().is_some_and(|host| found.memory_bytes > host) {
        return Err(Error::InsufficientCapacity(format!(
            "This host has less memory than the DB instance class {text}."
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

/// Checks a volume's size.
pub(crate) fn storage(kind: EngineKind, gib: i32) -> Result<i32> {
    if (STORAGE_MIN..=STORAGE_MAX).contains(&gib) {
        return Ok(gib);
    }
    Err(Error::combination(format!(
        "Invalid storage size for engine name {} and storage type gp3: {gib}",
        kind.name()
    )))
}

/// Checks a volume's type: the ones without promised operations a second.
pub(crate) fn storage_type(asked: Option<&str>) -> Result<String> {
    match asked {
        None => Ok("gp3".to_owned()),
        Some(known @ ("gp2" | "gp3")) => Ok(known.to_owned()),
        Some(other) => Err(Error::StorageTypeNotSupported(format!(
            "The storage type {other} is not available in this Region: volumes are files of the \
             host and have no provisioned IOPS."
        ))),
    }
}

/// Checks how many days daily snapshots are kept.
pub(crate) fn retention(days: Option<i32>) -> Result<i32> {
    let days = days.unwrap_or(1);
    if (0..=RETENTION_MAX).contains(&days) {
        return Ok(days);
    }
    Err(Error::value(format!(
        "Invalid backup retention period: {days}. Must be between 0 and {RETENTION_MAX}."
    )))
}

/// The backup and the maintenance window, chosen where a request names none.
pub(crate) fn windows(
    backup: Option<&str>,
    maintenance: Option<&str>,
    random: &dyn Random,
) -> Result<(String, String)> {
    let (own_backup, own_maintenance) = window::defaults(random.below(8));
    let backup = backup.unwrap_or(&own_backup).to_ascii_lowercase();
    let maintenance = maintenance.unwrap_or(&own_maintenance).to_ascii_lowercase();
    check_windows(&backup, &maintenance)?;
    Ok((backup, maintenance))
}

/// Checks a backup and a maintenance window, which must not meet.
pub(crate) fn check_windows(backup: &str, maintenance: &str) -> Result<()> {
    let daily = window::daily(backup).ok_or_else(|| {
        Error::value(format!(
            "Invalid backup window format: {backup}. Should be specified as a range \
             hh24:mi-hh24:mi (24H Clock UTC)."
        ))
    })?;
    let weekly = window::weekly(maintenance).ok_or_else(|| {
        Error::value(format!(
            "Invalid maintenance window format: {maintenance}. Should be specified as a range \
             ddd:hh24:mi-ddd:hh24:mi (24H Clock UTC)."
        ))
    })?;
    if daily.meets(weekly) {
        return Err(Error::value("The backup window and maintenance window must not overlap."));
    }
    Ok(())
}

/// Checks a port.
pub(crate) fn port(kind: EngineKind, asked: Option<i32>) -> Result<u16> {
    let Some(asked) = asked else { return Ok(kind.default_port()) };
    let port = u16::try_from(asked).ok().filter(|port| *port >= 1150);
    port.ok_or_else(|| {
        Error::value(format!("Invalid DB port number: {asked}. Must be between 1150 and 65535."))
    })
}

/// Checks the name of the first database.
pub(crate) fn database(kind: EngineKind, name: &str) -> Result<String> {
    let longest = if kind == EngineKind::PostgreSql { 63 } else { 64 };
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= longest;
    if well_formed {
        return Ok(name.to_owned());
    }
    Err(Error::value(format!(
        "DBName must begin with a letter and contain only alphanumeric characters, at most {longest}."
    )))
}

/// Checks the license model.
pub(crate) fn license(kind: EngineKind, asked: Option<&str>) -> Result<()> {
    let own = license_of(kind);
    match asked {
        Some(other) if other != own => Err(Error::value(format!(
            "Invalid license model '{other}' for engine '{}'. Valid license models are: {own}.",
            kind.name()
        ))),
        Some(_) | None => Ok(()),
    }
}

/// The license model of an engine.
pub(crate) fn license_of(kind: EngineKind) -> &'static str {
    if kind == EngineKind::PostgreSql { "postgresql-license" } else { "general-public-license" }
}

/// The name of the only option group there is for an engine.
pub(crate) fn option_group(kind: EngineKind, series: &str) -> String {
    format!("default:{}-{}", kind.name(), series.replace('.', "-"))
}

/// The subnets of a new instance's nodes: the primary's, and in Multi-AZ one in another zone.
pub(crate) fn subnets_for(
    group: &SubnetGroup,
    zone: Option<&str>,
    multi_az: bool,
    random: &dyn Random,
) -> Result<Vec<GroupSubnet>> {
    if multi_az && zone.is_some() {
        return Err(Error::combination(
            "Requesting a specific availability zone is not valid for Multi-AZ instances.",
        ));
    }
    let count = u64::try_from(group.subnets.len()).unwrap_or(1).max(1);
    let start = usize::try_from(random.below(count)).unwrap_or_default();
    let fits = |subnet: &&GroupSubnet| zone.is_none_or(|zone| subnet.zone.as_str() == zone);
    let around = || group.subnets.iter().cycle().skip(start).take(group.subnets.len());
    let too_few = |text: String| Error::SubnetGroupCoversTooFewZones(text);
    let primary = around().find(fits).ok_or_else(|| {
        let zone = zone.unwrap_or_default();
        too_few(format!("DB Subnet Group doesn't meet availability zone coverage requirement. Please add subnets to cover availability zone {zone}."))
    })?;
    let mut chosen = vec![primary.clone()];
    if multi_az {
        let other = around().find(|subnet| subnet.zone != primary.zone).ok_or_else(|| {
            too_few("DB Subnet Group doesn't meet availability zone coverage requirement. Please add subnets to cover at least 2 availability zones.".to_owned())
        })?;
        chosen.push(other.clone());
    }
    Ok(chosen)
}

/// The characters of a resource id.
const RESOURCE_LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A new resource id (`DbiResourceId`).
pub(crate) fn resource_id(random: &dyn Random) -> String {
    format!("db-{}", random.text(RESOURCE_LETTERS, 26))
}

impl DbInstance {
    /// Adds a node in a subnet.
    pub(crate) fn add_node(&mut self, subnet: &str, zone: &Zone) {
        let number = self.next_number;
        self.next_number += 1;
        self.nodes.push(NodeRecord {
            id: format!("{}-{number}", self.resource_id.to_ascii_lowercase()),
            number,
            zone: zone.clone(),
            subnet: subnet.to_owned(),
            eni: None,
            address: None,
        });
    }
}
