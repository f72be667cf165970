//! Keeping a group at its capacity: launches, replacements, scale-in, refreshes.

use autoscaling_api::{
    AttachLoadBalancerTargetGroupsInput, CancelInstanceRefreshInput,
    DescribeAutoScalingInstancesInput, DescribeInstanceRefreshesInput,
    DescribeLoadBalancerTargetGroupsInput, DescribeScalingActivitiesInput,
    DetachLoadBalancerTargetGroupsInput, InstanceRefreshStatus, RefreshPreferences,
    ScalingActivityStatusCode, SetDesiredCapacityInput, SetInstanceHealthInput,
    SetInstanceProtectionInput, StartInstanceRefreshInput,
    TerminateInstanceInAutoScalingGroupInput, UpdateAutoScalingGroupInput,
};
use ec2_api::InstanceStateName;
use testkit::poll;

use crate::played::{Lab, TARGET_GROUP, code, group, ids};

fn desired(count: i32) -> SetDesiredCapacityInput {
    SetDesiredCapacityInput {
        auto_scaling_group_name: "web".to_owned(),
        desired_capacity: count,
        honor_cooldown: None,
    }
}

#[tokio::test]
async fn instances_are_launched_over_the_zones_and_tagged() {
    let lab = Lab::start().await;
    let members = lab.web((2, 4, 4)).await;
    let in_a = members.iter().filter(|m| m.availability_zone == "ap-northeast-2a").count();
    assert_eq!((members.len(), in_a), (4, 2));
    let world = lab.world();
    assert_eq!(world.instances.len(), 4, "nothing is launched twice");
    let tags = &world.instances.values().next().unwrap().tags;
    let name = tags.iter().find(|t| t.key.as_deref() == Some("aws:autoscaling:groupName"));
    assert_eq!(name.unwrap().value.as_deref(), Some("web"));
}

#[tokio::test]
async fn the_capacity_follows_what_is_desired_within_its_bounds() {
    let lab = Lab::start().await;
    lab.web((1, 1, 3)).await;
    assert_eq!(code(lab.root.call(desired(4)).await), "ValidationError");
    assert_eq!(code(lab.root.call(desired(0)).await), "ValidationError");
    lab.root.call(desired(3)).await.unwrap();
    lab.settled("web", 3).await;
    lab.root.call(desired(1)).await.unwrap();
    lab.settled("web", 1).await;
    let input = DescribeScalingActivitiesInput {
        auto_scaling_group_name: Some("web".to_owned()),
        ..DescribeScalingActivitiesInput::default()
    };
    let told = lab.root.call(input).await.unwrap().activities;
    let done =
        |a: &&autoscaling_api::Activity| a.status_code == ScalingActivityStatusCode::Successful;
    assert_eq!((told.len(), told.iter().filter(done).count()), (5, 5));
    assert!(told.iter().any(|a| a.cause.contains("changing the desired capacity from 3 to 1")));
    let other = DescribeScalingActivitiesInput {
        auto_scaling_group_name: Some("other".to_owned()),
        ..DescribeScalingActivitiesInput::default()
    };
    assert_eq!(code(lab.root.call(other).await), "ValidationError");
}

