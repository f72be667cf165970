//! Rules: what a template demands of its parameters together.

use serde_json::Value;

use super::condition;
use super::evaluate::Evaluator;
use super::function::Function;
use super::{Result, TemplateError};

/// One rule: when its condition holds, so must its assertions.
///
/// AWS: "CloudFormation template Rules syntax".
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    name: String,
    condition: Option<Value>,
    assertions: Vec<(Value, Option<String>)>,
}

/// Rule functions that look into the account, which this version does not do.
const REFUSED: [&str; 3] = ["Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll"];

impl Rule {
    pub(super) fn read(name: &str, body: &Value) -> Result<Self> {
        let malformed = || TemplateError::format(format!("Rule {name} is malformed"));
        let members = body.as_object().ok_or_else(malformed)?;
        if members.keys().any(|key| key != "RuleCondition" && key != "Assertions") {
            return Err(malformed());
        }
        if let Some(function) = REFUSED.into_iter().find(|name| mentions(body, name)) {
            return Err(TemplateError::function(format!(
                "Encountered unsupported function: {function} in rule {name}"
            )));
        }
        let assertions = members.get("Assertions").and_then(Value::as_array);
        let assertions = assertions.ok_or_else(malformed)?.iter().map(|assertion| {
            let test = assertion.get("Assert").cloned().ok_or_else(malformed)?;
            let text = assertion.get("AssertDescription").and_then(Value::as_str);
            Ok((test, text.map(str::to_owned)))
        });
        Ok(Self {
            name: name.to_owned(),
            condition: members.get("RuleCondition").cloned(),
            assertions: assertions.collect::<Result<_>>()?,
        })
    }

    pub(super) fn check(&self, evaluator: &Evaluator<'_>) -> Result<()> {
        if let Some(condition) = &self.condition
            && !holds(condition, evaluator)?
        {
            return Ok(());
        }
        for (test, description) in &self.assertions {
            if !holds(test, evaluator)? {
                let text = description.clone().unwrap_or_else(|| format!("rule {}", self.name));
                return Err(TemplateError::Rule(text));
            }
        }
        Ok(())
    }
}

fn mentions(value: &Value, key: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| mentions(item, key)),
        Value::Object(members) => {
            members.iter().any(|(name, member)| name == key || mentions(member, key))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn holds(value: &Value, evaluator: &Evaluator<'_>) -> Result<bool> {
    let single = value.as_object().filter(|members| members.len() == 1);
    let Some((name, argument)) = single.and_then(|members| members.iter().next()) else {
        return Err(TemplateError::format("A rule must be one rule-specific function."));
    };
    let operands = || argument.as_array().map(Vec::as_slice).unwrap_or_default();
    match name.as_str() {
        "Fn::Contains" => {
            let (list, item) = lists(operands(), evaluator)?;
            Ok(item.iter().all(|item| list.contains(item)))
        }
        "Fn::EachMemberEquals" => {
            let (list, item) = lists(operands(), evaluator)?;
            Ok(list.iter().all(|member| item.contains(member)))
        }
        "Fn::EachMemberIn" => {
            let (list, allowed) = lists(operands(), evaluator)?;
            Ok(list.iter().all(|member| allowed.contains(member)))
        }
        "Fn::And" => all(operands(), evaluator),
        "Fn::Or" => any(operands(), evaluator),
        "Fn::Not" => match operands() {
            [operand] => Ok(!holds(operand, evaluator)?),
            _ => Err(Function::Not.misuse()),
        },
        _ => condition::evaluate(value, evaluator, &mut |name| Err(condition::unresolved(name))),
    }
}

fn all(operands: &[Value], evaluator: &Evaluator<'_>) -> Result<bool> {
    operands.iter().try_fold(true, |so_far, operand| Ok(so_far && holds(operand, evaluator)?))
}

fn any(operands: &[Value], evaluator: &Evaluator<'_>) -> Result<bool> {
    operands.iter().try_fold(false, |so_far, operand| Ok(so_far || holds(operand, evaluator)?))
}

/// Two operands, each as the list of its texts.
fn lists(operands: &[Value], evaluator: &Evaluator<'_>) -> Result<(Vec<String>, Vec<String>)> {
    let [left, right] = operands else {
        return Err(TemplateError::format("A rule function needs two operands."));
    };
    let texts = |value: &Value| -> Result<Vec<String>> {
        match evaluator.evaluate(value)? {
            Some(Value::Array(items)) => Ok(items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(other) => Ok(vec![other.to_string()]),
            None => Ok(Vec::new()),
        }
    };
    Ok((texts(left)?, texts(right)?))
}
