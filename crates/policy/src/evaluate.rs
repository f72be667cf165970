//! The evaluation logic: which of all the policies that apply to a call decides it.
//!
//! AWS: "Policy evaluation logic", "Determining whether a request is allowed or denied within an
//! account", "Cross-account policy evaluation logic". An explicit deny anywhere wins. Then every
//! level of resource control policies (the resource's organization) and of service control
//! policies (the caller's) must allow; then, within an account, a resource-based policy that names
//! the caller allows by itself, and otherwise identity policies, boundary and session policies must
//! all allow. Across accounts both sides must. An account's root user needs no identity policy and
//! heeds no boundary; everything else holds for it too.

use std::fmt;
use std::sync::Arc;

use crate::context::Context;
use crate::document::{Call, Effect, Mismatch, Policy};
use crate::principal::{Naming, Principal};

/// A policy with the name that explanations show.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPolicy {
    /// The managed policy's ARN or the inline policy's name.
    pub name: Arc<str>,
    /// The policy.
    pub policy: Arc<Policy>,
}

impl NamedPolicy {
    /// `policy` under `name`.
    pub fn new(name: impl Into<Arc<str>>, policy: impl Into<Arc<Policy>>) -> Self {
        Self { name: name.into(), policy: policy.into() }
    }
}

/// Every policy that applies to a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicySet {
    /// The policies of the user and its groups, or of the role.
    pub identity: Vec<NamedPolicy>,
    /// The resource's policy; for sts:AssumeRole the role's trust policy.
    pub resource: Option<NamedPolicy>,
    /// The permissions boundary of the user or role.
    pub boundary: Option<NamedPolicy>,
    /// The policies that were passed when the session was made; their union limits it.
    pub session: Vec<NamedPolicy>,
    /// The service control policies, one list for each level from the organization's root down to
    /// the account. None for service-linked roles and for the management account.
    pub scps: Vec<Vec<NamedPolicy>>,
    /// The resource control policies of the resource's account, as `scps`. None for resources of
    /// the management account and for service-linked roles.
    pub rcps: Vec<Vec<NamedPolicy>>,
}

/// A call to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `ec2:RunInstances`, in any case.
    pub action: &'a str,
    /// The resource's ARN, or `*` where the action has none.
    pub resource: &'a str,
    /// Who calls.
    pub principal: &'a Principal,
    /// The condition keys.
    pub context: &'a Context,
}

/// Whether the caller and the resource belong to one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They do.
    SameAccount,
    /// They do not.
    CrossAccount,
}

/// A kind of policy in the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Identity-based policies.
    Identity,
    /// The resource-based policy.
    Resource,
    /// The permissions boundary.
    Boundary,
    /// Session policies.
    Session,
    /// Service control policies.
    Scp,
    /// Resource control policies.
    Rcp,
}

/// The statement that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What kind of policy it stands in.
    pub layer: Layer,
    /// The policy's name.
    pub policy: Arc<str>,
    /// The statement's id, or its place as `#1`.
    pub statement: String,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The call may go on.
    Allow(Cause),
    /// No policy of this kind allows the call.
    ImplicitDeny(Layer),
    /// A statement denies the call.
    ExplicitDeny(Cause),
}

impl Decision {
    /// Whether the call may go on.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The text of AWS's access-denied error, or nothing when the call is allowed.
    ///
    /// AWS: "Troubleshoot access denied error messages".
    pub fn denial(&self, request: &Request<'_>) -> Option<String> {
        let reason = match self {
            Self::Allow(_) => return None,
            Self::ImplicitDeny(layer) => {
                format!("because no {} allows the {} action", layer.noun(), request.action)
            }
            Self::ExplicitDeny(cause) => {
                let article = if cause.layer == Layer::Identity { "an" } else { "a" };
                format!("with an explicit deny in {article} {}", cause.layer.noun())
            }
        };
        Some(format!(
            "User: {} is not authorized to perform: {} on resource: {} {reason}",
            request.principal.display(),
            request.action,
            request.resource,
        ))
    }
}

