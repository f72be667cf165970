//! `AWS::ElasticLoadBalancingV2::TargetGroup`.

use std::sync::Arc;

use async_trait::async_trait;
use elbv2_api::{
    CreateTargetGroupInput, DeleteTargetGroupInput, DeregisterTargetsInput,
    DescribeTargetGroupsInput, Matcher, ModifyTargetGroupAttributesInput, ModifyTargetGroupInput,
    RegisterTargetsInput, TargetDescription, TargetGroupAttribute, error as shape,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

use super::property::Object;
use crate::target_group_attribute;

const PROPERTIES: &[Property] = &[
    Property::new("HealthCheckEnabled"),
    Property::new("HealthCheckIntervalSeconds"),
    Property::new("HealthCheckPath"),
    Property::new("HealthCheckPort"),
    Property::new("HealthCheckProtocol"),
    Property::new("HealthCheckTimeoutSeconds"),
    Property::new("HealthyThresholdCount"),
    Property::new("IpAddressType").replaces(),
    Property::new("Matcher"),
    Property::new("Name").replaces(),
    Property::new("Port").replaces(),
    Property::new("Protocol").replaces(),
    Property::new("ProtocolVersion").replaces(),
    Property::new("Tags"),
    Property::new("TargetGroupAttributes"),
    Property::new("TargetType").replaces(),
    Property::new("Targets"),
    Property::new("UnhealthyThresholdCount"),
    Property::new("VpcId").replaces(),
];

/// AWS: CreateTargetGroup (`Name`).
const NAME_MAX: usize = 32;

pub(super) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElasticLoadBalancingV2::TargetGroup",
        properties: PROPERTIES,
        attributes: &[
            "LoadBalancerArns",
            "TargetGroupArn",
            "TargetGroupFullName",
            "TargetGroupName",
        ],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn matcher(properties: &Properties) -> Result<Option<Matcher>, ServiceError> {
    let group = Object::of(properties).group("Matcher", &["HttpCode", "GrpcCode"])?;
    let read = |it: Object<'_>| {
        Ok(Matcher { http_code: it.text("HttpCode")?, grpc_code: it.text("GrpcCode")? })
    };
    group.map(read).transpose()
}

fn targets(properties: &Properties) -> Result<Vec<TargetDescription>, ServiceError> {
    let one = |item: &Json| {
        let known = &["AvailabilityZone", "Id", "Port", "QuicServerId"];
        let item = Object::from(item, "Targets", known)?;
        Ok(TargetDescription {
            id: item.text("Id")?.unwrap_or_default(),
            port: item.parsed("Port")?,
            availability_zone: item.text("AvailabilityZone")?,
            quic_server_id: item.text("QuicServerId")?,
        })
    };
    Object::of(properties).list("Targets")?.iter().map(one).collect()
}

async fn set_attributes(
    ctx: &ResourceCtx,
    arn: &str,
    wanted: Vec<(String, String)>,
) -> Result<(), ServiceError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let attribute = |(key, value)| TargetGroupAttribute { key: Some(key), value: Some(value) };
    let input = ModifyTargetGroupAttributesInput {
        target_group_arn: arn.to_owned(),
        attributes: wanted.into_iter().map(attribute).collect(),
    };
    ctx.client.call(input).await.map(|_| ())
}

