//! `AWS::AutoScaling::AutoScalingGroup`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use autoscaling_api::{
    AttachLoadBalancerTargetGroupsInput, AutoScalingGroup, CreateAutoScalingGroupInput,
    CreateOrUpdateTagsInput, DeleteAutoScalingGroupInput, DeleteTagsInput,
    DescribeAutoScalingGroupsInput, DetachLoadBalancerTargetGroupsInput,
    LaunchTemplateSpecification, LifecycleState, Tag, UpdateAutoScalingGroupInput,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

const PROPERTIES: &[Property] = &[
    Property::new("AutoScalingGroupName").replaces(),
    Property::new("MinSize").required(),
    Property::new("MaxSize").required(),
    Property::new("DesiredCapacity"),
    Property::new("LaunchTemplate"),
    Property::new("VPCZoneIdentifier"),
    Property::new("AvailabilityZones"),
    Property::new("TargetGroupARNs"),
    Property::new("HealthCheckType"),
    Property::new("HealthCheckGracePeriod"),
    Property::new("Cooldown"),
    Property::new("TerminationPolicies"),
    Property::new("NewInstancesProtectedFromScaleIn"),
    Property::new("Tags"),
];

/// How often a group is looked at while its capacity is on its way.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) fn auto_scaling_group() -> ResourceType {
    ResourceType {
        name: "AWS::AutoScaling::AutoScalingGroup",
        properties: PROPERTIES,
        attributes: &["AutoScalingGroupARN"],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn text(properties: &Properties, name: &str) -> Option<String> {
    let value = properties.get(name).filter(|value| !value.is_null())?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn number(properties: &Properties, name: &str) -> Option<i32> {
    text(properties, name)?.parse().ok()
}

fn texts(properties: &Properties, name: &str) -> Vec<String> {
    match properties.get(name).and_then(Json::as_array) {
        Some(list) => list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        None => text(properties, name).into_iter().collect(),
    }
}

fn template(properties: &Properties) -> Option<LaunchTemplateSpecification> {
    let spec = properties.get("LaunchTemplate")?.as_object()?;
    Some(LaunchTemplateSpecification {
        launch_template_id: text(spec, "LaunchTemplateId"),
        launch_template_name: text(spec, "LaunchTemplateName"),
        version: text(spec, "Version"),
    })
}

fn subnets(properties: &Properties) -> Option<String> {
    let ids = texts(properties, "VPCZoneIdentifier");
    (!ids.is_empty()).then(|| ids.join(","))
}

fn tags(ctx: &ResourceCtx, name: &str, properties: &Properties) -> Vec<Tag> {
    let tag = |key: String, value: String, propagate: bool| Tag {
        resource_id: Some(name.to_owned()),
        resource_type: Some("auto-scaling-group".to_owned()),
        key,
        value: Some(value),
        propagate_at_launch: Some(propagate),
    };
    let own = ctx.tags.iter().map(|(key, value)| tag(key.clone(), value.clone(), true));
    let given = properties.get("Tags").and_then(Json::as_array).cloned().unwrap_or_default();
    let given = given.into_iter().filter_map(|item| {
        let item = item.as_object()?;
        let propagate = text(item, "PropagateAtLaunch").is_some_and(|text| text == "true");
        Some(tag(text(item, "Key")?, text(item, "Value").unwrap_or_default(), propagate))
    });
    own.chain(given).collect()
}

fn name_of(ctx: &ResourceCtx, properties: &Properties) -> String {
    text(properties, "AutoScalingGroupName").unwrap_or_else(|| ctx.generated_name(255))
}

async fn group(ctx: &ResourceCtx, name: &str) -> Result<Option<AutoScalingGroup>, ServiceError> {
    let input = DescribeAutoScalingGroupsInput {
        auto_scaling_group_names: vec![name.to_owned()],
        ..DescribeAutoScalingGroupsInput::default()
    };
    Ok(ctx.client.call(input).await?.auto_scaling_groups.into_iter().next())
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let name = name_of(ctx, properties);
        let found = group(ctx, &name).await?;
        let ours = found.is_some_and(|group| {
            group.tags.iter().any(|tag| {
                tag.key.as_deref() == Some("aws:cloudformation:stack-id")
                    && tag.value.as_deref() == Some(&ctx.stack_id)
            })
        });
        Ok(ours.then_some(name))
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let name = name_of(ctx, properties);
        let input = CreateAutoScalingGroupInput {
            auto_scaling_group_name: name.clone(),
            launch_template: template(properties),
            min_size: number(properties, "MinSize").unwrap_or(0),
            max_size: number(properties, "MaxSize").unwrap_or(0),
            desired_capacity: number(properties, "DesiredCapacity"),
            default_cooldown: number(properties, "Cooldown"),
            availability_zones: texts(properties, "AvailabilityZones"),
            target_group_arns: texts(properties, "TargetGroupARNs"),
            health_check_type: text(properties, "HealthCheckType"),
            health_check_grace_period: number(properties, "HealthCheckGracePeriod"),
            vpc_zone_identifier: subnets(properties),
            termination_policies: texts(properties, "TerminationPolicies"),
            new_instances_protected_from_scale_in: text(
                properties,
                "NewInstancesProtectedFromScaleIn",
            )
            .map(|text| text == "true"),
            tags: tags(ctx, &name, properties),
            ..CreateAutoScalingGroupInput::default()
        };
        ctx.client.call(input).await?;
        Ok(name)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let Some(group) = group(ctx, physical_id).await? else {
            return Err(ServiceError::new("ValidationError", "The group is gone."));
        };
        let serving =
            group.instances.iter().filter(|i| i.lifecycle_state == LifecycleState::InService);
        let wanted = usize::try_from(group.desired_capacity).unwrap_or(0);
        if serving.count() != wanted || group.instances.len() != wanted {
            return Ok(Progress::Wait(LOOK));
        }
        let arn = json!(group.auto_scaling_group_arn);
        Ok(Progress::Done(Attributes::from([("AutoScalingGroupARN".to_owned(), arn)])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let input = UpdateAutoScalingGroupInput {
            auto_scaling_group_name: physical_id.to_owned(),
            launch_template: template(new),
            min_size: number(new, "MinSize"),
            max_size: number(new, "MaxSize"),
            desired_capacity: number(new, "DesiredCapacity"),
            default_cooldown: number(new, "Cooldown"),
            availability_zones: texts(new, "AvailabilityZones"),
            health_check_type: text(new, "HealthCheckType"),
            health_check_grace_period: number(new, "HealthCheckGracePeriod"),
            vpc_zone_identifier: subnets(new),
            termination_policies: texts(new, "TerminationPolicies"),
            ..UpdateAutoScalingGroupInput::default()
        };
        ctx.client.call(input).await?;
        change_target_groups(ctx, physical_id, old, new).await?;
        let (before, after) = (tags(ctx, physical_id, old), tags(ctx, physical_id, new));
        let gone = |tag: &&Tag| !after.iter().any(|kept| kept.key == tag.key);
        let gone: Vec<Tag> = before.iter().filter(gone).cloned().collect();
        if !gone.is_empty() {
            ctx.client.call(DeleteTagsInput { tags: gone }).await?;
        }
        if before != after && !after.is_empty() {
            ctx.client.call(CreateOrUpdateTagsInput { tags: after }).await?;
        }
        Ok(())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let Some(group) = group(ctx, physical_id).await? else {
            return Ok(Progress::Done(Attributes::new()));
        };
        if group.status.is_none() {
            let input = DeleteAutoScalingGroupInput {
                auto_scaling_group_name: physical_id.to_owned(),
                force_delete: Some(true),
            };
            ctx.client.call(input).await?;
        }
        Ok(Progress::Wait(LOOK))
    }
}

async fn change_target_groups(
    ctx: &ResourceCtx,
    name: &str,
    old: &Properties,
    new: &Properties,
) -> Result<(), ServiceError> {
    let (before, after) = (texts(old, "TargetGroupARNs"), texts(new, "TargetGroupARNs"));
    let added: Vec<String> = after.iter().filter(|arn| !before.contains(arn)).cloned().collect();
    let gone: Vec<String> = before.iter().filter(|arn| !after.contains(arn)).cloned().collect();
    if !added.is_empty() {
        let input = AttachLoadBalancerTargetGroupsInput {
            auto_scaling_group_name: name.to_owned(),
            target_group_arns: added,
        };
        ctx.client.call(input).await?;
    }
    if !gone.is_empty() {
        let input = DetachLoadBalancerTargetGroupsInput {
            auto_scaling_group_name: name.to_owned(),
            target_group_arns: gone,
        };
        ctx.client.call(input).await?;
    }
    Ok(())
}
