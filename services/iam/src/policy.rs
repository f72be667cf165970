//! Managed policies, the customer's and AWS's own.

use std::collections::BTreeSet;

use base::{AccountId, Tags};
use iam_api as api;
use iam_api::{
    CreatePolicyInput, CreatePolicyOutput, DeletePolicyInput, DeletePolicyOutput, GetPolicyInput,
    GetPolicyOutput, ListPoliciesInput, ListPoliciesOutput, PolicyScopeType, PolicyUsageType,
};
use policy::managed;
use store::ReadTx;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::directory::unique_id;
use crate::entity::{self, Entity, date};
use crate::error::{Error, Result};
use crate::store::{
    ATTACHED, BOUNDARY, GROUPS_BY_POLICY, ManagedPolicy, POLICIES, PolicyVersion, ROLES_BY_POLICY,
    USERS_BY_POLICY,
};
use crate::user::ROOT_PATH;
use crate::{document, listing, tag};

/// A managed policy, whosever it is.
pub(crate) enum AnyPolicy {
    Aws(&'static managed::ManagedPolicy),
    Own(ManagedPolicy),
}

/// How many principals use a policy.
pub(crate) struct Uses {
    pub(crate) attached: usize,
    pub(crate) boundary: usize,
}

impl AnyPolicy {
    pub(crate) fn arn(&self, account: &AccountId) -> String {
        match self {
            Self::Aws(policy) => policy.arn(),
            Self::Own(policy) => policy.arn(account).to_string(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Aws(policy) => policy.name,
            Self::Own(policy) => &policy.name,
        }
    }

    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Aws(policy) => policy.path,
            Self::Own(policy) => &policy.path,
        }
    }

    /// The policy as lists show it: without description and tags.
    pub(crate) fn summary(&self, account: &AccountId, uses: &Uses) -> api::Policy {
        let common = api::Policy {
            policy_name: Some(self.name().to_owned()),
            arn: Some(self.arn(account)),
            path: Some(self.path().to_owned()),
            attachment_count: i32::try_from(uses.attached).ok(),
            permissions_boundary_usage_count: i32::try_from(uses.boundary).ok(),
            is_attachable: Some(true),
            ..api::Policy::default()
        };
        match self {
            Self::Aws(policy) => api::Policy {
                policy_id: Some(aws_policy_id(policy.name)),
                default_version_id: Some(policy.version_id.to_owned()),
                ..common
            },
            Self::Own(policy) => api::Policy {
                policy_id: Some(policy.id.clone()),
                default_version_id: Some(format!("v{}", policy.default_version)),
                create_date: Some(date(policy.created)),
                update_date: Some(date(policy.updated)),
                ..common
            },
        }
    }

    /// The policy with all that is known of it, its documents left out.
    pub(crate) fn detail(&self, account: &AccountId, uses: &Uses) -> api::Policy {
        let (description, tags) = match self {
            Self::Aws(policy) => (Some(policy.description.to_owned()), Vec::new()),
            Self::Own(policy) => (policy.description.clone(), tag::view(&policy.tags)),
        };
        api::Policy { description, tags, ..self.summary(account, uses) }
    }
}

/// The id of a policy of AWS's own: the same in every region that Skyhold makes.
fn aws_policy_id(name: &str) -> String {
    let digits = kernel::token::fingerprint(&name).to_uppercase();
    format!("ANPA{}", digits.chars().take(17).collect::<String>())
}

/// The managed policy with `arn`, if there is one that `account` can use.
///
/// # Errors
///
/// [`Error::InvalidInput`] for what is no ARN of a policy.
pub(crate) fn find(tx: &ReadTx<'_>, account: &AccountId, arn: &str) -> Result<Option<AnyPolicy>> {
    let parsed: base::Arn =
        arn.parse().map_err(|_| Error::InvalidInput(format!("ARN {arn} is not valid.")))?;
    if parsed.service != "iam" || !parsed.resource.starts_with("policy/") {
        return Err(Error::InvalidInput(format!("ARN {arn} is not valid.")));
    }
    if let Some(policy) = managed::find(arn) {
        return Ok(Some(AnyPolicy::Aws(policy)));
    }
    let name = parsed.resource.rsplit('/').next().unwrap_or_default();
    let found = tx.get(&POLICIES, name)?.filter(|policy| policy.arn(account) == parsed);
    Ok(found.map(AnyPolicy::Own))
}

