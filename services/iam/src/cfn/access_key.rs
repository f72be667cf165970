//! `AWS::IAM::AccessKey`.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use iam_api::{
    CreateAccessKeyInput, DeleteAccessKeyInput, ListAccessKeysInput, StatusType,
    UpdateAccessKeyInput,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::claim::{Claims, unless_missing};
use super::properties::{required, text};

/// The type of access keys.
pub(super) fn access_key(claims: Claims) -> ResourceType {
    ResourceType {
        name: "AWS::IAM::AccessKey",
        properties: const {
            &[
                // A greater serial asks for another key.
                Property::new("Serial").replaces(),
                Property::new("Status"),
                Property::new("UserName").required().replaces(),
            ]
        },
        attributes: &["SecretAccessKey"],
        handler: Arc::new(KeyHandler { claims }),
    }
}

struct KeyHandler {
    claims: Claims,
}

async fn keys_of(ctx: &ResourceCtx, user: &str) -> Result<BTreeSet<String>, ServiceError> {
    let input =
        ListAccessKeysInput { user_name: Some(user.to_owned()), ..ListAccessKeysInput::default() };
    let keys = ctx.client.call(input).await?.access_key_metadata;
    Ok(keys.into_iter().filter_map(|key| key.access_key_id).collect())
}

#[async_trait]
impl ResourceHandler for KeyHandler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let user = required(properties, "UserName")?;
        let present = keys_of(ctx, &user).await?;
        match self.claims.known(ctx).await? {
            // The earlier try got as far as making the key that was not there before.
            Some(before) => {
                if let Some(own) = present.difference(&before).next() {
                    return Ok(own.clone());
                }
            }
            None => self.claims.note(ctx, present).await?,
        }
        let made = ctx.client.call(CreateAccessKeyInput { user_name: Some(user) }).await?;
        Ok(made.access_key.access_key_id)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let status = match text(properties, "Status")?.as_deref() {
            None | Some("Active") => StatusType::Active,
            Some("Inactive") => StatusType::Inactive,
            Some(_) => {
                let text = "Status must be Active or Inactive";
                return Err(ServiceError::new("ValidationError", text));
            }
        };
        let input = UpdateAccessKeyInput {
            user_name: Some(required(properties, "UserName")?),
            access_key_id: physical_id.to_owned(),
            status,
        };
        ctx.client.call(input).await?;
        self.claims.settle(ctx).await?;
        let secret = self.claims.secret(ctx, physical_id).await?;
        Ok(Progress::Done(Attributes::from([("SecretAccessKey".to_owned(), secret.into())])))
    }

    async fn update(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _old: &Properties,
        _new: &Properties,
    ) -> Result<(), ServiceError> {
        // The status is all that changes in place, and settling sets it.
        Ok(())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteAccessKeyInput {
            user_name: Some(required(properties, "UserName")?),
            access_key_id: physical_id.to_owned(),
        };
        unless_missing(ctx.client.call(input).await)?;
        Ok(Progress::Done(Attributes::new()))
    }
}
