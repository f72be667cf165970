//! EC2 and Elastic Load Balancing as far as groups need them, and a region with all three.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use autoscaling_api::{
    AutoScalingGroup, CreateAutoScalingGroupInput, DescribeAutoScalingGroupsInput, Instance,
    LaunchTemplateSpecification, LifecycleState,
};
use base::Zone;
use ec2_api::{
    AvailabilityZone, AvailabilityZoneState, DescribeAvailabilityZonesInput,
    DescribeAvailabilityZonesOutput, DescribeInstancesInput, DescribeInstancesOutput,
    DescribeLaunchTemplatesInput, DescribeLaunchTemplatesOutput, DescribeSubnetsInput,
    DescribeSubnetsOutput, InstanceState, InstanceStateName, LaunchTemplate, Reservation,
    RunInstancesInput, RunInstancesOutput, Subnet, Tag, TerminateInstancesInput,
    TerminateInstancesOutput,
};
use elbv2_api::{
    DeregisterTargetsInput, DeregisterTargetsOutput, DescribeTargetGroupsInput,
    DescribeTargetGroupsOutput, DescribeTargetHealthInput, DescribeTargetHealthOutput,
    RegisterTargetsInput, RegisterTargetsOutput, TargetDescription, TargetHealth,
    TargetHealthDescription, TargetHealthStateEnum,
};
use kernel::{Ctx, Service, ServiceError};
use testkit::{Cloud, TestClient, poll};

/// The subnets that there are; the last letter is the zone's.
pub(crate) const SUBNETS: [&str; 2] = ["subnet-a", "subnet-b"];
/// The target group that there is.
pub(crate) const TARGET_GROUP: &str =
    "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/web/0123456789abcdef";

/// What EC2 and the load balancer know.
#[derive(Default)]
pub(crate) struct World {
    /// Instances by id.
    pub(crate) instances: BTreeMap<String, Machine>,
    /// The instance that each client token made.
    tokens: BTreeMap<String, String>,
    /// Subnets in which no launch succeeds.
    pub(crate) full: BTreeSet<String>,
    /// Zones that are lost.
    pub(crate) lost: BTreeSet<String>,
    /// Whether what is launched ends before it runs.
    pub(crate) stillborn: bool,
    /// The targets of the target group and whether they are found healthy.
    pub(crate) targets: BTreeMap<String, bool>,
}

/// One instance.
pub(crate) struct Machine {
    pub(crate) state: InstanceStateName,
    pub(crate) tags: Vec<Tag>,
}

type Shared = Mutex<World>;
type Result<T> = std::result::Result<T, ServiceError>;

fn refused<T>(code: &str, message: String) -> Result<T> {
    Err(ServiceError::new(code, message))
}

async fn templates(
    _: Ctx<Shared>,
    input: DescribeLaunchTemplatesInput,
) -> Result<DescribeLaunchTemplatesOutput> {
    if let Some(id) = input.launch_template_ids.iter().find(|id| *id != "lt-1") {
        return refused("InvalidLaunchTemplateId.NotFound", format!("{id} is not there"));
    }
    let template = LaunchTemplate {
        launch_template_id: Some("lt-1".to_owned()),
        launch_template_name: Some("web".to_owned()),
        ..LaunchTemplate::default()
    };
    Ok(DescribeLaunchTemplatesOutput { launch_templates: vec![template], next_token: None })
}

async fn subnets(_: Ctx<Shared>, input: DescribeSubnetsInput) -> Result<DescribeSubnetsOutput> {
    if let Some(id) = input.subnet_ids.iter().find(|id| !SUBNETS.contains(&id.as_str())) {
        let message = format!("The subnet ID '{id}' does not exist");
        return refused("InvalidSubnetID.NotFound", message);
    }
    let subnet = |id: &String| Subnet {
        subnet_id: Some(id.clone()),
        availability_zone: Some(format!("ap-northeast-2{}", &id[id.len() - 1..])),
        ..Subnet::default()
    };
    Ok(DescribeSubnetsOutput {
        subnets: input.subnet_ids.iter().map(subnet).collect(),
        next_token: None,
    })
}