/// No policy has this ARN.
pub(crate) fn unknown(arn: &str) -> Error {
    Error::NoSuchEntity(format!("Policy {arn} was not found."))
}

/// Refuses a permissions boundary that is no managed policy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::InvalidInput`], [`Error::PolicyNotAttachable`].
pub(crate) fn require_boundary(
    tx: &ReadTx<'_>,
    account: &AccountId,
    arn: Option<&str>,
) -> Result<()> {
    let Some(arn) = arn else { return Ok(()) };
    match find(tx, account, arn)? {
        None => Err(Error::NoSuchEntity(format!(
            "Scope ARN: {arn} does not exist or is not attachable."
        ))),
        Some(AnyPolicy::Aws(policy)) if policy.is_for_service_linked_roles() => Err(
            Error::PolicyNotAttachable("Cannot attach a Service Role Policy to a Customer Role."),
        ),
        Some(AnyPolicy::Aws(_) | AnyPolicy::Own(_)) => Ok(()),
    }
}

/// The policy with `arn`, once the caller may do `action` on it.
///
/// # Errors
///
/// [`Error::AccessDenied`], [`Error::NoSuchEntity`], [`Error::InvalidInput`].
pub(crate) async fn any(ctx: &Ctx, action: &str, arn: &str) -> Result<AnyPolicy> {
    any_with(ctx, action, arn, Keys::new()).await
}

async fn any_with(ctx: &Ctx, action: &str, arn: &str, keys: Keys) -> Result<AnyPolicy> {
    let found = ctx.store.read(|tx| find(tx, &ctx.account, arn)).await?;
    let keys = match &found {
        Some(AnyPolicy::Own(policy)) => keys.has(Some(&policy.tags)),
        Some(AnyPolicy::Aws(_)) | None => keys,
    };
    access::require(ctx, action, arn, keys).await?;
    found.ok_or_else(|| unknown(arn))
}

/// The customer's policy with `arn`, once the caller may do `action` on it.
///
/// # Errors
///
/// As [`any`]; nobody may change AWS's own.
pub(crate) async fn own(ctx: &Ctx, action: &str, arn: &str, keys: Keys) -> Result<ManagedPolicy> {
    match any_with(ctx, action, arn, keys).await? {
        AnyPolicy::Own(policy) => Ok(policy),
        AnyPolicy::Aws(_) => Err(Error::AccessDenied(format!(
            "User: {} is not authorized to perform: iam:{action} on resource: policy {arn}",
            ctx.caller.arn
        ))),
    }
}

/// How many principals use the policy with `arn`.
///
/// # Errors
///
/// When the store cannot be read.
pub(crate) fn uses(tx: &ReadTx<'_>, arn: &str) -> Result<Uses> {
    let count = |how: &str| {
        let value = (arn.to_owned(), how.to_owned());
        let users = tx.find(&USERS_BY_POLICY, &value)?.len();
        let groups = tx.find(&GROUPS_BY_POLICY, &value)?.len();
        Ok::<_, store::Error>(users + groups + tx.find(&ROLES_BY_POLICY, &value)?.len())
    };
    Ok(Uses { attached: count(ATTACHED)?, boundary: count(BOUNDARY)? })
}

/// Makes a customer managed policy with one version.
///
/// AWS: CreatePolicy.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`], [`Error::MalformedPolicyDocument`], [`Error::LimitExceeded`].
pub(crate) async fn create_policy(
    ctx: Ctx,
    input: CreatePolicyInput,
) -> Result<CreatePolicyOutput> {
    let path = input.path.clone().unwrap_or_else(|| ROOT_PATH.to_owned());
    let keys = Keys::new().sets(&input.tags);
    let name = &input.policy_name;
    access::may_create::<ManagedPolicy>(&ctx, "CreatePolicy", &path, name, keys).await?;
    document::check_managed(&input.policy_document)?;
    let tags: Tags = tag::from_request(&ctx, &input.tags)?;
    let now = ctx.now();
    let policy = ManagedPolicy {
        name: input.policy_name,
        id: unique_id("ANPA", ctx.random()),
        path,
        description: input.description,
        created: now,
        updated: now,
        versions: vec![PolicyVersion { id: 1, document: input.policy_document, created: now }],
        default_version: 1,
        next_version: 2,
        tags,
    };
    ctx.store
        .write(|tx| {
            entity::require_room::<ManagedPolicy>(tx, &policy.name)?;
            Ok::<_, Error>(tx.put(&POLICIES, &policy)?)
        })
        .await?;
    let unused = Uses { attached: 0, boundary: 0 };
    let view = AnyPolicy::Own(policy).detail(&ctx.account, &unused);
    Ok(CreatePolicyOutput { policy: Some(api::Policy { description: None, ..view }) })
}

