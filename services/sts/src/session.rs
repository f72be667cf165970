//! Sessions of roles and users.

use std::time::Duration;

use base::{AccountId, Arn};
use kernel::identity::RoleInfo;
use kernel::session::{Session, Subject};
use kernel::{Ctx, Question};
use policy::{Kind, NamedPolicy, Policy, Principal};
use sts_api::{
    AssumeRoleInput, AssumeRoleOutput, AssumedRoleUser, Credentials, GetSessionTokenInput,
    GetSessionTokenOutput, PolicyDescriptorType,
};

use crate::error::{Error, Result};
use crate::tags::{SessionTags, packed_percent};

/// The session of a role lasts an hour unless asked otherwise.
///
/// AWS: AssumeRole, `DurationSeconds`.
const ROLE_SESSION_DEFAULT_SECS: i32 = 3600;
/// What a session of a role may make of another role lasts an hour at most.
///
/// AWS: "Methods to assume a role", role chaining.
const CHAINED_SESSION_MAX_SECS: i32 = 3600;
/// AWS: GetSessionToken, `DurationSeconds`.
pub(crate) const USER_SESSION_DEFAULT_SECS: i32 = 43_200;
pub(crate) const ROOT_SESSION_MAX_SECS: i32 = 3600;
/// The most characters that session policies may have together.
///
/// AWS: "IAM and AWS STS quotas".
const POLICY_CHARS_MAX: usize = 2048;
/// The most managed session policies.
const POLICY_ARNS_MAX: usize = 10;

/// Gives credentials of a role to a caller that the role trusts.
///
/// AWS: AssumeRole.
///
/// # Errors
///
/// [`Error::AccessDenied`] when the caller's policies or the role's trust policy say no, and for a
/// role that does not exist.
pub(crate) async fn assume_role(ctx: Ctx, input: AssumeRoleInput) -> Result<AssumeRoleOutput> {
    refuse_unsupported(!input.provided_contexts.is_empty(), "ProvidedContexts")?;
    refuse_unsupported(input.minimum_session_token_size.is_some(), "MinimumSessionTokenSize")?;
    if let Principal::Root { .. } = ctx.caller.principal {
        return Err(Error::AccessDenied("Roles may not be assumed by root accounts.".to_owned()));
    }
    let role_arn = parse_role(&input.role_arn)?;
    let facts = &ctx.caller.facts;
    let tags = SessionTags::of(&input.tags, &input.transitive_tag_keys, facts)?;
    let source_identity = source_identity(&ctx, input.source_identity.as_deref())?;
    let mfa = second_factor(&ctx, input.serial_number.as_deref(), input.token_code.as_deref());
    let mfa = mfa.await?;
    let mut keys = tags.keys();
    keys.push(one("sts:RoleSessionName", &input.role_session_name));
    keys.extend(input.external_id.iter().map(|id| one("sts:ExternalId", id)));
    keys.extend(source_identity.iter().map(|name| one("sts:SourceIdentity", name)));
    if mfa {
        keys.push(one("aws:MultiFactorAuthPresent", "true"));
        keys.push(one("aws:MultiFactorAuthAge", "0"));
    }
    let secs = input.duration_seconds.unwrap_or(ROLE_SESSION_DEFAULT_SECS);
    keys.push(one("sts:DurationSeconds", &secs.to_string()));
    let mut actions = vec!["sts:AssumeRole"];
    if !tags.all.is_empty() {
        actions.push("sts:TagSession");
    }
    if source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    let role = trusted_role(&ctx, &role_arn, &actions, keys).await?;
    let chained = matches!(ctx.caller.principal, Principal::AssumedRole { .. });
    let secs = role_duration(&role, secs, chained)?;
    let policies =
        session_policies(&ctx, &role_arn, input.policy.as_deref(), &input.policy_arns).await?;
    let packed_policy_size = packed_percent(&policies, &tags.requested)?;
    let mut session = role_session(&ctx, &role, &role_arn, &input.role_session_name, secs)?;
    session.policies = policies;
    session.facts.tags = tags.all;
    session.facts.transitive = tags.transitive;
    session.facts.mfa = if mfa { Some(ctx.now()) } else { facts.mfa.filter(|_| !chained) };
    session.facts.source_identity.clone_from(&source_identity);
    Ok(AssumeRoleOutput {
        assumed_role_user: Some(assumed(&role, &role_arn, &input.role_session_name)),
        credentials: Some(credentials(&ctx, &session)),
        packed_policy_size,
        source_identity,
        ..AssumeRoleOutput::default()
    })
}

fn one(key: &str, value: &str) -> (String, Vec<String>) {
    (key.to_owned(), vec![value.to_owned()])
}

