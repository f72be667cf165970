//! `AWS::SecretsManager::Secret` and `AWS::SecretsManager::SecretTargetAttachment`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use rds_api::DescribeDBInstancesInput;
use secretsmanager_api::{
    CreateSecretInput, DeleteResourcePolicyInput, DeleteSecretInput, DescribeSecretInput,
    GetRandomPasswordInput, GetSecretValueInput, PutResourcePolicyInput, PutSecretValueInput, Tag,
    TagResourceInput, UntagResourceInput, UpdateSecretInput, error as code,
};
use serde_json::{Map, Value as Json, json};

use crate::sealing::OWN_KEY;

const SECRET: &[Property] = &[
    Property::new("Name").replaces(),
    Property::new("Description"),
    Property::new("SecretString"),
    Property::new("GenerateSecretString"),
    Property::new("KmsKeyId"),
    Property::new("Tags"),
];

const POLICY: &[Property] = &[
    Property::new("SecretId").required().replaces(),
    Property::new("ResourcePolicy").required(),
    Property::new("BlockPublicPolicy"),
];

const ATTACHMENT: &[Property] = &[
    Property::new("SecretId").required().replaces(),
    Property::new("TargetId").required(),
    Property::new("TargetType").required(),
];

pub(crate) fn secret() -> ResourceType {
    ResourceType {
        name: "AWS::SecretsManager::Secret",
        properties: SECRET,
        attributes: &["Id"],
        handler: Arc::new(Secret),
    }
}

pub(crate) fn attachment() -> ResourceType {
    ResourceType {
        name: "AWS::SecretsManager::SecretTargetAttachment",
        properties: ATTACHMENT,
        attributes: &["Id"],
        handler: Arc::new(Attachment),
    }
}

pub(crate) fn policy() -> ResourceType {
    ResourceType {
        name: "AWS::SecretsManager::ResourcePolicy",
        properties: POLICY,
        attributes: &["Id"],
        handler: Arc::new(ResourcePolicy),
    }
}

struct Secret;
struct Attachment;
struct ResourcePolicy;

fn text(properties: &Properties, name: &str) -> Option<String> {
    properties.get(name)?.as_str().map(str::to_owned)
}

fn flag(rules: &Map<String, Json>, name: &str) -> Option<bool> {
    let value = rules.get(name)?;
    value.as_bool().or_else(|| value.as_str().map(|text| text == "true"))
}

/// The value that the properties ask for: given, or made.
async fn value(ctx: &ResourceCtx, properties: &Properties) -> Result<Option<String>, ServiceError> {
    let given = text(properties, "SecretString");
    let Some(rules) = properties.get("GenerateSecretString").and_then(Json::as_object) else {
        return Ok(given);
    };
    let length = rules.get("PasswordLength");
    let length = length.and_then(|l| l.as_i64().or_else(|| l.as_str()?.parse().ok()));
    let input = GetRandomPasswordInput {
        password_length: length,
        exclude_characters: text(rules, "ExcludeCharacters"),
        exclude_numbers: flag(rules, "ExcludeNumbers"),
        exclude_punctuation: flag(rules, "ExcludePunctuation"),
        exclude_uppercase: flag(rules, "ExcludeUppercase"),
        exclude_lowercase: flag(rules, "ExcludeLowercase"),
        include_space: flag(rules, "IncludeSpace"),
        require_each_included_type: flag(rules, "RequireEachIncludedType"),
    };
    let made = ctx.client.call(input).await?.random_password.unwrap_or_default();
    let (template, key) = (text(rules, "SecretStringTemplate"), text(rules, "GenerateStringKey"));
    let (Some(template), Some(key)) = (template, key) else { return Ok(Some(made)) };
    let mut object: Map<String, Json> = serde_json::from_str(&template).map_err(|error| {
        ServiceError::new(
            code::INVALID_REQUEST_EXCEPTION,
            format!("SecretStringTemplate is not a JSON object: {error}"),
        )
    })?;
    object.insert(key, Json::String(made));
    Ok(Some(Json::Object(object).to_string()))
}

