//! Groups and who is in them.

use base::AccountId;
use iam_api as api;
use iam_api::{
    AddUserToGroupInput, AddUserToGroupOutput, CreateGroupInput, CreateGroupOutput,
    DeleteGroupInput, DeleteGroupOutput, GetGroupInput, GetGroupOutput, ListGroupsForUserInput,
    ListGroupsForUserOutput, ListGroupsInput, ListGroupsOutput, RemoveUserFromGroupInput,
    RemoveUserFromGroupOutput, UpdateGroupInput, UpdateGroupOutput,
};

use crate::Ctx;
use crate::access::{self, Keys};
use crate::directory::unique_id;
use crate::entity::{self, Entity, date};
use crate::error::{Error, Result};
use crate::listing;
use crate::store::{GROUPS, Group, Permissions, USERS, USERS_BY_GROUP, User};
use crate::user::ROOT_PATH;

/// AWS: "IAM and AWS STS quotas", groups an IAM user can be a member of.
pub(crate) const GROUPS_PER_USER_MAX: usize = 10;

impl Group {
    /// The group as answers carry it.
    pub(crate) fn view(&self, account: &AccountId) -> api::Group {
        api::Group {
            path: self.path.clone(),
            group_name: self.name.clone(),
            group_id: self.id.clone(),
            arn: self.arn(account).to_string(),
            create_date: date(self.created),
        }
    }
}

/// Makes a group.
///
/// AWS: CreateGroup.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`].
pub(crate) async fn create_group(ctx: Ctx, input: CreateGroupInput) -> Result<CreateGroupOutput> {
    let path = input.path.unwrap_or_else(|| ROOT_PATH.to_owned());
    access::may_create::<Group>(&ctx, "CreateGroup", &path, &input.group_name, Keys::new()).await?;
    let group = Group {
        name: input.group_name,
        id: unique_id("AGPA", ctx.random()),
        path,
        created: ctx.now(),
        permissions: Permissions::default(),
    };
    ctx.store
        .write(|tx| {
            entity::require_room::<Group>(tx, &group.name)?;
            Ok::<_, Error>(tx.put(&GROUPS, &group)?)
        })
        .await?;
    Ok(CreateGroupOutput { group: group.view(&ctx.account) })
}

