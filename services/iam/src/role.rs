//! Roles.

use base::AccountId;
use iam_api as api;
use iam_api::{
    CreateRoleInput, CreateRoleOutput, DeleteRoleInput, DeleteRoleOutput, GetRoleInput,
    GetRoleOutput, ListRolesInput, ListRolesOutput, UpdateAssumeRolePolicyInput,
    UpdateAssumeRolePolicyOutput, UpdateRoleDescriptionInput, UpdateRoleDescriptionOutput,
    UpdateRoleInput, UpdateRoleOutput,
};

use crate::Ctx;
use crate::access::{self, Keys};
use crate::directory::unique_id;
use crate::document::{self, encoded};
use crate::entity::{self, Entity, date};
use crate::error::{Error, Result};
use crate::store::{PROFILES_BY_ROLE, Permissions, ROLES, Role};
use crate::user::{ROOT_PATH, boundary_view};
use crate::{listing, policy, tag};

/// AWS: CreateRole, `MaxSessionDuration`.
pub(crate) const MAX_SESSION_DEFAULT_SECS: i64 = 3600;

impl Role {
    /// The role as lists show it: without tags and boundary.
    pub(crate) fn summary(&self, account: &AccountId) -> api::Role {
        api::Role {
            path: self.path.clone(),
            role_name: self.name.clone(),
            role_id: self.id.clone(),
            arn: self.arn(account).to_string(),
            create_date: date(self.created),
            assume_role_policy_document: Some(encoded(&self.trust_policy)),
            description: self.description.clone(),
            max_session_duration: i32::try_from(self.max_session_secs).ok(),
            ..api::Role::default()
        }
    }

    /// The role with all that is known of it.
    pub(crate) fn detail(&self, account: &AccountId) -> api::Role {
        api::Role {
            permissions_boundary: boundary_view(&self.permissions),
            tags: tag::view(&self.tags),
            ..self.summary(account)
        }
    }
}

/// Makes a role that its trust policy lets be assumed.
///
/// AWS: CreateRole.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`], [`Error::MalformedPolicyDocument`].
pub(crate) async fn create_role(ctx: Ctx, input: CreateRoleInput) -> Result<CreateRoleOutput> {
    let path = input.path.clone().unwrap_or_else(|| ROOT_PATH.to_owned());
    let boundary = input.permissions_boundary.clone();
    let keys = Keys::new().boundary(boundary.as_deref()).sets(&input.tags);
    access::may_create::<Role>(&ctx, "CreateRole", &path, &input.role_name, keys).await?;
    if path.starts_with("/aws-service-role/") {
        return Err(Error::Validation(
            "Paths that start with /aws-service-role/ are reserved for service-linked roles."
                .to_owned(),
        ));
    }
    document::check_trust(&input.assume_role_policy_document)?;
    let role = Role {
        id: unique_id("AROA", ctx.random()),
        path,
        created: ctx.now(),
        max_session_secs: input.max_session_duration.map_or(MAX_SESSION_DEFAULT_SECS, i64::from),
        tags: tag::from_request(&ctx, &input.tags)?,
        permissions: Permissions { boundary, ..Permissions::default() },
        linked_service: None,
        name: input.role_name,
        trust_policy: input.assume_role_policy_document,
        description: input.description,
    };
    ctx.store
        .write(|tx| {
            entity::require_room::<Role>(tx, &role.name)?;
            policy::require_boundary(tx, &ctx.account, role.boundary())?;
            Ok::<_, Error>(tx.put(&ROLES, &role)?)
        })
        .await?;
    Ok(CreateRoleOutput { role: role.detail(&ctx.account) })
}

/// A role with its trust policy.
///
/// AWS: GetRole.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_role(ctx: Ctx, input: GetRoleInput) -> Result<GetRoleOutput> {
    let role: Role = access::existing(&ctx, "GetRole", &input.role_name).await?;
    Ok(GetRoleOutput { role: role.detail(&ctx.account) })
}