fn tags_of(ctx: &ResourceCtx, properties: &Properties) -> Vec<Tag> {
    let mut tags = ctx.tags.clone();
    for tag in properties.get("Tags").and_then(Json::as_array).into_iter().flatten() {
        let part = |name: &str| tag.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        tags.insert(part("Key"), part("Value"));
    }
    crate::tags::shown(&tags)
}

/// Makes the secret's own tags those of the template.
async fn retag(
    ctx: &ResourceCtx,
    id: &str,
    old: &Properties,
    new: &Properties,
) -> Result<(), ServiceError> {
    if old.get("Tags") == new.get("Tags") {
        return Ok(());
    }
    let (before, after) = (tags_of(ctx, old), tags_of(ctx, new));
    let stays = |key: &Option<String>| after.iter().any(|tag| tag.key == *key);
    let tag_keys: Vec<String> =
        before.into_iter().map(|tag| tag.key).filter(|key| !stays(key)).flatten().collect();
    if !tag_keys.is_empty() {
        let input = UntagResourceInput { secret_id: id.to_owned(), tag_keys };
        ctx.client.call(input).await?;
    }
    let input = TagResourceInput { secret_id: id.to_owned(), tags: after };
    ctx.client.call(input).await.map(|_| ())
}

fn name_of(ctx: &ResourceCtx, properties: &Properties) -> String {
    text(properties, "Name").unwrap_or_else(|| ctx.generated_name(200))
}

fn gone(error: &ServiceError) -> bool {
    error.code == code::RESOURCE_NOT_FOUND_EXCEPTION
}

fn id_attribute(id: &str) -> Progress {
    Progress::Done(Attributes::from([("Id".to_owned(), json!(id))]))
}

