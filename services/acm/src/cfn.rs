//! `AWS::CertificateManager::Certificate` and `AWS::CertificateManager::Account`. `Ref` of a
//! certificate gives its ARN; it is done once it is issued.

use std::sync::Arc;
use std::time::Duration;

use acm_api::{
    AddTagsToCertificateInput, CertificateOptions, CertificateStatus, DeleteCertificateInput,
    DescribeCertificateInput, DomainValidationOption, ExpiryEventsConfiguration,
    PutAccountConfigurationInput, RemoveTagsFromCertificateInput, RequestCertificateInput, Tag,
    UpdateCertificateOptionsInput, error as code,
};
use async_trait::async_trait;
use base::Tags;
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

const CERTIFICATE: &[Property] = &[
    Property::new("CertificateAuthorityArn").replaces(),
    Property::new("CertificateExport").replaces(),
    Property::new("CertificateTransparencyLoggingPreference"),
    Property::new("DomainName").required().replaces(),
    Property::new("DomainValidationOptions").replaces(),
    Property::new("KeyAlgorithm").replaces(),
    Property::new("SubjectAlternativeNames").replaces(),
    Property::new("Tags"),
    Property::new("ValidationMethod").replaces(),
];

const ACCOUNT: &[Property] = &[Property::new("ExpiryEventsConfiguration").required()];

/// How long after a step a certificate is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

pub(crate) fn certificate() -> ResourceType {
    ResourceType {
        name: "AWS::CertificateManager::Certificate",
        properties: CERTIFICATE,
        attributes: &["Id"],
        handler: Arc::new(Certificate),
    }
}

pub(crate) fn account() -> ResourceType {
    ResourceType {
        name: "AWS::CertificateManager::Account",
        properties: ACCOUNT,
        attributes: &["AccountId"],
        handler: Arc::new(Account),
    }
}

struct Certificate;
struct Account;

fn refuse(text: impl Into<String>) -> ServiceError {
    ServiceError::new(code::VALIDATION_EXCEPTION, text)
}

fn text(json: &Json, name: &str) -> Option<String> {
    json.get(name)?.as_str().map(str::to_owned)
}

/// A value of an enumeration.
fn parsed<T: std::str::FromStr>(
    properties: &Properties,
    name: &str,
) -> Result<Option<T>, ServiceError> {
    let Some(value) = properties.get(name).and_then(Json::as_str) else { return Ok(None) };
    let read = value.parse();
    read.map(Some).map_err(|_| refuse(format!("'{value}' is not a valid value of {name}")))
}

fn list<'a>(properties: &'a Properties, name: &str) -> impl Iterator<Item = &'a Json> {
    properties.get(name).and_then(Json::as_array).into_iter().flatten()
}

/// AWS: AWS::CertificateManager::Certificate DomainValidationOption. A hosted zone would have the
/// stack write the records itself.
fn validation_options(
    properties: &Properties,
) -> Result<Vec<DomainValidationOption>, ServiceError> {
    let one = |item: &Json| {
        if item.get("HostedZoneId").is_some() {
            return Err(refuse("HostedZoneId is not supported in this region"));
        }
        let domain_name = text(item, "DomainName").unwrap_or_default();
        let validation_domain = text(item, "ValidationDomain").unwrap_or(domain_name.clone());
        Ok(DomainValidationOption { domain_name, validation_domain })
    };
    list(properties, "DomainValidationOptions").map(one).collect()
}

fn options(properties: &Properties) -> Result<CertificateOptions, ServiceError> {
    Ok(CertificateOptions {
        certificate_transparency_logging_preference: parsed(
            properties,
            "CertificateTransparencyLoggingPreference",
        )?,
        export: parsed(properties, "CertificateExport")?,
        validation_method: None,
    })
}

fn tags(ctx: &ResourceCtx, properties: &Properties) -> Tags {
    let mut tags = ctx.tags.clone();
    for tag in list(properties, "Tags") {
        tags.insert(text(tag, "Key").unwrap_or_default(), text(tag, "Value").unwrap_or_default());
    }
    tags
}

fn to_wire(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key, value: Some(value) }).collect()
}

