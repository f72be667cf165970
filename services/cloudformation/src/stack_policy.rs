//! Stack policies: which resources an update may touch.
//!
//! AWS: "Prevent updates to stack resources".

use cloudformation_api::{
    GetStackPolicyInput, GetStackPolicyOutput, SetStackPolicyInput, SetStackPolicyOutput,
};
use kernel::Ctx;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::stack::find;
use crate::store::STACKS;
use crate::template::diff::{Action, Change, Replacement};

/// The longest policy.
const BYTES_MAX: usize = 16_384;

/// A policy, read.
#[derive(Debug)]
pub(crate) struct StackPolicy(Vec<Statement>);

#[derive(Debug)]
struct Statement {
    allow: bool,
    /// Patterns, and whether the statement is about everything else.
    actions: (Vec<String>, bool),
    resources: (Vec<String>, bool),
    /// Patterns of the types that it is about; all when there are none.
    types: Vec<String>,
}

/// Reads a policy.
pub(crate) fn parse(text: &str) -> Result<StackPolicy> {
    let refuse = |why: &str| Error::validation(format!("Error validating stack policy: {why}"));
    if text.len() > BYTES_MAX {
        return Err(refuse("Policy is longer than 16384 bytes"));
    }
    let tree: Value = serde_json::from_str(text).map_err(|_| refuse("Invalid stack policy"))?;
    let statements =
        tree.get("Statement").map(|s| s.as_array().cloned().unwrap_or_else(|| vec![s.clone()]));
    let statements =
        statements.filter(|s| !s.is_empty()).ok_or_else(|| refuse("Missing Statement"))?;
    let read = |statement: &Value| -> Result<Statement> {
        let allow = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(refuse("Effect must be Allow or Deny")),
        };
        let patterns = |name: &str, other: &str| -> Result<(Vec<String>, bool)> {
            match (statement.get(name), statement.get(other)) {
                (Some(value), None) => Ok((texts(value), false)),
                (None, Some(value)) => Ok((texts(value), true)),
                _ => Err(refuse(&format!("a statement needs {name} or {other}"))),
            }
        };
        if statement.get("Principal").and_then(Value::as_str) != Some("*") {
            return Err(refuse("Principal must be *"));
        }
        Ok(Statement {
            allow,
            actions: patterns("Action", "NotAction")?,
            resources: patterns("Resource", "NotResource")?,
            types: condition_types(statement).ok_or_else(|| refuse("Unsupported Condition"))?,
        })
    };
    Ok(StackPolicy(statements.iter().map(read).collect::<Result<_>>()?))
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The types of a `Condition` on `ResourceType`; none at all when it is another condition.
fn condition_types(statement: &Value) -> Option<Vec<String>> {
    let Some(condition) = statement.get("Condition") else {
        return Some(Vec::new());
    };
    let (operator, keys) = condition.as_object().filter(|c| c.len() == 1)?.iter().next()?;
    let known = ["StringEquals", "StringLike"].contains(&operator.as_str());
    let types = keys.as_object().filter(|k| known && k.len() == 1)?.get("ResourceType")?;
    Some(texts(types))
}

/// Whether `pattern`, in which `*` stands for any text, matches all of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.filter_map(|at| rest.get(at..)).any(|rest| matches(after, rest))
        }),
    }
}

impl StackPolicy {
    fn allows(&self, action: &str, logical_id: &str, kind: &str) -> bool {
        let resource = format!("LogicalResourceId/{logical_id}");
        let about = |(patterns, inverted): &(Vec<String>, bool), text: &str| {
            patterns.iter().any(|pattern| matches(pattern, text)) != *inverted
        };
        let applies = |statement: &&Statement| {
            about(&statement.actions, action)
                && about(&statement.resources, &resource)
                && (statement.types.is_empty()
                    || statement.types.iter().any(|pattern| matches(pattern, kind)))
        };
        let mut applying = self.0.iter().filter(applies).peekable();
        // Once there is a policy, what it does not allow is denied.
        applying.peek().is_some() && applying.all(|statement| statement.allow)
    }
}

/// Refuses changes that the policy does not allow.
pub(crate) fn check(policy: Option<&str>, changes: &[Change]) -> Result<()> {
    let Some(policy) = policy.map(parse).transpose()? else {
        return Ok(());
    };
    for change in changes {
        let actions: &[&str] = match change.action {
            Action::Add => &[],
            Action::Remove => &["Update:Delete"],
            Action::Modify(Replacement::False) => &["Update:Modify"],
            Action::Modify(Replacement::True) => &["Update:Replace"],
            Action::Modify(Replacement::Conditional) => &["Update:Modify", "Update:Replace"],
        };
        for action in actions {
            if !policy.allows(action, &change.logical_id, &change.kind) {
                return Err(Error::validation(format!(
                    "Action denied by stack policy: [{action}] is not allowed for resource [{}]",
                    change.logical_id
                )));
            }
        }
    }
    Ok(())
}

/// Shows a stack's policy.
///
/// AWS: GetStackPolicy.
///
/// # Errors
///
/// [`Error::Validation`] when there is no such stack.
pub(crate) async fn get_stack_policy(
    ctx: Ctx,
    input: GetStackPolicyInput,
) -> Result<GetStackPolicyOutput> {
    let stack = ctx.store.read(|tx| find(tx, &input.stack_name)).await?;
    Ok(GetStackPolicyOutput { stack_policy_body: stack.policy })
}

/// Sets a stack's policy.
///
/// AWS: SetStackPolicy.
///
/// # Errors
///
/// [`Error::Validation`] when the policy is malformed or there is no such stack.
pub(crate) async fn set_stack_policy(
    ctx: Ctx,
    input: SetStackPolicyInput,
) -> Result<SetStackPolicyOutput> {
    if input.stack_policy_url.is_some() {
        return Err(Error::unsupported("StackPolicyURL"));
    }
    let body = input.stack_policy_body.unwrap_or_default();
    parse(&body)?;
    ctx.store
        .write(|tx| {
            let mut stack = find(tx, &input.stack_name)?;
            stack.policy = Some(body.clone());
            tx.put(&STACKS, &stack)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(SetStackPolicyOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_decide() {
        let policy = parse(
            r#"{"Statement": [
                {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": ["Update:Replace", "Update:Delete"], "Principal": "*",
                 "Resource": "LogicalResourceId/Data*"},
                {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "*",
                 "Condition": {"StringLike": {"ResourceType": ["AWS::IAM::*"]}}}
            ]}"#,
        )
        .unwrap();
        let cases = [
            ("Update:Modify", "Database", "AWS::RDS::DBInstance", true),
            ("Update:Replace", "Database", "AWS::RDS::DBInstance", false),
            ("Update:Replace", "Web", "AWS::EC2::Instance", true),
            ("Update:Modify", "Role", "AWS::IAM::Role", false),
        ];
        for (action, name, kind, allowed) in cases {
            assert_eq!(policy.allows(action, name, kind), allowed, "{action} {name}");
        }
        let only = parse(
            r#"{"Statement": [{"Effect": "Allow", "Action": "Update:Modify",
            "Principal": "*", "NotResource": "LogicalResourceId/A"}]}"#,
        )
        .unwrap();
        assert!(only.allows("Update:Modify", "B", "T"));
        assert!(!only.allows("Update:Modify", "A", "T"));
        assert!(!only.allows("Update:Delete", "B", "T"));
    }

    #[test]
    fn malformed_policies_are_refused() {
        for text in ["", "{}", r#"{"Statement": [{"Effect": "Maybe"}]}"#] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
