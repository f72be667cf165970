//! What an operation is authorized on: action, resources and condition keys, as a table that each
//! service keeps after the Service Authorization Reference.

use std::sync::Arc;

use base::AccountId;
use policy::{Context, NamedPolicy};
use protocol::{ServiceError, Value};

use crate::ctx::Call;
use crate::service::BoxFuture;

pub(crate) type PolicyHook = Arc<
    dyn Fn(Call, String) -> BoxFuture<'static, Result<Option<String>, ServiceError>> + Send + Sync,
>;
pub(crate) type TagHook =
    Arc<dyn Fn(Call, String) -> BoxFuture<'static, Result<base::Tags, ServiceError>> + Send + Sync>;

pub(crate) type OwnerHook = Arc<
    dyn Fn(Call, String) -> BoxFuture<'static, Result<Option<AccountId>, ServiceError>>
        + Send
        + Sync,
>;

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
/// a resource for each element; an absent member gives `*` in its place. A member whose name ends
/// in `Arn`, or that is marked `{Member:arn}`, may be an ARN of the template's service, which then
/// takes the template's place as a whole; any other value is what it is. `{Member:path}` may start
/// with a slash that the template has already.
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
    /// Ask only when this member is absent, as an action on the newest version of something.
    pub unless: Option<&'static str>,
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
        Self { action, resources, keys: &[], when: None, unless: None }
    }

    /// The same with condition keys.
    #[must_use]
    pub const fn keys(self, keys: &'static [(&'static str, &'static str)]) -> Self {
        Self { keys, ..self }
    }

    /// Only when `member` is absent from the input.
    #[must_use]
    pub const fn unless(self, member: &'static str) -> Self {
        Self { unless: Some(member), ..self }
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

/// A resource that a template gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) text: String,
    /// The whole ARN came from the request, rather than from the rule.
    pub(crate) claimed: bool,
}

/// A placeholder of a template: the member, and how its value is read.
struct Placeholder<'a> {
    member: &'a str,
    /// The value may be an ARN, which then takes the template's place as a whole.
    arn: bool,
    /// The value may be a path, whose first slash the template has already.
    path: bool,
}

impl<'a> Placeholder<'a> {
    /// Reads `Member`, `Member:arn`, `Member:path` or both. A member that the model calls an ARN
    /// needs no mark.
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(':');
        let member = parts.next().unwrap_or_default();
        let named = ["Arn", "ARN", "Arns", "ARNs", "arn", "arns"];
        let last = member.rsplit('.').next().unwrap_or_default();
        let mut found =
            Self { member, arn: named.iter().any(|end| last.ends_with(end)), path: false };
        for mark in parts {
            match mark {
                "arn" => found.arn = true,
                "path" => found.path = true,
                _ => {}
            }
        }
        found
    }

    fn join(&self, template: &str, done: &Resource, before: &str, value: &str) -> Resource {
        if self.arn && is_arn_of(template, value) {
            return Resource { text: value.to_owned(), claimed: true };
        }
        let strip = self.path && before.ends_with('/');
        let value = if strip { value.strip_prefix('/').unwrap_or(value) } else { value };
        Resource { text: format!("{}{before}{value}", done.text), claimed: done.claimed }
    }
}

/// Whether `value` is an ARN of the template's service. A template that is a lone placeholder
/// takes any.
fn is_arn_of(template: &str, value: &str) -> bool {
    let mut parts = value.splitn(6, ':');
    let head = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    let [Some("arn"), Some(_), Some(service), Some(_), Some(_)] = head else { return false };
    let whole = parts.next().is_some_and(|resource| !resource.is_empty());
    let wanted = template.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(1));
    whole && wanted.is_none_or(|wanted| wanted == service)
}

/// The ARNs that `template` gives for `input`.
pub(crate) fn expand(template: &str, input: &Value, region: &str, account: &str) -> Vec<Resource> {
    let mut done = vec![Resource { text: String::new(), claimed: false }];
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        let Some((name, after)) = tail.split_once('}') else { break };
        let placeholder = Placeholder::parse(name);
        let values = match name {
            "region" => vec![region.to_owned()],
            "account" => vec![account.to_owned()],
            _ => values_at(input, placeholder.member),
        };
        let values = if values.is_empty() { vec!["*".to_owned()] } else { values };
        let placeholder = &placeholder;
        done = done
            .iter()
            .flat_map(|prefix| {
                values.iter().map(move |value| placeholder.join(template, prefix, before, value))
            })
            .collect();
        rest = after;
    }
    // What follows a placeholder belongs to the template, not to an ARN that took its place.
    for resource in done.iter_mut().filter(|resource| !resource.claimed) {
        resource.text.push_str(rest);
    }
    done
}