/// What a managed policy is, but for its document.
///
/// AWS: GetPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_policy(ctx: Ctx, input: GetPolicyInput) -> Result<GetPolicyOutput> {
    let policy = any(&ctx, "GetPolicy", &input.policy_arn).await?;
    let uses = ctx.store.read(|tx| uses(tx, &input.policy_arn)).await?;
    Ok(GetPolicyOutput { policy: Some(policy.detail(&ctx.account, &uses)) })
}

/// The managed policies that the account can use.
///
/// AWS: ListPolicies.
pub(crate) async fn list_policies(
    ctx: Ctx,
    input: ListPoliciesInput,
) -> Result<ListPoliciesOutput> {
    let prefix = input.path_prefix.as_deref();
    access::may_list::<ManagedPolicy>(&ctx, "ListPolicies", prefix).await?;
    let scope = input.scope.unwrap_or(PolicyScopeType::All);
    let views = ctx
        .store
        .read(|tx| {
            let mut found = Vec::new();
            if scope != PolicyScopeType::Local {
                found.extend(managed::all().iter().map(AnyPolicy::Aws));
            }
            if scope != PolicyScopeType::Aws {
                found.extend(tx.scan(&POLICIES, ())?.into_iter().map(AnyPolicy::Own));
            }
            found.retain(|policy| listing::under(policy.path(), prefix));
            let mut views = Vec::new();
            for policy in found {
                let uses = uses(tx, &policy.arn(&ctx.account))?;
                if is_wanted(&uses, &input) {
                    views.push(policy.summary(&ctx.account, &uses));
                }
            }
            Ok::<_, Error>(views)
        })
        .await?;
    // A customer's policy may have the name of one of AWS's.
    let page = listing::page(views, input.marker.as_deref(), input.max_items, |policy| {
        let is_aws = policy.arn.as_ref().is_some_and(|arn| managed::find(arn).is_some());
        let name = policy.policy_name.clone().unwrap_or_default();
        format!("{name} {}", if is_aws { "aws" } else { "own" })
    })?;
    Ok(ListPoliciesOutput {
        policies: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

fn is_wanted(uses: &Uses, input: &ListPoliciesInput) -> bool {
    let used = match input.policy_usage_filter {
        None => uses.attached + uses.boundary,
        Some(PolicyUsageType::PermissionsPolicy) => uses.attached,
        Some(PolicyUsageType::PermissionsBoundary) => uses.boundary,
    };
    let asks = input.only_attached == Some(true) || input.policy_usage_filter.is_some();
    !asks || used > 0
}

/// Deletes a customer managed policy that nobody uses, with its only version.
///
/// AWS: DeletePolicy.
///
/// # Errors
///
/// [`Error::PolicyInUse`].
pub(crate) async fn delete_policy(
    ctx: Ctx,
    input: DeletePolicyInput,
) -> Result<DeletePolicyOutput> {
    let policy = own(&ctx, "DeletePolicy", &input.policy_arn, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let policy: ManagedPolicy = entity::get(tx, &policy.name)?;
            let uses = uses(tx, &input.policy_arn)?;
            if uses.attached + uses.boundary > 0 {
                return Err(Error::PolicyInUse("Cannot delete a policy attached to entities."));
            }
            if policy.versions.len() > 1 {
                return Err(Error::PolicyInUse(
                    "This policy has more than one version. Before you delete a policy, you must \
                     delete the policy's versions. The default version is deleted with the policy.",
                ));
            }
            tx.delete(&POLICIES, &policy.name)?;
            Ok(())
        })
        .await?;
    Ok(DeletePolicyOutput {})
}

/// The names of the policies in `arns`, ordered.
pub(crate) fn names(arns: &BTreeSet<String>) -> Vec<api::AttachedPolicy> {
    arns.iter()
        .map(|arn| api::AttachedPolicy {
            policy_name: Some(arn.rsplit('/').next().unwrap_or_default().to_owned()),
            policy_arn: Some(arn.clone()),
        })
        .collect()
}
