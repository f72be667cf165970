//! Load balancers from their making to their end.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use base::Zone;
use ec2_api::InstanceStateName;
use elbv2_api::*;
use fixture::{GROUP, INSTANCE, Region, SUBNETS, VPC, start};
use testkit::poll;

fn load_balancer(name: &str) -> CreateLoadBalancerInput {
    CreateLoadBalancerInput {
        name: name.to_owned(),
        subnets: SUBNETS.map(str::to_owned).to_vec(),
        security_groups: vec![GROUP.to_owned()],
        ..Default::default()
    }
}

fn target_group(name: &str) -> CreateTargetGroupInput {
    CreateTargetGroupInput {
        name: name.to_owned(),
        protocol: Some(ProtocolEnum::Http),
        port: Some(80),
        vpc_id: Some(VPC.to_owned()),
        ..Default::default()
    }
}

fn forward(group: &str) -> Vec<Action> {
    vec![Action { target_group_arn: Some(group.to_owned()), ..Default::default() }]
}

async fn make(region: &Region) -> (String, String, String) {
    let root = region.cloud.root();
    let lb = root.call(load_balancer("web")).await.unwrap().load_balancers.remove(0);
    let lb = lb.load_balancer_arn.unwrap();
    let group = root.call(target_group("app")).await.unwrap().target_groups.remove(0);
    let group = group.target_group_arn.unwrap();
    let listener = CreateListenerInput {
        load_balancer_arn: lb.clone(),
        protocol: Some(ProtocolEnum::Http),
        port: Some(80),
        default_actions: forward(&group),
        ..Default::default()
    };
    let listener = root.call(listener).await.unwrap().listeners.remove(0).listener_arn.unwrap();
    (lb, group, listener)
}

async fn until_active(region: &Region) -> LoadBalancer {
    poll::until("an active load balancer", || async {
        let all = region.cloud.root().call(DescribeLoadBalancersInput::default()).await.unwrap();
        let lb = all.load_balancers.into_iter().next()?;
        (lb.state.clone()?.code == Some(LoadBalancerStateEnum::Active)).then_some(lb)
    })
    .await
}

async fn addresses(region: &Region) -> usize {
    let names = kernel::names::all(region.cloud.kernel.store()).await.unwrap();
    names.first().map_or(0, |(_, name)| name.outside.len())
}

