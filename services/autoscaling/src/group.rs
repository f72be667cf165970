//! Groups: making, changing, deleting.

use std::collections::{BTreeMap, BTreeSet};

use autoscaling_api::{
    CreateAutoScalingGroupInput, CreateAutoScalingGroupOutput, DeleteAutoScalingGroupInput,
    DeleteAutoScalingGroupOutput, LaunchTemplateSpecification, ResumeProcessesInput,
    ResumeProcessesOutput, SetDesiredCapacityInput, SetDesiredCapacityOutput,
    SuspendProcessesInput, SuspendProcessesOutput, Tag, UpdateAutoScalingGroupInput,
    UpdateAutoScalingGroupOutput,
};
use ec2_api::{DescribeLaunchTemplatesInput, DescribeSubnetsInput, Filter};
use elbv2_api::DescribeTargetGroupsInput;
use store::WriteTx;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{GROUPS, Group, GroupTag, Life, Subnet, Template};

/// AWS: "Quotas for Auto Scaling resources and groups".
pub(crate) const GROUPS_MAX: usize = 500;
/// AWS: CreateAutoScalingGroup, `DefaultCooldown`.
const COOLDOWN_DEFAULT_SECS: i32 = 300;
/// The processes that can be suspended.
///
/// AWS: "Suspend and resume Amazon EC2 Auto Scaling processes".
const PROCESSES: &[&str] = &[
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
];
/// The termination policies that are implemented.
const POLICIES: &[&str] = &["Default", "OldestInstance", "NewestInstance", "OldestLaunchTemplate"];

/// Makes a group.
///
/// AWS: CreateAutoScalingGroup.
///
/// # Errors
///
/// [`Error::AlreadyExists`], [`Error::LimitExceeded`], [`Error::Validation`].
pub(crate) async fn create_auto_scaling_group(
    ctx: Ctx,
    input: CreateAutoScalingGroupInput,
) -> Result<CreateAutoScalingGroupOutput> {
    refuse_unsupported(&input)?;
    let name = input.auto_scaling_group_name.clone();
    let template = input.launch_template.as_ref().ok_or_else(|| {
        Error::Validation("Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.".to_owned())
    })?;
    let template = find_template(&ctx, template).await?;
    let subnets =
        find_subnets(&ctx, input.vpc_zone_identifier.as_deref(), &input.availability_zones).await?;
    let target_groups = find_target_groups(&ctx, &input.target_group_arns).await?;
    let min = size(input.min_size);
    let desired = input.desired_capacity.map_or(min, size);
    check_sizes(min, size(input.max_size), desired)?;
    check_policies(&input.termination_policies)?;
    let uid = ctx.random().uuid();
    let arn = ctx.arn("autoscaling", format!("autoScalingGroup:{uid}:autoScalingGroupName/{name}"));
    let now = ctx.now();
    let group = Group {
        name: name.clone(),
        arn: arn.to_string(),
        uid,
        min,
        max: size(input.max_size),
        desired,
        template,
        subnets,
        elb_health: is_elb(input.health_check_type.as_deref())?,
        grace_secs: grace(input.health_check_grace_period),
        cooldown_secs: input.default_cooldown.unwrap_or(COOLDOWN_DEFAULT_SECS),
        target_groups,
        leaving_target_groups: BTreeSet::new(),
        termination_policies: or_default(input.termination_policies),
        protect_new: input.new_instances_protected_from_scale_in.unwrap_or(false),
        tags: tags_of(&ctx, &input.tags)?,
        suspended: BTreeSet::new(),
        created: now,
        deleting: false,
        members: Vec::new(),
        next_launch: 0,
        refresh: None,
        failed_zones: BTreeMap::new(),
        failures: 0,
        cause: format!(
            "At {} a user request created an AutoScalingGroup changing the desired capacity from \
             0 to {desired}.",
            now.iso8601_seconds()
        ),
    };
    ctx.store
        .write(|tx| -> Result<()> {
            if tx.contains(&GROUPS, &name)? {
                return Err(Error::AlreadyExists(name.clone()));
            }
            if tx.scan(&GROUPS, ())?.len() >= GROUPS_MAX {
                return Err(Error::LimitExceeded(GROUPS_MAX));
            }
            tx.put(&GROUPS, &group)?;
            Ok(())
        })
        .await?;
    Ok(CreateAutoScalingGroupOutput {})
}