/// Gives a user temporary credentials with its own permissions.
///
/// AWS: GetSessionToken.
///
/// # Errors
///
/// [`Error::AccessDenied`] when the caller's own credentials are temporary, or the code of its MFA
/// device is wrong.
pub(crate) async fn get_session_token(
    ctx: Ctx,
    input: GetSessionTokenInput,
) -> Result<GetSessionTokenOutput> {
    refuse_unsupported(input.minimum_session_token_size.is_some(), "MinimumSessionTokenSize")?;
    let wanted = input.duration_seconds.unwrap_or(USER_SESSION_DEFAULT_SECS);
    let (subject, secs) = match &ctx.caller.principal {
        Principal::Root { .. } if ctx.caller.expires.is_none() => {
            (Subject::Root, wanted.min(ROOT_SESSION_MAX_SECS))
        }
        Principal::User { arn, id } if ctx.caller.expires.is_none() => {
            (Subject::User { arn: arn.to_string(), user_id: id.clone() }, wanted)
        }
        Principal::Root { .. }
        | Principal::User { .. }
        | Principal::AssumedRole { .. }
        | Principal::FederatedUser { .. }
        | Principal::Service { .. }
        | Principal::Federated { .. }
        | Principal::Anonymous => {
            return Err(Error::AccessDenied(
                "Cannot call GetSessionToken with session credentials".to_owned(),
            ));
        }
    };
    let mfa = second_factor(&ctx, input.serial_number.as_deref(), input.token_code.as_deref());
    let mfa = mfa.await?;
    let expires = ctx.now() + Duration::from_secs(u64::try_from(secs).unwrap_or(0));
    let mut session = ctx.kernel().sealer().issue(ctx.account.clone(), subject, ctx.now(), expires);
    session.facts.mfa = mfa.then(|| ctx.now());
    Ok(GetSessionTokenOutput {
        credentials: Some(credentials(&ctx, &session)),
        ..GetSessionTokenOutput::default()
    })
}

/// Whether the caller proved to hold the MFA device that it names.
///
/// AWS: "Secure API access with MFA".
async fn second_factor(ctx: &Ctx, serial: Option<&str>, code: Option<&str>) -> Result<bool> {
    let (serial, code) = match (serial, code) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        (Some(_), None) | (None, Some(_)) => {
            return Err(Error::Validation(
                "SerialNumber and TokenCode must be specified together".to_owned(),
            ));
        }
    };
    let user = match &ctx.caller.principal {
        Principal::Root { .. } => None,
        Principal::User { arn, .. } => {
            Some(arn.resource.rsplit('/').next().unwrap_or_default().to_owned())
        }
        Principal::AssumedRole { .. }
        | Principal::FederatedUser { .. }
        | Principal::Service { .. }
        | Principal::Federated { .. }
        | Principal::Anonymous => {
            return Err(Error::AccessDenied(
                "MultiFactorAuthentication is not supported for this principal".to_owned(),
            ));
        }
    };
    let identity = ctx.kernel().identity();
    let sealer = ctx.kernel().sealer();
    let good = identity.authenticates(sealer, &ctx.account, user.as_deref(), serial, code).await?;
    if !good {
        return Err(Error::AccessDenied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code.".to_owned(),
        ));
    }
    Ok(true)
}

/// The identity behind the session: asked for, or the caller's own, which nobody may change.
///
/// AWS: "Monitor and control actions taken with assumed roles".
fn source_identity(ctx: &Ctx, asked: Option<&str>) -> Result<Option<String>> {
    let own = ctx.caller.facts.source_identity.as_deref();
    if let (Some(own), Some(asked)) = (own, asked)
        && own != asked
    {
        return Err(Error::AccessDenied(format!(
            "User: {} is not authorized to perform: sts:SetSourceIdentity: the source identity \
             of a session can't be changed",
            ctx.caller.arn
        )));
    }
    if asked.is_some_and(|name| name.to_ascii_lowercase().starts_with("aws:")) {
        return Err(Error::InvalidParameterValue(
            "Source identity may not begin with aws:".to_owned(),
        ));
    }
    Ok(own.or(asked).map(str::to_owned))
}

pub(crate) fn credentials(ctx: &Ctx, session: &Session) -> Credentials {
    Credentials {
        access_key_id: session.access_key_id.clone(),
        secret_access_key: session.secret_access_key.clone(),
        session_token: ctx.kernel().sealer().seal(session),
        expiration: session.expires,
    }
}

/// Members that would change what the session may do must not be ignored.
pub(crate) fn refuse_unsupported(present: bool, name: &str) -> Result<()> {
    if present {
        return Err(Error::Unsupported(format!("{name} is not implemented yet.")));
    }
    Ok(())
}

/// The ARN of a role.
///
/// # Errors
///
/// [`Error::Validation`].
pub(crate) fn parse_role(text: &str) -> Result<Arn> {
    text.parse().map_err(|_| Error::Validation(format!("{text} is invalid")))
}

/// The role that `arn` names, if there is one.
pub(crate) async fn find_role(ctx: &Ctx, arn: &Arn) -> Result<Option<(AccountId, RoleInfo)>> {
    let is_role = arn.service == "iam" && arn.resource.starts_with("role/");
    let Ok(account) = arn.account.parse::<AccountId>() else { return Ok(None) };
    let name = arn.name().rsplit('/').next().unwrap_or_default();
    let role = if is_role { ctx.kernel().identity().role(&account, name).await? } else { None };
    Ok(role.filter(|role| role.arn == *arn).map(|role| (account, role)))
}

