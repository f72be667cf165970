//! Registered targets.

use std::net::Ipv4Addr;

use base::Cidr;
use ec2_api::InstanceStateName;
use elbv2_api::{
    DeregisterTargetsInput, DeregisterTargetsOutput, RegisterTargetsInput, RegisterTargetsOutput,
    TargetDescription,
};
use std::time::Duration;
use store::{Record as _, WriteTx};

use crate::error::{Error, Result, invalid, unsupported};
use crate::store::{TARGETS, Target, TargetGroup, TargetKind};
use crate::{Ctx, PRINCIPAL, limit, network, target_group, target_group_attribute};

/// The zone that stands for all.
const ALL: &str = "all";

/// Addresses that targets outside the VPC may have.
///
/// AWS: "Target groups for your Application Load Balancers", target type `ip`.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"];

/// Registers targets; those that were draining come back.
///
/// AWS: RegisterTargets.
///
/// # Errors
///
/// [`Error::InvalidTarget`] for an instance that does not run or lies in another VPC.
pub(crate) async fn register_targets(
    ctx: Ctx,
    input: RegisterTargetsInput,
) -> Result<RegisterTargetsOutput> {
    let group = ctx.store.read(|tx| target_group::find(tx, &input.target_group_arn)).await?;
    let wanted = match group.kind {
        TargetKind::Instance => instances(&ctx, &group, input.targets).await?,
        TargetKind::Ip => addresses(&ctx, &group, input.targets).await?,
    };
    let max = limit::value(&ctx, limit::TARGETS_PER_GROUP).await?;
    ctx.store
        .write(|tx| {
            let group = target_group::find(tx, &input.target_group_arn)?;
            for target in &wanted {
                tx.put(&TARGETS, target)?;
            }
            if tx.scan(&TARGETS, (group.arn.to_string(),))?.len() > max {
                return Err(Error::TooManyTargets);
            }
            Ok(())
        })
        .await?;
    Ok(RegisterTargetsOutput {})
}

async fn instances(
    ctx: &Ctx,
    group: &TargetGroup,
    asked: Vec<TargetDescription>,
) -> Result<Vec<Target>> {
    let ec2 = ctx.service_client(PRINCIPAL).await?;
    let ids: Vec<String> = asked.iter().map(|it| it.id.clone()).collect();
    let found = network::instances(&ec2, &ids).await?;
    let one = |asked: TargetDescription| {
        require_no_quic(&asked)?;
        if asked.availability_zone.is_some() {
            return Err(invalid(
                "An Availability Zone cannot be specified for targets of type 'instance'",
            ));
        }
        let id = asked.id;
        let instance = found.iter().find(|it| it.id == id).ok_or_else(|| {
            Error::InvalidTarget(format!("The following targets do not exist: '{id}'"))
        })?;
        if instance.vpc.as_deref() != Some(group.vpc.as_str()) {
            return Err(Error::InvalidTarget(format!(
                "The following targets are not in the target group VPC '{}': '{id}'",
                group.vpc
            )));
        }
        let not_running = || {
            Error::InvalidTarget(format!(
                "The following targets are not in a running state and cannot be registered: '{id}'"
            ))
        };
        if instance.state != InstanceStateName::Running {
            return Err(not_running());
        }
        Ok(Target {
            group: group.arn.clone(),
            port: port(group, asked.port)?,
            zone_asked: None,
            address: instance.address.ok_or_else(not_running)?,
            zone: instance.zone.clone(),
            unusable: None,
            draining_until: None,
            id,
        })
    };
    asked.into_iter().map(one).collect()
}

