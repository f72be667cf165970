//! What groups and their instances look like.

use autoscaling_api::{
    AutoScalingGroup, AutoScalingInstanceDetails, DescribeAccountLimitsInput,
    DescribeAccountLimitsOutput, DescribeAutoScalingGroupsInput, DescribeAutoScalingGroupsOutput,
    DescribeAutoScalingInstancesInput, DescribeAutoScalingInstancesOutput, Instance,
    LaunchTemplateSpecification, LifecycleState, SuspendedProcess, TagDescription,
};
use base::Zone;
use kernel::paging;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::group::GROUPS_MAX;
use crate::store::{GROUPS, Group, Life, Member};

/// AWS: DescribeAutoScalingGroups and DescribeAutoScalingInstances, `MaxRecords`.
const PAGE: i32 = 50;

/// Lists groups.
///
/// AWS: DescribeAutoScalingGroups.
///
/// # Errors
///
/// [`Error::InvalidNextToken`].
pub(crate) async fn describe_auto_scaling_groups(
    ctx: Ctx,
    input: DescribeAutoScalingGroupsInput,
) -> Result<DescribeAutoScalingGroupsOutput> {
    let mut found = ctx.store.read(|tx| tx.scan(&GROUPS, ())).await?;
    let names = &input.auto_scaling_group_names;
    found.retain(|group| names.is_empty() || names.contains(&group.name));
    for filter in &input.filters {
        let name = filter.name.clone().unwrap_or_default();
        let tag = name.strip_prefix("tag:").map(str::to_owned);
        let known = ["tag-key", "tag-value"].contains(&name.as_str()) || tag.is_some();
        if !known {
            return Err(Error::Validation(format!("Filter name {name} is not valid")));
        }
        found.retain(|group| {
            let mut values = group.tags.iter().filter_map(|(key, value)| match name.as_str() {
                "tag-key" => Some(key),
                "tag-value" => Some(&value.value),
                _ => (tag.as_ref() == Some(key)).then_some(&value.value),
            });
            values.any(|value| filter.values.contains(value))
        });
    }
    let limit = usize::try_from(input.max_records.unwrap_or(PAGE)).unwrap_or(1);
    let page = paging::page(found, input.next_token.as_deref(), limit, |g| g.name.clone())
        .map_err(|_| Error::InvalidNextToken)?;
    let instances = input.include_instances.unwrap_or(true);
    let auto_scaling_groups = page.items.iter().map(|group| shown(group, instances)).collect();
    Ok(DescribeAutoScalingGroupsOutput { auto_scaling_groups, next_token: page.next })
}

/// Lists the instances of all groups.
///
/// AWS: DescribeAutoScalingInstances.
///
/// # Errors
///
/// [`Error::InvalidNextToken`].
pub(crate) async fn describe_auto_scaling_instances(
    ctx: Ctx,
    input: DescribeAutoScalingInstancesInput,
) -> Result<DescribeAutoScalingInstancesOutput> {
    let groups = ctx.store.read(|tx| tx.scan(&GROUPS, ())).await?;
    let mut found: Vec<AutoScalingInstanceDetails> = groups
        .iter()
        .flat_map(|group| group.members.iter().filter_map(|member| details(group, member)))
        .collect();
    let ids = &input.instance_ids;
    found.retain(|instance| ids.is_empty() || ids.contains(&instance.instance_id));
    let limit = usize::try_from(input.max_records.unwrap_or(PAGE)).unwrap_or(1);
    let page = paging::page(found, input.next_token.as_deref(), limit, |i| i.instance_id.clone())
        .map_err(|_| Error::InvalidNextToken)?;
    Ok(DescribeAutoScalingInstancesOutput {
        auto_scaling_instances: page.items,
        next_token: page.next,
    })
}

/// Tells the account's limits and how much of them is used.
///
/// AWS: DescribeAccountLimits.
pub(crate) async fn describe_account_limits(
    ctx: Ctx,
    _input: DescribeAccountLimitsInput,
) -> Result<DescribeAccountLimitsOutput> {
    let count = ctx.store.read(|tx| tx.scan(&GROUPS, ())).await?.len();
    Ok(DescribeAccountLimitsOutput {
        max_number_of_auto_scaling_groups: i32::try_from(GROUPS_MAX).ok(),
        number_of_auto_scaling_groups: i32::try_from(count).ok(),
        max_number_of_launch_configurations: Some(0),
        number_of_launch_configurations: Some(0),
    })
}

