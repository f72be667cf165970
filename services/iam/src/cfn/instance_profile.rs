//! `AWS::IAM::InstanceProfile`.

use std::sync::Arc;

use async_trait::async_trait;
use iam_api::{
    AddRoleToInstanceProfileInput, CreateInstanceProfileInput, DeleteInstanceProfileInput,
    GetInstanceProfileInput, RemoveRoleFromInstanceProfileInput, Tag,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::claim::{Claims, unless_made, unless_missing};
use super::properties::{lost, text, texts};

/// The longest name of a profile. AWS: CreateInstanceProfile, `InstanceProfileName`.
const NAME_MAX: usize = 128;

/// The type of instance profiles.
pub(super) fn instance_profile(claims: Claims) -> ResourceType {
    ResourceType {
        name: "AWS::IAM::InstanceProfile",
        properties: const {
            &[
                Property::new("InstanceProfileName").replaces(),
                Property::new("Path").replaces(),
                Property::new("Roles").required(),
            ]
        },
        attributes: &["Arn"],
        handler: Arc::new(ProfileHandler { claims }),
    }
}

struct ProfileHandler {
    claims: Claims,
}

/// Takes roles out of a profile.
async fn take_out(
    ctx: &ResourceCtx,
    profile: &str,
    roles: Vec<String>,
) -> Result<(), ServiceError> {
    for role_name in roles {
        let instance_profile_name = profile.to_owned();
        let input = RemoveRoleFromInstanceProfileInput { instance_profile_name, role_name };
        unless_missing(ctx.client.call(input).await)?;
    }
    Ok(())
}

#[async_trait]
impl ResourceHandler for ProfileHandler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let name = text(properties, "InstanceProfileName")?
            .unwrap_or_else(|| ctx.generated_name(NAME_MAX));
        let look = GetInstanceProfileInput { instance_profile_name: name.clone() };
        let found = ctx.client.call(look).await;
        self.claims.claim(ctx, &name, found).await?;
        let stack_tags = ctx.tags.clone().into_iter();
        let input = CreateInstanceProfileInput {
            instance_profile_name: name.clone(),
            path: text(properties, "Path")?,
            tags: stack_tags.map(|(key, value)| Tag { key, value }).collect(),
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
        let look = || GetInstanceProfileInput { instance_profile_name: physical_id.to_owned() };
        let profile = ctx.client.call(look()).await?.instance_profile;
        let present: Vec<String> = profile.roles.into_iter().map(|role| role.role_name).collect();
        let wanted = texts(properties, "Roles")?;
        take_out(ctx, physical_id, lost(&present, &wanted)).await?;
        for role_name in lost(&wanted, &present) {
            let instance_profile_name = physical_id.to_owned();
            let input = AddRoleToInstanceProfileInput { instance_profile_name, role_name };
            ctx.client.call(input).await?;
        }
        self.claims.settle(ctx).await?;
        Ok(Progress::Done(Attributes::from([("Arn".to_owned(), profile.arn.into())])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        take_out(ctx, physical_id, lost(&texts(old, "Roles")?, &texts(new, "Roles")?)).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        take_out(ctx, physical_id, texts(properties, "Roles")?).await?;
        let input = DeleteInstanceProfileInput { instance_profile_name: physical_id.to_owned() };
        unless_missing(ctx.client.call(input).await)?;
        Ok(Progress::Done(Attributes::new()))
    }
}