/// A group and its users.
///
/// AWS: GetGroup.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_group(ctx: Ctx, input: GetGroupInput) -> Result<GetGroupOutput> {
    let group: Group = access::existing(&ctx, "GetGroup", &input.group_name).await?;
    let users = ctx.store.read(|tx| tx.find(&USERS_BY_GROUP, &group.name)).await?;
    let page =
        listing::page(users, input.marker.as_deref(), input.max_items, |user| user.name.clone())?;
    Ok(GetGroupOutput {
        group: group.view(&ctx.account),
        users: page.items.iter().map(|user| user.summary(&ctx.account)).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// The groups of the account.
///
/// AWS: ListGroups.
pub(crate) async fn list_groups(ctx: Ctx, input: ListGroupsInput) -> Result<ListGroupsOutput> {
    let prefix = input.path_prefix.as_deref();
    access::may_list::<Group>(&ctx, "ListGroups", prefix).await?;
    let mut groups = ctx.store.read(|tx| tx.scan(&GROUPS, ())).await?;
    groups.retain(|group| listing::under(&group.path, prefix));
    let page = listing::page(groups, input.marker.as_deref(), input.max_items, |group| {
        group.name.clone()
    })?;
    Ok(ListGroupsOutput {
        groups: page.items.iter().map(|group| group.view(&ctx.account)).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Gives a group another name or path; its users stay in it.
///
/// AWS: UpdateGroup.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::EntityAlreadyExists`].
pub(crate) async fn update_group(ctx: Ctx, input: UpdateGroupInput) -> Result<UpdateGroupOutput> {
    let old: Group = access::existing(&ctx, "UpdateGroup", &input.group_name).await?;
    let name = input.new_group_name.as_ref().unwrap_or(&old.name);
    let path = input.new_path.as_ref().unwrap_or(&old.path);
    access::may_create::<Group>(&ctx, "UpdateGroup", path, name, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let mut group: Group = entity::get(tx, &input.group_name)?;
            if !group.name.eq_ignore_ascii_case(name) {
                entity::require_free::<Group>(tx, name)?;
            }
            if group.name != *name {
                for mut user in tx.find(&USERS_BY_GROUP, &group.name)? {
                    user.groups.remove(&group.name);
                    user.groups.insert(name.clone());
                    tx.put(&USERS, &user)?;
                }
                tx.delete(&GROUPS, &group.name)?;
            }
            group.name.clone_from(name);
            group.path.clone_from(path);
            Ok::<_, Error>(tx.put(&GROUPS, &group)?)
        })
        .await?;
    Ok(UpdateGroupOutput {})
}

/// Deletes a group that has neither users nor policies.
///
/// AWS: DeleteGroup.
///
/// # Errors
///
/// [`Error::DeleteConflict`].
pub(crate) async fn delete_group(ctx: Ctx, input: DeleteGroupInput) -> Result<DeleteGroupOutput> {
    access::existing::<Group>(&ctx, "DeleteGroup", &input.group_name).await?;
    ctx.store
        .write(|tx| {
            let group: Group = entity::get(tx, &input.group_name)?;
            if tx.find_one(&USERS_BY_GROUP, &group.name)?.is_some() {
                return Err(Error::DeleteConflict("remove users from group"));
            }
            entity::require_no_policies(&group.permissions)?;
            tx.delete(&GROUPS, &group.name)?;
            Ok(())
        })
        .await?;
    Ok(DeleteGroupOutput {})
}

/// Puts a user into a group, once.
///
/// AWS: AddUserToGroup.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::LimitExceeded`] beyond ten groups.
pub(crate) async fn add_user_to_group(
    ctx: Ctx,
    input: AddUserToGroupInput,
) -> Result<AddUserToGroupOutput> {
    access::existing::<Group>(&ctx, "AddUserToGroup", &input.group_name).await?;
    ctx.store
        .write(|tx| {
            let group: Group = entity::get(tx, &input.group_name)?;
            let mut user: User = entity::get(tx, &input.user_name)?;
            user.groups.insert(group.name);
            if user.groups.len() > GROUPS_PER_USER_MAX {
                return Err(Error::quota("GroupsPerUser", GROUPS_PER_USER_MAX));
            }
            Ok(tx.put(&USERS, &user)?)
        })
        .await?;
    Ok(AddUserToGroupOutput {})
}

/// Takes a user out of a group.
///
/// AWS: RemoveUserFromGroup.
///
/// # Errors
///
/// [`Error::NoSuchEntity`] when there is no such user or group.
pub(crate) async fn remove_user_from_group(
    ctx: Ctx,
    input: RemoveUserFromGroupInput,
) -> Result<RemoveUserFromGroupOutput> {
    access::existing::<Group>(&ctx, "RemoveUserFromGroup", &input.group_name).await?;
    ctx.store
        .write(|tx| {
            let group: Group = entity::get(tx, &input.group_name)?;
            let mut user: User = entity::get(tx, &input.user_name)?;
            user.groups.remove(&group.name);
            Ok::<_, Error>(tx.put(&USERS, &user)?)
        })
        .await?;
    Ok(RemoveUserFromGroupOutput {})
}

/// The groups that a user is in.
///
/// AWS: ListGroupsForUser.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_groups_for_user(
    ctx: Ctx,
    input: ListGroupsForUserInput,
) -> Result<ListGroupsForUserOutput> {
    let user: User = access::existing(&ctx, "ListGroupsForUser", &input.user_name).await?;
    let groups = ctx
        .store
        .read(|tx| {
            user.groups
                .iter()
                .map(|name| entity::get::<Group>(tx, name))
                .collect::<Result<Vec<_>>>()
        })
        .await?;
    let page = listing::page(groups, input.marker.as_deref(), input.max_items, |group| {
        group.name.clone()
    })?;
    Ok(ListGroupsForUserOutput {
        groups: page.items.iter().map(|group| group.view(&ctx.account)).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}
