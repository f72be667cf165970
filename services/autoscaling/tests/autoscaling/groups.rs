//! Making, changing, showing and deleting groups.

use autoscaling_api::{
    CreateOrUpdateTagsInput, DeleteAutoScalingGroupInput, DeleteTagsInput,
    DescribeAccountLimitsInput, DescribeAutoScalingGroupsInput, DescribeTagsInput, Filter,
    LaunchTemplateSpecification, ResumeProcessesInput, SuspendProcessesInput, Tag,
    UpdateAutoScalingGroupInput,
};
use testkit::poll;

use crate::played::{Lab, code, group};

fn tag(key: &str, value: &str) -> Tag {
    Tag {
        resource_id: Some("web".to_owned()),
        resource_type: Some("auto-scaling-group".to_owned()),
        key: key.to_owned(),
        value: Some(value.to_owned()),
        propagate_at_launch: Some(true),
    }
}

#[tokio::test]
async fn a_group_is_shown_as_it_was_made() {
    let lab = Lab::start().await;
    let mut wanted = group("web", (0, 0, 4));
    wanted.tags = vec![tag("tier", "front")];
    wanted.health_check_type = Some("ELB".to_owned());
    wanted.health_check_grace_period = Some(30);
    lab.root.call(wanted.clone()).await.unwrap();
    let shown = lab.describe("web").await.unwrap();
    assert_eq!((shown.min_size, shown.desired_capacity, shown.max_size), (0, 0, 4));
    assert_eq!(shown.availability_zones, ["ap-northeast-2a", "ap-northeast-2b"]);
    assert_eq!(shown.health_check_type, "ELB");
    assert_eq!(shown.health_check_grace_period, Some(30));
    assert_eq!(shown.tags[0].value.as_deref(), Some("front"));
    assert_eq!(shown.launch_template.unwrap().launch_template_name.as_deref(), Some("web"));
    assert_eq!(code(lab.root.call(wanted).await), "AlreadyExists");
    let limits = lab.root.call(DescribeAccountLimitsInput::default()).await.unwrap();
    assert_eq!(limits.number_of_auto_scaling_groups, Some(1));
}

#[tokio::test]
async fn what_cannot_be_made_is_refused() {
    let lab = Lab::start().await;
    let good = || group("web", (0, 0, 1));
    let mut bad = Vec::new();
    bad.push(("no template", good()));
    bad[0].1.launch_template = None;
    bad.push(("a template that is not there", good()));
    bad[1].1.launch_template = Some(LaunchTemplateSpecification {
        launch_template_id: Some("lt-2".to_owned()),
        ..LaunchTemplateSpecification::default()
    });
    bad.push(("a subnet that is not there", good()));
    bad[2].1.vpc_zone_identifier = Some("subnet-c".to_owned());
    bad.push(("a minimum above the maximum", group("web", (2, 2, 1))));
    bad.push(("a capacity above the maximum", group("web", (0, 2, 1))));
    bad.push(("a target group that is not there", good()));
    bad[5].1.target_group_arns = vec!["arn:aws:elasticloadbalancing:x:1:targetgroup/a/b".into()];
    bad.push(("a health check that is none", good()));
    bad[6].1.health_check_type = Some("PING".to_owned());
    bad.push(("a policy that is none", good()));
    bad[7].1.termination_policies = vec!["Random".to_owned()];
    bad.push(("a tag of AWS's", good()));
    bad[8].1.tags = vec![tag("aws:mine", "no")];
    for (what, input) in bad {
        assert_eq!(code(lab.root.call(input).await), "ValidationError", "{what}");
    }
    let mut missing = good();
    missing.capacity_rebalance = Some(true);
    assert_eq!(code(lab.root.call(missing).await), "NotImplemented");
    assert!(lab.describe("web").await.is_none());
}

