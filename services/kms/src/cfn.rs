//! `AWS::KMS::Key`, `AWS::KMS::Alias` and `AWS::KMS::ReplicaKey`.

use std::sync::Arc;

use async_trait::async_trait;
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use kms_api::{
    CreateAliasInput, CreateKeyInput, DeleteAliasInput, DescribeKeyInput, DisableKeyInput,
    DisableKeyRotationInput, EnableKeyInput, EnableKeyRotationInput, ListAliasesInput,
    ListKeysInput, ListResourceTagsInput, PutKeyPolicyInput, ScheduleKeyDeletionInput, Tag,
    TagResourceInput, UntagResourceInput, UpdateAliasInput, UpdateKeyDescriptionInput,
    error as code,
};
use serde_json::{Value as Json, json};

const KEY: &[Property] = &[
    Property::new("BypassPolicyLockoutSafetyCheck"),
    Property::new("Description"),
    Property::new("EnableKeyRotation"),
    Property::new("Enabled"),
    Property::new("KeyPolicy"),
    Property::new("KeySpec").replaces(),
    Property::new("KeyUsage").replaces(),
    Property::new("MultiRegion").replaces(),
    Property::new("Origin").replaces(),
    Property::new("PendingWindowInDays"),
    Property::new("RotationPeriodInDays"),
    Property::new("Tags"),
];

const ALIAS: &[Property] =
    &[Property::new("AliasName").required().replaces(), Property::new("TargetKeyId").required()];

const REPLICA: &[Property] = &[
    Property::new("Description"),
    Property::new("Enabled"),
    Property::new("KeyPolicy").required(),
    Property::new("PendingWindowInDays"),
    Property::new("PrimaryKeyArn").required().replaces(),
    Property::new("Tags"),
];

/// The tag by which a key that an interrupted creation made is found.
const TOKEN_TAG: &str = "aws:cloudformation:skyhold-token";

pub(crate) fn key() -> ResourceType {
    ResourceType {
        name: "AWS::KMS::Key",
        properties: KEY,
        attributes: &["Arn", "KeyId"],
        handler: Arc::new(Key),
    }
}

pub(crate) fn alias() -> ResourceType {
    ResourceType {
        name: "AWS::KMS::Alias",
        properties: ALIAS,
        attributes: &["AliasName"],
        handler: Arc::new(Alias),
    }
}

pub(crate) fn replica_key() -> ResourceType {
    ResourceType {
        name: "AWS::KMS::ReplicaKey",
        properties: REPLICA,
        attributes: &["Arn", "KeyId"],
        handler: Arc::new(ReplicaKey),
    }
}

struct Key;
struct Alias;
struct ReplicaKey;

fn text(properties: &Properties, name: &str) -> Option<String> {
    properties.get(name)?.as_str().map(str::to_owned)
}