#[async_trait]
impl ResourceHandler for Certificate {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let token: String = ctx.token.chars().filter(char::is_ascii_alphanumeric).collect();
        let names = list(properties, "SubjectAlternativeNames");
        let input = RequestCertificateInput {
            domain_name: properties
                .get("DomainName")
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned(),
            validation_method: parsed(properties, "ValidationMethod")?,
            subject_alternative_names: names
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            idempotency_token: Some(token.chars().take(32).collect()),
            domain_validation_options: validation_options(properties)?,
            options: Some(options(properties)?),
            certificate_authority_arn: properties
                .get("CertificateAuthorityArn")
                .and_then(Json::as_str)
                .map(str::to_owned),
            tags: to_wire(tags(ctx, properties)),
            key_algorithm: parsed(properties, "KeyAlgorithm")?,
            managed_by: None,
        };
        Ok(ctx.client.call(input).await?.certificate_arn.unwrap_or_default())
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DescribeCertificateInput { certificate_arn: physical_id.to_owned() };
        let found = ctx.client.call(input).await?.certificate.unwrap_or_default();
        match found.status {
            Some(CertificateStatus::Issued) => {
                let id = ("Id".to_owned(), json!(physical_id));
                Ok(Progress::Done(Attributes::from([id])))
            }
            Some(CertificateStatus::PendingValidation) => Ok(Progress::Wait(LOOK_AGAIN)),
            status => Err(ServiceError::new(
                code::INVALID_STATE_EXCEPTION,
                format!(
                    "The certificate is {}.",
                    status.map(|it| it.to_string()).unwrap_or_default()
                ),
            )),
        }
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let certificate_arn = physical_id.to_owned();
        let logging = |it: &Properties| {
            it.get("CertificateTransparencyLoggingPreference").cloned().unwrap_or_default()
        };
        if logging(old) != logging(new) {
            let options = options(new)?;
            let input =
                UpdateCertificateOptionsInput { certificate_arn: certificate_arn.clone(), options };
            ctx.client.call(input).await?;
        }
        let (old, new) = (tags(ctx, old), tags(ctx, new));
        let gone = |key: &String| !new.contains_key(key);
        let dropped: Vec<Tag> =
            old.into_keys().filter(gone).map(|key| Tag { key, value: None }).collect();
        if !dropped.is_empty() {
            let certificate_arn = certificate_arn.clone();
            let input = RemoveTagsFromCertificateInput { certificate_arn, tags: dropped };
            ctx.client.call(input).await?;
        }
        if !new.is_empty() {
            let input = AddTagsToCertificateInput { certificate_arn, tags: to_wire(new) };
            ctx.client.call(input).await?;
        }
        Ok(())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteCertificateInput { certificate_arn: physical_id.to_owned() };
        match ctx.client.call(input).await {
            Ok(_) => Ok(Progress::Done(Attributes::new())),
            Err(error) if error.code == code::RESOURCE_NOT_FOUND_EXCEPTION => {
                Ok(Progress::Done(Attributes::new()))
            }
            // The load balancer that serves it may still be going.
            Err(error) if error.code == code::RESOURCE_IN_USE_EXCEPTION => {
                Ok(Progress::Wait(LOOK_AGAIN))
            }
            Err(error) => Err(error),
        }
    }
}

async fn set_account(
    ctx: &ResourceCtx,
    days: Option<i32>,
    token: String,
) -> Result<(), ServiceError> {
    let input = PutAccountConfigurationInput {
        expiry_events: Some(ExpiryEventsConfiguration { days_before_expiry: days }),
        idempotency_token: token,
    };
    ctx.client.call(input).await.map(|_| ())
}

fn days(properties: &Properties) -> Option<i32> {
    let days = properties.get("ExpiryEventsConfiguration")?.get("DaysBeforeExpiry")?;
    let days = days.as_i64().or_else(|| days.as_str()?.parse().ok())?;
    i32::try_from(days).ok()
}

/// A token of at most 32 word characters, other for other settings.
fn account_token(ctx: &ResourceCtx, days: Option<i32>) -> String {
    kernel::token::fingerprint(&(&ctx.token, days)).chars().take(32).collect()
}

#[async_trait]
impl ResourceHandler for Account {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let days = days(properties);
        set_account(ctx, days, account_token(ctx, days)).await?;
        Ok(ctx.account.to_string())
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        _physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let id = ("AccountId".to_owned(), json!(ctx.account.as_str()));
        Ok(Progress::Done(Attributes::from([id])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        _physical_id: &str,
        _old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let days = days(new);
        set_account(ctx, days, account_token(ctx, days)).await
    }

    async fn delete(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        // AWS leaves the account as it was set.
        Ok(Progress::Done(Attributes::new()))
    }
}
