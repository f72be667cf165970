//! `AWS::ElasticLoadBalancingV2::Listener`, and actions as templates write them.

use std::sync::Arc;

use async_trait::async_trait;
use elbv2_api::{
    Action, Certificate, CreateListenerInput, DeleteListenerInput, FixedResponseActionConfig,
    ForwardActionConfig, ModifyListenerInput, MutualAuthenticationAttributes, RedirectActionConfig,
    TargetGroupStickinessConfig, TargetGroupTuple, error as shape,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

use super::property::Object;

const PROPERTIES: &[Property] = &[
    Property::new("AlpnPolicy"),
    Property::new("Certificates"),
    Property::new("DefaultActions").required(),
    Property::new("LoadBalancerArn").required().replaces(),
    Property::new("MutualAuthentication"),
    Property::new("Port"),
    Property::new("Protocol"),
    Property::new("SslPolicy"),
];

pub(super) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElasticLoadBalancingV2::Listener",
        properties: PROPERTIES,
        attributes: &["ListenerArn"],
        handler: Arc::new(Handler),
    }
}

struct Handler;

/// The actions in the list `name`.
pub(super) fn actions(properties: &Properties, name: &str) -> Result<Vec<Action>, ServiceError> {
    Object::of(properties).list(name)?.iter().map(|item| action(item, name)).collect()
}

fn action(item: &Json, name: &str) -> Result<Action, ServiceError> {
    const KNOWN: &[&str] = &[
        "FixedResponseConfig",
        "ForwardConfig",
        "Order",
        "RedirectConfig",
        "TargetGroupArn",
        "Type",
    ];
    let read = Object::from(item, name, KNOWN)?;
    let redirect = &["Host", "Path", "Port", "Protocol", "Query", "StatusCode"];
    let fixed = &["ContentType", "MessageBody", "StatusCode"];
    Ok(Action {
        type_: read
            .parsed("Type")?
            .ok_or_else(|| ServiceError::new("ValidationError", "An action must have a Type"))?,
        target_group_arn: read.text("TargetGroupArn")?,
        order: read.parsed("Order")?,
        forward_config: forward(read)?,
        redirect_config: match read.group("RedirectConfig", redirect)? {
            None => None,
            Some(config) => Some(RedirectActionConfig {
                protocol: config.text("Protocol")?,
                port: config.text("Port")?,
                host: config.text("Host")?,
                path: config.text("Path")?,
                query: config.text("Query")?,
                status_code: config.parsed("StatusCode")?.unwrap_or_default(),
            }),
        },
        fixed_response_config: match read.group("FixedResponseConfig", fixed)? {
            None => None,
            Some(config) => Some(FixedResponseActionConfig {
                message_body: config.text("MessageBody")?,
                status_code: config.text("StatusCode")?.unwrap_or_default(),
                content_type: config.text("ContentType")?,
            }),
        },
        ..Action::default()
    })
}

/// The certificates of a listener.
pub(super) fn certificates(properties: &Properties) -> Result<Vec<Certificate>, ServiceError> {
    let one = |item: &Json| {
        let item = Object::from(item, "Certificates", &["CertificateArn"])?;
        Ok(Certificate { certificate_arn: item.text("CertificateArn")?, is_default: None })
    };
    Object::of(properties).list("Certificates")?.iter().map(one).collect()
}

fn mutual(properties: Object<'_>) -> Result<Option<MutualAuthenticationAttributes>, ServiceError> {
    const KNOWN: &[&str] =
        &["AdvertiseTrustStoreCaNames", "IgnoreClientCertificateExpiry", "Mode", "TrustStoreArn"];
    let Some(group) = properties.group("MutualAuthentication", KNOWN)? else { return Ok(None) };
    Ok(Some(MutualAuthenticationAttributes {
        mode: group.text("Mode")?,
        trust_store_arn: group.text("TrustStoreArn")?,
        ignore_client_certificate_expiry: group.parsed("IgnoreClientCertificateExpiry")?,
        advertise_trust_store_ca_names: group.parsed("AdvertiseTrustStoreCaNames")?,
        trust_store_association_status: None,
    }))
}

fn forward(action: Object<'_>) -> Result<Option<ForwardActionConfig>, ServiceError> {
    let known = &["TargetGroups", "TargetGroupStickinessConfig"];
    let Some(config) = action.group("ForwardConfig", known)? else { return Ok(None) };
    let tuple = |item: &Json| {
        let item = Object::from(item, "TargetGroups", &["TargetGroupArn", "Weight"])?;
        Ok(TargetGroupTuple {
            target_group_arn: item.text("TargetGroupArn")?,
            weight: item.parsed("Weight")?,
        })
    };
    let members = &["DurationSeconds", "Enabled"];
    Ok(Some(ForwardActionConfig {
        target_groups: config
            .list("TargetGroups")?
            .iter()
            .map(tuple)
            .collect::<Result<_, ServiceError>>()?,
        target_group_stickiness_config: match config
            .group("TargetGroupStickinessConfig", members)?
        {
            None => None,
            Some(sticky) => Some(TargetGroupStickinessConfig {
                enabled: sticky.parsed("Enabled")?,
                duration_seconds: sticky.parsed("DurationSeconds")?,
            }),
        },
    }))
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let read = Object::of(properties);
        let input = CreateListenerInput {
            load_balancer_arn: read.text("LoadBalancerArn")?.unwrap_or_default(),
            protocol: read.parsed("Protocol")?,
            port: read.parsed("Port")?,
            default_actions: actions(properties, "DefaultActions")?,
            tags: super::to_wire(ctx.tags.clone()),
            certificates: certificates(properties)?,
            ssl_policy: read.text("SslPolicy")?,
            alpn_policy: read.texts("AlpnPolicy")?,
            mutual_authentication: mutual(read)?,
        };
        let made = ctx.client.call(input).await?.listeners.into_iter().next();
        Ok(made.and_then(|made| made.listener_arn).unwrap_or_default())
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let known = ("ListenerArn".to_owned(), json!(physical_id));
        Ok(Progress::Done(Attributes::from([known])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let read = Object::of(new);
        let input = ModifyListenerInput {
            listener_arn: physical_id.to_owned(),
            port: read.parsed("Port")?,
            protocol: read.parsed("Protocol")?,
            default_actions: actions(new, "DefaultActions")?,
            certificates: certificates(new)?,
            ssl_policy: read.text("SslPolicy")?,
            alpn_policy: read.texts("AlpnPolicy")?,
            mutual_authentication: mutual(read)?,
        };
        ctx.client.call(input).await.map(|_| ())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteListenerInput { listener_arn: physical_id.to_owned() };
        super::deleted(ctx.client.call(input).await, shape::LISTENER_NOT_FOUND_EXCEPTION)
    }
}