async fn zones(
    ctx: Ctx<Shared>,
    _: DescribeAvailabilityZonesInput,
) -> Result<DescribeAvailabilityZonesOutput> {
    let lost = ctx.drivers.lock().unwrap().lost.clone();
    let zone = |zone: Zone| AvailabilityZone {
        state: Some(match lost.contains(zone.as_str()) {
            true => AvailabilityZoneState::Unavailable,
            false => AvailabilityZoneState::Available,
        }),
        zone_name: Some(zone.to_string()),
        ..AvailabilityZone::default()
    };
    let availability_zones = ctx.region.zones().into_iter().map(zone).collect();
    Ok(DescribeAvailabilityZonesOutput { availability_zones })
}

async fn run(ctx: Ctx<Shared>, input: RunInstancesInput) -> Result<RunInstancesOutput> {
    let mut world = ctx.drivers.lock().unwrap();
    let subnet = input.subnet_id.unwrap_or_default();
    if world.full.contains(&subnet) {
        return refused("InsufficientFreeAddressesInSubnet", format!("{subnet} is full"));
    }
    let next = format!("i-{:017x}", world.tokens.len() + 1);
    let token = input.client_token.unwrap();
    let id = world.tokens.entry(token).or_insert(next).clone();
    let zone = input.placement.and_then(|placement| placement.availability_zone);
    if let Some(zone) = zone.filter(|zone| world.lost.contains(zone)) {
        return refused("InsufficientInstanceCapacity", format!("{zone} is lost"));
    }
    let tags = input.tag_specifications.into_iter().flat_map(|spec| spec.tags).collect();
    let state = match world.stillborn {
        true => InstanceStateName::Terminated,
        false => InstanceStateName::Running,
    };
    world.instances.entry(id.clone()).or_insert(Machine { state, tags });
    let instance = ec2_api::Instance { instance_id: Some(id), ..ec2_api::Instance::default() };
    Ok(RunInstancesOutput { instances: vec![instance], ..RunInstancesOutput::default() })
}

async fn instances(
    ctx: Ctx<Shared>,
    input: DescribeInstancesInput,
) -> Result<DescribeInstancesOutput> {
    let world = ctx.drivers.lock().unwrap();
    let mut instances = Vec::new();
    for id in input.instance_ids {
        let Some(machine) = world.instances.get(&id) else {
            return refused("InvalidInstanceID.NotFound", format!("{id} is not there"));
        };
        let state = InstanceState { name: Some(machine.state), ..InstanceState::default() };
        instances.push(ec2_api::Instance {
            instance_id: Some(id),
            state: Some(state),
            ..ec2_api::Instance::default()
        });
    }
    let reservation = Reservation { instances, ..Reservation::default() };
    Ok(DescribeInstancesOutput { reservations: vec![reservation], next_token: None })
}

async fn terminate(
    ctx: Ctx<Shared>,
    input: TerminateInstancesInput,
) -> Result<TerminateInstancesOutput> {
    let mut world = ctx.drivers.lock().unwrap();
    for id in &input.instance_ids {
        if let Some(machine) = world.instances.get_mut(id) {
            machine.state = InstanceStateName::Terminated;
        }
    }
    Ok(TerminateInstancesOutput::default())
}

async fn target_groups(
    _: Ctx<Shared>,
    input: DescribeTargetGroupsInput,
) -> Result<DescribeTargetGroupsOutput> {
    match input.target_group_arns.iter().find(|arn| *arn != TARGET_GROUP) {
        Some(arn) => refused("TargetGroupNotFound", format!("{arn} is not there")),
        None => Ok(DescribeTargetGroupsOutput::default()),
    }
}

async fn register(ctx: Ctx<Shared>, input: RegisterTargetsInput) -> Result<RegisterTargetsOutput> {
    let mut world = ctx.drivers.lock().unwrap();
    for target in input.targets {
        world.targets.entry(target.id).or_insert(true);
    }
    Ok(RegisterTargetsOutput {})
}

