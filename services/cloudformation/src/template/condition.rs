//! Conditions: boolean functions over parameters.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::evaluate::Evaluator;
use super::function::{self, Function};
use super::model::Template;
use super::{Result, TemplateError};

/// A boolean expression, taken apart.
pub(super) enum Test<'a> {
    And(&'a [Value]),
    Or(&'a [Value]),
    Not(&'a Value),
    Equals(&'a Value, &'a Value),
    Named(&'a str),
}

/// How many operands `Fn::And` and `Fn::Or` take.
const OPERANDS: std::ops::RangeInclusive<usize> = 2..=10;

pub(super) fn test(value: &Value) -> Result<Test<'_>> {
    let not_boolean = || {
        TemplateError::format(
            "Conditions can only be boolean operations on parameters and other conditions",
        )
    };
    let members = value.as_object().ok_or_else(not_boolean)?;
    if let Some(name) = reference(members) {
        return Ok(Test::Named(name));
    }
    let (function, argument) = function::call(members)?.ok_or_else(not_boolean)?;
    let operands = || {
        let operands = argument.as_array().filter(|list| OPERANDS.contains(&list.len()));
        operands.map(Vec::as_slice).ok_or_else(|| function.misuse())
    };
    if function == Function::And {
        return Ok(Test::And(operands()?));
    }
    if function == Function::Or {
        return Ok(Test::Or(operands()?));
    }
    if function == Function::Not {
        let [operand] = argument.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err(function.misuse());
        };
        return Ok(Test::Not(operand));
    }
    if function == Function::Equals {
        let (left, right) = function::pair(function, argument)?;
        return Ok(Test::Equals(left, right));
    }
    Err(not_boolean())
}

/// The condition that `{"Condition": "name"}` names.
fn reference(members: &Map<String, Value>) -> Option<&str> {
    members.get("Condition").filter(|_| members.len() == 1).and_then(Value::as_str)
}

/// The conditions that `value` names.
pub(super) fn named(value: &Value) -> Result<Vec<&str>> {
    Ok(match test(value)? {
        Test::And(operands) | Test::Or(operands) => {
            let lists: Result<Vec<_>> = operands.iter().map(named).collect();
            lists?.into_iter().flatten().collect()
        }
        Test::Not(operand) => named(operand)?,
        Test::Equals(..) => Vec::new(),
        Test::Named(name) => vec![name],
    })
}

/// The values of all of `template`'s conditions; `evaluator` knows the parameters.
pub(super) fn evaluate_all(
    template: &Template,
    evaluator: &Evaluator<'_>,
) -> Result<BTreeMap<String, bool>> {
    let mut values = BTreeMap::new();
    for name in template.conditions.keys() {
        evaluate_named(template, evaluator, name, &mut values, &mut Vec::new())?;
    }
    Ok(values)
}

fn evaluate_named(
    template: &Template,
    evaluator: &Evaluator<'_>,
    name: &str,
    values: &mut BTreeMap<String, bool>,
    open: &mut Vec<String>,
) -> Result<bool> {
    if let Some(value) = values.get(name) {
        return Ok(*value);
    }
    let body = template.conditions.get(name).ok_or_else(|| unresolved(name))?;
    if open.iter().any(|earlier| earlier == name) {
        return Err(TemplateError::format(format!(
            "Circular dependency between conditions: [{}]",
            open.join(", ")
        )));
    }
    open.push(name.to_owned());
    let value = evaluate(body, evaluator, &mut |other| {
        evaluate_named(template, evaluator, other, values, open)
    })?;
    open.pop();
    values.insert(name.to_owned(), value);
    Ok(value)
}

pub(super) fn unresolved(name: &str) -> TemplateError {
    TemplateError::format(format!(
        "Unresolved condition dependency {name} in the Conditions block of the template"
    ))
}

/// The value of one boolean expression; `lookup` answers for named conditions.
pub(super) fn evaluate(
    value: &Value,
    evaluator: &Evaluator<'_>,
    lookup: &mut dyn FnMut(&str) -> Result<bool>,
) -> Result<bool> {
    match test(value)? {
        Test::And(operands) => {
            for operand in operands {
                if !evaluate(operand, evaluator, lookup)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Test::Or(operands) => {
            for operand in operands {
                if evaluate(operand, evaluator, lookup)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Test::Not(operand) => Ok(!evaluate(operand, evaluator, lookup)?),
        Test::Equals(left, right) => {
            let text = |side| evaluator.text(side, Function::Equals);
            Ok(text(left)? == text(right)?)
        }
        Test::Named(name) => lookup(name),
    }
}
