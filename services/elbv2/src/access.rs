//! What each operation is authorized on. The `Describe…` operations are authorized on `*`.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS Elastic
//! Load Balancing V2".

use kernel::Access;
use kernel::access::Need;

pub(crate) const RULES: &[Access] = &[
    Access::new(
        "CreateLoadBalancer",
        &[Need::on(
            "elasticloadbalancing:CreateLoadBalancer",
            &["arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/{Name}/*"],
        )
        .keys(&[
            ("elasticloadbalancing:Scheme", "Scheme"),
            ("elasticloadbalancing:SecurityGroup", "SecurityGroups"),
            ("elasticloadbalancing:Subnet", "Subnets"),
        ])],
    ),
    Access::new(
        "CreateTargetGroup",
        &[Need::on(
            "elasticloadbalancing:CreateTargetGroup",
            &["arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{Name}/*"],
        )],
    ),
    Access::new("AddTags", &[Need::on("elasticloadbalancing:AddTags", &["{ResourceArns}"])]),
    Access::new("RemoveTags", &[Need::on("elasticloadbalancing:RemoveTags", &["{ResourceArns}"])]),
    Access::new(
        "CreateListener",
        &[Need::on("elasticloadbalancing:CreateListener", &["{LoadBalancerArn}"]).keys(&[
            ("elasticloadbalancing:ListenerProtocol", "Protocol"),
            ("elasticloadbalancing:SecurityPolicy", "SslPolicy"),
        ])],
    ),
    Access::new(
        "DeleteLoadBalancer",
        &[Need::on("elasticloadbalancing:DeleteLoadBalancer", &["{LoadBalancerArn}"])],
    ),
    Access::new(
        "ModifyLoadBalancerAttributes",
        &[Need::on("elasticloadbalancing:ModifyLoadBalancerAttributes", &["{LoadBalancerArn}"])],
    ),
    Access::new(
        "SetSecurityGroups",
        &[Need::on("elasticloadbalancing:SetSecurityGroups", &["{LoadBalancerArn}"])
            .keys(&[("elasticloadbalancing:SecurityGroup", "SecurityGroups")])],
    ),
    Access::new(
        "SetSubnets",
        &[Need::on("elasticloadbalancing:SetSubnets", &["{LoadBalancerArn}"])
            .keys(&[("elasticloadbalancing:Subnet", "Subnets")])],
    ),
    Access::new(
        "SetIpAddressType",
        &[Need::on("elasticloadbalancing:SetIpAddressType", &["{LoadBalancerArn}"])],
    ),
    Access::new(
        "ModifyListener",
        &[Need::on("elasticloadbalancing:ModifyListener", &["{ListenerArn}"]).keys(&[
            ("elasticloadbalancing:ListenerProtocol", "Protocol"),
            ("elasticloadbalancing:SecurityPolicy", "SslPolicy"),
        ])],
    ),
    Access::new(
        "AddListenerCertificates",
        &[Need::on("elasticloadbalancing:AddListenerCertificates", &["{ListenerArn}"])],
    ),
    Access::new(
        "RemoveListenerCertificates",
        &[Need::on("elasticloadbalancing:RemoveListenerCertificates", &["{ListenerArn}"])],
    ),
    Access::new(
        "DeleteListener",
        &[Need::on("elasticloadbalancing:DeleteListener", &["{ListenerArn}"])],
    ),
    Access::new("CreateRule", &[Need::on("elasticloadbalancing:CreateRule", &["{ListenerArn}"])]),
    Access::new("ModifyRule", &[Need::on("elasticloadbalancing:ModifyRule", &["{RuleArn}"])]),
    Access::new("DeleteRule", &[Need::on("elasticloadbalancing:DeleteRule", &["{RuleArn}"])]),
    Access::new(
        "SetRulePriorities",
        &[Need::on("elasticloadbalancing:SetRulePriorities", &["{RulePriorities.RuleArn}"])],
    ),
    Access::new(
        "ModifyTargetGroup",
        &[Need::on("elasticloadbalancing:ModifyTargetGroup", &["{TargetGroupArn}"])],
    ),
    Access::new(
        "ModifyTargetGroupAttributes",
        &[Need::on("elasticloadbalancing:ModifyTargetGroupAttributes", &["{TargetGroupArn}"])],
    ),
    Access::new(
        "DeleteTargetGroup",
        &[Need::on("elasticloadbalancing:DeleteTargetGroup", &["{TargetGroupArn}"])],
    ),
    Access::new(
        "RegisterTargets",
        &[Need::on("elasticloadbalancing:RegisterTargets", &["{TargetGroupArn}"])],
    ),
    Access::new(
        "DeregisterTargets",
        &[Need::on("elasticloadbalancing:DeregisterTargets", &["{TargetGroupArn}"])],
    ),
];
