//! Actions of listeners and rules: what is done with a request.
//!
//! AWS: "Action types for listener rules" (Application Load Balancers).

use std::collections::BTreeSet;

use elbv2_api::{
    Action, ActionTypeEnum, FixedResponseActionConfig, ForwardActionConfig, RedirectActionConfig,
    RedirectActionStatusCodeEnum, TargetGroupStickinessConfig, TargetGroupTuple,
};
use proxy::{FixedResponse, Forward, Redirect, WeightedGroup};
use store::ReadTx;

use crate::error::{Error, Result, invalid};
use crate::limit::GROUPS_PER_ACTION;
use crate::load_balancer;
use crate::plan::groups_used;
use crate::store::{LoadBalancer, RuleAction, TARGET_GROUPS};

/// AWS: TargetGroupStickinessConfig (`DurationSeconds`).
const STICKINESS_SECS: std::ops::RangeInclusive<i32> = 1..=604_800;
/// AWS: TargetGroupTuple (`Weight`).
const WEIGHT: std::ops::RangeInclusive<i32> = 0..=999;
/// AWS: FixedResponseActionConfig (`MessageBody`).
const BODY_MAX: usize = 1024;
/// AWS: FixedResponseActionConfig (`ContentType`).
const CONTENT_TYPES: [&str; 5] =
    ["text/plain", "text/css", "text/html", "application/javascript", "application/json"];

/// The action in a request. HTTP listeners have exactly one.
pub(crate) fn from_wire(actions: Vec<Action>) -> Result<RuleAction> {
    let count = actions.len();
    let Some(action) = actions.into_iter().next() else {
        return Err(invalid("At least one action must be specified"));
    };
    if count > 1 {
        return Err(Error::TooManyActions(
            "A rule of an HTTP listener can only have one action".to_owned(),
        ));
    }
    require_own_members(&action)?;
    let order = action.order;
    let action = match action.type_ {
        ActionTypeEnum::Forward => proxy::Action::Forward(forward(action)?),
        ActionTypeEnum::Redirect => {
            let config = action.redirect_config.ok_or_else(|| missing("RedirectConfig"))?;
            proxy::Action::Redirect(redirect(config)?)
        }
        ActionTypeEnum::FixedResponse => {
            let config =
                action.fixed_response_config.ok_or_else(|| missing("FixedResponseConfig"))?;
            proxy::Action::FixedResponse(fixed_response(config)?)
        }
        other @ (ActionTypeEnum::AuthenticateOidc
        | ActionTypeEnum::AuthenticateCognito
        | ActionTypeEnum::JwtValidation) => {
            return Err(Error::InvalidLoadBalancerAction(format!(
                "Actions of type '{other}' are supported only on HTTPS listeners"
            )));
        }
    };
    Ok(RuleAction { order, action })
}

fn missing(member: &str) -> Error {
    Error::InvalidLoadBalancerAction(format!("{member} must be specified for this action type"))
}

/// Refuses members that belong to another type of action.
fn require_own_members(action: &Action) -> Result<()> {
    let kind = action.type_;
    let foreign = [
        (action.target_group_arn.is_some() || action.forward_config.is_some())
            && kind != ActionTypeEnum::Forward,
        action.redirect_config.is_some() && kind != ActionTypeEnum::Redirect,
        action.fixed_response_config.is_some() && kind != ActionTypeEnum::FixedResponse,
        action.authenticate_oidc_config.is_some() && kind != ActionTypeEnum::AuthenticateOidc,
        action.authenticate_cognito_config.is_some() && kind != ActionTypeEnum::AuthenticateCognito,
        action.jwt_validation_config.is_some() && kind != ActionTypeEnum::JwtValidation,
    ];
    if foreign.contains(&true) {
        return Err(Error::InvalidLoadBalancerAction(format!(
            "The action of type '{kind}' has the configuration of another type"
        )));
    }
    Ok(())
}