fn flag(properties: &Properties, name: &str) -> Option<bool> {
    let value = properties.get(name)?;
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

fn number(properties: &Properties, name: &str) -> Option<i32> {
    let value = properties.get(name)?;
    let whole = value.as_i64().and_then(|number| i32::try_from(number).ok());
    whole.or_else(|| value.as_str()?.parse().ok())
}

/// A member of an enumeration; a text that is none is the template's fault.
fn member<T: std::str::FromStr>(
    properties: &Properties,
    name: &str,
) -> Result<Option<T>, ServiceError> {
    let Some(text) = text(properties, name) else { return Ok(None) };
    let refused = |_| {
        ServiceError::new("ValidationError", format!("{text} is no value of the property {name}"))
    };
    text.parse().map(Some).map_err(refused)
}

fn policy(properties: &Properties) -> Option<String> {
    let policy = properties.get("KeyPolicy")?;
    Some(policy.as_str().map_or_else(|| policy.to_string(), str::to_owned))
}

fn own_tags(properties: &Properties) -> base::Tags {
    let mut tags = base::Tags::new();
    for tag in properties.get("Tags").and_then(Json::as_array).into_iter().flatten() {
        let part = |name: &str| tag.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        tags.insert(part("Key"), part("Value"));
    }
    tags
}

fn listed(tags: base::Tags) -> Vec<Tag> {
    tags.into_iter().map(|(tag_key, tag_value)| Tag { tag_key, tag_value }).collect()
}

fn gone(error: &ServiceError) -> bool {
    error.code == code::NOT_FOUND_EXCEPTION
}

#[async_trait]
impl ResourceHandler for Key {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        _properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let mut marker = None;
        loop {
            let page =
                ctx.client.call(ListKeysInput { marker, ..ListKeysInput::default() }).await?;
            for id in page.keys.into_iter().filter_map(|key| key.key_id) {
                let input = ListResourceTagsInput {
                    key_id: id.clone(),
                    ..ListResourceTagsInput::default()
                };
                // A key whose tags the deployer may not see is none of this stack's.
                let Ok(output) = ctx.client.call(input).await else { continue };
                let ours = |tag: &Tag| tag.tag_key == TOKEN_TAG && tag.tag_value == ctx.token;
                if output.tags.iter().any(ours) {
                    return Ok(Some(id));
                }
            }
            marker = page.next_marker;
            if marker.is_none() {
                return Ok(None);
            }
        }
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let mut tags = ctx.tags.clone();
        tags.extend(own_tags(properties));
        tags.insert(TOKEN_TAG.to_owned(), ctx.token.clone());
        let input = CreateKeyInput {
            policy: policy(properties),
            description: text(properties, "Description"),
            key_usage: member(properties, "KeyUsage")?,
            key_spec: member(properties, "KeySpec")?,
            origin: member(properties, "Origin")?,
            bypass_policy_lockout_safety_check: flag(properties, "BypassPolicyLockoutSafetyCheck"),
            multi_region: flag(properties, "MultiRegion"),
            tags: listed(tags),
            ..CreateKeyInput::default()
        };
        let made = ctx.client.call(input).await?.key_metadata.unwrap_or_default();
        switch(ctx, &made.key_id, &Properties::new(), properties).await?;
        Ok(made.key_id)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input =
            DescribeKeyInput { key_id: physical_id.to_owned(), ..DescribeKeyInput::default() };
        let key = ctx.client.call(input).await?.key_metadata.unwrap_or_default();
        Ok(Progress::Done(Attributes::from([
            ("Arn".to_owned(), json!(key.arn)),
            ("KeyId".to_owned(), json!(key.key_id)),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let id = || physical_id.to_owned();
        let changed = |name: &str| old.get(name) != new.get(name);
        if changed("Description") {
            let description = text(new, "Description").unwrap_or_default();
            ctx.client.call(UpdateKeyDescriptionInput { key_id: id(), description }).await?;
        }
        if let Some(policy) = policy(new).filter(|_| changed("KeyPolicy")) {
            let input = PutKeyPolicyInput {
                key_id: id(),
                policy,
                bypass_policy_lockout_safety_check: flag(new, "BypassPolicyLockoutSafetyCheck"),
                ..PutKeyPolicyInput::default()
            };
            ctx.client.call(input).await?;
        }
        if changed("Tags") {
            let (before, after) = (own_tags(old), own_tags(new));
            let tag_keys: Vec<String> =
                before.into_keys().filter(|name| !after.contains_key(name)).collect();
            if !tag_keys.is_empty() {
                ctx.client.call(UntagResourceInput { key_id: id(), tag_keys }).await?;
            }
            if !after.is_empty() {
                let input = TagResourceInput { key_id: id(), tags: listed(after) };
                ctx.client.call(input).await?;
            }
        }
        switch(ctx, physical_id, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = ScheduleKeyDeletionInput {
            key_id: physical_id.to_owned(),
            pending_window_in_days: number(properties, "PendingWindowInDays"),
        };
        match ctx.client.call(input).await {
            Ok(_) => Ok(Progress::Done(Attributes::new())),
            // A repeated step finds the deletion scheduled.
            Err(error) if gone(&error) || error.code == code::KMS_INVALID_STATE_EXCEPTION => {
                Ok(Progress::Done(Attributes::new()))
            }
            Err(error) => Err(error),
        }
    }
}

/// Rotation and whether the key can be used: a key is enabled to change its rotation.
async fn switch(
    ctx: &ResourceCtx,
    id: &str,
    old: &Properties,
    new: &Properties,
) -> Result<(), ServiceError> {
    let key_id = || id.to_owned();
    let enabled = |properties: &Properties| flag(properties, "Enabled").unwrap_or(true);
    let rotates = |properties: &Properties| flag(properties, "EnableKeyRotation").unwrap_or(false);
    let period = number(new, "RotationPeriodInDays");
    if enabled(new) && !enabled(old) {
        ctx.client.call(EnableKeyInput { key_id: key_id() }).await?;
    }
    let other_period = period != number(old, "RotationPeriodInDays");
    if rotates(new) && (!rotates(old) || other_period) {
        let input = EnableKeyRotationInput { key_id: key_id(), rotation_period_in_days: period };
        ctx.client.call(input).await?;
    }
    if rotates(old) && !rotates(new) {
        ctx.client.call(DisableKeyRotationInput { key_id: key_id() }).await?;
    }
    if !enabled(new) && enabled(old) {
        ctx.client.call(DisableKeyInput { key_id: key_id() }).await?;
    }
    Ok(())
}

#[async_trait]
impl ResourceHandler for Alias {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let name = text(properties, "AliasName").unwrap_or_default();
        let target = text(properties, "TargetKeyId").unwrap_or_default();
        let input = ListAliasesInput { key_id: Some(target), ..ListAliasesInput::default() };
        let found = ctx.client.call(input).await?.aliases;
        let ours = found.iter().any(|alias| alias.alias_name.as_ref() == Some(&name));
        Ok(ours.then_some(name))
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let alias_name = text(properties, "AliasName").unwrap_or_default();
        let target_key_id = text(properties, "TargetKeyId").unwrap_or_default();
        let input = CreateAliasInput { alias_name: alias_name.clone(), target_key_id };
        ctx.client.call(input).await?;
        Ok(alias_name)
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let name = ("AliasName".to_owned(), json!(physical_id));
        Ok(Progress::Done(Attributes::from([name])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let target_key_id = text(new, "TargetKeyId").unwrap_or_default();
        let input = UpdateAliasInput { alias_name: physical_id.to_owned(), target_key_id };
        ctx.client.call(input).await.map(|_| ())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        match ctx.client.call(DeleteAliasInput { alias_name: physical_id.to_owned() }).await {
            Ok(_) => Ok(Progress::Done(Attributes::new())),
            Err(error) if gone(&error) => Ok(Progress::Done(Attributes::new())),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl ResourceHandler for ReplicaKey {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        _properties: &Properties,
    ) -> Result<String, ServiceError> {
        Err(ServiceError::new(
            code::UNSUPPORTED_OPERATION_EXCEPTION,
            format!(
                "AWS::KMS::ReplicaKey cannot be made: this installation has one region, {}.",
                ctx.region
            ),
        ))
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        Ok(Progress::Done(Attributes::new()))
    }

    async fn update(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _old: &Properties,
        _new: &Properties,
    ) -> Result<(), ServiceError> {
        // No replica was ever made.
        Ok(())
    }

    async fn delete(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        Ok(Progress::Done(Attributes::new()))
    }
}
