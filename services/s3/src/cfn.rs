//! `AWS::S3::Bucket` and `AWS::S3::BucketPolicy`.

use std::sync::Arc;

use async_trait::async_trait;
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use s3_api::{
    CreateBucketConfiguration, CreateBucketInput, DeleteBucketEncryptionInput, DeleteBucketInput,
    DeleteBucketOwnershipControlsInput, DeleteBucketPolicyInput, DeleteBucketTaggingInput,
    GetBucketTaggingInput, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    PublicAccessBlockConfiguration, PutBucketEncryptionInput, PutBucketOwnershipControlsInput,
    PutBucketPolicyInput, PutBucketTaggingInput, PutPublicAccessBlockInput, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    Tag, Tagging,
};
use serde_json::{Value as Json, json};

const STACK_ID: &str = "aws:cloudformation:stack-id";

const BUCKET: &[Property] = &[
    Property::new("BucketName").replaces(),
    Property::new("AccelerateConfiguration"),
    Property::new("AccessControl"),
    Property::new("BucketEncryption"),
    Property::new("CorsConfiguration"),
    Property::new("LoggingConfiguration"),
    Property::new("OwnershipControls"),
    Property::new("PublicAccessBlockConfiguration"),
    Property::new("Tags"),
    Property::new("WebsiteConfiguration"),
];
const POLICY: &[Property] =
    &[Property::new("Bucket").required().replaces(), Property::new("PolicyDocument").required()];

/// `AWS::S3::Bucket`.
pub(crate) fn bucket() -> ResourceType {
    ResourceType {
        name: "AWS::S3::Bucket",
        properties: BUCKET,
        attributes: &[
            "Arn",
            "DomainName",
            "DualStackDomainName",
            "RegionalDomainName",
            "WebsiteURL",
        ],
        handler: Arc::new(BucketHandler),
    }
}

/// `AWS::S3::BucketPolicy`.
pub(crate) fn bucket_policy() -> ResourceType {
    ResourceType {
        name: "AWS::S3::BucketPolicy",
        properties: POLICY,
        attributes: &[],
        handler: Arc::new(PolicyHandler),
    }
}

struct BucketHandler;
struct PolicyHandler;

pub(crate) fn invalid(text: impl Into<String>) -> ServiceError {
    ServiceError::new("ValidationError", text)
}

/// A value that must be an object without other members than `known`.
pub(crate) fn object<'a>(value: &'a Json, known: &[&str]) -> Result<&'a Properties, ServiceError> {
    let object = value.as_object().ok_or_else(|| invalid("expected a JSON object"))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(invalid(format!("Encountered unsupported property {key}"))),
        None => Ok(object),
    }
}

/// Booleans may come as text.
fn truth(value: Option<&Json>) -> Option<bool> {
    let value = value?;
    value.as_bool().or_else(|| value.as_str().map(|text| text.eq_ignore_ascii_case("true")))
}

fn name_of(ctx: &ResourceCtx, properties: &Properties) -> String {
    let given = properties.get("BucketName").and_then(Json::as_str);
    given.map_or_else(|| ctx.generated_name(63).to_lowercase(), str::to_owned)
}

fn encryption(value: &Json) -> Result<ServerSideEncryptionConfiguration, ServiceError> {
    let list = object(value, &["ServerSideEncryptionConfiguration"])?
        .get("ServerSideEncryptionConfiguration")
        .and_then(Json::as_array)
        .ok_or_else(|| invalid("ServerSideEncryptionConfiguration must be a list"))?;
    let rule = |rule: &Json| {
        let rule = object(rule, &["ServerSideEncryptionByDefault", "BucketKeyEnabled"])?;
        let default = match rule.get("ServerSideEncryptionByDefault") {
            None => None,
            Some(default) => {
                let default = object(default, &["SSEAlgorithm", "KMSMasterKeyID"])?;
                let text = |name| default.get(name).and_then(Json::as_str);
                let algorithm = text("SSEAlgorithm").unwrap_or_default();
                Some(ServerSideEncryptionByDefault {
                    sse_algorithm: algorithm
                        .parse::<ServerSideEncryption>()
                        .map_err(|_| invalid(format!("{algorithm} is not a valid SSEAlgorithm")))?,
                    kms_master_key_id: text("KMSMasterKeyID").map(str::to_owned),
                })
            }
        };
        Ok(ServerSideEncryptionRule {
            apply_server_side_encryption_by_default: default,
            bucket_key_enabled: truth(rule.get("BucketKeyEnabled")),
            blocked_encryption_types: None,
        })
    };
    let rules = list.iter().map(rule).collect::<Result<_, ServiceError>>()?;
    Ok(ServerSideEncryptionConfiguration { rules })
}

