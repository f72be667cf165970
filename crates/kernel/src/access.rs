//! What an operation is authorized on: action, resources and condition keys, as a table that each
//! service keeps after the Service Authorization Reference.

use std::sync::Arc;

use policy::{Context, NamedPolicy};
use protocol::{ServiceError, Value};

use crate::ctx::Call;
use crate::service::BoxFuture;

pub(crate) type PolicyHook = Arc<
    dyn Fn(Call, String) -> BoxFuture<'static, Result<Option<String>, ServiceError>> + Send + Sync,
>;
pub(crate) type TagHook =
    Arc<dyn Fn(Call, String) -> BoxFuture<'static, Result<base::Tags, ServiceError>> + Send + Sync>;

pub(crate) type SubjectHook =
    Arc<dyn Fn(Call, Asked) -> BoxFuture<'static, Result<Subject, ServiceError>> + Send + Sync>;

/// What a call asks of one resource, before the service has said what it knows of it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The action, as `kms:Decrypt`.
    pub action: String,
    /// The resource as the access rule's template gave it.
    pub resource: String,
    /// The request.
    pub input: Value,
    /// The condition keys known so far.
    pub context: Context,
}

/// What a service knows of a resource of its own that a call is authorized on.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The resource's own ARN, however the request named it.
    pub resource: String,
    /// The resource's policy.
    pub policy: Option<NamedPolicy>,
    /// The condition keys, with the service's own.
    pub context: Context,
}

/// The access rule of one operation.
///
/// A resource is a template of an ARN in which `{region}` and `{account}` stand for the call's and
/// `{Member}` or `{Outer.Inner}` for the input's members by their model names. A list member gives
/// a resource for each element; an absent member gives `*` in its place; a member whose value is an
/// ARN takes the template's place as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// The operation, as `RunInstances`.
    pub operation: &'static str,
    /// The actions to be allowed, each with the resources it is allowed on (none: `*`).
    pub needs: &'static [Need],
}

/// One action that an operation needs.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// The action with its prefix, as `ec2:RunInstances`.
    pub action: &'static str,
    /// Templates of the resources; none means `*`.
    pub resources: &'static [&'static str],
    /// Condition keys of the service and the members that give their values.
    pub keys: &'static [(&'static str, &'static str)],
    /// Ask only when this member is present, as a role that is passed.
    pub when: Option<&'static str>,
}

impl Access {
    /// `operation` needs the action of its own name on `resources`.
    pub const fn new(operation: &'static str, needs: &'static [Need]) -> Self {
        Self { operation, needs }
    }
}

impl Need {
    /// `action` on `resources`.
    pub const fn on(action: &'static str, resources: &'static [&'static str]) -> Self {
        Self { action, resources, keys: &[], when: None }
    }

    /// The same with condition keys.
    #[must_use]
    pub const fn keys(self, keys: &'static [(&'static str, &'static str)]) -> Self {
        Self { keys, ..self }
    }

    /// Only when `member` is present in the input.
    #[must_use]
    pub const fn when(self, member: &'static str) -> Self {
        Self { when: Some(member), ..self }
    }
}

/// Every value that `path` (`Outer.Inner`) reaches in `input`, lists flattened, as text.
pub(crate) fn values_at(input: &Value, path: &str) -> Vec<String> {
    let mut found = vec![input.clone()];
    for part in path.split('.') {
        found = found.iter().flat_map(elements).filter_map(|v| v.member(part).cloned()).collect();
    }
    found.iter().flat_map(elements).filter_map(|value| text_of(&value)).collect()
}

fn elements(value: &Value) -> Vec<Value> {
    value.as_list().map_or_else(|| vec![value.clone()], <[Value]>::to_vec)
}

fn text_of(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    if let Some(number) = value.as_i64() {
        return Some(number.to_string());
    }
    value.as_bool().map(|b| b.to_string())
}

/// A member that is a whole ARN stands for itself; a value that starts with a slash (a parameter's
/// name) takes the place of the template's own.
fn join(prefix: &str, before: &str, value: &str) -> String {
    if value.starts_with("arn:") {
        return value.to_owned();
    }
    let value =
        if before.ends_with('/') { value.strip_prefix('/').unwrap_or(value) } else { value };
    format!("{prefix}{before}{value}")
}

/// The ARNs that `template` gives for `input`.
pub(crate) fn expand(template: &str, input: &Value, region: &str, account: &str) -> Vec<String> {
    let mut done = vec![String::new()];
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        let Some((name, after)) = tail.split_once('}') else { break };
        let values = match name {
            "region" => vec![region.to_owned()],
            "account" => vec![account.to_owned()],
            member => values_at(input, member),
        };
        let values = if values.is_empty() { vec!["*".to_owned()] } else { values };
        done = done
            .iter()
            .flat_map(|prefix| values.iter().map(move |value| join(prefix, before, value)))
            .collect();
        rest = after;
    }
    done.iter().map(|prefix| format!("{prefix}{rest}")).collect()
}
