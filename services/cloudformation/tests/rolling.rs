//! Rolling updates of Auto Scaling groups, against a group that a test plays.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what holds")]

mod world;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use autoscaling_api::{
    AutoScalingGroup, DescribeAutoScalingGroupsInput, DescribeAutoScalingGroupsOutput, Instance,
    LaunchTemplateSpecification, LifecycleState, TerminateInstanceInAutoScalingGroupInput,
    TerminateInstanceInAutoScalingGroupOutput,
};
use cloudformation_api::{ResourceSignalStatus, SignalResourceInput, StackStatus};
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use kernel::{Ctx, Service, ServiceDef, ServiceError};
use testkit::{Cloud, TestClient, poll};
use world::{create, reach, told, update};

/// A group: its version and its instances with theirs.
#[derive(Default)]
struct Group {
    version: String,
    instances: Vec<(String, String)>,
    launched: u32,
    /// The fewest instances that were there at any time.
    fewest: usize,
    /// How often it was described.
    looks: u32,
}

type Shared = Arc<Mutex<Group>>;

impl Group {
    fn launch(&mut self) {
        self.launched += 1;
        self.instances.push((format!("i-{}", self.launched), self.version.clone()));
    }
}

fn spec(version: &str) -> Option<LaunchTemplateSpecification> {
    Some(LaunchTemplateSpecification {
        launch_template_id: Some("lt-1".to_owned()),
        version: Some(version.to_owned()),
        ..LaunchTemplateSpecification::default()
    })
}

async fn describe(
    ctx: Ctx<Mutex<Group>>,
    _input: DescribeAutoScalingGroupsInput,
) -> Result<DescribeAutoScalingGroupsOutput, ServiceError> {
    let mut group = ctx.drivers.lock().unwrap();
    group.looks += 1;
    let instance = |(id, version): &(String, String)| Instance {
        instance_id: id.clone(),
        lifecycle_state: LifecycleState::InService,
        launch_template: spec(version),
        ..Instance::default()
    };
    let shown = AutoScalingGroup {
        auto_scaling_group_name: "group".to_owned(),
        launch_template: spec(&group.version),
        instances: group.instances.iter().map(instance).collect(),
        ..AutoScalingGroup::default()
    };
    Ok(DescribeAutoScalingGroupsOutput { auto_scaling_groups: vec![shown], next_token: None })
}

async fn terminate(
    ctx: Ctx<Mutex<Group>>,
    input: TerminateInstanceInAutoScalingGroupInput,
) -> Result<TerminateInstanceInAutoScalingGroupOutput, ServiceError> {
    let mut group = ctx.drivers.lock().unwrap();
    group.instances.retain(|(id, _)| Some(id) != input.instance_id.as_ref());
    group.fewest = group.fewest.min(group.instances.len());
    group.launch();
    Ok(TerminateInstanceInAutoScalingGroupOutput::default())
}

struct Handler(Shared);

fn version(properties: &Properties) -> String {
    properties["LaunchTemplate"]["Version"].as_str().unwrap().to_owned()
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn create(&self, _: &ResourceCtx, new: &Properties) -> Result<String, ServiceError> {
        let mut group = self.0.lock().unwrap();
        group.version = version(new);
        (0..3).for_each(|_| group.launch());
        group.fewest = 3;
        Ok("group".to_owned())
    }

    async fn settled(
        &self,
        _: &ResourceCtx,
        _: &str,
        _: &Properties,
    ) -> Result<Progress, ServiceError> {
        Ok(Progress::Done(Attributes::new()))
    }

    async fn update(
        &self,
        _: &ResourceCtx,
        _: &str,
        _: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        self.0.lock().unwrap().version = version(new);
        Ok(())
    }

    async fn delete(
        &self,
        _: &ResourceCtx,
        _: &str,
        _: &Properties,
    ) -> Result<Progress, ServiceError> {
        Ok(Progress::Done(Attributes::new()))
    }
}

fn services(group: &Shared) -> Vec<ServiceDef> {
    let resource_type = ResourceType {
        name: "AWS::AutoScaling::AutoScalingGroup",
        properties: const { &[Property::new("LaunchTemplate")] },
        attributes: &[],
        handler: Arc::new(Handler(group.clone())),
    };
    let owner = Service::with("autoscaling", group.clone())
        .operation(describe)
        .operation(terminate)
        .resource_type(resource_type);
    vec![cloudformation::service().build(), owner.build()]
}

async fn cloud() -> (Cloud, Shared) {
    let group = Shared::default();
    (Cloud::start(services(&group)).await, group)
}

fn template(version: u32, policy: &str) -> String {
    format!(
        "Resources:\n  Group:\n    Type: AWS::AutoScaling::AutoScalingGroup\n    \
         UpdatePolicy: {{AutoScalingRollingUpdate: {policy}}}\n    \
         Properties: {{LaunchTemplate: {{LaunchTemplateId: lt-1, Version: '{version}'}}}}"
    )
}

