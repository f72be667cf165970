//! Managed policies of users, groups and roles, and permissions boundaries.

use iam_api::{
    AttachGroupPolicyInput, AttachGroupPolicyOutput, AttachRolePolicyInput, AttachRolePolicyOutput,
    AttachUserPolicyInput, AttachUserPolicyOutput, AttachedPolicy,
    DeleteRolePermissionsBoundaryInput, DeleteRolePermissionsBoundaryOutput,
    DeleteUserPermissionsBoundaryInput, DeleteUserPermissionsBoundaryOutput,
    DetachGroupPolicyInput, DetachGroupPolicyOutput, DetachRolePolicyInput, DetachRolePolicyOutput,
    DetachUserPolicyInput, DetachUserPolicyOutput, EntityType, ListAttachedGroupPoliciesInput,
    ListAttachedGroupPoliciesOutput, ListAttachedRolePoliciesInput, ListAttachedRolePoliciesOutput,
    ListAttachedUserPoliciesInput, ListAttachedUserPoliciesOutput, ListEntitiesForPolicyInput,
    ListEntitiesForPolicyOutput, PolicyGroup, PolicyRole, PolicyUsageType, PolicyUser,
    PutRolePermissionsBoundaryInput, PutRolePermissionsBoundaryOutput,
    PutUserPermissionsBoundaryInput, PutUserPermissionsBoundaryOutput,
};
use kernel::paging::Page;
use store::{Index, ReadTx};

use crate::Ctx;
use crate::access::{self, Keys};
use crate::entity::{self, Permitted};
use crate::error::{Error, Result};
use crate::listing;
use crate::policy::{self, AnyPolicy};
use crate::store::{
    ATTACHED, BOUNDARY, GROUPS_BY_POLICY, Group, ROLES_BY_POLICY, Role, USERS_BY_POLICY, User,
};

/// AWS: "IAM and AWS STS quotas", managed policies attached to a user, group or role.
pub(crate) const ATTACHED_MAX: usize = 10;

async fn attach<E: Permitted>(ctx: &Ctx, action: &str, name: &str, arn: &str) -> Result<()> {
    access::modifiable::<E>(ctx, action, name, Keys::new().policy(arn)).await?;
    ctx.store
        .write(|tx| {
            let mut found: E = entity::get_modifiable(tx, name)?;
            match policy::find(tx, &ctx.account, arn)? {
                None => {
                    return Err(Error::NoSuchEntity(format!(
                        "Policy {arn} does not exist or is not attachable."
                    )));
                }
                Some(AnyPolicy::Aws(policy)) if policy.is_for_service_linked_roles() => {
                    return Err(Error::PolicyNotAttachable(
                        "Cannot attach a Service Role Policy to a Customer Role.",
                    ));
                }
                Some(AnyPolicy::Aws(_) | AnyPolicy::Own(_)) => {}
            }
            let attached = &mut found.permissions_mut().attached;
            attached.insert(arn.to_owned());
            if attached.len() > ATTACHED_MAX {
                return Err(Error::quota(E::ATTACHED_QUOTA, ATTACHED_MAX));
            }
            Ok(tx.put(&E::TABLE, &found)?)
        })
        .await
}

async fn detach<E: Permitted>(ctx: &Ctx, action: &str, name: &str, arn: &str) -> Result<()> {
    access::modifiable::<E>(ctx, action, name, Keys::new().policy(arn)).await?;
    ctx.store
        .write(|tx| {
            let mut found: E = entity::get_modifiable(tx, name)?;
            if !found.permissions_mut().attached.remove(arn) {
                return Err(policy::unknown(arn));
            }
            Ok(tx.put(&E::TABLE, &found)?)
        })
        .await
}

