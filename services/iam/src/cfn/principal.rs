//! What roles, users and groups have in common in templates: their policies.

use iam_api::{
    AttachGroupPolicyInput, AttachRolePolicyInput, AttachUserPolicyInput, DeleteGroupPolicyInput,
    DeleteRolePermissionsBoundaryInput, DeleteRolePolicyInput, DeleteUserPermissionsBoundaryInput,
    DeleteUserPolicyInput, DetachGroupPolicyInput, DetachRolePolicyInput, DetachUserPolicyInput,
    PutGroupPolicyInput, PutRolePermissionsBoundaryInput, PutRolePolicyInput,
    PutUserPermissionsBoundaryInput, PutUserPolicyInput, Tag, TagRoleInput, TagUserInput,
    UntagRoleInput, UntagUserInput,
};
use kernel::resource::{Properties, ResourceCtx};
use kernel::{Client, ServiceError};

use super::claim::unless_missing;
use super::properties::{self, Inline, lost};

/// A user, group or role, by its name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Principal {
    User(String),
    Group(String),
    Role(String),
}

impl Principal {
    /// The principals that `Users`, `Groups` and `Roles` name.
    ///
    /// # Errors
    ///
    /// When a property is no list of texts.
    pub(super) fn listed(properties: &Properties) -> Result<Vec<Self>, ServiceError> {
        let mut found = Vec::new();
        found.extend(properties::texts(properties, "Users")?.into_iter().map(Self::User));
        found.extend(properties::texts(properties, "Groups")?.into_iter().map(Self::Group));
        found.extend(properties::texts(properties, "Roles")?.into_iter().map(Self::Role));
        Ok(found)
    }

    /// Sets an inline policy.
    ///
    /// # Errors
    ///
    /// The operation's.
    pub(super) async fn put(&self, client: &Client, policy: Inline) -> Result<(), ServiceError> {
        let (policy_name, policy_document) = (policy.name, policy.document);
        match self.clone() {
            Self::User(user_name) => {
                let input = PutUserPolicyInput { user_name, policy_name, policy_document };
                client.call(input).await.map(|_| ())
            }
            Self::Group(group_name) => {
                let input = PutGroupPolicyInput { group_name, policy_name, policy_document };
                client.call(input).await.map(|_| ())
            }
            Self::Role(role_name) => {
                let input = PutRolePolicyInput { role_name, policy_name, policy_document };
                client.call(input).await.map(|_| ())
            }
        }
    }

    /// Deletes an inline policy, if it is there.
    ///
    /// # Errors
    ///
    /// The operation's.
    pub(super) async fn remove(&self, client: &Client, name: &str) -> Result<(), ServiceError> {
        let policy_name = name.to_owned();
        let answer = match self.clone() {
            Self::User(user_name) => {
                client.call(DeleteUserPolicyInput { user_name, policy_name }).await.map(|_| ())
            }
            Self::Group(group_name) => {
                client.call(DeleteGroupPolicyInput { group_name, policy_name }).await.map(|_| ())
            }
            Self::Role(role_name) => {
                client.call(DeleteRolePolicyInput { role_name, policy_name }).await.map(|_| ())
            }
        };
        unless_missing(answer).map(|_| ())
    }

    /// Attaches a managed policy.
    ///
    /// # Errors
    ///
    /// The operation's.
    pub(super) async fn attach(&self, client: &Client, arn: &str) -> Result<(), ServiceError> {
        let policy_arn = arn.to_owned();
        match self.clone() {
            Self::User(user_name) => {
                client.call(AttachUserPolicyInput { user_name, policy_arn }).await.map(|_| ())
            }
            Self::Group(group_name) => {
                client.call(AttachGroupPolicyInput { group_name, policy_arn }).await.map(|_| ())
            }
            Self::Role(role_name) => {
                client.call(AttachRolePolicyInput { role_name, policy_arn }).await.map(|_| ())
            }
        }
    }