#[tokio::test]
async fn groups_are_listed_in_pages_and_by_tag() {
    let lab = Lab::start().await;
    for name in ["a", "b", "c"] {
        let mut wanted = group(name, (0, 0, 1));
        wanted.tags = vec![Tag { resource_id: None, resource_type: None, ..tag("letter", name) }];
        lab.root.call(wanted).await.unwrap();
    }
    let mut page = DescribeAutoScalingGroupsInput {
        max_records: Some(2),
        ..DescribeAutoScalingGroupsInput::default()
    };
    let first = lab.root.call(page.clone()).await.unwrap();
    page.next_token.clone_from(&first.next_token);
    let second = lab.root.call(page).await.unwrap();
    let names = first.auto_scaling_groups.iter().chain(&second.auto_scaling_groups);
    let names: Vec<&str> = names.map(|group| group.auto_scaling_group_name.as_str()).collect();
    assert_eq!((names, second.next_token), (vec!["a", "b", "c"], None));
    let by_tag = DescribeAutoScalingGroupsInput {
        filters: vec![Filter { name: Some("tag:letter".to_owned()), values: vec!["b".to_owned()] }],
        ..DescribeAutoScalingGroupsInput::default()
    };
    let found = lab.root.call(by_tag).await.unwrap().auto_scaling_groups;
    assert_eq!((found.len(), found[0].auto_scaling_group_name.as_str()), (1, "b"));
    let nonsense = DescribeAutoScalingGroupsInput {
        next_token: Some("nonsense".to_owned()),
        ..DescribeAutoScalingGroupsInput::default()
    };
    assert_eq!(code(lab.root.call(nonsense).await), "InvalidNextToken");
}

#[tokio::test]
async fn tags_are_set_listed_and_taken_away() {
    let lab = Lab::start().await;
    lab.root.call(group("web", (0, 0, 1))).await.unwrap();
    let tags = vec![tag("tier", "front"), tag("team", "blue")];
    lab.root.call(CreateOrUpdateTagsInput { tags }).await.unwrap();
    let filter = Filter { name: Some("key".to_owned()), values: vec!["team".to_owned()] };
    let input = DescribeTagsInput { filters: vec![filter], ..DescribeTagsInput::default() };
    let found = lab.root.call(input).await.unwrap().tags;
    assert_eq!((found.len(), found[0].value.as_deref()), (1, Some("blue")));
    lab.root.call(DeleteTagsInput { tags: vec![tag("team", "blue")] }).await.unwrap();
    let left = lab.root.call(DescribeTagsInput::default()).await.unwrap().tags;
    assert_eq!((left.len(), left[0].key.as_deref()), (1, Some("tier")));
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let lab = Lab::start().await;
    lab.root.call(group("web", (0, 0, 1))).await.unwrap();
    let update = UpdateAutoScalingGroupInput {
        auto_scaling_group_name: "web".to_owned(),
        max_size: Some(3),
        default_cooldown: Some(7),
        ..UpdateAutoScalingGroupInput::default()
    };
    lab.root.call(update.clone()).await.unwrap();
    let shown = lab.describe("web").await.unwrap();
    assert_eq!((shown.min_size, shown.max_size, shown.default_cooldown), (0, 3, 7));
    let beyond = UpdateAutoScalingGroupInput { desired_capacity: Some(9), ..update.clone() };
    assert_eq!(code(lab.root.call(beyond).await), "ValidationError");
    let other =
        UpdateAutoScalingGroupInput { auto_scaling_group_name: "other".to_owned(), ..update };
    assert_eq!(code(lab.root.call(other).await), "ValidationError");
}

#[tokio::test]
async fn a_group_with_instances_is_deleted_by_force_alone() {
    let lab = Lab::start().await;
    lab.web((1, 1, 1)).await;
    let delete = |force| DeleteAutoScalingGroupInput {
        auto_scaling_group_name: "web".to_owned(),
        force_delete: force,
    };
    assert_eq!(code(lab.root.call(delete(None)).await), "ResourceInUse");
    lab.root.call(delete(Some(true))).await.unwrap();
    poll::until("the group to go", || async { lab.describe("web").await.is_none().then_some(()) })
        .await;
    let ended = |machine: &crate::played::Machine| machine.state.as_str() == "terminated";
    assert!(lab.world().instances.values().all(ended));
}

#[tokio::test]
async fn processes_are_suspended_and_resumed_by_name() {
    let lab = Lab::start().await;
    lab.root.call(group("web", (0, 0, 1))).await.unwrap();
    let suspend = |process: &str| SuspendProcessesInput {
        auto_scaling_group_name: "web".to_owned(),
        scaling_processes: vec![process.to_owned()],
    };
    lab.root.call(suspend("Launch")).await.unwrap();
    let shown = lab.describe("web").await.unwrap();
    assert_eq!(shown.suspended_processes[0].process_name.as_deref(), Some("Launch"));
    assert_eq!(code(lab.root.call(suspend("Sleep")).await), "ValidationError");
    let resume = ResumeProcessesInput {
        auto_scaling_group_name: "web".to_owned(),
        scaling_processes: Vec::new(),
    };
    lab.root.call(resume).await.unwrap();
    assert!(lab.describe("web").await.unwrap().suspended_processes.is_empty());
}
