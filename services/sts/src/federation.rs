//! Sessions for those whom somebody else vouches for: a user of the account, or an identity
//! provider that it trusts.
//!
//! AWS: "Identity providers and federation into AWS".

use std::time::Duration;

use base::Arn;
use kernel::Ctx;
use kernel::session::Subject;
use policy::{Context, Kind, NamedPolicy, PolicySet, Principal, Reach, Request};
use sts_api::{
    AssumeRoleWithWebIdentityInput, AssumeRoleWithWebIdentityOutput, FederatedUser,
    GetFederationTokenInput, GetFederationTokenOutput,
};

use crate::error::{Error, Result};
use crate::jwt;
use crate::session::{
    ROOT_SESSION_MAX_SECS, USER_SESSION_DEFAULT_SECS, assumed, credentials, find_role, parse_role,
    refuse_unsupported, role_duration, role_session, session_policies,
};
use crate::tags::{SessionTags, packed_percent};

/// What a federated session may do by its user's policies when it was passed none: nothing.
/// Resource policies that name the session still count.
///
/// AWS: GetFederationToken, Permissions.
const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"none:None","Resource":"*"}]}"#;
/// AWS: AssumeRoleWithWebIdentity, `DurationSeconds`.
const ROLE_SESSION_DEFAULT_SECS: i32 = 3600;

/// Gives credentials to somebody for whom the calling user vouches.
///
/// AWS: GetFederationToken.
///
/// # Errors
///
/// [`Error::AccessDenied`] for callers with temporary credentials.
pub(crate) async fn get_federation_token(
    ctx: Ctx,
    input: GetFederationTokenInput,
) -> Result<GetFederationTokenOutput> {
    refuse_unsupported(input.minimum_session_token_size.is_some(), "MinimumSessionTokenSize")?;
    let wanted = input.duration_seconds.unwrap_or(USER_SESSION_DEFAULT_SECS);
    let temporary = ctx.caller.expires.is_some();
    let (user, secs) = match &ctx.caller.principal {
        Principal::Root { .. } if !temporary => (None, wanted.min(ROOT_SESSION_MAX_SECS)),
        Principal::User { arn, .. } if !temporary => (Some(arn.to_string()), wanted),
        Principal::Root { .. }
        | Principal::User { .. }
        | Principal::AssumedRole { .. }
        | Principal::FederatedUser { .. }
        | Principal::Service { .. }
        | Principal::Federated { .. }
        | Principal::Anonymous => {
            return Err(Error::AccessDenied(
                "Cannot call GetFederationToken with session credentials".to_owned(),
            ));
        }
    };
    let tags = SessionTags::of(&input.tags, &[], &ctx.caller.facts)?;
    let arn = Arn::new("sts", "", &ctx.account, format!("federated-user/{}", input.name));
    if !tags.requested.is_empty() {
        let resource = arn.to_string();
        let keys = tags.keys();
        let question = kernel::Question {
            action: "sts:TagSession",
            resource: &resource,
            keys: &keys,
            ..kernel::Question::default()
        };
        if let Some(why) = ctx.call().ask(question).await? {
            return Err(Error::AccessDenied(why));
        }
    }
    let mut policies =
        session_policies(&ctx, &arn, input.policy.as_deref(), &input.policy_arns).await?;
    let packed_policy_size = packed_percent(&policies, &tags.requested)?;
    if policies.is_empty() {
        policies.push(NOTHING.to_owned());
    }
    let expires = ctx.now() + Duration::from_secs(u64::try_from(secs).unwrap_or(0));
    let subject = Subject::Federated { arn: arn.to_string(), user };
    let mut session = ctx.kernel().sealer().issue(ctx.account.clone(), subject, ctx.now(), expires);
    session.policies = policies;
    session.facts.tags = tags.all;
    Ok(GetFederationTokenOutput {
        credentials: Some(credentials(&ctx, &session)),
        federated_user: Some(FederatedUser {
            federated_user_id: format!("{}:{}", ctx.account, input.name),
            arn: arn.to_string(),
        }),
        packed_policy_size,
        ..GetFederationTokenOutput::default()
    })
}

