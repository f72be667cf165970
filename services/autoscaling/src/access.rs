//! What each operation of Auto Scaling is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2
//! Auto Scaling". The part of a group's ARN before its name is random, so policies match it by `*`.

use kernel::Access;
use kernel::access::Need;

const GROUP: &[&str] = &[
    "arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{AutoScalingGroupName}",
];

macro_rules! on_group {
    ($($operation:literal),* $(,)?) => {
        &[$(Access::new($operation, &[Need::on(concat!("autoscaling:", $operation), GROUP)])),*]
    };
}

/// Operations that name no group are authorized on `*`, the kernel's default.
pub(crate) const RULES: &[Access] = on_group!(
    "CreateAutoScalingGroup",
    "UpdateAutoScalingGroup",
    "DeleteAutoScalingGroup",
    "SetDesiredCapacity",
    "SuspendProcesses",
    "ResumeProcesses",
    "TerminateInstanceInAutoScalingGroup",
    "SetInstanceProtection",
    "AttachLoadBalancerTargetGroups",
    "DetachLoadBalancerTargetGroups",
    "StartInstanceRefresh",
    "CancelInstanceRefresh",
);