fn forward(action: Action) -> Result<Forward> {
    let config = action.forward_config.unwrap_or_default();
    let mut tuples = config.target_groups;
    if let Some(arn) = action.target_group_arn {
        if tuples.iter().any(|tuple| tuple.target_group_arn.as_ref() != Some(&arn)) {
            return Err(Error::InvalidLoadBalancerAction(
                "TargetGroupArn and ForwardConfig must name the same target group".to_owned(),
            ));
        }
        if tuples.is_empty() {
            tuples.push(TargetGroupTuple { target_group_arn: Some(arn), weight: None });
        }
    }
    if tuples.is_empty() {
        return Err(invalid("A target group ARN must be specified"));
    }
    if tuples.len() > GROUPS_PER_ACTION {
        return Err(Error::TooManyUniqueTargetGroups(format!(
            "A forward action can have at most '{GROUPS_PER_ACTION}' target groups"
        )));
    }
    let target_groups = tuples.into_iter().map(weighted).collect::<Result<Vec<_>>>()?;
    let unique: BTreeSet<_> = target_groups.iter().map(|group| &group.target_group).collect();
    if unique.len() < target_groups.len() {
        return Err(Error::InvalidLoadBalancerAction(
            "A target group can stand in a forward action only once".to_owned(),
        ));
    }
    let stickiness_seconds = stickiness(config.target_group_stickiness_config)?;
    Ok(Forward { target_groups, stickiness_seconds })
}

fn weighted(tuple: TargetGroupTuple) -> Result<WeightedGroup> {
    let weight = tuple.weight.unwrap_or(1);
    if !WEIGHT.contains(&weight) {
        return Err(invalid(format!("The weight '{weight}' must be between 0 and 999")));
    }
    Ok(WeightedGroup {
        target_group: tuple
            .target_group_arn
            .ok_or_else(|| invalid("A target group ARN must be specified"))?,
        weight: weight.unsigned_abs(),
    })
}

fn stickiness(config: Option<TargetGroupStickinessConfig>) -> Result<Option<u32>> {
    let Some(config) = config else { return Ok(None) };
    if let Some(duration) = config.duration_seconds
        && !STICKINESS_SECS.contains(&duration)
    {
        return Err(invalid(format!(
            "The target group stickiness duration '{duration}' must be between 1 and 604800 seconds"
        )));
    }
    match (config.enabled.unwrap_or(false), config.duration_seconds) {
        (false, _) => Ok(None),
        (true, Some(duration)) => Ok(Some(duration.unsigned_abs())),
        (true, None) => Err(invalid(
            "The target group stickiness duration must be specified when stickiness is enabled",
        )),
    }
}

fn redirect(config: RedirectActionConfig) -> Result<Redirect> {
    let unchanged = Redirect::default();
    let redirect = Redirect {
        protocol: config.protocol.unwrap_or(unchanged.protocol),
        host: config.host.unwrap_or(unchanged.host),
        port: config.port.unwrap_or(unchanged.port),
        path: config.path.unwrap_or(unchanged.path),
        query: config.query.unwrap_or(unchanged.query),
        status: match config.status_code {
            RedirectActionStatusCodeEnum::Http301 => 301,
            RedirectActionStatusCodeEnum::Http302 => 302,
        },
    };
    if !matches!(redirect.protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
        return Err(bad_redirect("Protocol", &redirect.protocol));
    }
    if redirect.port != "#{port}" && !redirect.port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(bad_redirect("Port", &redirect.port));
    }
    if !redirect.path.starts_with('/') {
        return Err(bad_redirect("Path", &redirect.path));
    }
    let same = Redirect { status: redirect.status, ..Redirect::default() };
    if redirect == (Redirect { query: redirect.query.clone(), ..same }) {
        return Err(Error::InvalidLoadBalancerAction(
            "The redirect configuration is not valid because it creates a loop.".to_owned(),
        ));
    }
    Ok(redirect)
}

fn bad_redirect(member: &str, value: &str) -> Error {
    Error::InvalidLoadBalancerAction(format!("The redirect {member} '{value}' is not valid"))
}

fn fixed_response(config: FixedResponseActionConfig) -> Result<FixedResponse> {
    let status = config.status_code.parse::<u16>().ok();
    let status = status.filter(|code| matches!(code / 100, 2 | 4 | 5)).ok_or_else(|| {
        Error::InvalidLoadBalancerAction(format!(
            "The fixed response status code '{}' must be 2XX, 4XX or 5XX",
            config.status_code
        ))
    })?;
    if let Some(kind) = &config.content_type
        && !CONTENT_TYPES.contains(&kind.as_str())
    {
        return Err(Error::InvalidLoadBalancerAction(format!(
            "The fixed response content type '{kind}' must be one of {}",
            CONTENT_TYPES.join(", ")
        )));
    }
    let body = config.message_body.unwrap_or_default();
    if body.len() > BODY_MAX {
        return Err(invalid(format!(
            "The fixed response message body cannot be longer than '{BODY_MAX}' characters"
        )));
    }
    Ok(FixedResponse { status, content_type: config.content_type, body })
}

