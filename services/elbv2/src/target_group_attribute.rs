//! Attributes of target groups.
//!
//! AWS: TargetGroupAttribute; "Edit target group attributes for your Application Load Balancer".

use elbv2_api::{
    DescribeTargetGroupAttributesInput, DescribeTargetGroupAttributesOutput,
    ModifyTargetGroupAttributesInput, ModifyTargetGroupAttributesOutput, TargetGroupAttribute,
};
use proxy::{Algorithm, Stickiness};

use crate::Ctx;
use crate::attribute::{self, Attribute, Takes, is_on, number, value};
use crate::error::{Error, Result, invalid};
use crate::store::{Attributes, TARGET_GROUPS};
use crate::target_group;

const ALGORITHM: &str = "load_balancing.algorithm.type";
const ANOMALY: &str = "load_balancing.algorithm.anomaly_mitigation";
const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
const DELAY: &str = "deregistration_delay.timeout_seconds";
const SLOW_START: &str = "slow_start.duration_seconds";
const STICKY: &str = "stickiness.enabled";
const STICKY_TYPE: &str = "stickiness.type";
const LB_COOKIE_SECS: &str = "stickiness.lb_cookie.duration_seconds";
const APP_COOKIE_SECS: &str = "stickiness.app_cookie.duration_seconds";
const APP_COOKIE: &str = "stickiness.app_cookie.cookie_name";

const TABLE: &[Attribute] = &[
    Attribute { name: DELAY, default: "300", takes: Takes::Number(0..=3600) },
    Attribute {
        name: ALGORITHM,
        default: "round_robin",
        takes: Takes::OneOf(&["round_robin", "least_outstanding_requests", "weighted_random"]),
    },
    Attribute { name: ANOMALY, default: "off", takes: Takes::OneOf(&["on", "off"]) },
    Attribute {
        name: CROSS_ZONE,
        default: "use_load_balancer_configuration",
        takes: Takes::OneOf(&["true", "false", "use_load_balancer_configuration"]),
    },
    Attribute { name: SLOW_START, default: "0", takes: Takes::ZeroOr(30..=900) },
    Attribute { name: STICKY, default: "false", takes: Takes::Bool },
    Attribute {
        name: STICKY_TYPE,
        default: "lb_cookie",
        takes: Takes::OneOf(&["lb_cookie", "app_cookie"]),
    },
    Attribute { name: LB_COOKIE_SECS, default: "86400", takes: Takes::Number(1..=604_800) },
    Attribute { name: APP_COOKIE_SECS, default: "86400", takes: Takes::Number(1..=604_800) },
    Attribute { name: APP_COOKIE, default: "", takes: Takes::Text(256) },
    fixed("target_group_health.dns_failover.minimum_healthy_targets.count", "1"),
    fixed("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off"),
    fixed("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1"),
    fixed("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off"),
];

const fn fixed(name: &'static str, default: &'static str) -> Attribute {
    Attribute { name, default, takes: Takes::DefaultOnly }
}

/// The default of an attribute.
pub(crate) fn default_of(name: &str) -> Option<&'static str> {
    TABLE.iter().find(|it| it.name == name).map(|it| it.default)
}

/// What the attributes mean to a node.
pub(crate) struct Settings {
    pub(crate) algorithm: Algorithm,
    pub(crate) slow_start_secs: u32,
    pub(crate) deregistration_delay_secs: u32,
    pub(crate) stickiness: Option<Stickiness>,
    pub(crate) cross_zone: bool,
}

/// What a node is told.
pub(crate) fn for_node(set: &Attributes) -> Settings {
    let of = |name| value(TABLE, set, name);
    Settings {
        algorithm: match of(ALGORITHM) {
            "least_outstanding_requests" => Algorithm::LeastOutstandingRequests,
            "weighted_random" => {
                Algorithm::WeightedRandom { anomaly_mitigation: of(ANOMALY) == "on" }
            }
            _ => Algorithm::RoundRobin,
        },
        slow_start_secs: number(TABLE, set, SLOW_START),
        deregistration_delay_secs: deregistration_delay_secs(set),
        stickiness: is_on(TABLE, set, STICKY).then(|| {
            if of(STICKY_TYPE) == "app_cookie" {
                Stickiness::AppCookie {
                    cookie_name: of(APP_COOKIE).to_owned(),
                    duration_seconds: number(TABLE, set, APP_COOKIE_SECS),
                }
            } else {
                Stickiness::LbCookie { duration_seconds: number(TABLE, set, LB_COOKIE_SECS) }
            }
        }),
        cross_zone: of(CROSS_ZONE) != "false",
    }
}

/// How long requests to a deregistered target may take.
pub(crate) fn deregistration_delay_secs(set: &Attributes) -> u32 {
    number(TABLE, set, DELAY)
}

/// Tells a target group's attributes.
///
/// AWS: DescribeTargetGroupAttributes.
pub(crate) async fn describe_target_group_attributes(
    ctx: Ctx,
    input: DescribeTargetGroupAttributesInput,
) -> Result<DescribeTargetGroupAttributesOutput> {
    let found = ctx.store.read(|tx| target_group::find(tx, &input.target_group_arn)).await?;
    Ok(DescribeTargetGroupAttributesOutput { attributes: to_wire(&found.attributes) })
}

/// Changes a target group's attributes; nodes follow at once.
///
/// AWS: ModifyTargetGroupAttributes.
pub(crate) async fn modify_target_group_attributes(
    ctx: Ctx,
    input: ModifyTargetGroupAttributesInput,
) -> Result<ModifyTargetGroupAttributesOutput> {
    let asked = attribute::check(TABLE, input.attributes.into_iter().map(|it| (it.key, it.value)))?;
    let changed = ctx
        .store
        .write(|tx| {
            let mut found = target_group::find(tx, &input.target_group_arn)?;
            found.attributes.extend(asked.clone());
            require_consistent(&found.attributes)?;
            tx.put(&TARGET_GROUPS, &found)?;
            Ok::<_, Error>(found)
        })
        .await?;
    Ok(ModifyTargetGroupAttributesOutput { attributes: to_wire(&changed.attributes) })
}

fn require_consistent(set: &Attributes) -> Result<()> {
    let of = |name| value(TABLE, set, name);
    if of(ANOMALY) == "on" && of(ALGORITHM) != "weighted_random" {
        return Err(invalid(
            "Anomaly mitigation can only be enabled with the 'weighted_random' algorithm",
        ));
    }
    if number(TABLE, set, SLOW_START) > 0 && of(ALGORITHM) != "round_robin" {
        return Err(invalid("Slow start can only be enabled with the 'round_robin' algorithm"));
    }
    let app_cookie = is_on(TABLE, set, STICKY) && of(STICKY_TYPE) == "app_cookie";
    if app_cookie && of(APP_COOKIE).is_empty() {
        return Err(invalid(
            "You must specify an application cookie name to enable app_cookie stickiness",
        ));
    }
    if ["AWSALB", "AWSALBAPP", "AWSALBTG"].iter().any(|own| of(APP_COOKIE).starts_with(own)) {
        return Err(invalid("The application cookie name has a reserved prefix"));
    }
    Ok(())
}

fn to_wire(set: &Attributes) -> Vec<TargetGroupAttribute> {
    attribute::all(TABLE, set, |key, value| TargetGroupAttribute { key, value })
}
