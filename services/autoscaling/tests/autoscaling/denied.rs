//! Every operation, called by a user without permissions.

use autoscaling_api::{
    AttachLoadBalancerTargetGroupsInput, CancelInstanceRefreshInput, CreateOrUpdateTagsInput,
    DeleteAutoScalingGroupInput, DeleteTagsInput, DescribeAccountLimitsInput,
    DescribeAutoScalingGroupsInput, DescribeAutoScalingInstancesInput,
    DescribeInstanceRefreshesInput, DescribeLoadBalancerTargetGroupsInput,
    DescribeScalingActivitiesInput, DescribeTagsInput, DetachLoadBalancerTargetGroupsInput,
    ResumeProcessesInput, SetDesiredCapacityInput, SetInstanceHealthInput,
    SetInstanceProtectionInput, StartInstanceRefreshInput, SuspendProcessesInput, Tag,
    TerminateInstanceInAutoScalingGroupInput, UpdateAutoScalingGroupInput,
};

use crate::played::{Lab, TARGET_GROUP, code, group};

#[tokio::test]
async fn nothing_is_open_to_a_user_without_permissions() {
    let lab = Lab::start().await;
    let nobody = lab.cloud.nobody();
    let (web, id) = ("web".to_owned(), "i-1".to_owned());
    let arns = vec![TARGET_GROUP.to_owned()];
    let tag = Tag { key: "k".to_owned(), resource_id: Some(web.clone()), ..Tag::default() };
    macro_rules! denied {
        ($($input:expr),* $(,)?) => {
            $(assert_eq!(code(nobody.call($input).await), "AccessDenied", "{}", stringify!($input));)*
        };
    }
    macro_rules! of_group {
        ($($input:ident),* $(,)?) => {
            denied!($($input { auto_scaling_group_name: web.clone(), ..$input::default() }),*);
        };
    }
    of_group!(
        UpdateAutoScalingGroupInput,
        DeleteAutoScalingGroupInput,
        SetDesiredCapacityInput,
        SuspendProcessesInput,
        ResumeProcessesInput,
        StartInstanceRefreshInput,
        CancelInstanceRefreshInput,
        DescribeInstanceRefreshesInput,
        DescribeLoadBalancerTargetGroupsInput,
    );
    denied!(
        group("web", (0, 0, 1)),
        DescribeAutoScalingGroupsInput::default(),
        DescribeAutoScalingInstancesInput::default(),
        DescribeAccountLimitsInput::default(),
        DescribeScalingActivitiesInput::default(),
        DescribeTagsInput::default(),
        CreateOrUpdateTagsInput { tags: vec![tag.clone()] },
        DeleteTagsInput { tags: vec![tag] },
        AttachLoadBalancerTargetGroupsInput {
            auto_scaling_group_name: web.clone(),
            target_group_arns: arns.clone(),
        },
        DetachLoadBalancerTargetGroupsInput {
            auto_scaling_group_name: web.clone(),
            target_group_arns: arns,
        },
        SetInstanceProtectionInput {
            auto_scaling_group_name: web.clone(),
            instance_ids: vec![id.clone()],
            protected_from_scale_in: true,
        },
        SetInstanceHealthInput {
            instance_id: id.clone(),
            health_status: "Healthy".to_owned(),
            should_respect_grace_period: None,
        },
        TerminateInstanceInAutoScalingGroupInput {
            instance_id: Some(id),
            should_decrement_desired_capacity: true,
            ..TerminateInstanceInAutoScalingGroupInput::default()
        },
    );
}

#[tokio::test]
async fn a_policy_that_names_a_group_holds_for_that_group_alone() {
    let lab = Lab::start().await;
    lab.root.call(group("web", (0, 0, 1))).await.unwrap();
    lab.root.call(group("app", (0, 0, 1))).await.unwrap();
    let scaler = lab.cloud.user(
        "scaler",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
            "Action":"autoscaling:SetDesiredCapacity",
            "Resource":"arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/web"}]}"#,
    );
    let set = |name: &str| SetDesiredCapacityInput {
        auto_scaling_group_name: name.to_owned(),
        desired_capacity: 0,
        honor_cooldown: None,
    };
    scaler.call(set("web")).await.unwrap();
    assert_eq!(code(scaler.call(set("app")).await), "AccessDenied");
}