async fn register(
    ctx: &ResourceCtx,
    arn: &str,
    targets: Vec<TargetDescription>,
) -> Result<(), ServiceError> {
    if targets.is_empty() {
        return Ok(());
    }
    let input = RegisterTargetsInput { target_group_arn: arn.to_owned(), targets };
    ctx.client.call(input).await.map(|_| ())
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let read = Object::of(properties);
        let input = CreateTargetGroupInput {
            name: read.text("Name")?.unwrap_or_else(|| ctx.generated_name(NAME_MAX)),
            protocol: read.parsed("Protocol")?,
            protocol_version: read.text("ProtocolVersion")?,
            port: read.parsed("Port")?,
            vpc_id: read.text("VpcId")?,
            health_check_protocol: read.parsed("HealthCheckProtocol")?,
            health_check_port: read.text("HealthCheckPort")?,
            health_check_enabled: read.parsed("HealthCheckEnabled")?,
            health_check_path: read.text("HealthCheckPath")?,
            health_check_interval_seconds: read.parsed("HealthCheckIntervalSeconds")?,
            health_check_timeout_seconds: read.parsed("HealthCheckTimeoutSeconds")?,
            healthy_threshold_count: read.parsed("HealthyThresholdCount")?,
            unhealthy_threshold_count: read.parsed("UnhealthyThresholdCount")?,
            matcher: matcher(properties)?,
            target_type: read.parsed("TargetType")?,
            tags: super::to_wire(super::tags(ctx, properties)?),
            ip_address_type: read.parsed("IpAddressType")?,
            target_control_port: None,
        };
        let made = ctx.client.call(input).await?.target_groups.into_iter().next();
        let arn = made.and_then(|made| made.target_group_arn).unwrap_or_default();
        let attributes = super::attributes(properties, "TargetGroupAttributes")?;
        set_attributes(ctx, &arn, attributes).await?;
        register(ctx, &arn, targets(properties)?).await?;
        Ok(arn)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DescribeTargetGroupsInput {
            target_group_arns: vec![physical_id.to_owned()],
            ..Default::default()
        };
        let found = ctx.client.call(input).await?.target_groups.into_iter().next();
        let found = found.unwrap_or_default();
        let full_name = physical_id.rsplit(':').next().unwrap_or_default();
        let known = [
            ("LoadBalancerArns", json!(found.load_balancer_arns)),
            ("TargetGroupArn", json!(physical_id)),
            ("TargetGroupFullName", json!(full_name)),
            ("TargetGroupName", json!(found.target_group_name)),
        ];
        Ok(Progress::Done(known.into_iter().map(|(name, it)| (name.to_owned(), it)).collect()))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let read = Object::of(new);
        let input = ModifyTargetGroupInput {
            target_group_arn: physical_id.to_owned(),
            health_check_protocol: read.parsed("HealthCheckProtocol")?,
            health_check_port: read.text("HealthCheckPort")?,
            health_check_path: read.text("HealthCheckPath")?,
            health_check_enabled: read.parsed("HealthCheckEnabled")?,
            health_check_interval_seconds: read.parsed("HealthCheckIntervalSeconds")?,
            health_check_timeout_seconds: read.parsed("HealthCheckTimeoutSeconds")?,
            healthy_threshold_count: read.parsed("HealthyThresholdCount")?,
            unhealthy_threshold_count: read.parsed("UnhealthyThresholdCount")?,
            matcher: matcher(new)?,
        };
        ctx.client.call(input).await?;
        let default = target_group_attribute::default_of;
        let wanted = super::changed_attributes(old, new, "TargetGroupAttributes", default)?;
        set_attributes(ctx, physical_id, wanted).await?;
        let (had, has) = (targets(old)?, targets(new)?);
        let dropped: Vec<_> = had.iter().filter(|it| !has.contains(it)).cloned().collect();
        if !dropped.is_empty() {
            let target_group_arn = physical_id.to_owned();
            let input = DeregisterTargetsInput { target_group_arn, targets: dropped };
            let done = ctx.client.call(input).await;
            super::deleted(done, shape::INVALID_TARGET_EXCEPTION)?;
        }
        let added = has.into_iter().filter(|it| !had.contains(it)).collect();
        register(ctx, physical_id, added).await?;
        super::update_tags(ctx, physical_id, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteTargetGroupInput { target_group_arn: physical_id.to_owned() };
        let done = ctx.client.call(input).await;
        super::deleted(done, shape::TARGET_GROUP_NOT_FOUND_EXCEPTION)?;
        Ok(Progress::Done(Attributes::new()))
    }
}
