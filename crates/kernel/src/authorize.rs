//! Whether a caller may do what it asks: every policy that applies, for each action and resource
//! that the operation's access rule names.
//!
//! AWS: "Policy evaluation logic" (IAM User Guide).

use std::sync::Arc;

use base::AccountId;
use policy::{Context, Decision, Kind, NamedPolicy, PolicySet, Principal, Reach, Request};
use protocol::schema::{Protocol, ServiceSchema};
use protocol::{ServiceError, Value};
use serde_json::json;

use crate::access::{Asked, Need, Owner, Resource, Subject, expand, owner_of, values_at};
use crate::ctx::{Call, Caller, RequestInfo};
use crate::kernel::{Kernel, is_json};
use crate::organization::Membership;
use crate::service::ServiceDef;

/// What was decided and why, for the audit record.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) explanation: String,
}

/// What an encoded authorization message is sealed for.
///
/// AWS: DecodeAuthorizationMessage.
pub(crate) const MESSAGE_PLACE: &str = "authorization-message";

/// The services whose resources resource control policies protect.
///
/// AWS: "Resource control policies (RCPs)", List of AWS services that support RCPs.
const RCP_SERVICES: [&str; 10] =
    ["s3", "sts", "kms", "sqs", "secretsmanager", "ecr", "aoss", "cognito-idp", "dynamodb", "logs"];

/// A question to the policies by a handler that alone knows what a request means.
#[derive(Debug, Default)]
pub struct Question<'a> {
    /// The action with its prefix, as `iam:PassRole`.
    pub action: &'a str,
    /// The resource's ARN.
    pub resource: &'a str,
    /// Condition keys of the service, with their values.
    pub keys: &'a [(String, Vec<String>)],
    /// The resource's owner; none is the caller's own account.
    pub owner: Option<&'a AccountId>,
    /// The resource's policy.
    pub policy: Option<NamedPolicy>,
}

/// Everything about the caller that bears on its calls.
struct Facts {
    set: PolicySet,
    tags: base::Tags,
    membership: Option<Arc<Membership>>,
}

impl Facts {
    async fn of(kernel: &Arc<Kernel>, caller: &Caller) -> Result<Self, ServiceError> {
        let standing = kernel.identity().standing(&caller.principal).await?.unwrap_or_default();
        let mut set = standing.policies;
        for (index, text) in caller.session_policies.iter().enumerate() {
            let parsed = kernel.policies().get(Kind::Session, text, text);
            let parsed = parsed.map_err(ServiceError::internal)?;
            set.session.push(NamedPolicy::new(format!("session policy {index}"), parsed));
        }
        let mut membership = None;
        if caller.principal.account().is_some() {
            membership = kernel.membership(&caller.account).await?;
        }
        if let Some(membership) = membership.as_ref().filter(|_| !is_linked_role(caller)) {
            set.scps.clone_from(&membership.scps);
        }
        Ok(Self { set, tags: standing.tags, membership })
    }

    /// The keys that tell of the caller. A session's tags hide its role's.
    fn describe(&self, context: &mut Context) {
        for (key, value) in &self.tags {
            let key = format!("aws:PrincipalTag/{key}");
            if context.values(&key).is_empty() {
                context.set(&key, value.as_str());
            }
        }
        if let Some(membership) = &self.membership {
            membership.describe_principal(context);
        }
    }

    /// Binds the resource's owner: whose organization protects it, and the keys that tell so.
    async fn own(
        &mut self,
        call: &Call,
        action: &str,
        owner: Option<&AccountId>,
        context: &mut Context,
    ) -> Result<Reach, ServiceError> {
        self.set.rcps.clear();
        let Some(owner) = owner else { return Ok(Reach::CrossAccount) };
        context.set("aws:ResourceAccount", owner.as_str());
        let own = *owner == call.caller.account && call.caller.principal.account().is_some();
        let membership = match &self.membership {
            Some(membership) if own => Some(membership.clone()),
            _ => call.kernel.membership(owner).await?,
        };
        if let Some(membership) = membership {
            membership.describe_resource(context);
            let service = action.split(':').next().unwrap_or_default();
            if RCP_SERVICES.contains(&service) && !is_linked_role(&call.caller) {
                self.set.rcps.clone_from(&membership.rcps);
            }
        }
        Ok(if own { Reach::SameAccount } else { Reach::CrossAccount })
    }
}

/// Neither kind of control policy binds a service-linked role.
fn is_linked_role(caller: &Caller) -> bool {
    matches!(&caller.principal, Principal::AssumedRole { role, .. }
        if role.resource.starts_with("role/aws-service-role/"))
}