/// Gives credentials of a role to the bearer of an OpenID Connect token that the role trusts.
///
/// AWS: AssumeRoleWithWebIdentity.
///
/// # Errors
///
/// [`Error::InvalidIdentityToken`] for a token that no provider of the account signed,
/// [`Error::ExpiredToken`], [`Error::AccessDenied`].
pub(crate) async fn assume_role_with_web_identity(
    ctx: Ctx,
    input: AssumeRoleWithWebIdentityInput,
) -> Result<AssumeRoleWithWebIdentityOutput> {
    refuse_unsupported(input.provider_id.is_some(), "ProviderId (OAuth 2.0)")?;
    refuse_unsupported(input.minimum_session_token_size.is_some(), "MinimumSessionTokenSize")?;
    let refuse = || {
        Error::AccessDenied("Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned())
    };
    let role_arn = parse_role(&input.role_arn)?;
    let (account, role) = find_role(&ctx, &role_arn).await?.ok_or_else(refuse)?;
    let token = jwt::Token::parse(&input.web_identity_token)?;
    let issuer = token.issuer()?;
    let identity = ctx.kernel().identity();
    let provider = identity.oidc_provider(&account, issuer).await?.ok_or_else(|| {
        Error::InvalidIdentityToken(format!(
            "No OpenIDConnect provider found in your account for https://{issuer}"
        ))
    })?;
    let claims = token.verify(&provider, ctx.now()).await?;
    let mut facts = kernel::session::SessionFacts::default();
    facts.keys.insert("aws:FederatedProvider".to_owned(), vec![provider.arn.clone()]);
    for (name, values) in claims.keys() {
        facts.keys.insert(format!("{}:{name}", provider.issuer), values);
    }
    let tags: Vec<sts_api::Tag> = claims
        .tags
        .iter()
        .map(|(key, value)| sts_api::Tag { key: key.clone(), value: value.clone() })
        .collect();
    let tags = SessionTags::of(&tags, &claims.transitive, &facts)?;
    let name = &input.role_session_name;
    let identity = claims.source_identity.as_deref();
    let context = federated_context(&provider.arn, &tags, &facts, name, identity);
    let mut actions = vec!["sts:AssumeRoleWithWebIdentity"];
    if !tags.all.is_empty() {
        actions.push("sts:TagSession");
    }
    if claims.source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    if !trusts(&ctx, &account, &role, &provider.arn, &actions, &context).await? {
        return Err(refuse());
    }
    let secs = input.duration_seconds.unwrap_or(ROLE_SESSION_DEFAULT_SECS);
    let secs = role_duration(&role, secs, false)?;
    let policies =
        session_policies(&ctx, &role_arn, input.policy.as_deref(), &input.policy_arns).await?;
    let packed_policy_size = packed_percent(&policies, &tags.requested)?;
    let mut session = role_session(&ctx, &role, &role_arn, &input.role_session_name, secs)?;
    session.policies = policies;
    facts.issued = session.facts.issued;
    facts.tags = tags.all;
    facts.transitive = tags.transitive;
    facts.source_identity.clone_from(&claims.source_identity);
    session.facts = facts;
    Ok(AssumeRoleWithWebIdentityOutput {
        assumed_role_user: Some(assumed(&role, &role_arn, &input.role_session_name)),
        credentials: Some(credentials(&ctx, &session)),
        packed_policy_size,
        subject_from_web_identity_token: Some(claims.subject.clone()),
        provider: Some(provider.arn),
        audience: Some(claims.audience.clone()),
        source_identity: claims.source_identity,
        ..AssumeRoleWithWebIdentityOutput::default()
    })
}

/// The condition keys of a call by whom `provider` vouches for.
fn federated_context(
    provider: &str,
    tags: &SessionTags,
    facts: &kernel::session::SessionFacts,
    session: &str,
    source_identity: Option<&str>,
) -> Context {
    let mut context = Context::of(&Principal::Federated { provider: provider.to_owned() });
    let mut keys = tags.keys();
    keys.extend(facts.keys.clone());
    keys.push(("sts:RoleSessionName".to_owned(), vec![session.to_owned()]));
    let identity = source_identity.map(|name| vec![name.to_owned()]);
    keys.extend(identity.map(|values| ("sts:SourceIdentity".to_owned(), values)));
    for (key, values) in &keys {
        match values.as_slice() {
            [value] => context.set(key, value.as_str()),
            many => context.set_all(key, many.iter().map(String::as_str)),
        }
    }
    context
}

/// Whether the role's trust policy lets in whom `provider` vouches for.
pub(crate) async fn trusts(
    ctx: &Ctx,
    account: &base::AccountId,
    role: &kernel::identity::RoleInfo,
    provider: &str,
    actions: &[&str],
    context: &Context,
) -> Result<bool> {
    let resource = role.arn.to_string();
    let trust = ctx.kernel().policies().get(Kind::Trust, &resource, &role.trust_policy);
    let trust = trust.map_err(kernel::ServiceError::internal)?;
    let membership = ctx.kernel().membership(account).await?;
    let set = PolicySet {
        resource: Some(NamedPolicy::new("trust policy", trust)),
        rcps: membership.map(|membership| membership.rcps.clone()).unwrap_or_default(),
        ..PolicySet::default()
    };
    let principal = Principal::Federated { provider: provider.to_owned() };
    Ok(actions.iter().all(|action| {
        let request = Request { action, resource: &resource, principal: &principal, context };
        policy::evaluate(&set, &request, Reach::CrossAccount).is_allowed()
    }))
}
