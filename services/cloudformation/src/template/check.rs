//! Checks that need the whole template but no parameter values: names that lead nowhere and
//! functions in the wrong shape or place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::evaluate::{PSEUDO, unresolved_if};
use super::expression::references;
use super::function::{self, Function};
use super::graph::Graph;
use super::model::Template;
use super::{Result, TemplateError, condition};

pub(super) fn template(template: &Template) -> Result<()> {
    conditions(template)?;
    resources(template)?;
    outputs(template)?;
    Graph::new(template, &BTreeMap::new())?.check_acyclic()
}

fn conditions(template: &Template) -> Result<()> {
    for body in template.conditions.values() {
        for name in condition::named(body)? {
            if !template.conditions.contains_key(name) {
                return Err(condition::unresolved(name));
            }
        }
        let found = references(body)?;
        let outside: Vec<String> = found
            .all()
            .filter(|name| !template.parameters.contains_key(*name) && !PSEUDO.contains(name))
            .map(str::to_owned)
            .collect();
        if !outside.is_empty() {
            return Err(TemplateError::format(format!(
                "Unresolved dependencies [{}]. Cannot reference resources in the Conditions block of the template",
                outside.join(", ")
            )));
        }
        mappings(template, &found.mappings)?;
    }
    Ok(())
}

fn resources(template: &Template) -> Result<()> {
    let mut unresolved = BTreeSet::new();
    for resource in template.resources.values() {
        let depends = resource.depends_on.iter();
        unresolved.extend(depends.filter(|name| !template.resources.contains_key(*name)).cloned());
        if let Some(name) = &resource.condition
            && !template.conditions.contains_key(name)
        {
            return Err(unresolved_condition(name, "Resources"));
        }
        let properties = Value::Object(resource.properties.clone());
        value(template, &properties, &mut unresolved)?;
        let rest = [&resource.metadata, &resource.creation_policy, &resource.update_policy];
        for part in rest.into_iter().flatten() {
            value(template, part, &mut unresolved)?;
        }
    }
    refuse_unresolved(unresolved, "Resources")
}

fn outputs(template: &Template) -> Result<()> {
    let mut unresolved = BTreeSet::new();
    for output in template.outputs.values() {
        if let Some(name) = &output.condition
            && !template.conditions.contains_key(name)
        {
            return Err(unresolved_condition(name, "Outputs"));
        }
        value(template, &output.value, &mut unresolved)?;
        if let Some(export) = &output.export {
            value(template, export, &mut unresolved)?;
        }
    }
    refuse_unresolved(unresolved, "Outputs")
}

fn refuse_unresolved(names: BTreeSet<String>, block: &'static str) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    Err(TemplateError::Unresolved { names: names.into_iter().collect(), block })
}

fn unresolved_condition(name: &str, block: &str) -> TemplateError {
    TemplateError::format(format!(
        "Unresolved condition dependency {name} in the {block} block of the template"
    ))
}

/// Checks one value; names that nothing has are added to `unresolved`.
fn value(template: &Template, value: &Value, unresolved: &mut BTreeSet<String>) -> Result<()> {
    shape(value)?;
    let found = references(value)?;
    for name in &found.names {
        let known = template.parameters.contains_key(name)
            || template.resources.contains_key(name)
            || PSEUDO.contains(&name.as_str());
        if !known {
            unresolved.insert(name.clone());
        }
    }
    for (resource, _) in &found.attributes {
        if !template.resources.contains_key(resource) {
            return Err(TemplateError::function(format!(
                "instance of Fn::GetAtt references undefined resource {resource}"
            )));
        }
    }
    for name in &found.conditions {
        if !template.conditions.contains_key(name) {
            return Err(unresolved_if(name));
        }
    }
    mappings(template, &found.mappings)
}

fn mappings(template: &Template, names: &BTreeSet<String>) -> Result<()> {
    match names.iter().find(|name| !template.mappings.contains_key(*name)) {
        Some(name) => Err(TemplateError::function(format!(
            "Mapping named '{name}' is not present in the 'Mappings' section of template."
        ))),
        None => Ok(()),
    }
}

/// Whether the calls in `value` have arguments of the right shape, as far as can be seen.
fn shape(value: &Value) -> Result<()> {
    match value {
        Value::Array(items) => items.iter().try_for_each(shape),
        Value::Object(members) => match function::call(members)? {
            Some((function, argument)) => {
                call(function, argument)?;
                match argument {
                    Value::Array(items) => items.iter().try_for_each(shape),
                    Value::Object(_) => shape(argument),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
                }
            }
            None => members.values().try_for_each(shape),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn call(function: Function, argument: &Value) -> Result<()> {
    let require = |fits: bool| if fits { Ok(()) } else { Err(function.misuse()) };
    let may_be_text = |value: &Value| !value.is_array();
    let may_be_list = |value: &Value| value.is_array() || value.is_object();
    match function {
        Function::Ref => require(argument.is_string()),
        Function::GetAtt => function::attribute(argument).map(|_| ()),
        Function::Sub => function::substitution(argument).map(|_| ()),
        Function::If => function::branches(argument).map(|_| ()),
        Function::FindInMap => {
            let (mapping, key, attribute) = function::triple(function, argument)?;
            require([mapping, key, attribute].into_iter().all(may_be_text))
        }
        Function::Join => {
            let (delimiter, items) = function::pair(function, argument)?;
            require(delimiter.is_string() && may_be_list(items))
        }
        Function::Split => {
            let (delimiter, text) = function::pair(function, argument)?;
            require(delimiter.is_string() && may_be_text(text))
        }
        Function::Select => {
            let (index, items) = function::pair(function, argument)?;
            require(may_be_text(index) && may_be_list(items))
        }
        Function::Base64 | Function::GetAzs | Function::ImportValue => {
            require(may_be_text(argument))
        }
        Function::Cidr => {
            let count = argument.as_array().map_or(0, Vec::len);
            require((2..=3).contains(&count))
        }
        Function::And | Function::Or | Function::Not | Function::Equals => {
            Err(TemplateError::function(
                "Fn::And, Fn::Equals, Fn::Not and Fn::Or can only be used in conditions and rules",
            ))
        }
    }
}
