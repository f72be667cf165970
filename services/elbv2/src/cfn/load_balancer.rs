//! `AWS::ElasticLoadBalancingV2::LoadBalancer`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ec2_api::DescribeNetworkInterfacesInput;
use elbv2_api::{
    CreateLoadBalancerInput, DeleteLoadBalancerInput, DescribeLoadBalancersInput, LoadBalancer,
    LoadBalancerAttribute, LoadBalancerStateEnum, ModifyLoadBalancerAttributesInput,
    SetIpAddressTypeInput, SetSecurityGroupsInput, SetSubnetsInput, SubnetMapping, error as shape,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

use super::property::Object;
use crate::{load_balancer_attribute, network};

const PROPERTIES: &[Property] = &[
    Property::new("IpAddressType"),
    Property::new("LoadBalancerAttributes"),
    Property::new("Name").replaces(),
    Property::new("Scheme").replaces(),
    Property::new("SecurityGroups"),
    Property::new("SubnetMappings"),
    Property::new("Subnets"),
    Property::new("Tags"),
    Property::new("Type").replaces(),
];

/// How often a load balancer on its way is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// AWS: CreateLoadBalancer (`Name`).
const NAME_MAX: usize = 32;

pub(super) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElasticLoadBalancingV2::LoadBalancer",
        properties: PROPERTIES,
        attributes: &[
            "CanonicalHostedZoneID",
            "DNSName",
            "LoadBalancerArn",
            "LoadBalancerFullName",
            "LoadBalancerName",
            "SecurityGroups",
        ],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn mappings(properties: &Properties) -> Result<Vec<SubnetMapping>, ServiceError> {
    const KNOWN: &[&str] =
        &["AllocationId", "IPv6Address", "PrivateIPv4Address", "SourceNatIpv6Prefix", "SubnetId"];
    let one = |item: &Json| {
        let item = Object::from(item, "SubnetMappings", KNOWN)?;
        Ok(SubnetMapping {
            subnet_id: item.text("SubnetId")?,
            allocation_id: item.text("AllocationId")?,
            private_i_pv4_address: item.text("PrivateIPv4Address")?,
            i_pv6_address: item.text("IPv6Address")?,
            source_nat_ipv6_prefix: item.text("SourceNatIpv6Prefix")?,
        })
    };
    Object::of(properties).list("SubnetMappings")?.iter().map(one).collect()
}

async fn set_attributes(
    ctx: &ResourceCtx,
    arn: &str,
    wanted: Vec<(String, String)>,
) -> Result<(), ServiceError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let attribute = |(key, value)| LoadBalancerAttribute { key: Some(key), value: Some(value) };
    let input = ModifyLoadBalancerAttributesInput {
        load_balancer_arn: arn.to_owned(),
        attributes: wanted.into_iter().map(attribute).collect(),
    };
    ctx.client.call(input).await.map(|_| ())
}

fn known(found: &LoadBalancer) -> Attributes {
    let arn = found.load_balancer_arn.clone().unwrap_or_default();
    let full_name = arn.split_once(":loadbalancer/").map_or("", |(_, name)| name);
    [
        ("CanonicalHostedZoneID", json!(found.canonical_hosted_zone_id)),
        ("DNSName", json!(found.dns_name)),
        ("LoadBalancerFullName", json!(full_name)),
        ("LoadBalancerArn", json!(arn)),
        ("LoadBalancerName", json!(found.load_balancer_name)),
        ("SecurityGroups", json!(found.security_groups)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let read = Object::of(properties);
        let input = CreateLoadBalancerInput {
            name: read.text("Name")?.unwrap_or_else(|| ctx.generated_name(NAME_MAX)),
            subnets: read.texts("Subnets")?,
            subnet_mappings: mappings(properties)?,
            security_groups: read.texts("SecurityGroups")?,
            scheme: read.parsed("Scheme")?,
            tags: super::to_wire(super::tags(ctx, properties)?),
            type_: read.parsed("Type")?,
            ip_address_type: read.parsed("IpAddressType")?,
            ..CreateLoadBalancerInput::default()
        };
        let made = ctx.client.call(input).await?.load_balancers.into_iter().next();
        let arn = made.and_then(|made| made.load_balancer_arn).unwrap_or_default();
        let attributes = super::attributes(properties, "LoadBalancerAttributes")?;
        set_attributes(ctx, &arn, attributes).await?;
        Ok(arn)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DescribeLoadBalancersInput {
            load_balancer_arns: vec![physical_id.to_owned()],
            ..Default::default()
        };
        let found = ctx.client.call(input).await?.load_balancers.into_iter().next();
        let found = found.unwrap_or_default();
        match found.state.as_ref().and_then(|state| state.code) {
            Some(LoadBalancerStateEnum::Active | LoadBalancerStateEnum::ActiveImpaired) => {
                Ok(Progress::Done(known(&found)))
            }
            Some(LoadBalancerStateEnum::Provisioning) | None => Ok(Progress::Wait(LOOK_EVERY)),
            Some(LoadBalancerStateEnum::Failed) => Err(ServiceError::new(
                "NotStabilized",
                format!("Load balancer '{physical_id}' failed"),
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
        let load_balancer_arn = physical_id.to_owned();
        let changed = |name: &str| old.get(name) != new.get(name);
        let read = Object::of(new);
        if changed("Subnets") || changed("SubnetMappings") {
            let input = SetSubnetsInput {
                load_balancer_arn: load_balancer_arn.clone(),
                subnets: read.texts("Subnets")?,
                subnet_mappings: mappings(new)?,
                ..Default::default()
            };
            ctx.client.call(input).await?;
        }
        if changed("SecurityGroups") {
            let input = SetSecurityGroupsInput {
                load_balancer_arn: load_balancer_arn.clone(),
                security_groups: read.texts("SecurityGroups")?,
                ..Default::default()
            };
            ctx.client.call(input).await?;
        }
        if changed("IpAddressType") {
            let ip_address_type = read.parsed("IpAddressType")?.unwrap_or_default();
            ctx.client.call(SetIpAddressTypeInput { load_balancer_arn, ip_address_type }).await?;
        }
        let default = load_balancer_attribute::default_of;
        let wanted = super::changed_attributes(old, new, "LoadBalancerAttributes", default)?;
        set_attributes(ctx, physical_id, wanted).await?;
        super::update_tags(ctx, physical_id, old, new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteLoadBalancerInput { load_balancer_arn: physical_id.to_owned() };
        super::deleted(ctx.client.call(input).await, shape::LOAD_BALANCER_NOT_FOUND_EXCEPTION)?;
        // Its subnets and security groups can be deleted only once its interfaces are.
        let full_name = physical_id.split_once(":loadbalancer/").map_or("", |(_, name)| name);
        let filters = vec![network::filter("description", [format!("ELB {full_name}")])];
        let left =
            ctx.client.call(DescribeNetworkInterfacesInput { filters, ..Default::default() }).await;
        match left {
            Ok(left) if !left.network_interfaces.is_empty() => Ok(Progress::Wait(LOOK_EVERY)),
            // One who may not look at interfaces has deleted the load balancer all the same.
            Ok(_) | Err(_) => Ok(Progress::Done(Attributes::new())),
        }
    }
}
