//! `AWS::IAM::ServiceLinkedRole`.

use std::sync::Arc;

use async_trait::async_trait;
use iam_api::{
    CreateServiceLinkedRoleInput, DeleteServiceLinkedRoleInput, GetRoleInput, UpdateRoleInput,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::claim::{Claims, unless_missing};
use super::properties::{required, text};
use crate::linked_role::name_of;

/// The type of service-linked roles.
pub(super) fn service_linked_role(claims: Claims) -> ResourceType {
    ResourceType {
        name: "AWS::IAM::ServiceLinkedRole",
        properties: const {
            &[
                Property::new("AWSServiceName").required().replaces(),
                Property::new("CustomSuffix").replaces(),
                Property::new("Description"),
            ]
        },
        attributes: &["RoleName"],
        handler: Arc::new(LinkedHandler { claims }),
    }
}

struct LinkedHandler {
    claims: Claims,
}

#[async_trait]
impl ResourceHandler for LinkedHandler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let service = required(properties, "AWSServiceName")?;
        let suffix = text(properties, "CustomSuffix")?;
        if let Some(name) = name_of(&service, suffix.as_deref()) {
            let found = ctx.client.call(GetRoleInput { role_name: name.clone() }).await;
            let is_repeated = self.claims.known(ctx).await?.is_some();
            if is_repeated && found.is_ok() {
                return Ok(name);
            }
            self.claims.claim(ctx, &name, found).await?;
        }
        let input = CreateServiceLinkedRoleInput {
            aws_service_name: service,
            description: text(properties, "Description")?,
            custom_suffix: suffix,
        };
        let role = ctx.client.call(input).await?.role;
        Ok(role.map(|role| role.role_name).unwrap_or_default())
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        self.claims.settle(ctx).await?;
        Ok(Progress::Done(Attributes::from([("RoleName".to_owned(), physical_id.into())])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let input = UpdateRoleInput {
            role_name: physical_id.to_owned(),
            description: Some(text(new, "Description")?.unwrap_or_default()),
            max_session_duration: None,
        };
        ctx.client.call(input).await.map(|_| ())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteServiceLinkedRoleInput { role_name: physical_id.to_owned() };
        unless_missing(ctx.client.call(input).await)?;
        Ok(Progress::Done(Attributes::new()))
    }
}
