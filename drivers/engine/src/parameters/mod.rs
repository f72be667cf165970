//! The parameters that a parameter group may set, engine by engine, as `DescribeDBParameters` and
//! `DescribeCacheParameters` list them.
//!
//! Only what reaches the engine is listed. What the cluster itself relies on (logging, replication,
//! paths) is not, and setting it is refused.

mod mariadb;
mod postgres;
mod valkey;

use crate::kind::EngineKind;

/// What a parameter's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// `0` or `1`, or words that mean them.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// A text.
    Text,
    /// Words with commas between them.
    List,
}

impl ValueType {
    /// AWS's name of the type (`DataType`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "string",
            Self::List => "list",
        }
    }
}

/// A parameter of an engine.
#[derive(Debug)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// What the engine uses when no value is given, if that is a fixed value; may be a formula.
    pub default: Option<&'static str>,
    /// Whether a running server takes a new value (`ApplyType`); else it waits for a restart.
    pub dynamic: bool,
    /// What its values are.
    pub value_type: ValueType,
    /// `AllowedValues`: words and ranges with commas between them; empty when any text will do.
    pub allowed: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether the default is not the engine's own and is written to its configuration.
    pub(crate) written: bool,
}

/// The parameters of an engine's release.
pub fn of(kind: EngineKind, _series: &str) -> &'static [Parameter] {
    match kind {
        EngineKind::MariaDb | EngineKind::MySql => mariadb::PARAMETERS,
        EngineKind::PostgreSql => postgres::PARAMETERS,
        EngineKind::Valkey | EngineKind::Redis => valkey::PARAMETERS,
    }
}

impl Parameter {
    /// Whether the value is one that the parameter may have.
    pub fn allows(&self, value: &str) -> bool {
        if value.contains(['\n', '\r', '\0']) {
            return false;
        }
        if self.allowed.is_empty() {
            return true;
        }
        let one = |word: &str| self.allowed.split(',').any(|item| within(item.trim(), word.trim()));
        match self.value_type {
            ValueType::List => value.is_empty() || value.split(',').all(one),
            ValueType::Boolean | ValueType::Integer | ValueType::Float | ValueType::Text => {
                one(value)
            }
        }
    }
}

/// Whether a word is the item, or lies in the range that the item is.
fn within(item: &str, word: &str) -> bool {
    if item.eq_ignore_ascii_case(word) {
        return true;
    }
    // The first character may be the sign of the range's lower end.
    let Some(at) = item.get(1..).and_then(|rest| rest.find('-')) else { return false };
    let (low, high) = (item.get(..=at), item.get(at + 2..));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    match (number(low), number(high), number(Some(word))) {
        (Some(low), Some(high), Some(value)) => (low..=high).contains(&value),
        _ => false,
    }
}

const fn parameter(
    name: &'static str,
    value_type: ValueType,
    default: &'static str,
    allowed: &'static str,
    description: &'static str,
) -> Parameter {
    let default = if default.is_empty() { None } else { Some(default) };
    Parameter { name, default, dynamic: true, value_type, allowed, description, written: false }
}

const fn boolean(name: &'static str, default: &'static str, text: &'static str) -> Parameter {
    parameter(name, ValueType::Boolean, default, "0,1", text)
}

const fn integer(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    text: &'static str,
) -> Parameter {
    parameter(name, ValueType::Integer, default, allowed, text)
}

const fn float(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    text: &'static str,
) -> Parameter {
    parameter(name, ValueType::Float, default, allowed, text)
}

const fn word(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    text: &'static str,
) -> Parameter {
    parameter(name, ValueType::Text, default, allowed, text)
}

const fn list(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    text: &'static str,
) -> Parameter {
    parameter(name, ValueType::List, default, allowed, text)
}

impl Parameter {
    /// Needs a restart.
    const fn fixed(mut self) -> Self {
        self.dynamic = false;
        self
    }

    /// The default is not the engine's own.
    const fn ours(mut self) -> Self {
        self.written = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_against_what_is_allowed() {
        let check = |allowed: &'static str, value: &str, expected: bool| {
            let parameter = integer("x", "", allowed, "");
            assert_eq!(parameter.allows(value), expected, "{value} in {allowed}");
        };
        check("1-100", "7", true);
        check("1-100", "101", false);
        check("-1-10", "-1", true);
        check("-1-10", "-2", false);
        check("0.0-1.0", "0.25", true);
        check("ROW,MIXED", "row", true);
        check("ROW,MIXED", "none", false);
        check("", "anything", true);
        check("", "two\nlines", false);
        let modes = list("m", "", "A,B", "");
        assert!(modes.allows("A,B") && !modes.allows("A,C"));
    }

    #[test]
    fn every_name_is_listed_once_and_every_default_allowed() {
        for kind in [EngineKind::MariaDb, EngineKind::PostgreSql, EngineKind::Valkey] {
            let table = of(kind, "");
            let mut names: Vec<_> = table.iter().map(|parameter| parameter.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
            for parameter in table {
                if let Some(default) = parameter.default.filter(|text| !text.contains(['{', '('])) {
                    assert!(parameter.allows(default), "{}={default}", parameter.name);
                }
            }
        }
    }
}
