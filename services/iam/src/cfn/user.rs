//! `AWS::IAM::User` and `AWS::IAM::Group`.

use std::sync::Arc;

use async_trait::async_trait;
use iam_api::{
    AddUserToGroupInput, CreateGroupInput, CreateUserInput, DeleteGroupInput, DeleteUserInput,
    GetGroupInput, GetUserInput, RemoveUserFromGroupInput, UpdateGroupInput, UpdateUserInput,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::claim::{Claims, unless_made, unless_missing};
use super::principal::Principal;
use super::properties::{lost, tags, text, texts};

/// The longest name of a user. AWS: CreateUser, `UserName`.
const USER_NAME_MAX: usize = 64;
/// The longest name of a group. AWS: CreateGroup, `GroupName`.
const GROUP_NAME_MAX: usize = 128;

/// The type of users.
pub(super) fn user(claims: Claims) -> ResourceType {
    ResourceType {
        name: "AWS::IAM::User",
        properties: const {
            &[
                Property::new("Groups"),
                Property::new("ManagedPolicyArns"),
                Property::new("Path"),
                Property::new("PermissionsBoundary"),
                Property::new("Policies"),
                Property::new("Tags"),
                Property::new("UserName").replaces(),
            ]
        },
        attributes: &["Arn"],
        handler: Arc::new(UserHandler { claims }),
    }
}

/// The type of groups.
pub(super) fn group(claims: Claims) -> ResourceType {
    ResourceType {
        name: "AWS::IAM::Group",
        properties: const {
            &[
                Property::new("GroupName").replaces(),
                Property::new("ManagedPolicyArns"),
                Property::new("Path"),
                Property::new("Policies"),
            ]
        },
        attributes: &["Arn"],
        handler: Arc::new(GroupHandler { claims }),
    }
}

/// The path that an update moves to, if it moves.
fn new_path(old: &Properties, new: &Properties) -> Result<Option<String>, ServiceError> {
    if old.get("Path") == new.get("Path") {
        return Ok(None);
    }
    Ok(Some(text(new, "Path")?.unwrap_or_else(|| "/".to_owned())))
}

struct UserHandler {
    claims: Claims,
}

impl UserHandler {
    async fn leave(ctx: &ResourceCtx, name: &str, groups: Vec<String>) -> Result<(), ServiceError> {
        for group_name in groups {
            let input = RemoveUserFromGroupInput { group_name, user_name: name.to_owned() };
            unless_missing(ctx.client.call(input).await)?;
        }
        Ok(())
    }
}

#[async_trait]
impl ResourceHandler for UserHandler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let name =
            text(properties, "UserName")?.unwrap_or_else(|| ctx.generated_name(USER_NAME_MAX));
        let found = ctx.client.call(GetUserInput { user_name: Some(name.clone()) }).await;
        self.claims.claim(ctx, &name, found).await?;
        let input = CreateUserInput {
            path: text(properties, "Path")?,
            user_name: name.clone(),
            permissions_boundary: text(properties, "PermissionsBoundary")?,
            tags: tags(ctx, properties)?,
        };
        unless_made(ctx.client.call(input).await)?;
        Ok(name)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let user_name = physical_id.to_owned();
        Principal::User(user_name.clone()).grant(&ctx.client, properties).await?;
        for group_name in texts(properties, "Groups")? {
            let user_name = user_name.clone();
            ctx.client.call(AddUserToGroupInput { group_name, user_name }).await?;
        }
        self.claims.settle(ctx).await?;
        let user = ctx.client.call(GetUserInput { user_name: Some(user_name) }).await?.user;
        Ok(Progress::Done(Attributes::from([("Arn".to_owned(), user.arn.into())])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        if let Some(path) = new_path(old, new)? {
            let input = UpdateUserInput {
                user_name: physical_id.to_owned(),
                new_path: Some(path),
                new_user_name: None,
            };
            ctx.client.call(input).await?;
        }
        let left = lost(&texts(old, "Groups")?, &texts(new, "Groups")?);
        Self::leave(ctx, physical_id, left).await?;
        let principal = Principal::User(physical_id.to_owned());
        principal.bound(&ctx.client, old, new).await?;
        principal.retag(ctx, old, new).await?;
        principal.revoke(&ctx.client, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        Self::leave(ctx, physical_id, texts(properties, "Groups")?).await?;
        let principal = Principal::User(physical_id.to_owned());
        principal.revoke(&ctx.client, properties, &Properties::new()).await?;
        let input = DeleteUserInput { user_name: physical_id.to_owned() };
        unless_missing(ctx.client.call(input).await)?;
        Ok(Progress::Done(Attributes::new()))
    }
}

struct GroupHandler {
    claims: Claims,
}

#[async_trait]
impl ResourceHandler for GroupHandler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let name =
            text(properties, "GroupName")?.unwrap_or_else(|| ctx.generated_name(GROUP_NAME_MAX));
        let look = GetGroupInput { group_name: name.clone(), ..GetGroupInput::default() };
        let found = ctx.client.call(look).await;
        self.claims.claim(ctx, &name, found).await?;
        let path = text(properties, "Path")?;
        let input = CreateGroupInput { path, group_name: name.clone() };
        unless_made(ctx.client.call(input).await)?;
        Ok(name)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let group_name = physical_id.to_owned();
        Principal::Group(group_name.clone()).grant(&ctx.client, properties).await?;
        self.claims.settle(ctx).await?;
        let input = GetGroupInput { group_name, ..GetGroupInput::default() };
        let group = ctx.client.call(input).await?.group;
        Ok(Progress::Done(Attributes::from([("Arn".to_owned(), group.arn.into())])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        if let Some(path) = new_path(old, new)? {
            let input = UpdateGroupInput {
                group_name: physical_id.to_owned(),
                new_path: Some(path),
                new_group_name: None,
            };
            ctx.client.call(input).await?;
        }
        Principal::Group(physical_id.to_owned()).revoke(&ctx.client, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let principal = Principal::Group(physical_id.to_owned());
        principal.revoke(&ctx.client, properties, &Properties::new()).await?;
        let input = DeleteGroupInput { group_name: physical_id.to_owned() };
        unless_missing(ctx.client.call(input).await)?;
        Ok(Progress::Done(Attributes::new()))
    }
}