#[async_trait]
impl ResourceHandler for Secret {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let input = DescribeSecretInput { secret_id: name_of(ctx, properties) };
        match ctx.client.call(input).await {
            Ok(found) => {
                let ours = |tag: &Tag| {
                    tag.key.as_deref() == Some("aws:cloudformation:stack-id")
                        && tag.value.as_deref() == Some(&ctx.stack_id)
                };
                Ok(found.arn.filter(|_| found.tags.iter().any(ours)))
            }
            Err(error) if gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let input = CreateSecretInput {
            name: name_of(ctx, properties),
            description: text(properties, "Description"),
            secret_string: value(ctx, properties).await?,
            kms_key_id: text(properties, "KmsKeyId"),
            tags: tags_of(ctx, properties),
            ..CreateSecretInput::default()
        };
        Ok(ctx.client.call(input).await?.arn.unwrap_or_default())
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        Ok(id_attribute(physical_id))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let changed = |name: &str| old.get(name) != new.get(name);
        let fresh = changed("SecretString") || changed("GenerateSecretString");
        let input = UpdateSecretInput {
            secret_id: physical_id.to_owned(),
            description: text(new, "Description"),
            secret_string: if fresh { value(ctx, new).await? } else { None },
            // A key that is no longer named gives way to the service's own.
            kms_key_id: changed("KmsKeyId")
                .then(|| text(new, "KmsKeyId").unwrap_or_else(|| OWN_KEY.to_owned())),
            ..UpdateSecretInput::default()
        };
        ctx.client.call(input).await?;
        retag(ctx, physical_id, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteSecretInput {
            secret_id: physical_id.to_owned(),
            force_delete_without_recovery: Some(true),
            ..DeleteSecretInput::default()
        };
        match ctx.client.call(input).await {
            Ok(_) => Ok(Progress::Done(Attributes::new())),
            Err(error) if gone(&error) => Ok(Progress::Done(Attributes::new())),
            Err(error) => Err(error),
        }
    }
}

/// The connection of a database as its secret shows it; none while there is no endpoint.
async fn connection(
    ctx: &ResourceCtx,
    properties: &Properties,
) -> Result<Option<Map<String, Json>>, ServiceError> {
    if text(properties, "TargetType").as_deref() != Some("AWS::RDS::DBInstance") {
        return Err(ServiceError::new(
            code::INVALID_PARAMETER_EXCEPTION,
            "Only the target type AWS::RDS::DBInstance is implemented.",
        ));
    }
    let input = DescribeDBInstancesInput {
        db_instance_identifier: text(properties, "TargetId"),
        ..DescribeDBInstancesInput::default()
    };
    let found = ctx.client.call(input).await?.db_instances.into_iter().next();
    let Some((instance, endpoint)) = found.and_then(|i| i.endpoint.clone().map(|e| (i, e))) else {
        return Ok(None);
    };
    let mut object = Map::new();
    object.insert("engine".to_owned(), json!(instance.engine));
    object.insert("host".to_owned(), json!(endpoint.address));
    object.insert("port".to_owned(), json!(endpoint.port));
    object.insert("dbInstanceIdentifier".to_owned(), json!(instance.db_instance_identifier));
    if let Some(name) = instance.db_name {
        object.insert("dbname".to_owned(), json!(name));
    }
    Ok(Some(object))
}

#[async_trait]
impl ResourceHandler for Attachment {
    async fn create(
        &self,
        _ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        Ok(text(properties, "SecretId").unwrap_or_default())
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let Some(connection) = connection(ctx, properties).await? else {
            return Ok(Progress::Wait(Duration::from_millis(200)));
        };
        let input = GetSecretValueInput {
            secret_id: physical_id.to_owned(),
            ..GetSecretValueInput::default()
        };
        let kept = ctx.client.call(input).await?.secret_string.unwrap_or_default();
        let mut object: Map<String, Json> = serde_json::from_str(&kept).map_err(|_| {
            ServiceError::new(code::INVALID_REQUEST_EXCEPTION, "The secret is not a JSON object.")
        })?;
        let before = object.clone();
        object.extend(connection);
        if object != before {
            let input = PutSecretValueInput {
                secret_id: physical_id.to_owned(),
                secret_string: Some(Json::Object(object).to_string()),
                ..PutSecretValueInput::default()
            };
            ctx.client.call(input).await?;
        }
        Ok(id_attribute(physical_id))
    }

    async fn update(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _old: &Properties,
        _new: &Properties,
    ) -> Result<(), ServiceError> {
        // `settled` writes what the properties say.
        Ok(())
    }

    async fn delete(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        // AWS leaves the connection in the secret as well.
        Ok(Progress::Done(Attributes::new()))
    }
}

async fn put_policy(ctx: &ResourceCtx, properties: &Properties) -> Result<String, ServiceError> {
    let policy = properties.get("ResourcePolicy").cloned().unwrap_or_default();
    let input = PutResourcePolicyInput {
        secret_id: text(properties, "SecretId").unwrap_or_default(),
        resource_policy: policy.as_str().map_or_else(|| policy.to_string(), str::to_owned),
        block_public_policy: flag(properties, "BlockPublicPolicy"),
        ..PutResourcePolicyInput::default()
    };
    Ok(ctx.client.call(input).await?.arn.unwrap_or_default())
}

#[async_trait]
impl ResourceHandler for ResourcePolicy {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        put_policy(ctx, properties).await
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        Ok(id_attribute(physical_id))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        _physical_id: &str,
        _old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        put_policy(ctx, new).await.map(|_| ())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteResourcePolicyInput {
            secret_id: physical_id.to_owned(),
            ..DeleteResourcePolicyInput::default()
        };
        match ctx.client.call(input).await {
            Ok(_) => Ok(Progress::Done(Attributes::new())),
            Err(error) if gone(&error) => Ok(Progress::Done(Attributes::new())),
            Err(error) => Err(error),
        }
    }
}