/// ARNs that name no account because AWS writes them so, by service and beginning.
///
/// AWS: Service Authorization Reference, resource types.
const WITHOUT_ACCOUNT: [(&str, &str); 8] = [
    ("s3", ""),
    ("route53", ""),
    ("apigateway", ""),
    ("ec2", "image/"),
    ("ec2", "snapshot/"),
    ("elasticbeanstalk", ""),
    ("rds", "global-cluster:"),
    ("ssm", "parameter/aws/"),
];

/// Whose a resource is, as its ARN tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The account that calls, or nobody in particular.
    Own,
    /// This account.
    Account(String),
    /// The ARN names no account, and AWS writes it so: the service knows.
    Unnamed,
    /// The ARN hides its account.
    Hidden,
}

/// Whose `resource` is.
pub(crate) fn owner_of(resource: &Resource) -> Owner {
    let mut parts = resource.text.splitn(6, ':');
    let (Some("arn"), Some(_), Some(service), Some(_), Some(account), Some(name)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Owner::Own;
    };
    let lists = |(known, start): &(&str, &str)| *known == service && name.starts_with(start);
    match account {
        "*" | "aws" => Owner::Own,
        "" if WITHOUT_ACCOUNT.iter().any(lists) => Owner::Unnamed,
        "" if resource.claimed => Owner::Hidden,
        "" => Owner::Unnamed,
        account => Owner::Account(account.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(members: &[(&'static str, Value)]) -> Value {
        Value::Struct(members.iter().cloned().collect())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn expanded(template: &str, members: &[(&'static str, Value)]) -> Vec<String> {
        let resources = expand(template, &input(members), "r", "111122223333");
        resources.into_iter().map(|resource| resource.text).collect()
    }

    #[test]
    fn only_members_that_are_named_so_stand_for_a_whole_arn() {
        let arn = "arn:aws:s3:::allowed/x";
        let object = "arn:aws:s3:::{Bucket}/{Key}";
        assert_eq!(
            expanded(object, &[("Bucket", text("b")), ("Key", text(arn))]),
            ["arn:aws:s3:::b/arn:aws:s3:::allowed/x"]
        );
        assert_eq!(
            expanded(object, &[("Bucket", text("b")), ("Key", text("/a"))]),
            ["arn:aws:s3:::b//a"]
        );
        let secret = "arn:aws:secretsmanager:{region}:{account}:secret:{SecretId:arn}";
        let own = "arn:aws:secretsmanager:r:111122223333:secret:a-XXXXXX";
        assert_eq!(expanded(secret, &[("SecretId", text(own))]), [own]);
        assert_eq!(
            expanded(secret, &[("SecretId", text("arn:aws:ssm:r:1:secret:a"))]),
            ["arn:aws:secretsmanager:r:111122223333:secret:arn:aws:ssm:r:1:secret:a"]
        );
        let group = "arn:aws:elasticloadbalancing:r:1:targetgroup/a/1";
        assert_eq!(expanded("{TargetGroupArn}", &[("TargetGroupArn", text(group))]), [group]);
        let stack = "arn:aws:cloudformation:{region}:{account}:stack/{StackName:arn}/*";
        let id = "arn:aws:cloudformation:r:111122223333:stack/a/1";
        assert_eq!(expanded(stack, &[("StackName", text(id))]), [id]);
        assert_eq!(
            expanded(stack, &[("StackName", text("a"))]),
            ["arn:aws:cloudformation:r:111122223333:stack/a/*"]
        );
        let parameter = "arn:aws:ssm:{region}:{account}:parameter/{Name:arn:path}";
        assert_eq!(
            expanded(parameter, &[("Name", text("/a/b"))]),
            ["arn:aws:ssm:r:111122223333:parameter/a/b"]
        );
    }

    #[test]
    fn an_arn_that_hides_its_account_is_nobodys() {
        let of = |text: &str, claimed| owner_of(&Resource { text: text.to_owned(), claimed });
        assert_eq!(of("*", false), Owner::Own);
        assert_eq!(of("arn:aws:sqs:r:1:q", true), Owner::Account("1".to_owned()));
        assert_eq!(of("arn:aws:secretsmanager:r::secret:x", true), Owner::Hidden);
        assert_eq!(of("arn:aws:s3:::b", true), Owner::Unnamed);
        assert_eq!(of("arn:aws:ec2:r::image/ami-1", false), Owner::Unnamed);
        assert_eq!(of("arn:aws:iam::aws:policy/X", true), Owner::Own);
    }
}
