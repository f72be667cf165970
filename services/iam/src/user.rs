//! Users.

use base::{AccountId, Tags};
use iam_api as api;
use iam_api::{
    AttachedPermissionsBoundary, CreateUserInput, CreateUserOutput, DeleteUserInput,
    DeleteUserOutput, GetUserInput, GetUserOutput, ListUsersInput, ListUsersOutput,
    PermissionsBoundaryAttachmentType, UpdateUserInput, UpdateUserOutput,
};
use policy::Principal;
use store::ReadTx;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::directory::unique_id;
use crate::entity::{self, Entity, date};
use crate::error::{Error, Result};
use crate::store::{
    ACCOUNTS, KEYS, KEYS_BY_USER, LOGIN_PROFILES, LOGINS_BY_HOLDER, MFA_BY_HOLDER, Permissions,
    SIGNING_BY_HOLDER, SSH_BY_HOLDER, USERS, User,
};
use crate::{listing, policy as managed_policy, tag};

/// Where an entity lies that is made without a path.
pub(crate) const ROOT_PATH: &str = "/";

impl User {
    /// The user as lists show it: without tags and boundary.
    pub(crate) fn summary(&self, account: &AccountId) -> api::User {
        api::User {
            path: self.path.clone(),
            user_name: self.name.clone(),
            user_id: self.id.clone(),
            arn: self.arn(account).to_string(),
            create_date: date(self.created),
            ..api::User::default()
        }
    }

    /// The user with all that is known of it.
    pub(crate) fn detail(&self, account: &AccountId) -> api::User {
        api::User {
            permissions_boundary: boundary_view(&self.permissions),
            tags: tag::view(&self.tags),
            ..self.summary(account)
        }
    }
}

/// A permissions boundary as answers carry it.
pub(crate) fn boundary_view(permissions: &Permissions) -> Option<AttachedPermissionsBoundary> {
    permissions.boundary.clone().map(|arn| AttachedPermissionsBoundary {
        permissions_boundary_type: Some(
            PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy,
        ),
        permissions_boundary_arn: Some(arn),
    })
}

/// The name of the calling user; none for the root user.
///
/// # Errors
///
/// [`Error::Validation`] when the caller is neither.
pub(crate) fn calling_user(ctx: &Ctx) -> Result<Option<String>> {
    match &ctx.caller.principal {
        Principal::Root { .. } => Ok(None),
        Principal::User { arn, .. } => {
            Ok(Some(arn.resource.rsplit('/').next().unwrap_or_default().to_owned()))
        }
        Principal::AssumedRole { .. }
        | Principal::FederatedUser { .. }
        | Principal::Service { .. }
        | Principal::Federated { .. }
        | Principal::Anonymous => Err(Error::Validation(
            "Must specify userName when calling with non-User credentials".to_owned(),
        )),
    }
}

/// Makes a user without any permission.
///
/// AWS: CreateUser.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`] for a name that is taken in any case.
pub(crate) async fn create_user(ctx: Ctx, input: CreateUserInput) -> Result<CreateUserOutput> {
    let path = input.path.clone().unwrap_or_else(|| ROOT_PATH.to_owned());
    let boundary = input.permissions_boundary.clone();
    let keys = Keys::new().boundary(boundary.as_deref()).sets(&input.tags);
    access::may_create::<User>(&ctx, "CreateUser", &path, &input.user_name, keys).await?;
    let user = User {
        name: input.user_name.clone(),
        id: unique_id("AIDA", ctx.random()),
        path,
        created: ctx.now(),
        tags: tag::from_request(&ctx, &input.tags)?,
        groups: std::collections::BTreeSet::new(),
        permissions: Permissions { boundary, ..Permissions::default() },
    };
    ctx.store
        .write(|tx| {
            entity::require_room::<User>(tx, &user.name)?;
            managed_policy::require_boundary(tx, &ctx.account, user.boundary())?;
            Ok::<_, Error>(tx.put(&USERS, &user)?)
        })
        .await?;
    Ok(CreateUserOutput { user: Some(user.detail(&ctx.account)) })
}

/// A user, or the calling one.
///
/// AWS: GetUser.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_user(ctx: Ctx, input: GetUserInput) -> Result<GetUserOutput> {
    let name = match input.user_name {
        Some(name) => Some(name),
        None => calling_user(&ctx)?,
    };
    let user = match name {
        Some(name) => access::existing::<User>(&ctx, "GetUser", &name).await?.detail(&ctx.account),
        None => root_user(&ctx).await?,
    };
    Ok(GetUserOutput { user })
}