fn ownership(value: &Json) -> Result<OwnershipControls, ServiceError> {
    let list = object(value, &["Rules"])?.get("Rules").and_then(Json::as_array);
    let rule = |rule: &Json| {
        let text = object(rule, &["ObjectOwnership"])?.get("ObjectOwnership");
        let text = text.and_then(Json::as_str).unwrap_or_default();
        let object_ownership: ObjectOwnership =
            text.parse().map_err(|_| invalid(format!("{text} is not a valid ObjectOwnership")))?;
        Ok(OwnershipControlsRule { object_ownership })
    };
    let list = list.ok_or_else(|| invalid("Rules must be a list"))?;
    Ok(OwnershipControls { rules: list.iter().map(rule).collect::<Result<_, ServiceError>>()? })
}

fn block(value: Option<&Json>) -> Result<PublicAccessBlockConfiguration, ServiceError> {
    let Some(value) = value else {
        let all = Some(true);
        return Ok(PublicAccessBlockConfiguration {
            block_public_acls: all,
            ignore_public_acls: all,
            block_public_policy: all,
            restrict_public_buckets: all,
        });
    };
    let given = object(
        value,
        &["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"],
    )?;
    Ok(PublicAccessBlockConfiguration {
        block_public_acls: truth(given.get("BlockPublicAcls")),
        ignore_public_acls: truth(given.get("IgnorePublicAcls")),
        block_public_policy: truth(given.get("BlockPublicPolicy")),
        restrict_public_buckets: truth(given.get("RestrictPublicBuckets")),
    })
}