/// The groups that an action forwards to.
pub(crate) fn groups(action: &proxy::Action) -> Vec<String> {
    match action {
        proxy::Action::Forward(forward) => {
            forward.target_groups.iter().map(|group| group.target_group.clone()).collect()
        }
        proxy::Action::Redirect(_) | proxy::Action::FixedResponse(_) => Vec::new(),
    }
}

/// Checks that `load_balancer` may forward to the groups of an action: they are there, in its VPC,
/// and no other load balancer has them.
pub(crate) fn require_groups(
    tx: &ReadTx<'_>,
    load_balancer: &LoadBalancer,
    action: &proxy::Action,
    max: usize,
) -> Result<()> {
    let groups = groups(action);
    if groups.is_empty() {
        return Ok(());
    }
    for arn in &groups {
        let group = tx.get(&TARGET_GROUPS, arn.as_str())?.ok_or_else(|| {
            Error::TargetGroupNotFound(format!("Target groups '{arn}' not found"))
        })?;
        if group.vpc != load_balancer.vpc {
            return Err(Error::InvalidConfigurationRequest(format!(
                "The target group '{arn}' is not in the VPC of the load balancer"
            )));
        }
    }
    for other in load_balancer::all(tx)?.iter().filter(|other| other.arn != load_balancer.arn) {
        let used = groups_used(tx, &other.arn.to_string())?;
        if let Some(taken) = groups.iter().find(|group| used.contains(*group)) {
            return Err(Error::TargetGroupAssociationLimit(taken.clone()));
        }
    }
    let mut used = groups_used(tx, &load_balancer.arn.to_string())?;
    used.extend(groups);
    if used.len() > max {
        return Err(Error::TooManyUniqueTargetGroups(format!(
            "The maximum number of target groups on load balancer '{}' has been reached",
            load_balancer.arn
        )));
    }
    Ok(())
}

/// The action as it is described.
pub(crate) fn to_wire(action: &RuleAction) -> Action {
    let order = action.order;
    match &action.action {
        proxy::Action::Forward(forward) => {
            let tuple = |group: &WeightedGroup| TargetGroupTuple {
                target_group_arn: Some(group.target_group.clone()),
                weight: i32::try_from(group.weight).ok(),
            };
            let only = match forward.target_groups.as_slice() {
                [only] => Some(only.target_group.clone()),
                _ => None,
            };
            Action {
                type_: ActionTypeEnum::Forward,
                order,
                target_group_arn: only,
                forward_config: Some(ForwardActionConfig {
                    target_groups: forward.target_groups.iter().map(tuple).collect(),
                    target_group_stickiness_config: Some(TargetGroupStickinessConfig {
                        enabled: Some(forward.stickiness_seconds.is_some()),
                        duration_seconds: forward
                            .stickiness_seconds
                            .and_then(|secs| i32::try_from(secs).ok()),
                    }),
                }),
                ..Action::default()
            }
        }
        proxy::Action::Redirect(redirect) => Action {
            type_: ActionTypeEnum::Redirect,
            order,
            redirect_config: Some(RedirectActionConfig {
                protocol: Some(redirect.protocol.clone()),
                port: Some(redirect.port.clone()),
                host: Some(redirect.host.clone()),
                path: Some(redirect.path.clone()),
                query: Some(redirect.query.clone()),
                status_code: if redirect.status == 301 {
                    RedirectActionStatusCodeEnum::Http301
                } else {
                    RedirectActionStatusCodeEnum::Http302
                },
            }),
            ..Action::default()
        },
        proxy::Action::FixedResponse(fixed) => Action {
            type_: ActionTypeEnum::FixedResponse,
            order,
            fixed_response_config: Some(FixedResponseActionConfig {
                message_body: (!fixed.body.is_empty()).then(|| fixed.body.clone()),
                status_code: fixed.status.to_string(),
                content_type: fixed.content_type.clone(),
            }),
            ..Action::default()
        },
    }
}