async fn list<E: Permitted>(
    ctx: &Ctx,
    action: &str,
    name: &str,
    prefix: Option<&str>,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Result<Page<AttachedPolicy>> {
    let found: E = access::existing(ctx, action, name).await?;
    let mut attached = found.permissions().attached.clone();
    // `arn:aws:iam::123456789012:policy/path/name` lies under `/path/`.
    attached.retain(|arn| {
        arn.split_once(":policy").is_some_and(|(_, path)| listing::under(path, prefix))
    });
    listing::page(policy::names(&attached), marker, max_items, |policy| {
        let arn = policy.policy_arn.as_deref().unwrap_or_default();
        let owner = if arn.starts_with("arn:aws:iam::aws:") { "aws" } else { "own" };
        format!("{} {owner}", policy.policy_name.as_deref().unwrap_or_default())
    })
}

async fn bound<E: Permitted>(
    ctx: &Ctx,
    action: &str,
    name: &str,
    boundary: Option<&str>,
) -> Result<()> {
    let keys = Keys::new().boundary(boundary);
    access::modifiable::<E>(ctx, action, name, keys).await?;
    ctx.store
        .write(|tx| {
            let mut found: E = entity::get_modifiable(tx, name)?;
            policy::require_boundary(tx, &ctx.account, boundary)?;
            let old = &mut found.permissions_mut().boundary;
            if boundary.is_none() && old.is_none() {
                return Err(Error::NoSuchEntity(format!(
                    "The {} with name {name} does not have a permissions boundary.",
                    E::NOUN
                )));
            }
            *old = boundary.map(str::to_owned);
            Ok(tx.put(&E::TABLE, &found)?)
        })
        .await
}

/// A principal that uses a policy.
enum Using {
    Group(PolicyGroup),
    Role(PolicyRole),
    User(PolicyUser),
}

impl Using {
    fn key(&self) -> String {
        match self {
            Self::Group(group) => format!("group {}", group.group_name.as_deref().unwrap_or("")),
            Self::Role(role) => format!("role {}", role.role_name.as_deref().unwrap_or("")),
            Self::User(user) => format!("user {}", user.user_name.as_deref().unwrap_or("")),
        }
    }
}

/// The users, groups and roles that have a managed policy.
///
/// AWS: ListEntitiesForPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_entities_for_policy(
    ctx: Ctx,
    input: ListEntitiesForPolicyInput,
) -> Result<ListEntitiesForPolicyOutput> {
    policy::any(&ctx, "ListEntitiesForPolicy", &input.policy_arn).await?;
    let found = ctx.store.read(|tx| using(tx, &input)).await?;
    let page = listing::page(found, input.marker.as_deref(), input.max_items, Using::key)?;
    let mut output = ListEntitiesForPolicyOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        ..ListEntitiesForPolicyOutput::default()
    };
    for one in page.items {
        match one {
            Using::Group(group) => output.policy_groups.push(group),
            Using::Role(role) => output.policy_roles.push(role),
            Using::User(user) => output.policy_users.push(user),
        }
    }
    Ok(output)
}

fn using(tx: &ReadTx<'_>, input: &ListEntitiesForPolicyInput) -> Result<Vec<Using>> {
    let wants = |kind| input.entity_filter.is_none_or(|filter| filter == kind);
    let mut found = Vec::new();
    if wants(EntityType::Group) {
        found.extend(users_of(tx, &GROUPS_BY_POLICY, input)?.into_iter().map(|group| {
            Using::Group(PolicyGroup { group_name: Some(group.name), group_id: Some(group.id) })
        }));
    }
    if wants(EntityType::Role) {
        found.extend(users_of(tx, &ROLES_BY_POLICY, input)?.into_iter().map(|role| {
            Using::Role(PolicyRole { role_name: Some(role.name), role_id: Some(role.id) })
        }));
    }
    if wants(EntityType::User) {
        found.extend(users_of(tx, &USERS_BY_POLICY, input)?.into_iter().map(|user| {
            Using::User(PolicyUser { user_name: Some(user.name), user_id: Some(user.id) })
        }));
    }
    Ok(found)
}