#[tokio::test]
async fn an_instance_that_ends_by_itself_is_replaced() {
    let lab = Lab::start().await;
    let before = ids(&lab.web((2, 2, 2)).await);
    let gone = before.first().unwrap().clone();
    lab.world().instances.get_mut(&gone).unwrap().state = InstanceStateName::Terminated;
    poll::until("a replacement", || async {
        let now = ids(&lab.settled("web", 2).await);
        (!now.contains(&gone)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_subnet_is_passed_over() {
    let lab = Lab::start().await;
    lab.world().full.insert("subnet-a".to_owned());
    let members = lab.web((2, 2, 2)).await;
    assert!(members.iter().all(|member| member.availability_zone == "ap-northeast-2b"));
    let told = lab.root.call(DescribeScalingActivitiesInput::default()).await.unwrap().activities;
    let failed = told.iter().find(|a| a.status_code == ScalingActivityStatusCode::Failed).unwrap();
    assert!(failed.status_message.as_ref().unwrap().contains("subnet-a is full"));
}

#[tokio::test]
async fn a_lost_zone_is_left_alone_until_it_is_back() {
    let lab = Lab::start().await;
    let before = lab.web((2, 2, 2)).await;
    let zone = "ap-northeast-2a";
    let cut = before.iter().find(|i| i.availability_zone == zone).unwrap().instance_id.clone();
    {
        let mut world = lab.world();
        world.lost.insert(zone.to_owned());
        world.instances.get_mut(&cut).unwrap().state = InstanceStateName::Stopped;
    }
    let zones = |instances: &[autoscaling_api::Instance]| {
        let mut zones: Vec<_> = instances.iter().map(|i| i.availability_zone.clone()).collect();
        zones.sort();
        zones
    };
    let both = [zone, "ap-northeast-2b"];
    poll::until("the capacity in the other zone", || async {
        (zones(&lab.settled("web", 2).await) == [both[1], both[1]]).then_some(())
    })
    .await;
    let told = lab.root.call(DescribeScalingActivitiesInput::default()).await.unwrap().activities;
    assert!(told.iter().all(|a| a.status_code != ScalingActivityStatusCode::Failed));
    lab.world().lost.clear();
    poll::until("the balance of the zones", || async {
        (zones(&lab.settled("web", 2).await) == both).then_some(())
    })
    .await;
}

#[tokio::test]
async fn launches_that_fail_are_told_and_not_repeated_at_once() {
    let lab = Lab::start().await;
    lab.world().stillborn = true;
    lab.root.call(group("web", (1, 1, 1))).await.unwrap();
    let cancelled = poll::until("both zones to fail", || async {
        let told = lab.root.call(DescribeScalingActivitiesInput::default()).await.unwrap();
        let cancelled =
            |a: &autoscaling_api::Activity| a.status_code == ScalingActivityStatusCode::Cancelled;
        let found: Vec<_> = told.activities.into_iter().filter(cancelled).collect();
        (found.len() == 2).then_some(found)
    })
    .await;
    assert!(cancelled[0].status_message.as_ref().unwrap().contains("became unhealthy"));
    lab.world().stillborn = false;
    assert_eq!(lab.world().instances.len(), 2, "it waits for the clock");
    lab.cloud.advance(std::time::Duration::from_secs(2));
    lab.settled("web", 1).await;
}

#[tokio::test]
async fn an_instance_is_ended_with_or_without_a_replacement() {
    let lab = Lab::start().await;
    let members = ids(&lab.web((1, 2, 2)).await);
    let end = |id: &str, shrink| TerminateInstanceInAutoScalingGroupInput {
        instance_id: Some(id.to_owned()),
        should_decrement_desired_capacity: shrink,
        ..TerminateInstanceInAutoScalingGroupInput::default()
    };
    let first = members.first().unwrap();
    lab.root.call(end(first, true)).await.unwrap();
    let left = lab.settled("web", 1).await;
    let last = left[0].instance_id.clone();
    assert_eq!(code(lab.root.call(end(&last, true)).await), "ValidationError");
    lab.root.call(end(&last, false)).await.unwrap();
    poll::until("a replacement", || async {
        let now = ids(&lab.settled("web", 1).await);
        (!now.contains(&last)).then_some(())
    })
    .await;
    assert_eq!(code(lab.root.call(end("i-0", false)).await), "ValidationError");
}

#[tokio::test]
async fn what_is_said_to_be_unhealthy_is_replaced_and_what_is_protected_stays() {
    let lab = Lab::start().await;
    let members = ids(&lab.web((1, 2, 2)).await);
    let (sick, safe) = (members.first().unwrap(), members.last().unwrap());
    let protect = SetInstanceProtectionInput {
        instance_ids: vec![safe.clone()],
        auto_scaling_group_name: "web".to_owned(),
        protected_from_scale_in: true,
    };
    lab.root.call(protect).await.unwrap();
    let health = |status: &str| SetInstanceHealthInput {
        instance_id: sick.clone(),
        health_status: status.to_owned(),
        should_respect_grace_period: Some(false),
    };
    assert_eq!(code(lab.root.call(health("Ill")).await), "ValidationError");
    lab.root.call(health("Unhealthy")).await.unwrap();
    poll::until("a replacement", || async {
        let now = ids(&lab.settled("web", 2).await);
        (!now.contains(sick)).then_some(())
    })
    .await;
    lab.root.call(desired(1)).await.unwrap();
    assert_eq!(lab.settled("web", 1).await[0].instance_id, *safe);
    let all = lab.root.call(DescribeAutoScalingInstancesInput::default()).await.unwrap();
    let shown = &all.auto_scaling_instances[0];
    assert!(shown.protected_from_scale_in);
    assert_eq!(shown.health_status, "HEALTHY");
}

#[tokio::test]
async fn members_are_registered_and_what_the_balancer_finds_dead_is_replaced() {
    let lab = Lab::start().await;
    let mut wanted = group("web", (1, 1, 2));
    wanted.health_check_type = Some("ELB".to_owned());
    lab.root.call(wanted).await.unwrap();
    let first = lab.settled("web", 1).await[0].instance_id.clone();
    let attach = |arn: &str| AttachLoadBalancerTargetGroupsInput {
        auto_scaling_group_name: "web".to_owned(),
        target_group_arns: vec![arn.to_owned()],
    };
    assert_eq!(code(lab.root.call(attach("arn:none")).await), "ValidationError");
    lab.root.call(attach(TARGET_GROUP)).await.unwrap();
    poll::until("a target", || async { lab.world().targets.contains_key(&first).then_some(()) })
        .await;
    let input = DescribeLoadBalancerTargetGroupsInput {
        auto_scaling_group_name: "web".to_owned(),
        ..DescribeLoadBalancerTargetGroupsInput::default()
    };
    let shown = lab.root.call(input).await.unwrap().load_balancer_target_groups;
    assert_eq!(shown[0].load_balancer_target_group_arn.as_deref(), Some(TARGET_GROUP));
    lab.world().targets.insert(first.clone(), false);
    poll::until("a replacement", || async {
        let now = ids(&lab.settled("web", 1).await);
        (!now.contains(&first)).then_some(())
    })
    .await;
    assert!(!lab.world().targets.contains_key(&first), "it left the target group");
    let detach = DetachLoadBalancerTargetGroupsInput {
        auto_scaling_group_name: "web".to_owned(),
        target_group_arns: vec![TARGET_GROUP.to_owned()],
    };
    lab.root.call(detach.clone()).await.unwrap();
    poll::until("no target", || async { lab.world().targets.is_empty().then_some(()) }).await;
    assert_eq!(code(lab.root.call(detach).await), "ValidationError");
}

#[tokio::test]
async fn a_refresh_replaces_every_instance_and_one_runs_at_a_time() {
    let lab = Lab::start().await;
    let before = ids(&lab.web((2, 2, 3)).await);
    lab.cloud.advance(std::time::Duration::from_secs(60));
    let start = StartInstanceRefreshInput {
        auto_scaling_group_name: "web".to_owned(),
        preferences: Some(RefreshPreferences {
            min_healthy_percentage: Some(50),
            ..RefreshPreferences::default()
        }),
        ..StartInstanceRefreshInput::default()
    };
    let id = lab.root.call(start.clone()).await.unwrap().instance_refresh_id;
    let again = lab.root.call(start.clone()).await;
    let shown = || async {
        let input = DescribeInstanceRefreshesInput {
            auto_scaling_group_name: "web".to_owned(),
            ..DescribeInstanceRefreshesInput::default()
        };
        lab.root.call(input).await.unwrap().instance_refreshes.remove(0)
    };
    assert_eq!(code(again), "InstanceRefreshInProgress");
    let done = poll::until("the refresh", || async {
        let refresh = shown().await;
        (refresh.status == Some(InstanceRefreshStatus::Successful)).then_some(refresh)
    })
    .await;
    assert_eq!((&done.instance_refresh_id, done.percentage_complete), (&id, Some(100)));
    let after = ids(&lab.settled("web", 2).await);
    assert!(before.is_disjoint(&after));

    // Earlier ones are remembered, and told page by page, the newest first.
    let first = done.instance_refresh_id;
    lab.cloud.advance(std::time::Duration::from_secs(60));
    let second = lab.root.call(start.clone()).await.unwrap().instance_refresh_id;
    assert_eq!(shown().await.instance_refresh_id, second);
    let mut input = DescribeInstanceRefreshesInput {
        auto_scaling_group_name: "web".to_owned(),
        max_records: Some(1),
        ..DescribeInstanceRefreshesInput::default()
    };
    let page = lab.root.call(input.clone()).await.unwrap();
    assert_eq!(page.instance_refreshes[0].instance_refresh_id, second);
    input.next_token = page.next_token;
    let page = lab.root.call(input.clone()).await.unwrap();
    assert_eq!(page.instance_refreshes[0].instance_refresh_id, first);
    assert_eq!(page.instance_refreshes[0].status, Some(InstanceRefreshStatus::Successful));
    assert_eq!(page.next_token, None);
    input.next_token = Some("nonsense".to_owned());
    assert_eq!(code(lab.root.call(input).await), "InvalidNextToken");
    poll::until("the second refresh", || async {
        (shown().await.status == Some(InstanceRefreshStatus::Successful)).then_some(())
    })
    .await;
    let cancel = CancelInstanceRefreshInput {
        auto_scaling_group_name: "web".to_owned(),
        ..CancelInstanceRefreshInput::default()
    };
    assert_eq!(code(lab.root.call(cancel).await), "ActiveInstanceRefreshNotFound");
}

#[tokio::test]
async fn a_new_version_of_the_template_changes_no_instance_by_itself() {
    let lab = Lab::start().await;
    let before = ids(&lab.web((1, 1, 1)).await);
    let template = group("web", (1, 1, 1)).launch_template.map(|mut template| {
        template.version = Some("2".to_owned());
        template
    });
    let update = UpdateAutoScalingGroupInput {
        auto_scaling_group_name: "web".to_owned(),
        launch_template: template,
        ..UpdateAutoScalingGroupInput::default()
    };
    lab.root.call(update).await.unwrap();
    let shown = lab.describe("web").await.unwrap();
    assert_eq!(shown.launch_template.unwrap().version.as_deref(), Some("2"));
    assert_eq!(ids(&shown.instances), before);
}