impl Layer {
    fn noun(self) -> &'static str {
        match self {
            Self::Identity => "identity-based policy",
            Self::Resource => "resource-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Scp => "service control policy",
            Self::Rcp => "resource control policy",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

/// What the policies of one layer say.
struct Verdict {
    denied: Option<Cause>,
    allowed: Option<(Naming, Cause)>,
}

/// Decides `request` by `set`.
pub fn evaluate(set: &PolicySet, request: &Request<'_>, reach: Reach) -> Decision {
    with_call(request, |call| decide(set, request.principal, call, reach))
}

fn with_call<T>(request: &Request<'_>, then: impl FnOnce(&Call<'_>) -> T) -> T {
    let action = request.action.to_ascii_lowercase();
    let (service, name) = action.split_once(':').unwrap_or((&action, ""));
    let who = request.principal.identities();
    let (resource, context) = (request.resource, request.context);
    then(&Call { service, name, resource, who: &who, context })
}

fn decide(set: &PolicySet, principal: &Principal, call: &Call<'_>, reach: Reach) -> Decision {
    let rcps = match levels(Layer::Rcp, &set.rcps, call) {
        Ok(allowed) => allowed,
        Err(cause) => return Decision::ExplicitDeny(cause),
    };
    let scps = match levels(Layer::Scp, &set.scps, call) {
        Ok(allowed) => allowed,
        Err(cause) => return Decision::ExplicitDeny(cause),
    };
    let mut resource = scan(Layer::Resource, set.resource.as_slice(), call);
    if mends(principal, call, reach) {
        resource.denied = None;
    }
    let identity = scan(Layer::Identity, &set.identity, call);
    let boundary = scan(Layer::Boundary, set.boundary.as_slice(), call);
    let session = scan(Layer::Session, &set.session, call);
    let denials = [resource.denied, identity.denied, boundary.denied, session.denied];
    if let Some(cause) = denials.into_iter().flatten().next() {
        return Decision::ExplicitDeny(cause);
    }
    if !rcps {
        return Decision::ImplicitDeny(Layer::Rcp);
    }
    match principal {
        // These have no account here whose identity, boundary or control policies could apply.
        Principal::Service { .. } | Principal::Federated { .. } | Principal::Anonymous => {
            return match resource.allowed {
                Some((_, cause)) => Decision::Allow(cause),
                None => Decision::ImplicitDeny(Layer::Resource),
            };
        }
        Principal::Root { .. }
        | Principal::User { .. }
        | Principal::AssumedRole { .. }
        | Principal::FederatedUser { .. } => {}
    }
    if !scps {
        return Decision::ImplicitDeny(Layer::Scp);
    }
    let must_consent = set.resource.as_ref().is_some_and(|named| named.policy.must_consent());
    if (must_consent || reach == Reach::CrossAccount) && resource.allowed.is_none() {
        return Decision::ImplicitDeny(Layer::Resource);
    }
    let own = own_side(set, principal, identity.allowed, &boundary.allowed, &session.allowed);
    match (reach, resource.allowed, own) {
        (Reach::CrossAccount, _, own) => own,
        (Reach::SameAccount, Some((Naming::Direct, cause)), _) => Decision::Allow(cause),
        (Reach::SameAccount, Some((Naming::Role, cause)), _) => {
            match limits(set, &boundary.allowed, &session.allowed) {
                Some(layer) => Decision::ImplicitDeny(layer),
                None => Decision::Allow(cause),
            }
        }
        (Reach::SameAccount, Some((Naming::Account, _)) | None, own) => own,
    }
}

/// Whether every level allows.
///
/// # Errors
///
/// The statement that denies.
fn levels(layer: Layer, levels: &[Vec<NamedPolicy>], call: &Call<'_>) -> Result<bool, Cause> {
    let mut all = true;
    for level in levels {
        let verdict = scan(layer, level, call);
        if let Some(cause) = verdict.denied {
            return Err(cause);
        }
        all &= verdict.allowed.is_some();
    }
    Ok(all)
}

/// Whether the owner's root user mends a bucket's policy, which no such policy can keep it from.
///
/// AWS: "Bucket policies for Amazon S3", PutBucketPolicy.
fn mends(principal: &Principal, call: &Call<'_>, reach: Reach) -> bool {
    matches!(principal, Principal::Root { .. })
        && reach == Reach::SameAccount
        && call.service == "s3"
        && matches!(call.name, "getbucketpolicy" | "putbucketpolicy" | "deletebucketpolicy")
}

/// What the caller's own policies say, its account's resource policies left out.
fn own_side(
    set: &PolicySet,
    principal: &Principal,
    identity: Option<(Naming, Cause)>,
    boundary: &Option<(Naming, Cause)>,
    session: &Option<(Naming, Cause)>,
) -> Decision {
    if let Principal::Root { .. } = principal {
        let policy = Arc::from("root user");
        return Decision::Allow(Cause { layer: Layer::Identity, policy, statement: String::new() });
    }
    let Some((_, cause)) = identity else { return Decision::ImplicitDeny(Layer::Identity) };
    match limits(set, boundary, session) {
        Some(layer) => Decision::ImplicitDeny(layer),
        None => Decision::Allow(cause),
    }
}

/// The first limit that does not allow the call.
fn limits(
    set: &PolicySet,
    boundary: &Option<(Naming, Cause)>,
    session: &Option<(Naming, Cause)>,
) -> Option<Layer> {
    if set.boundary.is_some() && boundary.is_none() {
        return Some(Layer::Boundary);
    }
    (!set.session.is_empty() && session.is_none()).then_some(Layer::Session)
}

/// Reads one layer: the first deny, and the allow that names the caller most directly.
fn scan(layer: Layer, policies: &[NamedPolicy], call: &Call<'_>) -> Verdict {
    let mut best: Option<(Naming, &NamedPolicy, &str)> = None;
    for named in policies {
        for statement in &named.policy.statements {
            let settled = best.is_some_and(|(naming, ..)| naming == Naming::Direct);
            if settled && statement.effect == Effect::Allow {
                continue;
            }
            let Some(naming) = statement.naming(call) else { continue };
            match statement.effect {
                Effect::Deny => {
                    let denied = Some(cause(layer, named, &statement.label));
                    return Verdict { denied, allowed: None };
                }
                Effect::Allow => {
                    if best.is_none_or(|(other, ..)| other < naming) {
                        best = Some((naming, named, &statement.label));
                    }
                }
            }
        }
    }
    let allowed = best.map(|(naming, named, label)| (naming, cause(layer, named, label)));
    Verdict { denied: None, allowed }
}

fn cause(layer: Layer, named: &NamedPolicy, label: &str) -> Cause {
    Cause { layer, policy: named.name.clone(), statement: label.to_owned() }
}

/// Every statement of `set` whose action is the request's, each with what became of it: one line a
/// statement, for people who ask why a call was allowed or denied.
pub fn considered(set: &PolicySet, request: &Request<'_>) -> Vec<String> {
    let layers: [(Layer, &[NamedPolicy]); 4] = [
        (Layer::Resource, set.resource.as_slice()),
        (Layer::Identity, &set.identity),
        (Layer::Boundary, set.boundary.as_slice()),
        (Layer::Session, &set.session),
    ];
    let rcps = set.rcps.iter().map(|level| (Layer::Rcp, level.as_slice()));
    let scps = set.scps.iter().map(|level| (Layer::Scp, level.as_slice()));
    let scps = rcps.chain(scps);
    with_call(request, |call| {
        let mut lines = Vec::new();
        for (layer, policies) in scps.chain(layers) {
            for named in policies {
                lines.extend(named.policy.statements.iter().filter_map(|statement| {
                    let effect = match statement.effect {
                        Effect::Allow => "allows",
                        Effect::Deny => "denies",
                    };
                    let outcome = match statement.applies(call) {
                        Ok(_) => effect.to_owned(),
                        Err(Mismatch::Action) => return None,
                        Err(Mismatch::Principal) => format!("{effect} others"),
                        Err(Mismatch::Resource) => format!("{effect} other resources"),
                        Err(Mismatch::Condition(label)) => {
                            format!("{effect} under a condition that fails: {label}")
                        }
                    };
                    Some(format!("{layer} {} {}: {outcome}", named.name, statement.label))
                }));
            }
        }
        lines
    })
}