/// The principals of one kind that use the policy as the caller asks.
fn users_of<E: Permitted>(
    tx: &ReadTx<'_>,
    index: &Index<E, (String, String)>,
    input: &ListEntitiesForPolicyInput,
) -> Result<Vec<E>> {
    let ways: &[&str] = match input.policy_usage_filter {
        None => &[ATTACHED, BOUNDARY],
        Some(PolicyUsageType::PermissionsPolicy) => &[ATTACHED],
        Some(PolicyUsageType::PermissionsBoundary) => &[BOUNDARY],
    };
    let mut found: Vec<E> = Vec::new();
    for way in ways {
        for one in tx.find(index, (input.policy_arn.clone(), (*way).to_owned()))? {
            let known = found.iter().any(|other| other.name() == one.name());
            if !known && listing::under(one.path(), input.path_prefix.as_deref()) {
                found.push(one);
            }
        }
    }
    Ok(found)
}

/// Gives a user a managed policy.
///
/// AWS: AttachUserPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::LimitExceeded`], [`Error::PolicyNotAttachable`].
pub(crate) async fn attach_user_policy(
    ctx: Ctx,
    input: AttachUserPolicyInput,
) -> Result<AttachUserPolicyOutput> {
    attach::<User>(&ctx, "AttachUserPolicy", &input.user_name, &input.policy_arn).await?;
    Ok(AttachUserPolicyOutput {})
}

/// Takes a managed policy from a user.
///
/// AWS: DetachUserPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`] when the user has no such policy.
pub(crate) async fn detach_user_policy(
    ctx: Ctx,
    input: DetachUserPolicyInput,
) -> Result<DetachUserPolicyOutput> {
    detach::<User>(&ctx, "DetachUserPolicy", &input.user_name, &input.policy_arn).await?;
    Ok(DetachUserPolicyOutput {})
}