/// The account's root user, which has neither name nor path.
async fn root_user(ctx: &Ctx) -> Result<api::User> {
    let account = ctx.store.read(|tx| tx.get(&ACCOUNTS, ctx.account.as_str())).await?;
    let created = account.map(|account| account.created).ok_or_else(|| {
        Error::NoSuchEntity(format!("The account {} cannot be found.", ctx.account))
    })?;
    Ok(api::User {
        path: ROOT_PATH.to_owned(),
        user_id: ctx.account.to_string(),
        arn: ctx.caller.arn.clone(),
        create_date: date(created),
        tags: tag::view(&Tags::new()),
        ..api::User::default()
    })
}

/// The users of the account.
///
/// AWS: ListUsers.
pub(crate) async fn list_users(ctx: Ctx, input: ListUsersInput) -> Result<ListUsersOutput> {
    let prefix = input.path_prefix.as_deref();
    access::may_list::<User>(&ctx, "ListUsers", prefix).await?;
    let mut users = ctx.store.read(|tx| tx.scan(&USERS, ())).await?;
    users.retain(|user| listing::under(&user.path, prefix));
    let page =
        listing::page(users, input.marker.as_deref(), input.max_items, |user| user.name.clone())?;
    Ok(ListUsersOutput {
        users: page.items.iter().map(|user| user.summary(&ctx.account)).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Gives a user another name or path. Its id, keys, groups and policies stay.
///
/// AWS: UpdateUser.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::EntityAlreadyExists`].
pub(crate) async fn update_user(ctx: Ctx, input: UpdateUserInput) -> Result<UpdateUserOutput> {
    let old: User = access::existing(&ctx, "UpdateUser", &input.user_name).await?;
    let name = input.new_user_name.as_ref().unwrap_or(&old.name);
    let path = input.new_path.as_ref().unwrap_or(&old.path);
    access::may_create::<User>(&ctx, "UpdateUser", path, name, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let mut user: User = entity::get(tx, &input.user_name)?;
            if !user.name.eq_ignore_ascii_case(name) {
                entity::require_free::<User>(tx, name)?;
            }
            if user.name != *name {
                let owner = (ctx.account.to_string(), user.name.clone());
                for mut key in tx.find(&KEYS_BY_USER, owner)? {
                    key.user = Some(name.clone());
                    tx.put(&KEYS, &key)?;
                }
                tx.delete(&USERS, &user.name)?;
            }
            user.name.clone_from(name);
            user.path.clone_from(path);
            Ok::<_, Error>(tx.put(&USERS, &user)?)
        })
        .await?;
    Ok(UpdateUserOutput {})
}

/// Refuses while a user has something to prove itself with.
fn require_nothing_held(tx: &ReadTx<'_>, user: &User) -> Result<()> {
    let id = user.id.as_str();
    let left = if tx.contains(&LOGIN_PROFILES, id)? {
        "delete login profile"
    } else if tx.find_one(&MFA_BY_HOLDER, id)?.is_some() {
        "delete MFA device"
    } else if tx.find_one(&SIGNING_BY_HOLDER, id)?.is_some() {
        "delete signing certificates"
    } else if tx.find_one(&SSH_BY_HOLDER, id)?.is_some() {
        "delete SSH public keys"
    } else if tx.find_one(&LOGINS_BY_HOLDER, id)?.is_some() {
        "delete service specific credentials"
    } else {
        return Ok(());
    };
    Err(Error::DeleteConflict(left))
}

/// Deletes a user that has nothing left.
///
/// AWS: DeleteUser.
///
/// # Errors
///
/// [`Error::DeleteConflict`] while it has keys, policies or groups.
pub(crate) async fn delete_user(ctx: Ctx, input: DeleteUserInput) -> Result<DeleteUserOutput> {
    access::existing::<User>(&ctx, "DeleteUser", &input.user_name).await?;
    ctx.store
        .write(|tx| {
            let user: User = entity::get(tx, &input.user_name)?;
            if !user.groups.is_empty() {
                return Err(Error::DeleteConflict("remove users from group"));
            }
            entity::require_no_policies(&user.permissions)?;
            let owner = (ctx.account.to_string(), user.name.clone());
            if tx.find_one(&KEYS_BY_USER, owner)?.is_some() {
                return Err(Error::DeleteConflict("delete access keys"));
            }
            require_nothing_held(tx, &user)?;
            tx.delete(&USERS, &user.name)?;
            Ok(())
        })
        .await?;
    Ok(DeleteUserOutput {})
}