impl Call {
    /// Weighs every policy for a question that no access rule can put. The answer is nothing when
    /// the caller may, or the text of AWS's refusal.
    ///
    /// # Errors
    ///
    /// When policies cannot be read.
    pub async fn ask(&self, question: Question<'_>) -> Result<Option<String>, ServiceError> {
        let mut facts = Facts::of(&self.kernel, &self.caller).await?;
        let mut context = self.context();
        facts.describe(&mut context);
        for (key, values) in question.keys {
            match values.as_slice() {
                [one] if !is_multivalued(key) => context.set(key, one.as_str()),
                many => context.set_all(key, many.iter().map(String::as_str)),
            }
        }
        let owner = question.owner.unwrap_or(&self.account);
        let reach = facts.own(self, question.action, Some(owner), &mut context).await?;
        facts.set.resource = question.policy;
        let request = Request {
            action: question.action,
            resource: question.resource,
            principal: &self.caller.principal,
            context: &context,
        };
        Ok(policy::evaluate(&facts.set, &request, reach).denial(&request))
    }
}

fn is_multivalued(key: &str) -> bool {
    key.eq_ignore_ascii_case("aws:TagKeys")
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
    let own = format!("{}:{operation}", schema.signing_name);
    let fallback = [Need { action: "", resources: &[], keys: &[], when: None, unless: None }];
    let rule = def.and_then(|def| def.access.iter().find(|rule| rule.operation == operation));
    let needs = rule.map_or(fallback.as_slice(), |rule| rule.needs);
    // sts:GetCallerIdentity needs no permission: its rule names no need.
    if needs.is_empty() {
        "allowed: the operation needs no permission".clone_into(&mut verdict.explanation);
        return Ok(());
    }
    let mut facts = Facts::of(kernel, &call.caller).await?;
    for need in needs {
        let has = |member| !values_at(input, member).is_empty();
        if !need.when.is_none_or(has) || need.unless.is_some_and(has) {
            continue;
        }
        let action = if need.action.is_empty() { own.as_str() } else { need.action };
        let region = call.region.as_str();
        let mut resources: Vec<Resource> = need
            .resources
            .iter()
            .flat_map(|template| expand(template, input, region, call.account.as_str()))
            .collect();
        if resources.is_empty() {
            resources.push(Resource { text: "*".to_owned(), claimed: false });
        }
        for resource in resources {
            let mut context = context_of(def, need, input, call, &resource.text).await?;
            facts.describe(&mut context);
            let (resource, context) =
                known(def, call, action, resource, input, context, &mut facts).await?;
            check(def, schema, call, &mut facts, action, &resource, context, verdict).await?;
        }
    }
    Ok(())
}

/// The resource as its service knows it, with its policy.
async fn known(
    def: Option<&ServiceDef>,
    call: &Call,
    action: &str,
    resource: Resource,
    input: &Value,
    context: Context,
    facts: &mut Facts,
) -> Result<(Resource, Context), ServiceError> {
    if let Some(hook) = def.and_then(|def| def.subject_hook.as_ref()) {
        let (action, input) = (action.to_owned(), input.clone());
        let asked = Asked { action, resource: resource.text, input, context };
        let subject: Subject = hook(call.clone(), asked).await?;
        facts.set.resource = subject.policy;
        let resource = Resource { text: subject.resource, claimed: resource.claimed };
        return Ok((resource, subject.context));
    }
    if let Some(hook) = def.and_then(|def| def.policy_hook.as_ref()) {
        let text = hook(call.clone(), resource.text.clone()).await?;
        facts.set.resource = match text {
            Some(text) => {
                let parsed = call.kernel.policies().get(Kind::Resource, &resource.text, &text);
                let parsed = parsed.map_err(ServiceError::internal)?;
                Some(NamedPolicy::new(format!("policy of {}", resource.text), parsed))
            }
            None => None,
        };
    }
    Ok((resource, context))
}

#[expect(
    clippy::too_many_arguments,
    reason = "the facts of one decision; a struct would only rename them"
)]
async fn check(
    def: Option<&ServiceDef>,
    schema: &'static ServiceSchema,
    call: &Call,
    facts: &mut Facts,
    action: &str,
    resource: &Resource,
    mut context: Context,
    verdict: &mut Verdict,
) -> Result<(), ServiceError> {
    let owner = owner(def, call, resource).await?;
    let reach = facts.own(call, action, owner.as_ref(), &mut context).await?;
    let principal = &call.caller.principal;
    let request = Request { action, resource: &resource.text, principal, context: &context };
    let decision = policy::evaluate(&facts.set, &request, reach);
    verdict.explanation = format!("{action} on {}: {decision:?}", resource.text);
    match decision.denial(&request) {
        None => Ok(()),
        Some(message) => {
            let considered = policy::considered(&facts.set, &request).join("\n");
            verdict.explanation = format!("{message}\n{considered}");
            Err(denied(schema, call, &decision, &request, message))
        }
    }
}

