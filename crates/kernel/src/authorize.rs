//! Whether a caller may do what it asks: every policy that applies, for each action and resource
//! that the operation's access rule names.
//!
//! AWS: "Policy evaluation logic" (IAM User Guide).

use std::sync::Arc;

use policy::{Context, Kind, NamedPolicy, Policy, PolicySet, Principal, Reach, Request};
use protocol::schema::{Protocol, ServiceSchema};
use protocol::{ServiceError, Value};

use crate::access::{Asked, Need, Subject, expand, values_at};
use crate::ctx::Call;
use crate::kernel::{Kernel, is_json};
use crate::service::ServiceDef;

/// What was decided and why, for the audit record.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) explanation: String,
}

/// Refuses the call unless every need of its access rule is allowed.
pub(crate) async fn authorize(
    kernel: &Arc<Kernel>,
    def: Option<&ServiceDef>,
    schema: &'static ServiceSchema,
    operation: &'static str,
    input: &Value,
    call: &Call,
    verdict: &mut Verdict,
) -> Result<(), ServiceError> {
    let subject_hook = def.and_then(|def| def.subject_hook.as_ref());
    if let Principal::Root { .. } = call.caller.principal
        && subject_hook.is_none()
    {
        "allowed: the account's root user".clone_into(&mut verdict.explanation);
        return Ok(());
    }
    let own = format!("{}:{operation}", schema.signing_name);
    let fallback = [Need { action: "", resources: &[], keys: &[], when: None }];
    let rule = def.and_then(|def| def.access.iter().find(|rule| rule.operation == operation));
    let needs = rule.map_or(fallback.as_slice(), |rule| rule.needs);
    // sts:GetCallerIdentity needs no permission: its rule names no need.
    if needs.is_empty() {
        "allowed: the operation needs no permission".clone_into(&mut verdict.explanation);
        return Ok(());
    }
    let mut set = kernel.identity().policies(&call.caller.principal).await?.unwrap_or_default();
    for (index, text) in call.caller.session_policies.iter().enumerate() {
        let parsed = Policy::parse(text, Kind::Session).map_err(ServiceError::internal)?;
        set.session.push(NamedPolicy::new(format!("session policy {index}"), parsed));
    }
    for need in needs {
        let present = need.when.is_none_or(|member| !values_at(input, member).is_empty());
        if !present {
            continue;
        }
        let action = if need.action.is_empty() { own.as_str() } else { need.action };
        let region = call.region.as_str();
        let mut resources: Vec<String> = need
            .resources
            .iter()
            .flat_map(|template| expand(template, input, region, call.account.as_str()))
            .collect();
        if resources.is_empty() {
            resources.push("*".to_owned());
        }
        for resource in resources {
            let context = context_of(def, need, input, call, &resource).await?;
            let (resource, context) = match subject_hook {
                None => (resource, context),
                Some(hook) => {
                    let (action, input) = (action.to_owned(), input.clone());
                    let asked = Asked { action, resource, input, context };
                    let subject: Subject = hook(call.clone(), asked).await?;
                    set.resource = subject.policy;
                    (subject.resource, subject.context)
                }
            };
            check(def, schema, call, &mut set, action, &resource, &context, verdict).await?;
        }
    }
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "the facts of one decision; a struct would only rename them"
)]
async fn check(
    def: Option<&ServiceDef>,
    schema: &'static ServiceSchema,
    call: &Call,
    set: &mut PolicySet,
    action: &str,
    resource: &str,
    context: &Context,
    verdict: &mut Verdict,
) -> Result<(), ServiceError> {
    if let Some(hook) = def.and_then(|def| def.policy_hook.as_ref()) {
        let text = hook(call.clone(), resource.to_owned()).await?;
        set.resource = match text {
            Some(text) => {
                let parsed =
                    Policy::parse(&text, Kind::Resource).map_err(ServiceError::internal)?;
                Some(NamedPolicy::new(format!("policy of {resource}"), parsed))
            }
            None => None,
        };
    }
    let request = Request { action, resource, principal: &call.caller.principal, context };
    let own = resource_account(resource).is_none_or(|a| a == call.account.as_str());
    let reach = if own { Reach::SameAccount } else { Reach::CrossAccount };
    let decision = policy::evaluate(set, &request, reach);
    verdict.explanation = format!("{action} on {resource}: {decision:?}");
    match decision.denial(&request) {
        None => Ok(()),
        Some(message) => {
            let considered = policy::considered(set, &request).join("\n");
            verdict.explanation = format!("{message}\n{considered}");
            Err(denied(schema, message))
        }
    }
}

fn resource_account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty() && *account != "*")
}

async fn context_of(
    def: Option<&ServiceDef>,
    need: &Need,
    input: &Value,
    call: &Call,
    resource: &str,
) -> Result<Context, ServiceError> {
    let mut context = call.context();
    for (key, member) in need.keys {
        let values = values_at(input, member);
        if !values.is_empty() {
            context.set_all(key, values);
        }
    }
    let tags = request_tags(input);
    if !tags.is_empty() {
        context.set_all("aws:TagKeys", tags.iter().map(|(key, _)| key.clone()));
    }
    for (key, value) in &tags {
        context.set(&format!("aws:RequestTag/{key}"), value.as_str());
    }
    if let Some(hook) = def.and_then(|def| def.tag_hook.as_ref())
        && resource.starts_with("arn:")
    {
        for (key, value) in hook(call.clone(), resource.to_owned()).await? {
            context.set(&format!("aws:ResourceTag/{key}"), value.as_str());
        }
    }
    Ok(context)
}

/// The tags that a request sets, from `Tags` (a list of `Key` and `Value`, or a map) and from
/// EC2's `TagSpecifications`.
fn request_tags(input: &Value) -> Vec<(String, String)> {
    let mut tags = Vec::new();
    let mut take = |list: &[Value]| {
        for tag in list {
            let part = |names: [&str; 2]| {
                names.iter().find_map(|n| tag.member(n)).and_then(Value::as_str).map(str::to_owned)
            };
            if let Some(key) = part(["Key", "TagKey"]) {
                tags.push((key, part(["Value", "TagValue"]).unwrap_or_default()));
            }
        }
    };
    if let Some(list) = input.member("Tags").and_then(Value::as_list) {
        take(list);
    }
    for spec in input.member("TagSpecifications").and_then(Value::as_list).unwrap_or_default() {
        take(spec.member("Tags").and_then(Value::as_list).unwrap_or_default());
    }
    for (key, value) in input.member("Tags").and_then(Value::as_map).unwrap_or_default() {
        tags.push((key.clone(), value.as_str().unwrap_or_default().to_owned()));
    }
    tags
}

fn denied(schema: &ServiceSchema, message: String) -> ServiceError {
    if schema.protocols.contains(&Protocol::Ec2Query) {
        let message = format!("You are not authorized to perform this operation. {message}");
        return ServiceError::new("UnauthorizedOperation", message).status(403);
    }
    if is_json(schema) {
        let rest = schema.protocols.first() == Some(&Protocol::RestJson1);
        let status = if rest { 403 } else { 400 };
        return ServiceError::new("AccessDeniedException", message).status(status);
    }
    ServiceError::new("AccessDenied", message).status(403)
}