/// The template's tags over the stack's.
fn tags(ctx: &ResourceCtx, properties: &Properties) -> Result<Vec<Tag>, ServiceError> {
    let mut tags = ctx.tags.clone();
    for tag in properties.get("Tags").and_then(Json::as_array).into_iter().flatten() {
        let tag = object(tag, &["Key", "Value"])?;
        let text = |name| {
            tag.get(name)
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        tags.insert(text("Key").unwrap_or_default(), text("Value").unwrap_or_default());
    }
    Ok(tags.into_iter().map(|(key, value)| Tag { key, value }).collect())
}

/// Whether the bucket is there and bears this stack's tags.
async fn is_ours(ctx: &ResourceCtx, bucket: &str) -> bool {
    let input = GetBucketTaggingInput { bucket: bucket.to_owned(), expected_bucket_owner: None };
    let Ok(output) = ctx.client.call(input).await else { return false };
    let has = |key: &str, value: &str| {
        output.tag_set.iter().any(|tag| tag.key == key && tag.value == value)
    };
    has(STACK_ID, &ctx.stack_id) && has("aws:cloudformation:logical-id", &ctx.logical_id)
}

/// Sets everything of a bucket but its name.
async fn configure(
    ctx: &ResourceCtx,
    bucket: &str,
    old: &Properties,
    properties: &Properties,
) -> Result<(), ServiceError> {
    let name = bucket;
    let client = &ctx.client;
    let bucket = bucket.to_owned();
    let tag_set = tags(ctx, properties)?;
    if tag_set.is_empty() {
        let input = DeleteBucketTaggingInput { bucket: bucket.clone(), ..Default::default() };
        client.call(input).await?;
    } else {
        let tagging = Tagging { tag_set };
        let input = PutBucketTaggingInput { bucket: bucket.clone(), tagging, ..Default::default() };
        client.call(input).await?;
    }
    let public_access_block_configuration =
        block(properties.get("PublicAccessBlockConfiguration"))?;
    let input = PutPublicAccessBlockInput {
        bucket: bucket.clone(),
        public_access_block_configuration,
        ..Default::default()
    };
    client.call(input).await?;
    match properties.get("OwnershipControls") {
        Some(value) => {
            let input = PutBucketOwnershipControlsInput {
                bucket: bucket.clone(),
                ownership_controls: ownership(value)?,
                ..Default::default()
            };
            client.call(input).await?;
        }
        None => {
            let input = DeleteBucketOwnershipControlsInput {
                bucket: bucket.clone(),
                expected_bucket_owner: None,
            };
            client.call(input).await?;
        }
    }
    match properties.get("BucketEncryption") {
        Some(value) => {
            let input = PutBucketEncryptionInput {
                bucket,
                server_side_encryption_configuration: encryption(value)?,
                ..Default::default()
            };
            client.call(input).await?;
        }
        None => {
            let input = DeleteBucketEncryptionInput { bucket, expected_bucket_owner: None };
            client.call(input).await?;
        }
    }
    crate::cfn_sharing::configure(ctx, name, old, properties).await
}

#[async_trait]
impl ResourceHandler for BucketHandler {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let name = name_of(ctx, properties);
        if !is_ours(ctx, &name).await {
            return Ok(None);
        }
        // A crash may have come between the bucket and its settings.
        configure(ctx, &name, &Properties::new(), properties).await?;
        Ok(Some(name))
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let name = name_of(ctx, properties);
        let location_constraint = ctx.region.as_str().parse().ok();
        // The stack's own tags mark the bucket from its first moment.
        let marks = ctx.tags.iter().filter(|(key, _)| key.starts_with("aws:cloudformation:"));
        let marks = marks.map(|(key, value)| Tag { key: key.clone(), value: value.clone() });
        let input = CreateBucketInput {
            bucket: name.clone(),
            create_bucket_configuration: Some(CreateBucketConfiguration {
                location_constraint,
                tags: marks.collect(),
                ..CreateBucketConfiguration::default()
            }),
            ..CreateBucketInput::default()
        };
        ctx.client.call(input).await?;
        configure(ctx, &name, &Properties::new(), properties).await?;
        Ok(name)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let region = ctx.region.as_str();
        let attribute = |name: &str, value: String| (name.to_owned(), json!(value));
        Ok(Progress::Done(Attributes::from([
            attribute("Arn", format!("arn:aws:s3:::{physical_id}")),
            attribute("DomainName", format!("{physical_id}.s3.amazonaws.com")),
            attribute(
                "DualStackDomainName",
                format!("{physical_id}.s3.dualstack.{region}.amazonaws.com"),
            ),
            attribute("RegionalDomainName", format!("{physical_id}.s3.{region}.amazonaws.com")),
            attribute(
                "WebsiteURL",
                format!("http://{physical_id}.s3-website.{region}.amazonaws.com"),
            ),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        configure(ctx, physical_id, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input =
            DeleteBucketInput { bucket: physical_id.to_owned(), expected_bucket_owner: None };
        match ctx.client.call(input).await {
            Err(error) if error.code != "NoSuchBucket" => Err(error),
            Ok(_) | Err(_) => Ok(Progress::Done(Attributes::new())),
        }
    }
}

async fn put_policy(ctx: &ResourceCtx, properties: &Properties) -> Result<String, ServiceError> {
    let bucket = properties.get("Bucket").and_then(Json::as_str).unwrap_or_default().to_owned();
    let document = properties.get("PolicyDocument").cloned().unwrap_or_default();
    let policy = document.as_str().map_or_else(|| document.to_string(), str::to_owned);
    let input = PutBucketPolicyInput { bucket: bucket.clone(), policy, ..Default::default() };
    ctx.client.call(input).await.map(|_| bucket)
}

#[async_trait]
impl ResourceHandler for PolicyHandler {
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
        _physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        Ok(Progress::Done(Attributes::new()))
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
        let input =
            DeleteBucketPolicyInput { bucket: physical_id.to_owned(), expected_bucket_owner: None };
        match ctx.client.call(input).await {
            Err(error) if error.code != "NoSuchBucket" => Err(error),
            Ok(_) | Err(_) => Ok(Progress::Done(Attributes::new())),
        }
    }
}
