//! What a template says of how a bucket is shared: its access control list, rules for other
//! origins, its web site, its logs, acceleration and notifications.
//!
//! AWS: "AWS::S3::Bucket" (CloudFormation Template Reference).

use kernel::ServiceError;
use kernel::resource::{Properties, ResourceCtx};
use s3_api::{
    AccelerateConfiguration, BucketLoggingStatus, CORSConfiguration, CORSRule, Condition,
    DeleteBucketCorsInput, DeleteBucketWebsiteInput, ErrorDocument, IndexDocument, LoggingEnabled,
    PutBucketAccelerateConfigurationInput, PutBucketAclInput, PutBucketCorsInput,
    PutBucketLoggingInput, PutBucketWebsiteInput, Redirect, RedirectAllRequestsTo, RoutingRule,
    WebsiteConfiguration,
};
use serde_json::Value as Json;

use crate::cfn::{invalid, object};

type Result<T> = std::result::Result<T, ServiceError>;

/// Sets all of it as `new` says. What `old` said and `new` does not is taken back.
pub(crate) async fn configure(
    ctx: &ResourceCtx,
    bucket: &str,
    old: &Properties,
    new: &Properties,
) -> Result<()> {
    let had = |name: &str| old.contains_key(name);
    list(ctx, bucket, had("AccessControl"), new.get("AccessControl")).await?;
    origins(ctx, bucket, new.get("CorsConfiguration")).await?;
    site(ctx, bucket, new.get("WebsiteConfiguration")).await?;
    logs(ctx, bucket, had("LoggingConfiguration"), new.get("LoggingConfiguration")).await?;
    acceleration(ctx, bucket, new.get("AccelerateConfiguration")).await
}

async fn list(ctx: &ResourceCtx, bucket: &str, had: bool, value: Option<&Json>) -> Result<()> {
    let name = match value {
        // The template's names are those of the canned lists, without their dashes.
        Some(value) => match value.as_str().unwrap_or_default() {
            "Private" => "private",
            "PublicRead" => "public-read",
            "PublicReadWrite" => "public-read-write",
            "AuthenticatedRead" => "authenticated-read",
            other => {
                return Err(invalid(format!("{other} is not a supported value of AccessControl")));
            }
        },
        None if had => "private",
        None => return Ok(()),
    };
    let input = PutBucketAclInput {
        bucket: bucket.to_owned(),
        acl: name.parse().ok(),
        ..Default::default()
    };
    ctx.client.call(input).await.map(|_| ())
}