/// The roles of the account.
///
/// AWS: ListRoles.
pub(crate) async fn list_roles(ctx: Ctx, input: ListRolesInput) -> Result<ListRolesOutput> {
    let prefix = input.path_prefix.as_deref();
    access::may_list::<Role>(&ctx, "ListRoles", prefix).await?;
    let mut roles = ctx.store.read(|tx| tx.scan(&ROLES, ())).await?;
    roles.retain(|role| listing::under(&role.path, prefix));
    let page =
        listing::page(roles, input.marker.as_deref(), input.max_items, |role| role.name.clone())?;
    Ok(ListRolesOutput {
        roles: page.items.iter().map(|role| role.summary(&ctx.account)).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Changes a role in one transaction and gives what it became.
async fn change(ctx: &Ctx, name: &str, edit: impl Fn(&mut Role) + Send + Sync) -> Result<Role> {
    ctx.store
        .write(|tx| {
            let mut role: Role = entity::get(tx, name)?;
            edit(&mut role);
            tx.put(&ROLES, &role)?;
            Ok(role)
        })
        .await
}

/// Changes a role's description and longest session.
///
/// AWS: UpdateRole.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::UnmodifiableEntity`].
pub(crate) async fn update_role(ctx: Ctx, input: UpdateRoleInput) -> Result<UpdateRoleOutput> {
    let known: Role = access::existing(&ctx, "UpdateRole", &input.role_name).await?;
    // AWS lets the description of a service-linked role be edited and nothing else.
    if known.linked_service.is_some() && input.max_session_duration.is_some() {
        return Err(Error::UnmodifiableEntity(known.name));
    }
    change(&ctx, &input.role_name, |role| {
        if input.description.is_some() {
            role.description.clone_from(&input.description);
        }
        if let Some(secs) = input.max_session_duration {
            role.max_session_secs = i64::from(secs);
        }
    })
    .await?;
    Ok(UpdateRoleOutput {})
}

/// Changes a role's description.
///
/// AWS: UpdateRoleDescription.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn update_role_description(
    ctx: Ctx,
    input: UpdateRoleDescriptionInput,
) -> Result<UpdateRoleDescriptionOutput> {
    access::existing::<Role>(&ctx, "UpdateRoleDescription", &input.role_name).await?;
    let role = change(&ctx, &input.role_name, |role| {
        role.description = Some(input.description.clone());
    })
    .await?;
    Ok(UpdateRoleDescriptionOutput { role: Some(role.detail(&ctx.account)) })
}

/// Changes whom a role trusts.
///
/// AWS: UpdateAssumeRolePolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::MalformedPolicyDocument`], [`Error::UnmodifiableEntity`].
pub(crate) async fn update_assume_role_policy(
    ctx: Ctx,
    input: UpdateAssumeRolePolicyInput,
) -> Result<UpdateAssumeRolePolicyOutput> {
    let action = "UpdateAssumeRolePolicy";
    access::modifiable::<Role>(&ctx, action, &input.role_name, Keys::new()).await?;
    document::check_trust(&input.policy_document)?;
    change(&ctx, &input.role_name, |role| {
        role.trust_policy.clone_from(&input.policy_document);
    })
    .await?;
    Ok(UpdateAssumeRolePolicyOutput {})
}

/// Deletes a role that has neither policies nor instance profiles.
///
/// AWS: DeleteRole.
///
/// # Errors
///
/// [`Error::DeleteConflict`], [`Error::UnmodifiableEntity`].
pub(crate) async fn delete_role(ctx: Ctx, input: DeleteRoleInput) -> Result<DeleteRoleOutput> {
    access::modifiable::<Role>(&ctx, "DeleteRole", &input.role_name, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let role: Role = entity::get(tx, &input.role_name)?;
            if tx.find_one(&PROFILES_BY_ROLE, &role.name)?.is_some() {
                return Err(Error::DeleteConflict("remove roles from instance profile"));
            }
            entity::require_no_policies(&role.permissions)?;
            tx.delete(&ROLES, &role.name)?;
            Ok(())
        })
        .await?;
    Ok(DeleteRoleOutput {})
}