/// Changes a group.
///
/// AWS: UpdateAutoScalingGroup.
///
/// # Errors
///
/// [`Error::Validation`].
pub(crate) async fn update_auto_scaling_group(
    ctx: Ctx,
    input: UpdateAutoScalingGroupInput,
) -> Result<UpdateAutoScalingGroupOutput> {
    refuse_unsupported_update(&input)?;
    let template = match &input.launch_template {
        Some(template) => Some(find_template(&ctx, template).await?),
        None => None,
    };
    let placed = input.vpc_zone_identifier.is_some() || !input.availability_zones.is_empty();
    let subnets = if placed {
        let ids = input.vpc_zone_identifier.as_deref();
        Some(find_subnets(&ctx, ids, &input.availability_zones).await?)
    } else {
        None
    };
    check_policies(&input.termination_policies)?;
    let elb = match &input.health_check_type {
        Some(kind) => Some(is_elb(Some(kind))?),
        None => None,
    };
    let now = ctx.now();
    edit(&ctx, &input.auto_scaling_group_name, |group| {
        let before = group.desired;
        group.min = input.min_size.map_or(group.min, size);
        group.max = input.max_size.map_or(group.max, size);
        group.desired =
            input.desired_capacity.map_or(group.desired.clamp(group.min, group.max), size);
        check_sizes(group.min, group.max, group.desired)?;
        if group.desired != before {
            group.cause = changed_capacity(now, before, group.desired);
        }
        if let Some(template) = &template {
            group.template = template.clone();
        }
        if let Some(subnets) = &subnets {
            group.subnets.clone_from(subnets);
        }
        group.elb_health = elb.unwrap_or(group.elb_health);
        if input.health_check_grace_period.is_some() {
            group.grace_secs = grace(input.health_check_grace_period);
        }
        group.cooldown_secs = input.default_cooldown.unwrap_or(group.cooldown_secs);
        if !input.termination_policies.is_empty() {
            group.termination_policies.clone_from(&input.termination_policies);
        }
        group.protect_new =
            input.new_instances_protected_from_scale_in.unwrap_or(group.protect_new);
        Ok(())
    })
    .await?;
    Ok(UpdateAutoScalingGroupOutput {})
}

/// Deletes a group; with `ForceDelete` its instances too.
///
/// AWS: DeleteAutoScalingGroup.
///
/// # Errors
///
/// [`Error::ResourceInUse`], [`Error::ScalingActivityInProgress`].
pub(crate) async fn delete_auto_scaling_group(
    ctx: Ctx,
    input: DeleteAutoScalingGroupInput,
) -> Result<DeleteAutoScalingGroupOutput> {
    let force = input.force_delete.unwrap_or(false);
    let now = ctx.now();
    edit(&ctx, &input.auto_scaling_group_name, |group| {
        if !force && group.members.iter().any(|member| member.life != Life::Terminating) {
            return Err(Error::ResourceInUse);
        }
        if !force && !group.members.is_empty() {
            return Err(Error::ScalingActivityInProgress);
        }
        group.deleting = true;
        group.cause = format!(
            "At {} a user request force deleted AutoScalingGroup changing the desired capacity \
             from {} to 0.",
            now.iso8601_seconds(),
            group.desired
        );
        (group.min, group.desired) = (0, 0);
        group.suspended.clear();
        for member in &mut group.members {
            member.protected = false;
        }
        Ok(())
    })
    .await?;
    Ok(DeleteAutoScalingGroupOutput {})
}

/// Sets how many instances the group should have.
///
/// AWS: SetDesiredCapacity.
///
/// # Errors
///
/// [`Error::Validation`] outside of the group's minimum and maximum.
pub(crate) async fn set_desired_capacity(
    ctx: Ctx,
    input: SetDesiredCapacityInput,
) -> Result<SetDesiredCapacityOutput> {
    if input.honor_cooldown == Some(true) {
        return Err(Error::Unsupported("SetDesiredCapacity with HonorCooldown"));
    }
    let desired = size(input.desired_capacity);
    let now = ctx.now();
    edit(&ctx, &input.auto_scaling_group_name, |group| {
        if desired > group.max {
            return Err(Error::Validation(format!(
                "New SetDesiredCapacity value {desired} is above max value {} for the \
                 AutoScalingGroup.",
                group.max
            )));
        }
        if desired < group.min {
            return Err(Error::Validation(format!(
                "New SetDesiredCapacity value {desired} is below min value {} for the \
                 AutoScalingGroup.",
                group.min
            )));
        }
        group.cause = changed_capacity(now, group.desired, desired);
        group.desired = desired;
        Ok(())
    })
    .await?;
    Ok(SetDesiredCapacityOutput {})
}

