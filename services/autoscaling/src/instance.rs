//! What may be asked of single instances of a group.

use autoscaling_api::{
    SetInstanceHealthInput, SetInstanceHealthOutput, SetInstanceProtectionInput,
    SetInstanceProtectionOutput, TerminateInstanceInAutoScalingGroupInput,
    TerminateInstanceInAutoScalingGroupOutput,
};

use crate::Ctx;
use crate::activity;
use crate::error::{Error, Result};
use crate::group::edit;
use crate::store::{ACTIVITIES, GROUPS, Group, Life};

/// The group that an instance belongs to.
async fn group_of(ctx: &Ctx, instance: &str) -> Result<Group> {
    let groups = ctx.store.read(|tx| tx.scan(&GROUPS, ())).await?;
    let found = groups.into_iter().find(|group| group.member_of(instance).is_some());
    found.ok_or_else(|| {
        Error::Validation(format!(
            "Instance Id not found - No managed instance found for instance ID {instance}"
        ))
    })
}

/// Ends an instance, and lets the group shrink or launch another.
///
/// AWS: TerminateInstanceInAutoScalingGroup.
///
/// # Errors
///
/// [`Error::Validation`] for an instance of no group, or when the group would get too small.
pub(crate) async fn terminate_instance_in_auto_scaling_group(
    ctx: Ctx,
    input: TerminateInstanceInAutoScalingGroupInput,
) -> Result<TerminateInstanceInAutoScalingGroupOutput> {
    if !input.instance_ids.is_empty() || input.auto_scaling_group_name.is_some() {
        return Err(Error::Unsupported("TerminateInstanceInAutoScalingGroup with InstanceIds"));
    }
    let instance = input.instance_id.unwrap_or_default();
    let name = group_of(&ctx, &instance).await?.name;
    let (now, id) = (ctx.now(), ctx.random().uuid());
    let started = ctx
        .store
        .write(|tx| -> Result<crate::store::Activity> {
            let mut group = tx.get(&GROUPS, &name)?.ok_or_else(|| Error::not_found(&name))?;
            let before = group.desired;
            if input.should_decrement_desired_capacity {
                if group.desired <= group.min {
                    return Err(Error::Validation(format!(
                        "Currently, desiredSize equals minSize ({}). Terminating instance without \
                         replacement will violate group's min size constraint. Either set \
                         shouldDecrementDesiredCapacity flag to false or lower group's min size.",
                        group.min
                    )));
                }
                group.desired -= 1;
            }
            let is_it = |m: &&mut crate::store::Member| m.instance.as_deref() == Some(&instance);
            let member = group.members.iter_mut().find(is_it);
            let member = member.ok_or_else(|| Error::not_found(&name))?;
            member.life = Life::Terminating;
            member.activity.clone_from(&id);
            let subnet = member.subnet.clone();
            let cause = if input.should_decrement_desired_capacity {
                format!(
                    "At {} instance {instance} was taken out of service in response to a user \
                     request, shrinking the capacity from {before} to {}.",
                    now.iso8601_seconds(),
                    group.desired
                )
            } else {
                format!(
                    "At {} instance {instance} was taken out of service in response to a user \
                     request.",
                    now.iso8601_seconds()
                )
            };
            let description = format!("Terminating EC2 instance: {instance}");
            let started = activity::started(&group, &id, description, &cause, &subnet, now);
            tx.put(&ACTIVITIES, &started)?;
            tx.put(&GROUPS, &group)?;
            Ok(started)
        })
        .await?;
    Ok(TerminateInstanceInAutoScalingGroupOutput {
        activity: Some(activity::shown(started)),
        activities: Vec::new(),
    })
}

/// Says how healthy an instance is; an unhealthy one is replaced.
///
/// AWS: SetInstanceHealth.
///
/// # Errors
///
/// [`Error::Validation`] for an instance of no group or another word than `Healthy` and
/// `Unhealthy`.
pub(crate) async fn set_instance_health(
    ctx: Ctx,
    input: SetInstanceHealthInput,
) -> Result<SetInstanceHealthOutput> {
    let healthy = match input.health_status.to_lowercase().as_str() {
        "healthy" => true,
        "unhealthy" => false,
        _ => {
            return Err(Error::Validation(
                "Valid instance health states are: [Healthy, Unhealthy].".to_owned(),
            ));
        }
    };
    let group = group_of(&ctx, &input.instance_id).await?;
    let respects = input.should_respect_grace_period.unwrap_or(true);
    let now = ctx.now();
    edit(&ctx, &group.name, |group| {
        let grace = std::time::Duration::from_secs(group.grace_secs);
        for member in &mut group.members {
            if member.instance.as_deref() != Some(&input.instance_id) {
                continue;
            }
            let young = member.in_service.is_none_or(|since| now.since(since) < grace);
            if healthy || !(respects && young) {
                member.healthy = healthy;
            }
        }
        Ok(())
    })
    .await?;
    Ok(SetInstanceHealthOutput {})
}

/// Keeps instances from being chosen at scale-in, or no longer.
///
/// AWS: SetInstanceProtection.
///
/// # Errors
///
/// [`Error::Validation`] for an instance that is not in the group.
pub(crate) async fn set_instance_protection(
    ctx: Ctx,
    input: SetInstanceProtectionInput,
) -> Result<SetInstanceProtectionOutput> {
    edit(&ctx, &input.auto_scaling_group_name, |group| {
        for id in &input.instance_ids {
            if group.member_of(id).is_none() {
                return Err(Error::Validation(format!(
                    "The instance {id} is not part of Auto Scaling group {}.",
                    group.name
                )));
            }
        }
        for member in &mut group.members {
            let named = member.instance.as_ref().is_some_and(|id| input.instance_ids.contains(id));
            if named {
                member.protected = input.protected_from_scale_in;
            }
        }
        Ok(())
    })
    .await?;
    Ok(SetInstanceProtectionOutput {})
}
