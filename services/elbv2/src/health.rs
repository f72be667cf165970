//! The health of targets, asked of the nodes at the moment of the call.
//!
//! AWS: "Health checks for your target groups", "Target health status".

use std::net::{IpAddr, SocketAddr};

use elbv2_api::{
    AnomalyDetection, AnomalyResultEnum, DescribeTargetHealthInput,
    DescribeTargetHealthInputIncludeEnum, DescribeTargetHealthOutput, MitigationInEffectEnum,
    TargetDescription, TargetHealth, TargetHealthDescription, TargetHealthReasonEnum,
    TargetHealthStateEnum,
};
use futures_util::future::join_all;
use proxy::{HealthState, NodeStatus, Reason, TargetStatus, Unusable};

use crate::error::{Error, Result};
use crate::store::{Node, TARGETS, Target, TargetGroup};
use crate::{Ctx, load_balancer, node, target_group, target_group_attribute};

/// What is known of a group: itself, its targets and the nodes that serve it.
struct Known {
    group: TargetGroup,
    targets: Vec<Target>,
    nodes: Vec<Node>,
    in_use: bool,
}

/// Tells the health of a group's targets.
///
/// AWS: DescribeTargetHealth.
pub(crate) async fn describe_target_health(
    ctx: Ctx,
    input: DescribeTargetHealthInput,
) -> Result<DescribeTargetHealthOutput> {
    let known = ctx
        .store
        .read(|tx| {
            let group = target_group::find(tx, &input.target_group_arn)?;
            let targets = tx.scan(&TARGETS, (group.arn.to_string(),))?;
            let users = target_group::load_balancers(tx, &group.arn)?;
            let mut nodes = Vec::new();
            for user in &users {
                nodes.extend(load_balancer::nodes(tx, user)?);
            }
            Ok::<_, Error>(Known { group, targets, nodes, in_use: !users.is_empty() })
        })
        .await?;
    let seen = ask(&ctx, &known).await;
    let with_anomalies = input.include.iter().any(|include| match include {
        DescribeTargetHealthInputIncludeEnum::AnomalyDetection
        | DescribeTargetHealthInputIncludeEnum::All => true,
    });
    let describe = |target: &Target| describe(&known, &seen, target, with_anomalies);
    let target_health_descriptions = if input.targets.is_empty() {
        known.targets.iter().map(describe).collect()
    } else {
        input.targets.iter().flat_map(|asked| asked_for(&known, asked, &describe)).collect()
    };
    Ok(DescribeTargetHealthOutput { target_health_descriptions })
}

fn asked_for(
    known: &Known,
    asked: &TargetDescription,
    describe: &impl Fn(&Target) -> TargetHealthDescription,
) -> Vec<TargetHealthDescription> {
    let matching = |target: &&Target| {
        target.id == asked.id && asked.port.is_none_or(|port| port == i32::from(target.port))
    };
    let found: Vec<_> = known.targets.iter().filter(matching).map(describe).collect();
    if !found.is_empty() {
        return found;
    }
    vec![TargetHealthDescription {
        target: Some(asked.clone()),
        target_health: Some(health(
            TargetHealthStateEnum::Unused,
            Some((
                TargetHealthReasonEnum::TargetNotRegistered,
                "Target is not registered to the target group",
            )),
        )),
        ..Default::default()
    }]
}

/// What the nodes that answer say.
async fn ask(ctx: &Ctx, known: &Known) -> Vec<NodeStatus> {
    let machine = &*ctx.drivers.drivers.machine;
    let ask = |node: &Node| {
        let zone = node.place.zone.clone();
        let workload = node.interface.as_ref().map(|it| node::workload(&it.id));
        async move {
            // A node that does not answer judges nobody.
            node::status(machine, &zone, &workload?).await.ok()
        }
    };
    join_all(known.nodes.iter().map(ask)).await.into_iter().flatten().collect()
}

fn describe(
    known: &Known,
    seen: &[NodeStatus],
    target: &Target,
    with_anomalies: bool,
) -> TargetHealthDescription {
    let group = known.group.arn.to_string();
    let address = SocketAddr::new(IpAddr::V4(target.address), target.port);
    let said: Vec<&TargetStatus> = seen
        .iter()
        .flat_map(|node| node.target_groups.iter().filter(|it| it.id == group))
        .flat_map(|it| it.targets.iter())
        .filter(|it| it.id == target.id && it.address == address)
        .collect();
    let check_port = known.group.health_check.port.unwrap_or(target.port);
    TargetHealthDescription {
        target: Some(TargetDescription {
            id: target.id.clone(),
            port: Some(target.port.into()),
            availability_zone: target.zone_asked.clone(),
            quic_server_id: None,
        }),
        health_check_port: Some(check_port.to_string()),
        target_health: Some(merged(known, target, &said)),
        anomaly_detection: with_anomalies.then(|| anomalies(known, &said)),
        administrative_override: None,
    }
}

