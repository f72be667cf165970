//! Attributes of load balancers.
//!
//! AWS: LoadBalancerAttribute; "Edit attributes for your Application Load Balancer".

use elbv2_api::{
    DescribeLoadBalancerAttributesInput, DescribeLoadBalancerAttributesOutput,
    LoadBalancerAttribute, ModifyLoadBalancerAttributesInput, ModifyLoadBalancerAttributesOutput,
};
use proxy::{DesyncMode, XffMode};

use crate::Ctx;
use crate::attribute::{self, Attribute, Takes, is_on, number, value};
use crate::error::{Error, Result};
use crate::load_balancer;
use crate::store::{Attributes, LOAD_BALANCERS, LoadBalancer};

const PROTECTION: &str = "deletion_protection.enabled";

const TABLE: &[Attribute] = &[
    text("access_logs.s3.bucket", ""),
    text("access_logs.s3.enabled", "false"),
    text("access_logs.s3.prefix", ""),
    text("connection_logs.s3.bucket", ""),
    text("connection_logs.s3.enabled", "false"),
    text("connection_logs.s3.prefix", ""),
    Attribute {
        name: "client_keep_alive.seconds",
        default: "3600",
        takes: Takes::Number(60..=604_800),
    },
    Attribute { name: PROTECTION, default: "false", takes: Takes::Bool },
    Attribute {
        name: "idle_timeout.timeout_seconds",
        default: "60",
        takes: Takes::Number(1..=4000),
    },
    text("ipv6.deny_all_igw_traffic", "false"),
    text("load_balancing.cross_zone.enabled", "true"),
    Attribute {
        name: "routing.http.desync_mitigation_mode",
        default: "defensive",
        takes: Takes::OneOf(&["monitor", "defensive", "strictest"]),
    },
    switch("routing.http.drop_invalid_header_fields.enabled", "false"),
    switch("routing.http.preserve_host_header.enabled", "false"),
    switch("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false"),
    switch("routing.http.xff_client_port.enabled", "false"),
    Attribute {
        name: "routing.http.xff_header_processing.mode",
        default: "append",
        takes: Takes::OneOf(&["append", "preserve", "remove"]),
    },
    switch("routing.http2.enabled", "true"),
    text("waf.fail_open.enabled", "false"),
    text("zonal_shift.config.enabled", "false"),
];

const fn text(name: &'static str, default: &'static str) -> Attribute {
    Attribute { name, default, takes: Takes::DefaultOnly }
}

const fn switch(name: &'static str, default: &'static str) -> Attribute {
    Attribute { name, default, takes: Takes::Bool }
}

/// Whether a load balancer must not be deleted.
pub(crate) fn is_protected(load_balancer: &LoadBalancer) -> bool {
    is_on(TABLE, &load_balancer.attributes, PROTECTION)
}

/// The default of an attribute.
pub(crate) fn default_of(name: &str) -> Option<&'static str> {
    TABLE.iter().find(|it| it.name == name).map(|it| it.default)
}

/// What the attributes mean to a node.
pub(crate) fn for_node(set: &Attributes) -> proxy::Attributes {
    let of = |name| value(TABLE, set, name);
    proxy::Attributes {
        idle_timeout_seconds: number(TABLE, set, "idle_timeout.timeout_seconds"),
        client_keep_alive_seconds: number(TABLE, set, "client_keep_alive.seconds"),
        drop_invalid_header_fields: is_on(
            TABLE,
            set,
            "routing.http.drop_invalid_header_fields.enabled",
        ),
        preserve_host_header: is_on(TABLE, set, "routing.http.preserve_host_header.enabled"),
        tls_headers: is_on(TABLE, set, "routing.http.x_amzn_tls_version_and_cipher_suite.enabled"),
        xff_client_port: is_on(TABLE, set, "routing.http.xff_client_port.enabled"),
        xff_mode: match of("routing.http.xff_header_processing.mode") {
            "preserve" => XffMode::Preserve,
            "remove" => XffMode::Remove,
            _ => XffMode::Append,
        },
        desync: match of("routing.http.desync_mitigation_mode") {
            "monitor" => DesyncMode::Monitor,
            "strictest" => DesyncMode::Strictest,
            _ => DesyncMode::Defensive,
        },
        http2: is_on(TABLE, set, "routing.http2.enabled"),
        server_header: true,
    }
}

/// Tells a load balancer's attributes.
///
/// AWS: DescribeLoadBalancerAttributes.
pub(crate) async fn describe_load_balancer_attributes(
    ctx: Ctx,
    input: DescribeLoadBalancerAttributesInput,
) -> Result<DescribeLoadBalancerAttributesOutput> {
    let found = ctx.store.read(|tx| load_balancer::find(tx, &input.load_balancer_arn)).await?;
    Ok(DescribeLoadBalancerAttributesOutput { attributes: to_wire(&found.attributes) })
}

/// Changes a load balancer's attributes; its nodes follow at once.
///
/// AWS: ModifyLoadBalancerAttributes.
pub(crate) async fn modify_load_balancer_attributes(
    ctx: Ctx,
    input: ModifyLoadBalancerAttributesInput,
) -> Result<ModifyLoadBalancerAttributesOutput> {
    let asked = attribute::check(TABLE, input.attributes.into_iter().map(|it| (it.key, it.value)))?;
    let changed = ctx
        .store
        .write(|tx| {
            let mut found = load_balancer::find(tx, &input.load_balancer_arn)?;
            found.attributes.extend(asked.clone());
            tx.put(&LOAD_BALANCERS, &found)?;
            Ok::<_, Error>(found)
        })
        .await?;
    Ok(ModifyLoadBalancerAttributesOutput { attributes: to_wire(&changed.attributes) })
}

fn to_wire(set: &Attributes) -> Vec<LoadBalancerAttribute> {
    attribute::all(TABLE, set, |key, value| LoadBalancerAttribute { key, value })
}
