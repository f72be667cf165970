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