/// Suspends processes, all of them when none is named.
///
/// AWS: SuspendProcesses.
///
/// # Errors
///
/// [`Error::Validation`] for an unknown process.
pub(crate) async fn suspend_processes(
    ctx: Ctx,
    input: SuspendProcessesInput,
) -> Result<SuspendProcessesOutput> {
    let processes = processes(&input.scaling_processes)?;
    edit(&ctx, &input.auto_scaling_group_name, |group| {
        group.suspended.extend(processes.clone());
        Ok(())
    })
    .await?;
    Ok(SuspendProcessesOutput {})
}

/// Resumes processes, all of them when none is named.
///
/// AWS: ResumeProcesses.
///
/// # Errors
///
/// [`Error::Validation`] for an unknown process.
pub(crate) async fn resume_processes(
    ctx: Ctx,
    input: ResumeProcessesInput,
) -> Result<ResumeProcessesOutput> {
    let processes = processes(&input.scaling_processes)?;
    edit(&ctx, &input.auto_scaling_group_name, |group| {
        group.suspended.retain(|process| !processes.contains(process));
        Ok(())
    })
    .await?;
    Ok(ResumeProcessesOutput {})
}

/// Changes a group in one transaction; gives it as it is then.
pub(crate) async fn edit(
    ctx: &Ctx,
    name: &str,
    change: impl Fn(&mut Group) -> Result<()> + Send + Sync,
) -> Result<Group> {
    edit_with(ctx, name, |_, group| change(group)).await
}