fn template(group: &Group, member: Option<&Member>) -> LaunchTemplateSpecification {
    let launched = member.and_then(|member| member.template_version.clone());
    LaunchTemplateSpecification {
        launch_template_id: Some(group.template.id.clone()),
        launch_template_name: Some(group.template.name.clone()),
        version: launched.or_else(|| Some(group.template.version.clone())),
    }
}

fn life(member: &Member) -> LifecycleState {
    match member.life {
        Life::Pending => LifecycleState::Pending,
        Life::InService => LifecycleState::InService,
        Life::Terminating => LifecycleState::Terminating,
    }
}

fn health(member: &Member) -> String {
    if member.healthy { "Healthy" } else { "Unhealthy" }.to_owned()
}

fn instance(group: &Group, member: &Member) -> Option<Instance> {
    Some(Instance {
        instance_id: member.instance.clone()?,
        instance_type: member.instance_type.clone(),
        availability_zone: member.subnet.zone.clone(),
        availability_zone_id: Some(Zone::new(member.subnet.zone.clone()).zone_id()),
        lifecycle_state: life(member),
        health_status: health(member),
        launch_template: Some(template(group, Some(member))),
        protected_from_scale_in: member.protected,
        ..Instance::default()
    })
}

fn details(group: &Group, member: &Member) -> Option<AutoScalingInstanceDetails> {
    Some(AutoScalingInstanceDetails {
        instance_id: member.instance.clone()?,
        instance_type: member.instance_type.clone(),
        auto_scaling_group_name: group.name.clone(),
        availability_zone: member.subnet.zone.clone(),
        availability_zone_id: Some(Zone::new(member.subnet.zone.clone()).zone_id()),
        lifecycle_state: life(member).as_str().to_owned(),
        health_status: health(member).to_uppercase(),
        launch_template: Some(template(group, Some(member))),
        protected_from_scale_in: member.protected,
        ..AutoScalingInstanceDetails::default()
    })
}

pub(crate) fn tags(group: &Group) -> Vec<TagDescription> {
    let tag = |(key, tag): (&String, &crate::store::GroupTag)| TagDescription {
        resource_id: Some(group.name.clone()),
        resource_type: Some("auto-scaling-group".to_owned()),
        key: Some(key.clone()),
        value: Some(tag.value.clone()),
        propagate_at_launch: Some(tag.propagate),
    };
    group.tags.iter().map(tag).collect()
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn shown(group: &Group, instances: bool) -> AutoScalingGroup {
    let ids: Vec<&str> = group.subnets.iter().map(|subnet| subnet.id.as_str()).collect();
    let members = group.members.iter().filter_map(|member| instance(group, member));
    let suspended = |process: &String| SuspendedProcess {
        process_name: Some(process.clone()),
        suspension_reason: Some("User suspended".to_owned()),
    };
    AutoScalingGroup {
        auto_scaling_group_name: group.name.clone(),
        auto_scaling_group_arn: Some(group.arn.clone()),
        launch_template: Some(template(group, None)),
        min_size: number(group.min),
        max_size: number(group.max),
        desired_capacity: number(group.desired),
        default_cooldown: group.cooldown_secs,
        availability_zones: group.zones(),
        availability_zone_ids: group.zones().into_iter().map(|z| Zone::new(z).zone_id()).collect(),
        target_group_arns: group.target_groups.iter().cloned().collect(),
        health_check_type: if group.elb_health { "ELB" } else { "EC2" }.to_owned(),
        health_check_grace_period: i32::try_from(group.grace_secs).ok(),
        instances: if instances { members.collect() } else { Vec::new() },
        created_time: group.created,
        suspended_processes: group.suspended.iter().map(suspended).collect(),
        vpc_zone_identifier: Some(ids.join(",")),
        status: group.deleting.then(|| "Delete in progress".to_owned()),
        tags: tags(group),
        termination_policies: group.termination_policies.clone(),
        new_instances_protected_from_scale_in: Some(group.protect_new),
        ..AutoScalingGroup::default()
    }
}
