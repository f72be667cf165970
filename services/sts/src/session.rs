//! Temporary credentials.

use std::time::Duration;

use base::Arn;
use kernel::Ctx;
use kernel::identity::RoleInfo;
use kernel::session::{Session, Subject};
use policy::{Kind, NamedPolicy, Policy, Principal, Reach, Request};
use sts_api::{
    AssumeRoleInput, AssumeRoleOutput, AssumedRoleUser, Credentials, GetSessionTokenInput,
    GetSessionTokenOutput,
};

use crate::error::{Error, Result};

/// The session of a role lasts an hour unless asked otherwise.
///
/// AWS: AssumeRole, `DurationSeconds`.
const ROLE_SESSION_DEFAULT_SECS: i32 = 3600;
/// What a session of a role may make of another role lasts an hour at most.
///
/// AWS: "Methods to assume a role", role chaining.
const CHAINED_SESSION_MAX_SECS: i32 = 3600;
/// AWS: GetSessionToken, `DurationSeconds`.
const USER_SESSION_DEFAULT_SECS: i32 = 43_200;
const ROOT_SESSION_MAX_SECS: i32 = 3600;
/// The most characters that session policies may have together.
///
/// AWS: "IAM and AWS STS quotas".
const POLICY_CHARS_MAX: usize = 2048;

/// Gives credentials of a role to a caller that the role trusts.
///
/// AWS: AssumeRole.
///
/// # Errors
///
/// [`Error::AccessDenied`] when the caller's policies or the role's trust policy say no, and for a
/// role that does not exist.
pub(crate) async fn assume_role(ctx: Ctx, input: AssumeRoleInput) -> Result<AssumeRoleOutput> {
    refuse_unsupported(&input)?;
    let role_arn: Arn = input
        .role_arn
        .parse()
        .map_err(|_| Error::Validation(format!("{} is invalid", input.role_arn)))?;
    let role = trusted_role(&ctx, &role_arn, &input).await?;
    let duration_secs = role_duration(&ctx, &role, input.duration_seconds)?;
    let policies = session_policies(&input)?;
    let account = role_arn.account.parse().map_err(|_| denied(&ctx, &role_arn))?;
    let subject = Subject::Role {
        role_arn: role.arn.to_string(),
        role_id: role.role_id.clone(),
        session_name: input.role_session_name.clone(),
    };
    let expires = ctx.now() + Duration::from_secs(duration_secs);
    let mut session = ctx.kernel().sealer().issue(account, subject, ctx.now(), expires);
    session.policies = policies;
    session.tags = input.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    let name = role.arn.name().rsplit('/').next().unwrap_or_default();
    let resource = format!("assumed-role/{name}/{}", input.role_session_name);
    Ok(AssumeRoleOutput {
        assumed_role_user: Some(AssumedRoleUser {
            assumed_role_id: format!("{}:{}", role.role_id, input.role_session_name),
            arn: Arn::new("sts", "", &role_arn.account, resource).to_string(),
        }),
        credentials: Some(credentials(&ctx, &session)),
        ..AssumeRoleOutput::default()
    })
}

/// Gives a user temporary credentials with its own permissions.
///
/// AWS: GetSessionToken.
///
/// # Errors
///
/// [`Error::AccessDenied`] when the caller's own credentials are temporary.
pub(crate) async fn get_session_token(
    ctx: Ctx,
    input: GetSessionTokenInput,
) -> Result<GetSessionTokenOutput> {
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(Error::Unsupported("MFA devices are not implemented yet.".to_owned()));
    }
    if input.minimum_session_token_size.is_some() {
        return Err(Error::Unsupported("MinimumSessionTokenSize is not implemented.".to_owned()));
    }
    let wanted = input.duration_seconds.unwrap_or(USER_SESSION_DEFAULT_SECS);
    let (subject, secs) = match &ctx.caller.principal {
        Principal::Root { .. } => (Subject::Root, wanted.min(ROOT_SESSION_MAX_SECS)),
        Principal::User { arn, id } if ctx.caller.expires.is_none() => {
            (Subject::User { arn: arn.to_string(), user_id: id.clone() }, wanted)
        }
        Principal::User { .. }
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
    let expires = ctx.now() + Duration::from_secs(u64::try_from(secs).unwrap_or(0));
    let session = ctx.kernel().sealer().issue(ctx.account.clone(), subject, ctx.now(), expires);
    Ok(GetSessionTokenOutput {
        credentials: Some(credentials(&ctx, &session)),
        ..GetSessionTokenOutput::default()
    })
}