/// Changes a group, and what belongs to it in the same transaction.
pub(crate) async fn edit_with(
    ctx: &Ctx,
    name: &str,
    change: impl Fn(&mut WriteTx<'_>, &mut Group) -> Result<()> + Send + Sync,
) -> Result<Group> {
    ctx.store
        .write(|tx| {
            let found = tx.get(&GROUPS, name)?;
            let mut group = found.ok_or_else(|| Error::not_found(name))?;
            if group.deleting {
                return Err(Error::Validation(format!(
                    "AutoScalingGroup {name} is pending delete"
                )));
            }
            change(tx, &mut group)?;
            tx.put(&GROUPS, &group)?;
            Ok(group)
        })
        .await
}

fn changed_capacity(now: base::Timestamp, from: usize, to: usize) -> String {
    format!(
        "At {} a user request explicitly set group desired capacity changing the desired capacity \
         from {from} to {to}.",
        now.iso8601_seconds()
    )
}

pub(crate) fn size(given: i32) -> usize {
    usize::try_from(given).unwrap_or(0)
}

fn grace(given: Option<i32>) -> u64 {
    u64::try_from(given.unwrap_or(0)).unwrap_or(0)
}

fn or_default(policies: Vec<String>) -> Vec<String> {
    if policies.is_empty() { vec!["Default".to_owned()] } else { policies }
}

fn check_sizes(min: usize, max: usize, desired: usize) -> Result<()> {
    if min > max {
        return Err(Error::Validation(
            "Max bound, must be greater than or equal to min".to_owned(),
        ));
    }
    if desired < min || desired > max {
        return Err(Error::Validation(format!(
            "Desired capacity:{desired} must be between the specified min size:{min} and max \
             size:{max}"
        )));
    }
    Ok(())
}

fn check_policies(policies: &[String]) -> Result<()> {
    if policies.len() > 1 {
        return Err(Error::Unsupported("TerminationPolicies with more than one policy"));
    }
    match policies.iter().find(|policy| !POLICIES.contains(&policy.as_str())) {
        Some(policy) => {
            Err(Error::Validation(format!("Termination policy {policy} is not supported.")))
        }
        None => Ok(()),
    }
}

fn is_elb(kind: Option<&str>) -> Result<bool> {
    match kind {
        None | Some("EC2") => Ok(false),
        Some("ELB" | "EC2,ELB" | "ELB,EC2") => Ok(true),
        Some(other) => Err(Error::Validation(format!(
            "Invalid Health Check Type: {other}. Valid Health Check Types are: [EC2, ELB]"
        ))),
    }
}

fn processes(named: &[String]) -> Result<BTreeSet<String>> {
    if named.is_empty() {
        return Ok(PROCESSES.iter().map(|process| (*process).to_owned()).collect());
    }
    match named.iter().find(|process| !PROCESSES.contains(&process.as_str())) {
        Some(process) => {
            Err(Error::Validation(format!("{process} is not a valid Scaling Process Type.")))
        }
        None => Ok(named.iter().cloned().collect()),
    }
}

pub(crate) fn tags_of(ctx: &Ctx, tags: &[Tag]) -> Result<BTreeMap<String, GroupTag>> {
    let plain: base::Tags =
        tags.iter().map(|t| (t.key.clone(), t.value.clone().unwrap_or_default())).collect();
    kernel::tags::check(&plain, ctx.caller.invoked_by.as_deref())
        .map_err(|error| Error::Validation(error.to_string()))?;
    let tag = |tag: &Tag| GroupTag {
        value: tag.value.clone().unwrap_or_default(),
        propagate: tag.propagate_at_launch.unwrap_or(false),
    };
    Ok(tags.iter().map(|given| (given.key.clone(), tag(given))).collect())
}

async fn find_template(ctx: &Ctx, spec: &LaunchTemplateSpecification) -> Result<Template> {
    let (ids, names) = (&spec.launch_template_id, &spec.launch_template_name);
    if ids.is_some() == names.is_some() {
        return Err(Error::Validation(
            "Valid requests must contain either launchTemplateId or LaunchTemplateName".to_owned(),
        ));
    }
    let input = DescribeLaunchTemplatesInput {
        launch_template_ids: ids.iter().cloned().collect(),
        launch_template_names: names.iter().cloned().collect(),
        ..DescribeLaunchTemplatesInput::default()
    };
    let found = ctx.client.call(input).await.map_err(launch_template_error)?;
    let found = found.launch_templates.into_iter().next().ok_or_else(|| {
        Error::Validation("You must use a valid fully-formed launch template.".to_owned())
    })?;
    Ok(Template {
        id: found.launch_template_id.unwrap_or_default(),
        name: found.launch_template_name.unwrap_or_default(),
        version: spec.version.clone().unwrap_or_else(|| "$Default".to_owned()),
    })
}

fn launch_template_error(error: kernel::ServiceError) -> Error {
    if error.code.contains("NotFound") || error.code.contains("Malformed") {
        return Error::Validation(format!(
            "You must use a valid fully-formed launch template. {}",
            error.message
        ));
    }
    error.into()
}

async fn find_subnets(ctx: &Ctx, ids: Option<&str>, zones: &[String]) -> Result<Vec<Subnet>> {
    let ids: Vec<String> = ids
        .into_iter()
        .flat_map(|ids| ids.split(','))
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty())
        .collect();
    let mut filters = Vec::new();
    if ids.is_empty() {
        if zones.is_empty() {
            return Err(Error::Validation(
                "At least one Availability Zone or VPC Subnet is required.".to_owned(),
            ));
        }
        filters.push(filter("default-for-az", &["true".to_owned()]));
        filters.push(filter("availability-zone", zones));
    }
    let input = DescribeSubnetsInput {
        subnet_ids: ids.clone(),
        filters,
        ..DescribeSubnetsInput::default()
    };
    let found = ctx.client.call(input).await.map_err(|error| {
        if error.code.starts_with("InvalidSubnetID") {
            return Error::Validation(error.message);
        }
        error.into()
    })?;
    let mut subnets: Vec<Subnet> = found
        .subnets
        .into_iter()
        .map(|subnet| Subnet {
            id: subnet.subnet_id.unwrap_or_default(),
            zone: subnet.availability_zone.unwrap_or_default(),
        })
        .collect();
    if !zones.is_empty() {
        subnets.retain(|subnet| zones.contains(&subnet.zone));
    }
    if subnets.is_empty() {
        return Err(Error::Validation("No subnets match the Availability Zones.".to_owned()));
    }
    Ok(subnets)
}

fn filter(name: &str, values: &[String]) -> Filter {
    Filter { name: Some(name.to_owned()), values: values.to_vec() }
}

