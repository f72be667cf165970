//! What a value refers to, by which dependencies and causes are found.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Result;
use super::function::{self, Function, Piece};

/// The names that a value refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// What `Ref` and `Fn::Sub` name: parameters, resources and pseudo parameters.
    pub names: BTreeSet<String>,
    /// Resource and attribute of each `Fn::GetAtt`.
    pub attributes: BTreeSet<(String, String)>,
    /// The conditions that `Fn::If` asks.
    pub conditions: BTreeSet<String>,
    /// The mappings that `Fn::FindInMap` names.
    pub mappings: BTreeSet<String>,
}

impl References {
    /// Every resource, parameter and pseudo parameter that is named.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let owners = self.attributes.iter().map(|(resource, _)| resource.as_str());
        self.names.iter().map(String::as_str).chain(owners)
    }
}

/// All that `value` refers to, whichever way its conditions fall.
///
/// # Errors
///
/// A function in it is misused.
pub fn references(value: &Value) -> Result<References> {
    references_in(value, &BTreeMap::new())
}

/// What `value` refers to when the conditions are as given; of an `Fn::If` on another condition,
/// both branches count.
///
/// # Errors
///
/// A function in it is misused.
pub fn references_in(value: &Value, conditions: &BTreeMap<String, bool>) -> Result<References> {
    let mut found = References::default();
    collect(value, conditions, &mut found)?;
    Ok(found)
}

fn collect(
    value: &Value,
    conditions: &BTreeMap<String, bool>,
    found: &mut References,
) -> Result<()> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| collect(item, conditions, found)),
        Value::Object(members) => match function::call(members)? {
            Some((function, argument)) => collect_call(function, argument, conditions, found),
            None => members.values().try_for_each(|member| collect(member, conditions, found)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn collect_call(
    function: Function,
    argument: &Value,
    conditions: &BTreeMap<String, bool>,
    found: &mut References,
) -> Result<()> {
    match function {
        Function::Ref => {
            let name = argument.as_str().ok_or_else(|| function.misuse())?;
            found.names.insert(name.to_owned());
            Ok(())
        }
        Function::GetAtt => {
            let (resource, attribute) = function::attribute(argument)?;
            let name = attribute.as_str().unwrap_or_default();
            found.attributes.insert((resource.to_owned(), name.to_owned()));
            collect(attribute, conditions, found)
        }
        Function::Sub => {
            let function::Substitution { pieces, own } = function::substitution(argument)?;
            for piece in pieces {
                let Piece::Variable(name) = piece else {
                    continue;
                };
                if own.is_some_and(|own| own.contains_key(name)) {
                    continue;
                }
                match name.split_once('.') {
                    Some((resource, attribute)) => {
                        found.attributes.insert((resource.to_owned(), attribute.to_owned()));
                    }
                    None => {
                        found.names.insert(name.to_owned());
                    }
                }
            }
            own.into_iter()
                .flat_map(|own| own.values())
                .try_for_each(|v| collect(v, conditions, found))
        }
        Function::If => {
            let (name, yes, no) = function::branches(argument)?;
            found.conditions.insert(name.to_owned());
            match conditions.get(name) {
                Some(true) => collect(yes, conditions, found),
                Some(false) => collect(no, conditions, found),
                None => {
                    collect(yes, conditions, found)?;
                    collect(no, conditions, found)
                }
            }
        }
        Function::FindInMap => {
            let (mapping, _, _) = function::triple(function, argument)?;
            found.mappings.extend(mapping.as_str().map(str::to_owned));
            collect(argument, conditions, found)
        }
        Function::And
        | Function::Base64
        | Function::Cidr
        | Function::Equals
        | Function::GetAzs
        | Function::ImportValue
        | Function::Join
        | Function::Not
        | Function::Or
        | Function::Select
        | Function::Split => collect(argument, conditions, found),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_name_is_found() {
        let value = json!({
            "a": {"Ref": "A"},
            "b": {"Fn::Sub": ["${B}${C.Arn}${own}${!D}", {"own": {"Fn::GetAtt": ["E", "X.Y"]}}]},
            "c": {"Fn::If": ["P", {"Ref": "F"}, {"Fn::FindInMap": ["M", {"Ref": "G"}, "k"]}]},
        });
        let found = references(&value).unwrap();
        assert_eq!(found.all().collect::<Vec<_>>(), ["A", "B", "F", "G", "C", "E"]);
        assert_eq!(found.conditions, BTreeSet::from(["P".to_owned()]));
        assert_eq!(found.mappings, BTreeSet::from(["M".to_owned()]));
        let known = BTreeMap::from([("P".to_owned(), false)]);
        let found = references_in(&value, &known).unwrap();
        assert!(!found.names.contains("F"), "the branch not taken does not count");
    }
}
