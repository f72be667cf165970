//! `AWS::IAM::Role`.

use std::sync::Arc;

use async_trait::async_trait;
use iam_api::{
    CreateRoleInput, DeleteRoleInput, GetRoleInput, UpdateAssumeRolePolicyInput, UpdateRoleInput,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::claim::{Claims, unless_made, unless_missing};
use super::principal::Principal;
use super::properties::{document, number, tags, text};

/// The longest name of a role. AWS: CreateRole, `RoleName`.
const NAME_MAX: usize = 64;
const MAX_SESSION_DEFAULT_SECS: i32 = 3600;

/// The type of roles.
pub(super) fn role(claims: Claims) -> ResourceType {
    ResourceType {
        name: "AWS::IAM::Role",
        properties: const {
            &[
                Property::new("AssumeRolePolicyDocument").required(),
                Property::new("Description"),
                Property::new("ManagedPolicyArns"),
                Property::new("MaxSessionDuration"),
                Property::new("Path").replaces(),
                Property::new("PermissionsBoundary"),
                Property::new("Policies"),
                Property::new("RoleName").replaces(),
                Property::new("Tags"),
            ]
        },
        attributes: &["Arn", "RoleId"],
        handler: Arc::new(RoleHandler { claims }),
    }
}

struct RoleHandler {
    claims: Claims,
}

#[async_trait]
impl ResourceHandler for RoleHandler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let name = text(properties, "RoleName")?.unwrap_or_else(|| ctx.generated_name(NAME_MAX));
        let found = ctx.client.call(GetRoleInput { role_name: name.clone() }).await;
        self.claims.claim(ctx, &name, found).await?;
        let input = CreateRoleInput {
            path: text(properties, "Path")?,
            role_name: name.clone(),
            assume_role_policy_document: document(properties, "AssumeRolePolicyDocument")?,
            description: text(properties, "Description")?,
            max_session_duration: number(properties, "MaxSessionDuration")?,
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
        let principal = Principal::Role(physical_id.to_owned());
        principal.grant(&ctx.client, properties).await?;
        self.claims.settle(ctx).await?;
        let input = GetRoleInput { role_name: physical_id.to_owned() };
        let role = ctx.client.call(input).await?.role;
        Ok(Progress::Done(Attributes::from([
            ("Arn".to_owned(), role.arn.into()),
            ("RoleId".to_owned(), role.role_id.into()),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let role_name = physical_id.to_owned();
        let trust = "AssumeRolePolicyDocument";
        if old.get(trust) != new.get(trust) {
            let policy_document = document(new, trust)?;
            let role_name = role_name.clone();
            ctx.client.call(UpdateAssumeRolePolicyInput { role_name, policy_document }).await?;
        }
        let differs = |name: &str| old.get(name) != new.get(name);
        if differs("Description") || differs("MaxSessionDuration") {
            let secs = number(new, "MaxSessionDuration")?.unwrap_or(MAX_SESSION_DEFAULT_SECS);
            let input = UpdateRoleInput {
                role_name: role_name.clone(),
                description: Some(text(new, "Description")?.unwrap_or_default()),
                max_session_duration: Some(secs),
            };
            ctx.client.call(input).await?;
        }
        let principal = Principal::Role(role_name);
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
        let principal = Principal::Role(physical_id.to_owned());
        principal.revoke(&ctx.client, properties, &Properties::new()).await?;
        let input = DeleteRoleInput { role_name: physical_id.to_owned() };
        unless_missing(ctx.client.call(input).await)?;
        Ok(Progress::Done(Attributes::new()))
    }
}
