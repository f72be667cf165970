//! What policies would say to a call, without making it.
//!
//! AWS: "IAM policy testing with the IAM policy simulator".

use base::Arn;
use iam_api::{
    ContextEntry, EvaluationResult, GetContextKeysForCustomPolicyInput,
    GetContextKeysForCustomPolicyOutput, GetContextKeysForPrincipalPolicyInput,
    GetContextKeysForPrincipalPolicyOutput, OrganizationsDecisionDetail,
    PermissionsBoundaryDecisionDetail, PolicyEvaluationDecisionType, PolicySourceType,
    SimulateCustomPolicyInput, SimulateCustomPolicyOutput, SimulatePrincipalPolicyInput,
    SimulatePrincipalPolicyOutput, Statement,
};
use policy::{Cause, Context, Decision, Kind, Layer, NamedPolicy, Policy, PolicySet, Principal};
use policy::{Reach, Request};

use crate::Ctx;
use crate::access::{self, Keys};
use crate::entity::Entity;
use crate::error::{Error, Result};
use crate::listing;
use crate::store::{Group, Role, User};

/// What a simulation asks.
struct Question {
    set: PolicySet,
    principal: Principal,
    actions: Vec<String>,
    resources: Vec<String>,
    context: Vec<ContextEntry>,
    reach: Reach,
}

/// Whose policies are asked, by the last part of the ARN.
enum Source {
    User(String),
    Group(String),
    Role(String),
}