    /// Detaches a managed policy, if it is attached.
    ///
    /// # Errors
    ///
    /// The operation's.
    pub(super) async fn detach(&self, client: &Client, arn: &str) -> Result<(), ServiceError> {
        let policy_arn = arn.to_owned();
        let answer = match self.clone() {
            Self::User(user_name) => {
                client.call(DetachUserPolicyInput { user_name, policy_arn }).await.map(|_| ())
            }
            Self::Group(group_name) => {
                client.call(DetachGroupPolicyInput { group_name, policy_arn }).await.map(|_| ())
            }
            Self::Role(role_name) => {
                client.call(DetachRolePolicyInput { role_name, policy_arn }).await.map(|_| ())
            }
        };
        unless_missing(answer).map(|_| ())
    }

    /// Gives the principal the policies that the template wants.
    ///
    /// # Errors
    ///
    /// The operations'.
    pub(super) async fn grant(
        &self,
        client: &Client,
        wanted: &Properties,
    ) -> Result<(), ServiceError> {
        for policy in properties::policies(wanted)? {
            self.put(client, policy).await?;
        }
        for arn in properties::texts(wanted, "ManagedPolicyArns")? {
            self.attach(client, &arn).await?;
        }
        Ok(())
    }

    /// Takes the policies away that `old` wanted and `new` does not.
    ///
    /// # Errors
    ///
    /// The operations'.
    pub(super) async fn revoke(
        &self,
        client: &Client,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let names = |properties: &Properties| {
            let policies = properties::policies(properties)?;
            Ok::<_, ServiceError>(
                policies.into_iter().map(|policy| policy.name).collect::<Vec<_>>(),
            )
        };
        for name in lost(&names(old)?, &names(new)?) {
            self.remove(client, &name).await?;
        }
        let arns = |properties| properties::texts(properties, "ManagedPolicyArns");
        for arn in lost(&arns(old)?, &arns(new)?) {
            self.detach(client, &arn).await?;
        }
        Ok(())
    }

    /// Sets or takes away the permissions boundary, where the template changed it. Groups have
    /// none.
    ///
    /// # Errors
    ///
    /// The operations'.
    pub(super) async fn bound(
        &self,
        client: &Client,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let name = "PermissionsBoundary";
        let wanted = properties::text(new, name)?;
        if wanted == properties::text(old, name)? {
            return Ok(());
        }
        match (self.clone(), wanted) {
            (Self::User(user_name), Some(permissions_boundary)) => {
                let input = PutUserPermissionsBoundaryInput { user_name, permissions_boundary };
                client.call(input).await.map(|_| ())
            }
            (Self::Role(role_name), Some(permissions_boundary)) => {
                let input = PutRolePermissionsBoundaryInput { role_name, permissions_boundary };
                client.call(input).await.map(|_| ())
            }
            (Self::User(user_name), None) => {
                let answer = client.call(DeleteUserPermissionsBoundaryInput { user_name }).await;
                unless_missing(answer).map(|_| ())
            }
            (Self::Role(role_name), None) => {
                let answer = client.call(DeleteRolePermissionsBoundaryInput { role_name }).await;
                unless_missing(answer).map(|_| ())
            }
            (Self::Group(_), _) => Ok(()),
        }
    }

    /// Sets the tags that the template wants and takes away those it wanted. Groups have none.
    ///
    /// # Errors
    ///
    /// The operations'.
    pub(super) async fn retag(
        &self,
        ctx: &ResourceCtx,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let keys = |tags: &[Tag]| tags.iter().map(|tag| tag.key.clone()).collect::<Vec<_>>();
        let tags = properties::tags(ctx, new)?;
        let tag_keys = lost(&keys(&properties::tags(ctx, old)?), &keys(&tags));
        let client = &ctx.client;
        match self.clone() {
            Self::User(user_name) => {
                if !tag_keys.is_empty() {
                    let user_name = user_name.clone();
                    client.call(UntagUserInput { user_name, tag_keys }).await?;
                }
                client.call(TagUserInput { user_name, tags }).await?;
            }
            Self::Role(role_name) => {
                if !tag_keys.is_empty() {
                    let role_name = role_name.clone();
                    client.call(UntagRoleInput { role_name, tag_keys }).await?;
                }
                client.call(TagRoleInput { role_name, tags }).await?;
            }
            Self::Group(_) => {}
        }
        Ok(())
    }
}