async fn addresses(
    ctx: &Ctx,
    group: &TargetGroup,
    asked: Vec<TargetDescription>,
) -> Result<Vec<Target>> {
    let ec2 = ctx.service_client(PRINCIPAL).await?;
    let subnets = network::subnets_of(&ec2, &group.vpc).await?;
    let one = |asked: TargetDescription| {
        require_no_quic(&asked)?;
        let id = asked.id;
        let address: Ipv4Addr = id
            .parse()
            .map_err(|_| invalid(format!("The IP address '{id}' is not a valid IPv4 address")))?;
        let holds = |it: &&network::Subnet| it.cidr.is_some_and(|cidr| cidr.contains(address));
        let inside = subnets.iter().find(holds).map(|it| it.place.zone.to_string());
        let is_private =
            PRIVATE.iter().any(|block| block.parse().is_ok_and(|it: Cidr| it.contains(address)));
        let given = asked.availability_zone.as_deref();
        let zone = match (inside, given) {
            (Some(zone), None) => Some(zone),
            (Some(zone), Some(given)) if zone == given => Some(zone),
            (Some(_) | None, Some(ALL)) if is_private => None,
            (Some(zone), Some(given)) => {
                return Err(invalid(format!(
                    "The IP address '{id}' is in Availability Zone '{zone}', not '{given}'"
                )));
            }
            (None, _) if !is_private => {
                return Err(invalid(format!(
                    "The IP address '{id}' is not within the VPC '{}' and is publicly routable",
                    group.vpc
                )));
            }
            (None, _) => {
                return Err(invalid(format!(
                    "The IP address '{id}' is outside the VPC, so its Availability Zone must be \
                     'all'"
                )));
            }
        };
        Ok(Target {
            group: group.arn.clone(),
            port: port(group, asked.port)?,
            zone_asked: asked.availability_zone,
            address,
            zone,
            unusable: None,
            draining_until: None,
            id,
        })
    };
    asked.into_iter().map(one).collect()
}

fn require_no_quic(asked: &TargetDescription) -> Result<()> {
    if asked.quic_server_id.is_some() {
        return Err(unsupported("QUIC server IDs are not supported in this region"));
    }
    Ok(())
}

fn port(group: &TargetGroup, asked: Option<i32>) -> Result<u16> {
    asked.map_or(Ok(group.port), target_group::number_of_port)
}

/// Deregisters targets: they get nothing new and have the group's delay to finish.
///
/// AWS: DeregisterTargets.
///
/// # Errors
///
/// [`Error::InvalidTarget`] when a target is not registered.
pub(crate) async fn deregister_targets(
    ctx: Ctx,
    input: DeregisterTargetsInput,
) -> Result<DeregisterTargetsOutput> {
    ctx.store
        .write(|tx| {
            let group = target_group::find(tx, &input.target_group_arn)?;
            let delay = target_group_attribute::deregistration_delay_secs(&group.attributes);
            let until = ctx.now() + Duration::from_secs(delay.into());
            let in_use = !target_group::load_balancers(tx, &group.arn)?.is_empty();
            let known = tx.scan(&TARGETS, (group.arn.to_string(),))?;
            for asked in &input.targets {
                let matching = |target: &&Target| {
                    target.id == asked.id
                        && asked.port.is_none_or(|port| port == i32::from(target.port))
                };
                let found: Vec<_> = known.iter().filter(matching).collect();
                if found.is_empty() {
                    return Err(Error::InvalidTarget(format!(
                        "The following targets are not registered with the target group: '{}'",
                        asked.id
                    )));
                }
                for target in found.into_iter().filter(|it| it.draining_until.is_none()) {
                    let drained = Target { draining_until: Some(until), ..target.clone() };
                    // Without a load balancer there is nothing under way to wait for.
                    if in_use && delay > 0 {
                        tx.put(&TARGETS, &drained)?;
                    } else {
                        forget(tx, target)?;
                    }
                }
            }
            Ok(())
        })
        .await?;
    Ok(DeregisterTargetsOutput {})
}

/// Forgets a target.
pub(crate) fn forget(tx: &mut WriteTx<'_>, target: &Target) -> Result<()> {
    tx.delete(&TARGETS, target.key())?;
    Ok(())
}