/// The text of a member; numbers and booleans as they are written.
fn text(map: &Properties, name: &str) -> Option<String> {
    let value = map.get(name)?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn texts(map: &Properties, name: &str) -> Vec<String> {
    let list = map.get(name).and_then(Json::as_array).into_iter().flatten();
    list.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

async fn origins(ctx: &ResourceCtx, bucket: &str, value: Option<&Json>) -> Result<()> {
    let bucket = bucket.to_owned();
    let Some(value) = value else {
        let input = DeleteBucketCorsInput { bucket, expected_bucket_owner: None };
        return ctx.client.call(input).await.map(|_| ());
    };
    let rules = object(value, &["CorsRules"])?.get("CorsRules").and_then(Json::as_array);
    let rule = |value: &Json| {
        let known = [
            "AllowedHeaders",
            "AllowedMethods",
            "AllowedOrigins",
            "ExposedHeaders",
            "Id",
            "MaxAge",
        ];
        let map = object(value, &known)?;
        Ok(CORSRule {
            id: text(map, "Id"),
            allowed_headers: texts(map, "AllowedHeaders"),
            allowed_methods: texts(map, "AllowedMethods"),
            allowed_origins: texts(map, "AllowedOrigins"),
            expose_headers: texts(map, "ExposedHeaders"),
            max_age_seconds: text(map, "MaxAge").and_then(|age| age.parse().ok()),
        })
    };
    let cors_rules = rules.into_iter().flatten().map(rule).collect::<Result<_>>()?;
    let cors_configuration = CORSConfiguration { cors_rules };
    let input = PutBucketCorsInput { bucket, cors_configuration, ..Default::default() };
    ctx.client.call(input).await.map(|_| ())
}

async fn site(ctx: &ResourceCtx, bucket: &str, value: Option<&Json>) -> Result<()> {
    let bucket = bucket.to_owned();
    let Some(value) = value else {
        let input = DeleteBucketWebsiteInput { bucket, expected_bucket_owner: None };
        return ctx.client.call(input).await.map(|_| ());
    };
    let known = ["IndexDocument", "ErrorDocument", "RedirectAllRequestsTo", "RoutingRules"];
    let map = object(value, &known)?;
    let all = match map.get("RedirectAllRequestsTo") {
        None => None,
        Some(all) => {
            let all = object(all, &["HostName", "Protocol"])?;
            Some(RedirectAllRequestsTo {
                host_name: text(all, "HostName").unwrap_or_default(),
                protocol: text(all, "Protocol").and_then(|protocol| protocol.parse().ok()),
            })
        }
    };
    let rules = map.get("RoutingRules").and_then(Json::as_array).into_iter().flatten();
    let website_configuration = WebsiteConfiguration {
        index_document: text(map, "IndexDocument").map(|suffix| IndexDocument { suffix }),
        error_document: text(map, "ErrorDocument").map(|key| ErrorDocument { key }),
        redirect_all_requests_to: all,
        routing_rules: rules.map(routing).collect::<Result<_>>()?,
    };
    let input = PutBucketWebsiteInput { bucket, website_configuration, ..Default::default() };
    ctx.client.call(input).await.map(|_| ())
}

fn routing(value: &Json) -> Result<RoutingRule> {
    let rule = object(value, &["RedirectRule", "RoutingRuleCondition"])?;
    let known =
        ["HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith"];
    let redirect = rule.get("RedirectRule").ok_or_else(|| invalid("RedirectRule is required"))?;
    let redirect = object(redirect, &known)?;
    let condition = match rule.get("RoutingRuleCondition") {
        None => None,
        Some(value) => {
            let map = object(value, &["HttpErrorCodeReturnedEquals", "KeyPrefixEquals"])?;
            Some(Condition {
                http_error_code_returned_equals: text(map, "HttpErrorCodeReturnedEquals"),
                key_prefix_equals: text(map, "KeyPrefixEquals"),
            })
        }
    };
    Ok(RoutingRule {
        condition,
        redirect: Redirect {
            host_name: text(redirect, "HostName"),
            http_redirect_code: text(redirect, "HttpRedirectCode"),
            protocol: text(redirect, "Protocol").and_then(|protocol| protocol.parse().ok()),
            replace_key_prefix_with: text(redirect, "ReplaceKeyPrefixWith"),
            replace_key_with: text(redirect, "ReplaceKeyWith"),
        },
    })
}

async fn logs(ctx: &ResourceCtx, bucket: &str, had: bool, value: Option<&Json>) -> Result<()> {
    let logging_enabled = match value {
        None if !had => return Ok(()),
        None => None,
        Some(value) => {
            let map = object(value, &["DestinationBucketName", "LogFilePrefix"])?;
            Some(LoggingEnabled {
                // Without another, a bucket logs into itself.
                target_bucket: text(map, "DestinationBucketName")
                    .unwrap_or_else(|| bucket.to_owned()),
                target_prefix: text(map, "LogFilePrefix").unwrap_or_default(),
                ..Default::default()
            })
        }
    };
    let input = PutBucketLoggingInput {
        bucket: bucket.to_owned(),
        bucket_logging_status: BucketLoggingStatus { logging_enabled },
        ..Default::default()
    };
    ctx.client.call(input).await.map(|_| ())
}

async fn acceleration(ctx: &ResourceCtx, bucket: &str, value: Option<&Json>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let status = text(object(value, &["AccelerationStatus"])?, "AccelerationStatus");
    let status = status.unwrap_or_default();
    let status = status
        .parse()
        .map_err(|_| invalid(format!("{status} is not a valid AccelerationStatus")))?;
    let input = PutBucketAccelerateConfigurationInput {
        bucket: bucket.to_owned(),
        accelerate_configuration: AccelerateConfiguration { status: Some(status) },
        ..Default::default()
    };
    ctx.client.call(input).await.map(|_| ())
}