fn credentials(ctx: &Ctx, session: &Session) -> Credentials {
    Credentials {
        access_key_id: session.access_key_id.clone(),
        secret_access_key: session.secret_access_key.clone(),
        session_token: ctx.kernel().sealer().seal(session),
        expiration: session.expires,
    }
}

/// Members that would change what the session may do must not be ignored.
fn refuse_unsupported(input: &AssumeRoleInput) -> Result<()> {
    let unsupported = [
        (!input.policy_arns.is_empty(), "PolicyArns"),
        (!input.transitive_tag_keys.is_empty(), "TransitiveTagKeys"),
        (input.serial_number.is_some() || input.token_code.is_some(), "SerialNumber"),
        (input.source_identity.is_some(), "SourceIdentity"),
        (!input.provided_contexts.is_empty(), "ProvidedContexts"),
        (input.minimum_session_token_size.is_some(), "MinimumSessionTokenSize"),
    ];
    match unsupported.iter().find(|(present, _)| *present) {
        Some((_, name)) => {
            Err(Error::Unsupported(format!("AssumeRole with {name} is not implemented yet.")))
        }
        None => Ok(()),
    }
}

/// The role, if it exists, trusts the caller, and the caller may assume it.
async fn trusted_role(ctx: &Ctx, role_arn: &Arn, input: &AssumeRoleInput) -> Result<RoleInfo> {
    let is_role = role_arn.service == "iam" && role_arn.resource.starts_with("role/");
    let account = role_arn.account.parse().map_err(|_| denied(ctx, role_arn))?;
    let name = role_arn.name().rsplit('/').next().unwrap_or_default();
    let identity = ctx.kernel().identity();
    let role = if is_role { identity.role(&account, name).await? } else { None };
    let role = role.filter(|role| role.arn == *role_arn).ok_or_else(|| denied(ctx, role_arn))?;
    let trust =
        Policy::parse(&role.trust_policy, Kind::Trust).map_err(kernel::ServiceError::internal)?;
    let mut set = identity.policies(&ctx.caller.principal).await?.unwrap_or_default();
    for text in &ctx.caller.session_policies {
        let parsed = Policy::parse(text, Kind::Session).map_err(kernel::ServiceError::internal)?;
        set.session.push(NamedPolicy::new("session policy", parsed));
    }
    set.resource = Some(NamedPolicy::new("trust policy", trust));
    let mut context = ctx.context();
    if let Some(external_id) = &input.external_id {
        context.set("sts:ExternalId", external_id.as_str());
    }
    context.set("sts:RoleSessionName", input.role_session_name.as_str());
    let resource = role_arn.to_string();
    let request = Request {
        action: "sts:AssumeRole",
        resource: &resource,
        principal: &ctx.caller.principal,
        context: &context,
    };
    let reach = if account == ctx.account { Reach::SameAccount } else { Reach::CrossAccount };
    if !policy::evaluate(&set, &request, reach).is_allowed() {
        return Err(denied(ctx, role_arn));
    }
    Ok(role)
}

fn denied(ctx: &Ctx, role_arn: &Arn) -> Error {
    let who = &ctx.caller.arn;
    Error::AccessDenied(format!(
        "User: {who} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    ))
}

fn role_duration(ctx: &Ctx, role: &RoleInfo, wanted: Option<i32>) -> Result<u64> {
    let secs = wanted.unwrap_or(ROLE_SESSION_DEFAULT_SECS);
    let chained = matches!(ctx.caller.principal, Principal::AssumedRole { .. });
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

fn session_policies(input: &AssumeRoleInput) -> Result<Vec<String>> {
    let Some(text) = &input.policy else { return Ok(Vec::new()) };
    if text.chars().count() > POLICY_CHARS_MAX {
        return Err(Error::Validation(format!(
            "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member \
             must have length less than or equal to {POLICY_CHARS_MAX}"
        )));
    }
    Policy::parse(text, Kind::Session)
        .map_err(|e| Error::MalformedPolicyDocument(e.to_string()))?;
    Ok(vec![text.clone()])
}