/// The role, if it exists, trusts the caller with each of the actions, and the caller may do them.
async fn trusted_role(
    ctx: &Ctx,
    arn: &Arn,
    actions: &[&str],
    mut keys: Vec<(String, Vec<String>)>,
) -> Result<RoleInfo> {
    let (account, role) =
        find_role(ctx, arn).await?.ok_or_else(|| denied(ctx, "sts:AssumeRole", arn))?;
    let resource = arn.to_string();
    for (key, value) in &role.tags {
        keys.push((format!("aws:ResourceTag/{key}"), vec![value.clone()]));
        keys.push((format!("iam:ResourceTag/{key}"), vec![value.clone()]));
    }
    let trust = ctx.kernel().policies().get(Kind::Trust, &resource, &role.trust_policy);
    let trust = trust.map_err(kernel::ServiceError::internal)?;
    for action in actions {
        let question = Question {
            action,
            resource: &resource,
            keys: &keys,
            owner: Some(&account),
            policy: Some(NamedPolicy::new("trust policy", trust.clone())),
        };
        if ctx.call().ask(question).await?.is_some() {
            return Err(denied(ctx, action, arn));
        }
    }
    Ok(role)
}

pub(crate) fn denied(ctx: &Ctx, action: &str, role_arn: &Arn) -> Error {
    let who = &ctx.caller.arn;
    Error::AccessDenied(format!(
        "User: {who} is not authorized to perform: {action} on resource: {role_arn}"
    ))
}

/// How long a session of `role` lasts.
///
/// # Errors
///
/// [`Error::DurationTooLong`].
pub(crate) fn role_duration(role: &RoleInfo, secs: i32, chained: bool) -> Result<u64> {
    if chained && secs > CHAINED_SESSION_MAX_SECS {
        return Err(Error::DurationTooLong(
            "1 hour session limit for roles assumed by role chaining",
        ));
    }
    if i64::from(secs) > role.max_session_duration_secs {
        return Err(Error::DurationTooLong("MaxSessionDuration"));
    }
    Ok(u64::try_from(secs).unwrap_or(0))
}

/// A new session of `role`.
///
/// # Errors
///
/// [`Error::Validation`] for an account that is none.
pub(crate) fn role_session(
    ctx: &Ctx,
    role: &RoleInfo,
    arn: &Arn,
    name: &str,
    secs: u64,
) -> Result<Session> {
    let account = arn.account.parse();
    let account = account.map_err(|_| Error::Validation(format!("{arn} is invalid")))?;
    let subject = Subject::Role {
        role_arn: role.arn.to_string(),
        role_id: role.role_id.clone(),
        session_name: name.to_owned(),
    };
    let expires = ctx.now() + Duration::from_secs(secs);
    Ok(ctx.kernel().sealer().issue(account, subject, ctx.now(), expires))
}

/// How answers name a session of `role`.
pub(crate) fn assumed(role: &RoleInfo, arn: &Arn, session: &str) -> AssumedRoleUser {
    let name = role.arn.name().rsplit('/').next().unwrap_or_default();
    let resource = format!("assumed-role/{name}/{session}");
    AssumedRoleUser {
        assumed_role_id: format!("{}:{session}", role.role_id),
        arn: Arn::new("sts", "", &arn.account, resource).to_string(),
    }
}

/// The session policies that are passed, inline and managed ones of the role's account.
///
/// # Errors
///
/// [`Error::MalformedPolicyDocument`], [`Error::Validation`].
pub(crate) async fn session_policies(
    ctx: &Ctx,
    role_arn: &Arn,
    inline: Option<&str>,
    managed: &[PolicyDescriptorType],
) -> Result<Vec<String>> {
    let mut policies = Vec::new();
    if let Some(text) = inline {
        if text.chars().count() > POLICY_CHARS_MAX {
            return Err(Error::Validation(format!(
                "1 validation error detected: Value at 'policy' failed to satisfy constraint: \
                 Member must have length less than or equal to {POLICY_CHARS_MAX}"
            )));
        }
        Policy::parse(text, Kind::Session)
            .map_err(|e| Error::MalformedPolicyDocument(e.to_string()))?;
        policies.push(text.to_owned());
    }
    if managed.len() > POLICY_ARNS_MAX {
        return Err(Error::Validation(format!(
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: \
             Member must have length less than or equal to {POLICY_ARNS_MAX}"
        )));
    }
    let account: AccountId = role_arn
        .account
        .parse()
        .map_err(|_| Error::Validation(format!("{role_arn} is invalid")))?;
    for arn in managed.iter().filter_map(|descriptor| descriptor.arn.as_deref()) {
        let found = ctx.kernel().identity().managed_policy(&account, arn).await?;
        let text = found.ok_or_else(|| {
            Error::Validation(format!("Policy {arn} does not exist or is not attachable."))
        })?;
        policies.push(text);
    }
    Ok(policies)
}