async fn health(region: &Region, group: &str) -> Vec<TargetHealthDescription> {
    let input =
        DescribeTargetHealthInput { target_group_arn: group.to_owned(), ..Default::default() };
    region.cloud.root().call(input).await.unwrap().target_health_descriptions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_becomes_active_when_nodes_answer_and_leaves_nothing_behind() {
    let region = start().await;
    let root = region.cloud.root();
    let (lb, group, _) = make(&region).await;
    let active = until_active(&region).await;
    let name = active.dns_name.unwrap();
    assert!(name.starts_with("web-") && name.ends_with(".ap-northeast-2.elb.amazonaws.com"));
    poll::until("both addresses", || async { (addresses(&region).await == 2).then_some(()) }).await;

    let target = TargetDescription { id: INSTANCE.to_owned(), ..Default::default() };
    let register =
        RegisterTargetsInput { target_group_arn: group.clone(), targets: vec![target.clone()] };
    root.call(register).await.unwrap();
    poll::until("a healthy target", || async {
        let all = health(&region, &group).await;
        (all[0].target_health.clone()?.state == Some(TargetHealthStateEnum::Healthy)).then_some(())
    })
    .await;

    let deregister =
        DeregisterTargetsInput { target_group_arn: group.clone(), targets: vec![target] };
    root.call(deregister).await.unwrap();
    let state = health(&region, &group).await[0].target_health.clone().unwrap().state;
    assert_eq!(state, Some(TargetHealthStateEnum::Draining));
    region.cloud.advance(std::time::Duration::from_secs(301));
    poll::until("no target", || async { health(&region, &group).await.is_empty().then_some(()) })
        .await;

    let taken = root.call(DeleteTargetGroupInput { target_group_arn: group.clone() }).await;
    assert_eq!(taken.unwrap_err().code, "ResourceInUse");
    root.call(DeleteLoadBalancerInput { load_balancer_arn: lb }).await.unwrap();
    poll::until("nothing left", || async {
        let gone = region.ec2.interfaces.lock().unwrap().is_empty()
            && region.ec2.addresses.lock().unwrap().is_empty();
        (gone && region.running("a").await == 0 && addresses(&region).await == 0).then_some(())
    })
    .await;
    root.call(DeleteTargetGroupInput { target_group_arn: group }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_that_goes_leaves_the_name_and_comes_back() {
    let region = start().await;
    make(&region).await;
    poll::until("both addresses", || async { (addresses(&region).await == 2).then_some(()) }).await;
    let zone = Zone::new("ap-northeast-2a");
    region.machine.kill_zone(&zone);
    poll::until("one address", || async { (addresses(&region).await == 1).then_some(()) }).await;
    region.machine.start_zone(&zone);
    poll::until("both again", || async { (addresses(&region).await == 2).then_some(()) }).await;
    assert_eq!(region.running("a").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_attributes_reach_the_nodes() {
    let region = start().await;
    let root = region.cloud.root();
    let (lb, group, listener) = make(&region).await;
    until_active(&region).await;
    let rule = CreateRuleInput {
        listener_arn: listener.clone(),
        priority: 5,
        conditions: vec![RuleCondition {
            field: Some("path-pattern".to_owned()),
            values: vec!["/users/*".to_owned()],
            ..Default::default()
        }],
        actions: forward(&group),
        ..Default::default()
    };
    root.call(rule.clone()).await.unwrap();
    assert_eq!(root.call(rule).await.unwrap_err().code, "PriorityInUse");
    let attribute = LoadBalancerAttribute {
        key: Some("idle_timeout.timeout_seconds".to_owned()),
        value: Some("7".to_owned()),
    };
    let input =
        ModifyLoadBalancerAttributesInput { load_balancer_arn: lb, attributes: vec![attribute] };
    root.call(input).await.unwrap();
    poll::until("both nodes told", || async {
        let told = region.told.lock().unwrap();
        let right = |it: &proxy::NodeConfig| {
            it.listeners.first().is_some_and(|it| it.rules.len() == 1)
                && it.attributes.idle_timeout_seconds == 7
        };
        (told.values().filter(|it| right(it)).count() == 2).then_some(())
    })
    .await;
    let rules = DescribeRulesInput { listener_arn: Some(listener), ..Default::default() };
    let rules = root.call(rules).await.unwrap().rules;
    assert_eq!(
        rules.iter().filter_map(|it| it.priority.as_deref()).collect::<Vec<_>>(),
        ["5", "default"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_follow_their_instance() {
    let region = start().await;
    let (_, group, _) = make(&region).await;
    until_active(&region).await;
    let target = TargetDescription { id: INSTANCE.to_owned(), ..Default::default() };
    let register = RegisterTargetsInput { target_group_arn: group.clone(), targets: vec![target] };
    region.cloud.root().call(register).await.unwrap();
    *region.ec2.instance.lock().unwrap() = InstanceStateName::Stopped;
    region.cloud.kernel.wake("elbv2.instances");
    poll::until("an unused target", || async {
        let found = health(&region, &group).await[0].target_health.clone()?;
        (found.reason == Some(TargetHealthReasonEnum::TargetInvalidState)).then_some(())
    })
    .await;
    *region.ec2.instance.lock().unwrap() = InstanceStateName::Terminated;
    region.cloud.kernel.wake("elbv2.instances");
    poll::until("no target", || async { health(&region, &group).await.is_empty().then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused() {
    let region = start().await;
    let root = region.cloud.root();
    let one =
        CreateLoadBalancerInput { subnets: vec![SUBNETS[0].to_owned()], ..load_balancer("one") };
    let error = root.call(one).await.unwrap_err();
    assert_eq!(error.code, "ValidationError");
    assert!(error.message.starts_with("At least two subnets in two different"));
    let network = CreateLoadBalancerInput {
        type_: Some(LoadBalancerTypeEnum::Network),
        ..load_balancer("nlb")
    };
    assert_eq!(root.call(network).await.unwrap_err().code, "InvalidConfigurationRequest");
    let (lb, group, _) = make(&region).await;
    let again = CreateLoadBalancerInput {
        scheme: Some(LoadBalancerSchemeEnum::Internal),
        ..load_balancer("web")
    };
    assert_eq!(root.call(again).await.unwrap_err().code, "DuplicateLoadBalancerName");
    let https = CreateListenerInput {
        load_balancer_arn: lb.clone(),
        protocol: Some(ProtocolEnum::Https),
        port: Some(443),
        default_actions: forward(&group),
        ..Default::default()
    };
    assert_eq!(
        root.call(https).await.unwrap_err().message,
        "A certificate must be specified for HTTPS listeners"
    );
    let other = root.call(load_balancer("other")).await.unwrap().load_balancers.remove(0);
    let shared = CreateListenerInput {
        load_balancer_arn: other.load_balancer_arn.unwrap(),
        protocol: Some(ProtocolEnum::Http),
        port: Some(80),
        default_actions: forward(&group),
        ..Default::default()
    };
    assert_eq!(root.call(shared).await.unwrap_err().code, "TargetGroupAssociationLimit");
    let missing =
        DescribeLoadBalancersInput { names: vec!["nothing".to_owned()], ..Default::default() };
    assert_eq!(root.call(missing).await.unwrap_err().code, "LoadBalancerNotFound");
    let page = DescribeLoadBalancersInput { page_size: Some(1), ..Default::default() };
    let first = root.call(page.clone()).await.unwrap();
    let rest = DescribeLoadBalancersInput { marker: first.next_marker, ..page };
    let second = root.call(rest).await.unwrap();
    assert_ne!(first.load_balancers[0], second.load_balancers[0]);
    let denied =
        region.cloud.nobody().call(DeleteLoadBalancerInput { load_balancer_arn: lb }).await;
    assert_eq!(denied.unwrap_err().code, "AccessDenied");
}