/// The account that owns the resource; none where the ARN hides it.
async fn owner(
    def: Option<&ServiceDef>,
    call: &Call,
    resource: &Resource,
) -> Result<Option<AccountId>, ServiceError> {
    Ok(match owner_of(resource) {
        Owner::Own => Some(call.account.clone()),
        Owner::Account(account) => account.parse().ok(),
        Owner::Hidden => None,
        Owner::Unnamed => {
            let mut owner = None;
            if let Some(hook) = def.and_then(|def| def.owner_hook.as_ref()) {
                owner = hook(call.clone(), resource.text.clone()).await?;
            }
            Some(owner.unwrap_or_else(|| call.account.clone()))
        }
    })
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
        let mut values = values_at(input, member);
        match values.len() {
            0 => {}
            1 => context.set(key, values.remove(0)),
            _ => context.set_all(key, values),
        }
    }
    let tags = request_tags(input);
    let mut keys: Vec<String> = tags.iter().map(|(key, _)| key.clone()).collect();
    keys.extend(values_at(input, "TagKeys"));
    if !keys.is_empty() {
        context.set_all("aws:TagKeys", keys);
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

fn denied(
    schema: &ServiceSchema,
    call: &Call,
    decision: &Decision,
    request: &Request<'_>,
    message: String,
) -> ServiceError {
    if schema.protocols.contains(&Protocol::Ec2Query) {
        let encoded = encoded(call, decision, request);
        let message = format!(
            "You are not authorized to perform this operation. {message} Encoded authorization \
             failure message: {encoded}"
        );
        return ServiceError::new("UnauthorizedOperation", message).status(403);
    }
    if is_json(schema) {
        let rest = schema.protocols.first() == Some(&Protocol::RestJson1);
        let status = if rest { 403 } else { 400 };
        return ServiceError::new("AccessDeniedException", message).status(status);
    }
    ServiceError::new("AccessDenied", message).status(403)
}

/// The decision as only who may call `sts:DecodeAuthorizationMessage` can read it.
fn encoded(call: &Call, decision: &Decision, request: &Request<'_>) -> String {
    let (explicit, statement) = match decision {
        Decision::ExplicitDeny(cause) => (true, Some((cause.policy.clone(), &cause.statement))),
        Decision::ImplicitDeny(_) | Decision::Allow(_) => (false, None),
    };
    let matched: Vec<_> = statement
        .iter()
        .map(|(policy, id)| json!({ "statementId": id, "sourcePolicyId": **policy }))
        .collect();
    let conditions: Vec<_> = request
        .context
        .iter()
        .map(|(key, values)| {
            let items: Vec<_> = values.iter().map(|value| json!({ "value": value })).collect();
            json!({ "key": key, "values": { "items": items } })
        })
        .collect();
    let text = json!({
        "allowed": false,
        "explicitDeny": explicit,
        "matchedStatements": { "items": matched },
        "failures": { "items": [] },
        "context": {
            "principal": { "id": call.caller.user_id, "arn": call.caller.arn },
            "action": request.action,
            "resource": request.resource,
            "conditions": { "items": conditions },
        },
    });
    call.kernel.sealer().seal_text(MESSAGE_PLACE, &text.to_string())
}

impl Kernel {
    /// Whether `caller` might call an operation with `input`, which is neither validated nor
    /// served.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub async fn might(
        self: &Arc<Self>,
        service: &str,
        operation: &str,
        input: &Value,
        caller: Caller,
    ) -> Result<(), ServiceError> {
        let unknown = || ServiceError::internal(format!("no model of {service}:{operation}"));
        let schema = protocol::schema::service(service).ok_or_else(unknown)?;
        let name = schema.operation(operation).ok_or_else(unknown)?.name;
        let call = Call::new(self.clone(), caller, RequestInfo::default());
        let def = self.service(service);
        authorize(self, def, schema, name, input, &call, &mut Verdict::default()).await
    }

    /// What an encoded authorization message says; nothing when this region did not write it.
    ///
    /// AWS: DecodeAuthorizationMessage.
    pub fn authorization_message(&self, encoded: &str) -> Option<String> {
        self.sealer().open_text(MESSAGE_PLACE, encoded).ok()
    }
}