/// The managed policies of a user.
///
/// AWS: ListAttachedUserPolicies.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_attached_user_policies(
    ctx: Ctx,
    input: ListAttachedUserPoliciesInput,
) -> Result<ListAttachedUserPoliciesOutput> {
    let (name, prefix) = (&input.user_name, input.path_prefix.as_deref());
    let (action, marker) = ("ListAttachedUserPolicies", input.marker.as_deref());
    let page = list::<User>(&ctx, action, name, prefix, marker, input.max_items).await?;
    Ok(ListAttachedUserPoliciesOutput {
        attached_policies: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Gives a group a managed policy.
///
/// AWS: AttachGroupPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::LimitExceeded`], [`Error::PolicyNotAttachable`].
pub(crate) async fn attach_group_policy(
    ctx: Ctx,
    input: AttachGroupPolicyInput,
) -> Result<AttachGroupPolicyOutput> {
    attach::<Group>(&ctx, "AttachGroupPolicy", &input.group_name, &input.policy_arn).await?;
    Ok(AttachGroupPolicyOutput {})
}

/// Takes a managed policy from a group.
///
/// AWS: DetachGroupPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`] when the group has no such policy.
pub(crate) async fn detach_group_policy(
    ctx: Ctx,
    input: DetachGroupPolicyInput,
) -> Result<DetachGroupPolicyOutput> {
    detach::<Group>(&ctx, "DetachGroupPolicy", &input.group_name, &input.policy_arn).await?;
    Ok(DetachGroupPolicyOutput {})
}

/// The managed policies of a group.
///
/// AWS: ListAttachedGroupPolicies.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_attached_group_policies(
    ctx: Ctx,
    input: ListAttachedGroupPoliciesInput,
) -> Result<ListAttachedGroupPoliciesOutput> {
    let (name, prefix) = (&input.group_name, input.path_prefix.as_deref());
    let (action, marker) = ("ListAttachedGroupPolicies", input.marker.as_deref());
    let page = list::<Group>(&ctx, action, name, prefix, marker, input.max_items).await?;
    Ok(ListAttachedGroupPoliciesOutput {
        attached_policies: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Gives a role a managed policy.
///
/// AWS: AttachRolePolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::LimitExceeded`], [`Error::PolicyNotAttachable`].
pub(crate) async fn attach_role_policy(
    ctx: Ctx,
    input: AttachRolePolicyInput,
) -> Result<AttachRolePolicyOutput> {
    attach::<Role>(&ctx, "AttachRolePolicy", &input.role_name, &input.policy_arn).await?;
    Ok(AttachRolePolicyOutput {})
}

/// Takes a managed policy from a role.
///
/// AWS: DetachRolePolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`] when the role has no such policy.
pub(crate) async fn detach_role_policy(
    ctx: Ctx,
    input: DetachRolePolicyInput,
) -> Result<DetachRolePolicyOutput> {
    detach::<Role>(&ctx, "DetachRolePolicy", &input.role_name, &input.policy_arn).await?;
    Ok(DetachRolePolicyOutput {})
}

/// The managed policies of a role.
///
/// AWS: ListAttachedRolePolicies.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_attached_role_policies(
    ctx: Ctx,
    input: ListAttachedRolePoliciesInput,
) -> Result<ListAttachedRolePoliciesOutput> {
    let (name, prefix) = (&input.role_name, input.path_prefix.as_deref());
    let (action, marker) = ("ListAttachedRolePolicies", input.marker.as_deref());
    let page = list::<Role>(&ctx, action, name, prefix, marker, input.max_items).await?;
    Ok(ListAttachedRolePoliciesOutput {
        attached_policies: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Bounds what a user may do by a managed policy.
///
/// AWS: PutUserPermissionsBoundary.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::PolicyNotAttachable`].
pub(crate) async fn put_user_permissions_boundary(
    ctx: Ctx,
    input: PutUserPermissionsBoundaryInput,
) -> Result<PutUserPermissionsBoundaryOutput> {
    let (name, boundary) = (&input.user_name, Some(input.permissions_boundary.as_str()));
    bound::<User>(&ctx, "PutUserPermissionsBoundary", name, boundary).await?;
    Ok(PutUserPermissionsBoundaryOutput {})
}

/// Takes the permissions boundary from a user.
///
/// AWS: DeleteUserPermissionsBoundary.
///
/// # Errors
///
/// [`Error::NoSuchEntity`] when there is none.
pub(crate) async fn delete_user_permissions_boundary(
    ctx: Ctx,
    input: DeleteUserPermissionsBoundaryInput,
) -> Result<DeleteUserPermissionsBoundaryOutput> {
    let action = "DeleteUserPermissionsBoundary";
    bound::<User>(&ctx, action, &input.user_name, None).await?;
    Ok(DeleteUserPermissionsBoundaryOutput {})
}

/// Bounds what a role may do by a managed policy.
///
/// AWS: PutRolePermissionsBoundary.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::PolicyNotAttachable`].
pub(crate) async fn put_role_permissions_boundary(
    ctx: Ctx,
    input: PutRolePermissionsBoundaryInput,
) -> Result<PutRolePermissionsBoundaryOutput> {
    let (name, boundary) = (&input.role_name, Some(input.permissions_boundary.as_str()));
    bound::<Role>(&ctx, "PutRolePermissionsBoundary", name, boundary).await?;
    Ok(PutRolePermissionsBoundaryOutput {})
}

/// Takes the permissions boundary from a role.
///
/// AWS: DeleteRolePermissionsBoundary.
///
/// # Errors
///
/// [`Error::NoSuchEntity`] when there is none.
pub(crate) async fn delete_role_permissions_boundary(
    ctx: Ctx,
    input: DeleteRolePermissionsBoundaryInput,
) -> Result<DeleteRolePermissionsBoundaryOutput> {
    let action = "DeleteRolePermissionsBoundary";
    bound::<Role>(&ctx, action, &input.role_name, None).await?;
    Ok(DeleteRolePermissionsBoundaryOutput {})
}