pub(crate) async fn find_target_groups(ctx: &Ctx, arns: &[String]) -> Result<BTreeSet<String>> {
    if !arns.is_empty() {
        let input = DescribeTargetGroupsInput {
            target_group_arns: arns.to_vec(),
            ..DescribeTargetGroupsInput::default()
        };
        ctx.client.call(input).await.map_err(|error| {
            if error.code.contains("NotFound") {
                return Error::Validation(
                    "Provided Load Balancers may not be valid. Please ensure they exist and try \
                     again."
                        .to_owned(),
                );
            }
            error.into()
        })?;
    }
    Ok(arns.iter().cloned().collect())
}

fn first_given(asked: &[(bool, &'static str)]) -> Result<()> {
    match asked.iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(Error::Unsupported(name)),
        None => Ok(()),
    }
}

fn refuse_unsupported(input: &CreateAutoScalingGroupInput) -> Result<()> {
    first_given(&[
        (input.launch_configuration_name.is_some(), "LaunchConfigurationName"),
        (input.mixed_instances_policy.is_some(), "MixedInstancesPolicy"),
        (input.instance_id.is_some(), "InstanceId"),
        (!input.availability_zone_ids.is_empty(), "AvailabilityZoneIds"),
        (!input.load_balancer_names.is_empty(), "LoadBalancerNames"),
        (input.placement_group.is_some(), "PlacementGroup"),
        (input.capacity_rebalance == Some(true), "CapacityRebalance"),
        (input.deletion_protection.is_some(), "DeletionProtection"),
        (!input.lifecycle_hook_specification_list.is_empty(), "LifecycleHookSpecificationList"),
        (input.service_linked_role_arn.is_some(), "ServiceLinkedRoleARN"),
        (input.max_instance_lifetime.is_some_and(|secs| secs != 0), "MaxInstanceLifetime"),
        (input.context.is_some(), "Context"),
        (
            input.desired_capacity_type.as_deref().is_some_and(|t| t != "units"),
            "DesiredCapacityType",
        ),
        (input.default_instance_warmup.is_some(), "DefaultInstanceWarmup"),
        (!input.traffic_sources.is_empty(), "TrafficSources"),
        (input.instance_maintenance_policy.is_some(), "InstanceMaintenancePolicy"),
        (input.availability_zone_distribution.is_some(), "AvailabilityZoneDistribution"),
        (input.availability_zone_impairment_policy.is_some(), "AvailabilityZoneImpairmentPolicy"),
        (input.skip_zonal_shift_validation.is_some(), "SkipZonalShiftValidation"),
        (input.capacity_reservation_specification.is_some(), "CapacityReservationSpecification"),
        (input.instance_lifecycle_policy.is_some(), "InstanceLifecyclePolicy"),
        (input.operator.is_some(), "Operator"),
    ])
}

fn refuse_unsupported_update(input: &UpdateAutoScalingGroupInput) -> Result<()> {
    first_given(&[
        (input.launch_configuration_name.is_some(), "LaunchConfigurationName"),
        (input.mixed_instances_policy.is_some(), "MixedInstancesPolicy"),
        (!input.availability_zone_ids.is_empty(), "AvailabilityZoneIds"),
        (input.placement_group.is_some(), "PlacementGroup"),
        (input.capacity_rebalance == Some(true), "CapacityRebalance"),
        (input.deletion_protection.is_some(), "DeletionProtection"),
        (input.service_linked_role_arn.is_some(), "ServiceLinkedRoleARN"),
        (input.max_instance_lifetime.is_some_and(|secs| secs != 0), "MaxInstanceLifetime"),
        (input.context.is_some(), "Context"),
        (
            input.desired_capacity_type.as_deref().is_some_and(|t| t != "units"),
            "DesiredCapacityType",
        ),
        (input.default_instance_warmup.is_some(), "DefaultInstanceWarmup"),
        (input.instance_maintenance_policy.is_some(), "InstanceMaintenancePolicy"),
        (input.availability_zone_distribution.is_some(), "AvailabilityZoneDistribution"),
        (input.availability_zone_impairment_policy.is_some(), "AvailabilityZoneImpairmentPolicy"),
        (input.skip_zonal_shift_validation.is_some(), "SkipZonalShiftValidation"),
        (input.capacity_reservation_specification.is_some(), "CapacityReservationSpecification"),
        (input.instance_lifecycle_policy.is_some(), "InstanceLifecyclePolicy"),
    ])
}
