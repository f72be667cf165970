//! The target groups of a group.

use autoscaling_api::{
    AttachLoadBalancerTargetGroupsInput, AttachLoadBalancerTargetGroupsOutput,
    DescribeLoadBalancerTargetGroupsInput, DescribeLoadBalancerTargetGroupsOutput,
    DetachLoadBalancerTargetGroupsInput, DetachLoadBalancerTargetGroupsOutput,
    LoadBalancerTargetGroupState,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::group::{edit, find_target_groups};
use crate::store::{GROUPS, Life};

/// Adds target groups; the group's instances are registered with them.
///
/// AWS: AttachLoadBalancerTargetGroups.
///
/// # Errors
///
/// [`Error::Validation`] for a target group that does not exist.
pub(crate) async fn attach_load_balancer_target_groups(
    ctx: Ctx,
    input: AttachLoadBalancerTargetGroupsInput,
) -> Result<AttachLoadBalancerTargetGroupsOutput> {
    let added = find_target_groups(&ctx, &input.target_group_arns).await?;
    edit(&ctx, &input.auto_scaling_group_name, |group| {
        group.leaving_target_groups.retain(|arn| !added.contains(arn));
        group.target_groups.extend(added.clone());
        Ok(())
    })
    .await?;
    Ok(AttachLoadBalancerTargetGroupsOutput {})
}

/// Takes target groups away; the group's instances leave them.
///
/// AWS: DetachLoadBalancerTargetGroups.
///
/// # Errors
///
/// [`Error::Validation`] for a target group that is not attached.
pub(crate) async fn detach_load_balancer_target_groups(
    ctx: Ctx,
    input: DetachLoadBalancerTargetGroupsInput,
) -> Result<DetachLoadBalancerTargetGroupsOutput> {
    edit(&ctx, &input.auto_scaling_group_name, |group| {
        for arn in &input.target_group_arns {
            if !group.target_groups.remove(arn) {
                return Err(Error::Validation(format!("Target group {arn} is not attached.")));
            }
            group.leaving_target_groups.insert(arn.clone());
        }
        Ok(())
    })
    .await?;
    Ok(DetachLoadBalancerTargetGroupsOutput {})
}

/// Shows the target groups of a group and how far its instances are registered.
///
/// AWS: DescribeLoadBalancerTargetGroups.
///
/// # Errors
///
/// [`Error::Validation`] for an unknown group.
pub(crate) async fn describe_load_balancer_target_groups(
    ctx: Ctx,
    input: DescribeLoadBalancerTargetGroupsInput,
) -> Result<DescribeLoadBalancerTargetGroupsOutput> {
    let name = &input.auto_scaling_group_name;
    let group = ctx.store.read(|tx| tx.get(&GROUPS, name)).await?;
    let group = group.ok_or_else(|| Error::not_found(name))?;
    let state = |arn: &String| {
        let mut serving = group.members.iter().filter(|member| member.life == Life::InService);
        let added = serving.all(|member| member.registered.contains(arn));
        LoadBalancerTargetGroupState {
            load_balancer_target_group_arn: Some(arn.clone()),
            state: Some(if added { "InService" } else { "Adding" }.to_owned()),
        }
    };
    let load_balancer_target_groups = group.target_groups.iter().map(state).collect();
    Ok(DescribeLoadBalancerTargetGroupsOutput { load_balancer_target_groups, next_token: None })
}
