//! A cluster's parameters turned into its engine's configuration files. Pure.

mod formula;
mod mariadb;
mod postgres;
mod valkey;

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::kind::EngineKind;
use crate::node::Node;
use crate::parameters::{self, Parameter};
use crate::spec::{ClusterSpec, EngineFile, Start};

pub(crate) use formula::evaluate;
pub(crate) use mariadb::SYNC_WAIT_MS as MARIADB_SYNC_WAIT_MS;
pub(crate) use postgres::sync_file as postgres_sync_file;
pub(crate) use valkey::{CACHE_ADMIN, RESERVED_MEMORY, maxmemory, rules as cache_rules};

/// Values by parameter name.
pub type Parameters = BTreeMap<String, String>;

/// An engine's arguments and files.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) arguments: Vec<String>,
    pub(crate) files: Vec<EngineFile>,
    pub(crate) absent: Vec<String>,
}

impl Rendered {
    fn file(&mut self, path: &str, content: String) {
        self.files.push(EngineFile { path: path.into(), content });
    }
}

pub(crate) fn render(spec: &ClusterSpec, node: &Node, start: Start<'_>) -> Result<Rendered> {
    let values = values(spec)?;
    match spec.root.kind {
        EngineKind::MariaDb => Ok(mariadb::render(spec, node, start, &values)),
        EngineKind::PostgreSql => Ok(postgres::render(spec, node, start, &values)),
        EngineKind::Valkey | EngineKind::Redis => Ok(valkey::render(spec, node, start, &values)),
        EngineKind::MySql => {
            let reason = "no configuration is made for MySQL's own server".into();
            Err(Error::Unavailable { engine: "mysql".into(), reason })
        }
    }
}

/// The values to write: the defaults that differ from the engine's own, then the caller's, formulas
/// worked out.
pub(crate) fn values(spec: &ClusterSpec) -> Result<Parameters> {
    let table = parameters::of(spec.root.kind, spec.root.series);
    let mut values = Parameters::new();
    for parameter in table.iter().filter(|parameter| parameter.written) {
        if let Some(default) = parameter.default {
            values.insert(parameter.name.into(), evaluate(default, spec.memory_bytes)?);
        }
    }
    for (name, value) in &spec.parameters {
        let parameter = find(table, name)?;
        let value = evaluate(value, spec.memory_bytes)?;
        if !parameter.allows(&value) {
            return Err(Error::Refused(format!("invalid value {value} for parameter {name}")));
        }
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn find(table: &'static [Parameter], name: &str) -> Result<&'static Parameter> {
    let found = table.iter().find(|parameter| parameter.name == name);
    found.ok_or_else(|| Error::Refused(format!("the engine has no parameter {name}")))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::packages::EngineRoot;
    use crate::spec::{CacheAccess, Secrets, user_of};

    fn spec(kind: EngineKind, series: &'static str) -> ClusterSpec {
        ClusterSpec {
            root: EngineRoot { path: "/engine".into(), kind, series, version: series.into() },
            secrets: Secrets { management: "manage".into(), replication: "replicate".into() },
            parameters: Parameters::new(),
            memory_bytes: 1 << 30,
            cache_access: CacheAccess::Open,
            tls: None,
        }
    }

    fn node(number: u32) -> Node {
        Node {
            id: format!("n{number}"),
            number,
            zone: "a".into(),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 4)),
            port: 3306,
            volume: "/volume".into(),
            owner: user_of(EngineKind::MariaDb),
        }
    }

    fn text(spec: &ClusterSpec, start: Start<'_>, file: &str) -> String {
        let rendered = render(spec, &node(7), start).unwrap();
        rendered.files.into_iter().find(|found| found.path == file).unwrap().content
    }

    #[test]
    fn a_mariadb_primary_starts_closed_and_holds_commits_only_for_a_standby_in_step() {
        let spec = spec(EngineKind::MariaDb, "10.11");
        let alone = text(&spec, Start::Primary { standby: None }, "conf/my.cnf");
        for line in ["read_only=ON", "server_id=7", "innodb_buffer_pool_size=805306368"] {
            assert!(alone.lines().any(|found| found == line), "{line} in {alone}");
        }
        assert!(alone.contains("rpl_semi_sync_master_enabled=OFF\n"));
        let standby = node(8);
        let held = text(&spec, Start::Primary { standby: Some(&standby) }, "conf/my.cnf");
        assert!(held.contains("rpl_semi_sync_master_enabled=ON\n"));
        let source = node(1);
        let start = Start::Follower { source: &source, standby: true, was_primary: true };
        let follower = text(&spec, start, "conf/my.cnf");
        assert!(follower.contains("rpl_semi_sync_slave_enabled=ON\ninit_rpl_role=SLAVE\n"));
    }

    #[test]
    fn a_postgres_standby_is_told_whom_to_follow() {
        let spec = spec(EngineKind::PostgreSql, "15");
        let source = node(1);
        let start = Start::Follower { source: &source, standby: true, was_primary: false };
        let follower = text(&spec, start, "conf/postgresql.conf");
        assert!(follower.contains("primary_conninfo = 'host=10.0.0.4 port=3306 user=rdsrepladmin"));
        assert!(follower.contains("application_name=node_7"));
        assert_eq!(text(&spec, start, "pgdata/standby.signal"), "");
        let start = Start::Primary { standby: Some(&source) };
        let sync = text(&spec, start, "conf/sync.conf");
        assert_eq!(sync, "synchronous_standby_names = 'node_1'\n");
    }

    #[test]
    fn what_the_cluster_relies_on_cannot_be_set() {
        let check = |kind, series, name: &str, value: &str| {
            let mut spec = spec(kind, series);
            spec.parameters.insert(name.into(), value.into());
            assert!(values(&spec).is_err(), "{name}={value}");
        };
        check(EngineKind::MariaDb, "10.11", "read_only", "0");
        check(EngineKind::MariaDb, "10.11", "max_connections", "many");
        check(EngineKind::PostgreSql, "15", "fsync", "off");
        check(EngineKind::PostgreSql, "15", "timezone", "UTC\nfsync = off");
        check(EngineKind::Valkey, "8.1", "appendonly", "no");
    }
}