async fn deregister(
    ctx: Ctx<Shared>,
    input: DeregisterTargetsInput,
) -> Result<DeregisterTargetsOutput> {
    let mut world = ctx.drivers.lock().unwrap();
    for target in input.targets {
        world.targets.remove(&target.id);
    }
    Ok(DeregisterTargetsOutput {})
}

async fn health(
    ctx: Ctx<Shared>,
    _: DescribeTargetHealthInput,
) -> Result<DescribeTargetHealthOutput> {
    let world = ctx.drivers.lock().unwrap();
    let state = |healthy: bool| {
        if healthy { TargetHealthStateEnum::Healthy } else { TargetHealthStateEnum::Unhealthy }
    };
    let described = |(id, healthy): (&String, &bool)| TargetHealthDescription {
        target: Some(TargetDescription { id: id.clone(), ..TargetDescription::default() }),
        target_health: Some(TargetHealth {
            state: Some(state(*healthy)),
            ..TargetHealth::default()
        }),
        ..TargetHealthDescription::default()
    };
    let target_health_descriptions = world.targets.iter().map(described).collect();
    Ok(DescribeTargetHealthOutput { target_health_descriptions })
}

/// A region and the world that it is in.
pub(crate) struct Lab {
    pub(crate) cloud: Cloud,
    pub(crate) root: TestClient,
    world: Arc<Shared>,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(Shared::default());
        let ec2 = Service::with(ec2_api::SERVICE, world.clone())
            .operation(templates)
            .operation(subnets)
            .operation(zones)
            .operation(run)
            .operation(instances)
            .operation(terminate);
        let elbv2 = Service::with(elbv2_api::SERVICE, world.clone())
            .operation(target_groups)
            .operation(register)
            .operation(deregister)
            .operation(health);
        let services = vec![autoscaling::service().into(), ec2.into(), elbv2.into()];
        let cloud = Cloud::start(services).await;
        let root = cloud.root();
        Self { cloud, root, world }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) async fn describe(&self, name: &str) -> Option<AutoScalingGroup> {
        let names = vec![name.to_owned()];
        let input = DescribeAutoScalingGroupsInput {
            auto_scaling_group_names: names,
            ..DescribeAutoScalingGroupsInput::default()
        };
        self.root.call(input).await.unwrap().auto_scaling_groups.into_iter().next()
    }

    /// Makes a group called `web` and waits until its instances serve.
    pub(crate) async fn web(&self, sizes: (i32, i32, i32)) -> Vec<Instance> {
        self.root.call(group("web", sizes)).await.unwrap();
        self.settled("web", usize::try_from(sizes.1).unwrap()).await
    }

    /// Waits until the group has `count` instances, all in service.
    pub(crate) async fn settled(&self, name: &str, count: usize) -> Vec<Instance> {
        poll::until(&format!("{count} instances in service"), || async {
            let found = self.describe(name).await?.instances;
            let serving = |i: &Instance| i.lifecycle_state == LifecycleState::InService;
            (found.len() == count && found.iter().all(serving)).then_some(found)
        })
        .await
    }
}

/// A group of (minimum, desired, maximum) instances over both zones.
pub(crate) fn group(name: &str, sizes: (i32, i32, i32)) -> CreateAutoScalingGroupInput {
    CreateAutoScalingGroupInput {
        auto_scaling_group_name: name.to_owned(),
        launch_template: Some(LaunchTemplateSpecification {
            launch_template_id: Some("lt-1".to_owned()),
            version: Some("1".to_owned()),
            ..LaunchTemplateSpecification::default()
        }),
        min_size: sizes.0,
        desired_capacity: Some(sizes.1),
        max_size: sizes.2,
        vpc_zone_identifier: Some(SUBNETS.join(",")),
        ..CreateAutoScalingGroupInput::default()
    }
}

pub(crate) fn ids(instances: &[Instance]) -> BTreeSet<String> {
    instances.iter().map(|instance| instance.instance_id.clone()).collect()
}

/// The code of an error.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().code
}