async fn signal(client: &TestClient, id: &str, status: ResourceSignalStatus) {
    poll::until("the signal to be taken", || async {
        let input = SignalResourceInput {
            stack_name: "s".to_owned(),
            logical_resource_id: "Group".to_owned(),
            unique_id: id.to_owned(),
            status,
        };
        client.call(input).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_new_launch_template_replaces_the_instances_in_batches() {
    let (cloud, group) = cloud().await;
    let root = cloud.root();
    let policy = "{MaxBatchSize: 2, MinInstancesInService: 2}";
    root.call(create("s", &template(1, policy))).await.unwrap();
    reach(&root, "s", StackStatus::CreateComplete).await;
    root.call(update("s", &template(2, policy))).await.unwrap();
    reach(&root, "s", StackStatus::UpdateComplete).await;
    {
        let group = group.lock().unwrap();
        assert!(group.instances.iter().all(|(_, version)| version == "2"), "{:?}", group.instances);
        assert_eq!((group.launched, group.fewest), (6, 2));
    }
    let told = told(&root, "s").await;
    assert!(
        told.contains(
            &"Group UPDATE_IN_PROGRESS: Successfully terminated instance(s) [i-3] (Progress 100%)."
                .to_owned()
        ),
        "{told:#?}"
    );
}

#[tokio::test]
async fn new_instances_that_report_failure_are_rolled_back() {
    let (cloud, group) = cloud().await;
    let root = cloud.root();
    let policy = "{WaitOnResourceSignals: true, PauseTime: PT5M}";
    root.call(create("s", &template(1, policy))).await.unwrap();
    reach(&root, "s", StackStatus::CreateComplete).await;
    root.call(update("s", &template(2, policy))).await.unwrap();
    signal(&root, "i-4", ResourceSignalStatus::Success).await;
    signal(&root, "i-5", ResourceSignalStatus::Failure).await;
    // On the way back each instance signals again.
    poll::until("the rollback", || async {
        let stack = world::stack(&root, "s").await?;
        (stack.stack_status == StackStatus::UpdateRollbackInProgress).then_some(())
    })
    .await;
    for id in ["i-6", "i-7"] {
        signal(&root, id, ResourceSignalStatus::Success).await;
    }
    reach(&root, "s", StackStatus::UpdateRollbackComplete).await;
    let told = told(&root, "s").await;
    assert!(told.contains(
        &"Group UPDATE_FAILED: Received 0 SUCCESS signal(s) out of 1. Unable to satisfy 100% MinSuccessfulInstancesPercent requirement".to_owned()
    ), "{told:#?}");
    let group = group.lock().unwrap();
    assert!(group.instances.iter().all(|(_, version)| version == "1"), "{:?}", group.instances);
}

#[tokio::test]
async fn a_batch_is_waited_for_after_a_crash_before_the_next_begins() {
    let (cloud, group) = cloud().await;
    let root = cloud.root();
    let policy = "{WaitOnResourceSignals: true, PauseTime: PT5M}";
    root.call(create("s", &template(1, policy))).await.unwrap();
    reach(&root, "s", StackStatus::CreateComplete).await;
    root.call(update("s", &template(2, policy))).await.unwrap();
    let launched = |count| {
        let group = &group;
        async move { (group.lock().unwrap().launched == count).then_some(()) }
    };
    poll::until("the first batch", || launched(4)).await;

    let cloud = cloud.restart(services(&group)).await;
    let root = cloud.root();
    // The engine is at work again as soon as it has looked at the group.
    let looks = group.lock().unwrap().looks;
    poll::until("some looks", || async { (group.lock().unwrap().looks > looks + 2).then_some(()) })
        .await;
    assert_eq!(group.lock().unwrap().launched, 4, "the first batch has not signalled");
    for id in ["i-4", "i-5", "i-6"] {
        signal(&root, id, ResourceSignalStatus::Success).await;
    }
    reach(&root, "s", StackStatus::UpdateComplete).await;
    let told = told(&root, "s").await;
    for (id, percent) in [("i-1", 33), ("i-2", 66), ("i-3", 100)] {
        let line = format!(
            "Group UPDATE_IN_PROGRESS: Successfully terminated instance(s) [{id}] (Progress {percent}%)."
        );
        assert!(told.contains(&line), "{told:#?}");
    }
    let group = group.lock().unwrap();
    assert_eq!((group.launched, group.fewest), (6, 2));
}

#[tokio::test]
async fn what_an_update_policy_cannot_do_is_refused() {
    let (cloud, _group) = cloud().await;
    let refused = cloud
        .root()
        .call(create(
            "s",
            &template(1, "{}").replace("Rolling", "Replacing").replace("{}", "{WillReplace: true}"),
        ))
        .await;
    assert_eq!(
        refused.unwrap_err().message,
        "UpdatePolicy AutoScalingReplacingUpdate is not supported by this region"
    );
}
