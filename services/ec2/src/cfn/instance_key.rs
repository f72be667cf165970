//! `AWS::EC2::KeyPair`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ec2_api::{
    CreateKeyPairInput, DeleteKeyPairInput, DescribeKeyPairsInput, ImportKeyPairInput, KeyType,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use ssm_api::{DeleteParameterInput, ParameterType, PutParameterInput};

use super::values::{
    Result, attributes, gone, invalid, required, tagged, tagging, text, unchangeable,
};

pub(super) fn types() -> [ResourceType; 1] {
    [ResourceType {
        name: "AWS::EC2::KeyPair",
        properties: const {
            &[
                Property::new("KeyFormat").replaces(),
                Property::new("KeyName").required().replaces(),
                Property::new("KeyType").replaces(),
                Property::new("PublicKeyMaterial").replaces(),
                Property::new("Tags").replaces(),
            ]
        },
        attributes: &["KeyFingerprint", "KeyPairId"],
        handler: Arc::new(KeyPair),
    }]
}

struct KeyPair;

/// The parameter that holds a made key pair's private key.
///
/// AWS: "AWS::EC2::KeyPair".
fn parameter(id: &str) -> String {
    format!("/ec2/keypair/{id}")
}

async fn import(ctx: &ResourceCtx, properties: &Properties, key: String) -> Result<()> {
    let input = ImportKeyPairInput {
        key_name: required(properties, "KeyName")?,
        public_key_material: Bytes::from(key.into_bytes()),
        tag_specifications: tagging(ctx, "key-pair", properties),
        dry_run: None,
    };
    ctx.client.call(input).await.map(|_| ())
}

/// Makes a key pair and keeps its private key in Systems Manager.
async fn make(ctx: &ResourceCtx, properties: &Properties) -> Result<()> {
    let kind = text(properties, "KeyType")
        .map(|kind| kind.parse::<KeyType>().map_err(|_| invalid("KeyType must be rsa or ed25519")));
    let format = text(properties, "KeyFormat")
        .map(|format| format.parse().map_err(|_| invalid("KeyFormat must be pem or ppk")));
    let input = CreateKeyPairInput {
        key_name: required(properties, "KeyName")?,
        key_type: kind.transpose()?,
        key_format: format.transpose()?,
        tag_specifications: tagging(ctx, "key-pair", properties),
        dry_run: None,
    };
    let made = ctx.client.call(input).await?;
    let id = made.key_pair_id.unwrap_or_default();
    let keep = PutParameterInput {
        name: parameter(&id),
        value: made.key_material.unwrap_or_default(),
        type_: Some(ParameterType::SecureString),
        ..PutParameterInput::default()
    };
    ctx.client.call(keep).await.map(|_| ())
}

async fn remove(ctx: &ResourceCtx, name: &str) -> Result<()> {
    let input =
        DeleteKeyPairInput { key_name: Some(name.to_owned()), ..DeleteKeyPairInput::default() };
    let removed = ctx.client.call(input).await?;
    if let Some(id) = removed.key_pair_id {
        // An imported key has no parameter.
        let deleted = ctx.client.call(DeleteParameterInput { name: parameter(&id) }).await;
        match deleted {
            Err(error) if error.code == "ParameterNotFound" => {}
            deleted => {
                deleted?;
            }
        }
    }
    Ok(())
}

#[async_trait]
impl ResourceHandler for KeyPair {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let name = required(properties, "KeyName")?;
        // What an interrupted create made has no private key anywhere: it is made anew.
        let left = tagged(ctx, "key-pair").await?;
        if !left.is_empty() {
            remove(ctx, &name).await?;
        }
        match text(properties, "PublicKeyMaterial") {
            Some(key) => import(ctx, properties, key).await?,
            None => make(ctx, properties).await?,
        }
        Ok(name)
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let input = DescribeKeyPairsInput {
            key_names: vec![id.to_owned()],
            ..DescribeKeyPairsInput::default()
        };
        let pair = ctx.client.call(input).await?.key_pairs.pop().unwrap_or_default();
        Ok(Progress::Done(attributes([
            ("KeyFingerprint", pair.key_fingerprint),
            ("KeyPairId", pair.key_pair_id),
        ])))
    }

    async fn update(&self, _: &ResourceCtx, _: &str, _: &Properties, _: &Properties) -> Result<()> {
        Err(unchangeable())
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let removed: std::result::Result<(), ServiceError> = remove(ctx, id).await;
        match removed {
            Ok(()) => Ok(Progress::Done(Attributes::new())),
            Err(error) => gone::<()>(Err(error)),
        }
    }
}
