//! What each operation is authorized on.
//!
//! AWS: "Actions, resources, and condition keys for AWS CloudFormation".

use kernel::Access;
use kernel::access::Need;

const STACK: &[&str] = &["arn:aws:cloudformation:{region}:{account}:stack/{StackName:arn}/*"];
const PASS_ROLE: Need = Need::on("iam:PassRole", &["{RoleARN}"]).when("RoleARN");
const CREATE_KEYS: &[(&str, &str)] = &[
    ("cloudformation:RoleArn", "RoleARN"),
    ("cloudformation:TemplateUrl", "TemplateURL"),
    ("cloudformation:StackPolicyUrl", "StackPolicyURL"),
    ("cloudformation:ResourceTypes", "ResourceTypes"),
];

/// The rules; every other operation is authorized on `*`.
pub(crate) const RULES: &[Access] = &[
    Access::new(
        "CreateStack",
        &[Need::on("cloudformation:CreateStack", STACK).keys(CREATE_KEYS), PASS_ROLE],
    ),
    Access::new(
        "UpdateStack",
        &[Need::on("cloudformation:UpdateStack", STACK).keys(CREATE_KEYS), PASS_ROLE],
    ),
    Access::new(
        "DeleteStack",
        &[
            Need::on("cloudformation:DeleteStack", STACK)
                .keys(&[("cloudformation:RoleArn", "RoleARN")]),
            PASS_ROLE,
        ],
    ),
    Access::new("CancelUpdateStack", &[Need::on("cloudformation:CancelUpdateStack", STACK)]),
    Access::new(
        "ContinueUpdateRollback",
        &[Need::on("cloudformation:ContinueUpdateRollback", STACK), PASS_ROLE],
    ),
    Access::new("RollbackStack", &[Need::on("cloudformation:RollbackStack", STACK), PASS_ROLE]),
    Access::new(
        "UpdateTerminationProtection",
        &[Need::on("cloudformation:UpdateTerminationProtection", STACK)],
    ),
    Access::new("DescribeStacks", &[Need::on("cloudformation:DescribeStacks", STACK)]),
    Access::new("DescribeStackEvents", &[Need::on("cloudformation:DescribeStackEvents", STACK)]),
    Access::new(
        "DescribeStackResource",
        &[Need::on("cloudformation:DescribeStackResource", STACK)],
    ),
    Access::new(
        "DescribeStackResources",
        &[Need::on("cloudformation:DescribeStackResources", STACK)],
    ),
    Access::new("ListStackResources", &[Need::on("cloudformation:ListStackResources", STACK)]),
    Access::new(
        "CreateChangeSet",
        &[Need::on("cloudformation:CreateChangeSet", STACK).keys(CREATE_KEYS), PASS_ROLE],
    ),
    Access::new("DescribeChangeSet", &[Need::on("cloudformation:DescribeChangeSet", STACK)]),
    Access::new("ExecuteChangeSet", &[Need::on("cloudformation:ExecuteChangeSet", STACK)]),
    Access::new("DeleteChangeSet", &[Need::on("cloudformation:DeleteChangeSet", STACK)]),
    Access::new("ListChangeSets", &[Need::on("cloudformation:ListChangeSets", STACK)]),
    Access::new("GetTemplate", &[Need::on("cloudformation:GetTemplate", STACK)]),
    Access::new("GetTemplateSummary", &[Need::on("cloudformation:GetTemplateSummary", STACK)]),
    Access::new("GetStackPolicy", &[Need::on("cloudformation:GetStackPolicy", STACK)]),
    Access::new("SetStackPolicy", &[Need::on("cloudformation:SetStackPolicy", STACK)]),
    Access::new("SignalResource", &[Need::on("cloudformation:SignalResource", STACK)]),
];