/// What the policies of a user, group or role would say.
///
/// AWS: SimulatePrincipalPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::InvalidInput`].
pub(crate) async fn simulate_principal_policy(
    ctx: Ctx,
    input: SimulatePrincipalPolicyInput,
) -> Result<SimulatePrincipalPolicyOutput> {
    refuse(!input.policy_exclusion_list.is_empty(), "PolicyExclusionList")?;
    refuse(input.resource_handling_option.is_some(), "ResourceHandlingOption")?;
    let (mut set, own) =
        policies_of(&ctx, "SimulatePrincipalPolicy", &input.policy_source_arn).await?;
    for (index, text) in input.policy_input_list.iter().enumerate() {
        let name = format!("PolicyInputList.{}", index + 1);
        set.identity.push(NamedPolicy::new(name, parse(text, Kind::Identity)?));
    }
    if let Some(boundary) = boundary(&input.permissions_boundary_policy_input_list)? {
        set.boundary = Some(boundary);
    }
    set.resource = resource_policy(input.resource_policy.as_deref())?;
    let principal = match &input.caller_arn {
        Some(arn) => caller(arn)?,
        None => own,
    };
    let question = Question {
        set,
        principal,
        actions: input.action_names,
        resources: input.resource_arns,
        context: input.context_entries,
        reach: reach(&ctx, input.resource_owner.as_deref(), input.caller_arn.as_deref())?,
    };
    let results = question.answers()?;
    let page = listing::page(results, input.marker.as_deref(), input.max_items, key)?;
    Ok(SimulatePrincipalPolicyOutput {
        evaluation_results: page.items.into_iter().map(|(_, result)| result).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// What policies that nobody has yet would say.
///
/// AWS: SimulateCustomPolicy.
///
/// # Errors
///
/// [`Error::InvalidInput`].
pub(crate) async fn simulate_custom_policy(
    ctx: Ctx,
    input: SimulateCustomPolicyInput,
) -> Result<SimulateCustomPolicyOutput> {
    access::require(&ctx, "SimulateCustomPolicy", "*", Keys::new()).await?;
    refuse(input.resource_handling_option.is_some(), "ResourceHandlingOption")?;
    let mut set = PolicySet::default();
    for (place, level) in input.ordered_organization_policy_input_list.iter().enumerate() {
        let texts = level.service_control_policy_input_list.iter().enumerate();
        let parsed = texts.map(|(index, text)| {
            let name = format!("OrderedOrganizationPolicyInputList.{}.{}", place + 1, index + 1);
            Ok(NamedPolicy::new(name, parse(text, Kind::Scp)?))
        });
        set.scps.push(parsed.collect::<Result<_>>()?);
    }
    for (index, text) in input.policy_input_list.iter().enumerate() {
        let name = format!("PolicyInputList.{}", index + 1);
        set.identity.push(NamedPolicy::new(name, parse(text, Kind::Identity)?));
    }
    set.boundary = boundary(&input.permissions_boundary_policy_input_list)?;
    set.resource = resource_policy(input.resource_policy.as_deref())?;
    let principal = match &input.caller_arn {
        Some(arn) => caller(arn)?,
        None => ctx.caller.principal.clone(),
    };
    let question = Question {
        set,
        principal,
        actions: input.action_names,
        resources: input.resource_arns,
        context: input.context_entries,
        reach: reach(&ctx, input.resource_owner.as_deref(), input.caller_arn.as_deref())?,
    };
    let results = question.answers()?;
    let page = listing::page(results, input.marker.as_deref(), input.max_items, key)?;
    Ok(SimulateCustomPolicyOutput {
        evaluation_results: page.items.into_iter().map(|(_, result)| result).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// The condition keys that documents read.
///
/// AWS: GetContextKeysForCustomPolicy.
///
/// # Errors
///
/// [`Error::InvalidInput`].
pub(crate) async fn get_context_keys_for_custom_policy(
    ctx: Ctx,
    input: GetContextKeysForCustomPolicyInput,
) -> Result<GetContextKeysForCustomPolicyOutput> {
    access::require(&ctx, "GetContextKeysForCustomPolicy", "*", Keys::new()).await?;
    let policies = input.policy_input_list.iter().map(|text| parse(text, Kind::Identity));
    let policies = policies.collect::<Result<Vec<_>>>()?;
    Ok(GetContextKeysForCustomPolicyOutput { context_key_names: keys_of(policies.iter()) })
}

/// The condition keys that the policies of a user, group or role read, and further documents.
///
/// AWS: GetContextKeysForPrincipalPolicy.
///
/// # Errors
///
/// [`Error::InvalidInput`], [`Error::NoSuchEntity`].
pub(crate) async fn get_context_keys_for_principal_policy(
    ctx: Ctx,
    input: GetContextKeysForPrincipalPolicyInput,
) -> Result<GetContextKeysForPrincipalPolicyOutput> {
    let action = "GetContextKeysForPrincipalPolicy";
    let (set, _) = policies_of(&ctx, action, &input.policy_source_arn).await?;
    let policies = input.policy_input_list.iter().map(|text| parse(text, Kind::Identity));
    let policies = policies.collect::<Result<Vec<_>>>()?;
    let own = set.identity.iter().map(|named| &*named.policy);
    Ok(GetContextKeysForPrincipalPolicyOutput {
        context_key_names: keys_of(own.chain(policies.iter())),
    })
}

fn keys_of<'a>(policies: impl Iterator<Item = &'a Policy>) -> Vec<String> {
    let mut keys: Vec<String> =
        policies.flat_map(Policy::context_keys).map(str::to_owned).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn key((place, _): &(usize, EvaluationResult)) -> String {
    format!("{place:06}")
}

fn refuse(present: bool, member: &str) -> Result<()> {
    if present {
        return Err(Error::InvalidInput(format!("{member} is not supported by this region.")));
    }
    Ok(())
}

/// Whether the simulated caller and the resources belong to one account.
fn reach(ctx: &Ctx, owner: Option<&str>, caller: Option<&str>) -> Result<Reach> {
    let Some(owner) = owner else { return Ok(Reach::SameAccount) };
    let account = match owner.parse::<Arn>() {
        Ok(arn) => arn.account,
        Err(_) => owner.to_owned(),
    };
    if account.parse::<base::AccountId>().is_err() {
        return Err(Error::InvalidInput(format!("{owner} is not an account.")));
    }
    let caller = caller.and_then(|arn| arn.parse::<Arn>().ok()).map(|arn| arn.account);
    let own = caller.unwrap_or_else(|| ctx.account.to_string());
    Ok(if own == account { Reach::SameAccount } else { Reach::CrossAccount })
}

fn parse(text: &str, kind: Kind) -> Result<Policy> {
    Policy::parse(text, kind).map_err(|error| Error::InvalidInput(error.to_string()))
}

fn boundary(texts: &[String]) -> Result<Option<NamedPolicy>> {
    let name = "PermissionsBoundaryPolicyInputList.1";
    match texts {
        [] => Ok(None),
        [text] => Ok(Some(NamedPolicy::new(name, parse(text, Kind::Boundary)?))),
        [_, ..] => Err(Error::InvalidInput(
            "PermissionsBoundaryPolicyInputList can have one policy only.".to_owned(),
        )),
    }
}

fn resource_policy(text: Option<&str>) -> Result<Option<NamedPolicy>> {
    let Some(text) = text else { return Ok(None) };
    Ok(Some(NamedPolicy::new("ResourcePolicy", parse(text, Kind::Resource)?)))
}

/// The user that a simulation takes as the caller.
fn caller(arn: &str) -> Result<Principal> {
    let invalid = || Error::InvalidInput(format!("{arn} is not the ARN of an IAM user."));
    let parsed: Arn = arn.parse().map_err(|_| invalid())?;
    if parsed.service != "iam" || !parsed.resource.starts_with("user/") {
        return Err(invalid());
    }
    Ok(Principal::User { arn: parsed, id: String::new() })
}

fn source(arn: &Arn) -> Option<Source> {
    let (kind, rest) = arn.resource.split_once('/')?;
    let name = rest.rsplit('/').next()?.to_owned();
    match kind {
        "user" => Some(Source::User(name)),
        "group" => Some(Source::Group(name)),
        "role" => Some(Source::Role(name)),
        _ => None,
    }
}

/// The policies of the principal with `arn`, and who it is.
async fn policies_of(ctx: &Ctx, action: &str, arn: &str) -> Result<(PolicySet, Principal)> {
    let invalid = || {
        Error::InvalidInput(format!(
            "Invalid Entity Arn: {arn} does not clearly define entity type and name."
        ))
    };
    let parsed: Arn = arn.parse().map_err(|_| invalid())?;
    let principal = match source(&parsed).ok_or_else(invalid)? {
        Source::User(name) => {
            let user: User = access::existing(ctx, action, &name).await?;
            Principal::User { arn: user.arn(&ctx.account), id: user.id }
        }
        Source::Role(name) => {
            let role: Role = access::existing(ctx, action, &name).await?;
            let session = format!("assumed-role/{name}/simulation");
            Principal::AssumedRole {
                role: role.arn(&ctx.account),
                session: Arn::new("sts", "", &ctx.account, session),
                role_id: role.id,
            }
        }
        Source::Group(name) => {
            let group: Group = access::existing(ctx, action, &name).await?;
            let set = ctx.drivers.set_of(&ctx.account, vec![group.permissions]).await?;
            return Ok((set, ctx.caller.principal.clone()));
        }
    };
    let set = ctx.kernel().identity().policies(&principal).await?.unwrap_or_default();
    Ok((set, principal))
}

impl Question {
    /// One answer for each action on each resource, with its place in the list.
    fn answers(&self) -> Result<Vec<(usize, EvaluationResult)>> {
        let mut context = Context::of(&self.principal);
        for entry in &self.context {
            let name = entry.context_key_name.as_deref().unwrap_or_default();
            match entry.context_key_values.as_slice() {
                [one] => context.set(name, one.as_str()),
                many => context.set_all(name, many.iter().map(String::as_str)),
            }
        }
        let everything = ["*".to_owned()];
        let resources: &[String] =
            if self.resources.is_empty() { &everything } else { &self.resources };
        let mut answers = Vec::new();
        for action in &self.actions {
            if !action.contains(':') {
                return Err(Error::InvalidInput(format!("Invalid action name: {action}")));
            }
            for resource in resources {
                let principal = &self.principal;
                let request = Request { action, resource, principal, context: &context };
                answers.push((answers.len(), self.answer(&request)));
            }
        }
        Ok(answers)
    }

    /// The keys that the policies read and nobody gave.
    fn missing(&self, context: &Context) -> Vec<String> {
        let set = &self.set;
        let policies = set.identity.iter().chain(&set.resource).chain(&set.boundary);
        let mut missing: Vec<String> = policies
            .chain(set.scps.iter().flatten())
            .flat_map(|named| named.policy.context_keys())
            .filter(|key| context.values(key).is_empty())
            .map(str::to_owned)
            .collect();
        missing.sort();
        missing.dedup();
        missing
    }

    fn answer(&self, request: &Request<'_>) -> EvaluationResult {
        let decision = policy::evaluate(&self.set, request, self.reach);
        let (verdict, cause) = match &decision {
            Decision::Allow(cause) => (PolicyEvaluationDecisionType::Allowed, Some(cause)),
            Decision::ExplicitDeny(cause) => {
                (PolicyEvaluationDecisionType::ExplicitDeny, Some(cause))
            }
            Decision::ImplicitDeny(_) => (PolicyEvaluationDecisionType::ImplicitDeny, None),
        };
        let stopped_by = |wanted: Layer| match &decision {
            Decision::ImplicitDeny(layer) => *layer == wanted,
            Decision::ExplicitDeny(cause) => cause.layer == wanted,
            Decision::Allow(_) => false,
        };
        EvaluationResult {
            eval_action_name: request.action.to_owned(),
            eval_resource_name: Some(request.resource.to_owned()),
            eval_decision: verdict,
            missing_context_values: self.missing(request.context),
            organizations_decision_detail: (!self.set.scps.is_empty()).then(|| {
                OrganizationsDecisionDetail {
                    allowed_by_organizations: Some(!stopped_by(Layer::Scp)),
                }
            }),
            matched_statements: cause.map(statement).into_iter().collect(),
            permissions_boundary_decision_detail: self.set.boundary.as_ref().map(|_| {
                PermissionsBoundaryDecisionDetail {
                    allowed_by_permissions_boundary: Some(!stopped_by(Layer::Boundary)),
                }
            }),
            ..EvaluationResult::default()
        }
    }
}

fn statement(cause: &Cause) -> Statement {
    let kind = if cause.layer == Layer::Resource {
        PolicySourceType::Resource
    } else if cause.policy.starts_with("arn:aws:iam::aws:") {
        PolicySourceType::AwsManaged
    } else if cause.policy.starts_with("arn:") {
        PolicySourceType::UserManaged
    } else {
        PolicySourceType::None
    };
    Statement {
        source_policy_id: Some(cause.policy.to_string()),
        source_policy_type: Some(kind),
        start_position: None,
        end_position: None,
    }
}