fn anomalies(known: &Known, said: &[&TargetStatus]) -> AnomalyDetection {
    let settings = target_group_attribute::for_node(&known.group.attributes);
    let mitigates =
        settings.algorithm == (proxy::Algorithm::WeightedRandom { anomaly_mitigation: true });
    let anomalous = said.iter().any(|it| it.anomalous);
    AnomalyDetection {
        result: Some(if anomalous {
            AnomalyResultEnum::Anomalous
        } else {
            AnomalyResultEnum::Normal
        }),
        mitigation_in_effect: Some(if anomalous && mitigates {
            MitigationInEffectEnum::Yes
        } else {
            MitigationInEffectEnum::No
        }),
    }
}

/// One health out of what the record and the nodes say: a target is healthy when some node found
/// it so and no node found otherwise.
fn merged(known: &Known, target: &Target, said: &[&TargetStatus]) -> TargetHealth {
    if target.draining_until.is_some() {
        return health(
            TargetHealthStateEnum::Draining,
            Some((
                TargetHealthReasonEnum::TargetDeregistrationInProgress,
                "Target deregistration is in progress",
            )),
        );
    }
    if !known.in_use {
        return health(
            TargetHealthStateEnum::Unused,
            Some((
                TargetHealthReasonEnum::TargetNotInUse,
                "Target group is not configured to receive traffic from the load balancer",
            )),
        );
    }
    let invalid_state = |text| {
        let reason = TargetHealthReasonEnum::TargetInvalidState;
        health(TargetHealthStateEnum::Unused, Some((reason, text)))
    };
    match target.unusable {
        Some(Unusable::Stopped) => return invalid_state("Target is in the stopped state"),
        Some(Unusable::Terminated) => return invalid_state("Target is in the terminated state"),
        Some(Unusable::AddressInUse) | None => {}
    }
    let worst_first = [
        HealthState::Unhealthy,
        HealthState::Healthy,
        HealthState::Unavailable,
        HealthState::Initial,
        HealthState::Draining,
        HealthState::Unused,
    ];
    let found = worst_first.iter().find_map(|state| said.iter().find(|it| it.state == *state));
    found.map_or_else(
        || {
            health(
                TargetHealthStateEnum::Initial,
                Some((
                    TargetHealthReasonEnum::ElbRegistrationInProgress,
                    "Target registration is in progress",
                )),
            )
        },
        |status| to_wire(status),
    )
}

fn health(
    state: TargetHealthStateEnum,
    why: Option<(TargetHealthReasonEnum, &str)>,
) -> TargetHealth {
    TargetHealth {
        state: Some(state),
        reason: why.map(|(reason, _)| reason),
        description: why.map(|(_, text)| text.to_owned()),
    }
}

fn to_wire(status: &TargetStatus) -> TargetHealth {
    TargetHealth {
        state: Some(match status.state {
            HealthState::Initial => TargetHealthStateEnum::Initial,
            HealthState::Healthy => TargetHealthStateEnum::Healthy,
            HealthState::Unhealthy => TargetHealthStateEnum::Unhealthy,
            HealthState::Draining => TargetHealthStateEnum::Draining,
            HealthState::Unused => TargetHealthStateEnum::Unused,
            HealthState::Unavailable => TargetHealthStateEnum::Unavailable,
        }),
        reason: status.reason.map(reason),
        description: status.description.clone(),
    }
}

fn reason(reason: Reason) -> TargetHealthReasonEnum {
    match reason {
        Reason::RegistrationInProgress => TargetHealthReasonEnum::ElbRegistrationInProgress,
        Reason::InitialHealthChecking => TargetHealthReasonEnum::ElbInitialHealthChecking,
        Reason::ResponseCodeMismatch => TargetHealthReasonEnum::TargetResponseCodeMismatch,
        Reason::Timeout => TargetHealthReasonEnum::TargetTimeout,
        Reason::FailedHealthChecks => TargetHealthReasonEnum::TargetFailedHealthChecks,
        Reason::NotInUse => TargetHealthReasonEnum::TargetNotInUse,
        Reason::DeregistrationInProgress => TargetHealthReasonEnum::TargetDeregistrationInProgress,
        Reason::InvalidState => TargetHealthReasonEnum::TargetInvalidState,
        Reason::IpUnusable => TargetHealthReasonEnum::TargetIpUnusable,
        Reason::HealthCheckDisabled => TargetHealthReasonEnum::TargetHealthCheckDisabled,
    }
}
