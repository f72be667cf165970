//! What each operation of Parameter Store is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS Systems
//! Manager". The ARN of a parameter leaves out the slash that its name starts with.

use kernel::Access;
use kernel::access::Need;

const BY_NAME: &[&str] = &["arn:aws:ssm:{region}:{account}:parameter/{Name:arn:path}"];
const BY_NAMES: &[&str] = &["arn:aws:ssm:{region}:{account}:parameter/{Names:arn:path}"];
const BY_ID: &[&str] = &["arn:aws:ssm:{region}:{account}:parameter/{ResourceId:arn:path}"];
const BY_PATH: &[&str] = &["arn:aws:ssm:{region}:{account}:parameter/{Path:arn:path}"];

pub(crate) const RULES: &[Access] = &[
    Access::new(
        "PutParameter",
        &[Need::on("ssm:PutParameter", BY_NAME)
            .keys(&[("ssm:Overwrite", "Overwrite"), ("ssm:Policies", "Policies")])],
    ),
    Access::new("GetParameter", &[Need::on("ssm:GetParameter", BY_NAME)]),
    Access::new("GetParameters", &[Need::on("ssm:GetParameters", BY_NAMES)]),
    Access::new(
        "GetParametersByPath",
        &[Need::on("ssm:GetParametersByPath", BY_PATH).keys(&[("ssm:Recursive", "Recursive")])],
    ),
    Access::new("GetParameterHistory", &[Need::on("ssm:GetParameterHistory", BY_NAME)]),
    Access::new("LabelParameterVersion", &[Need::on("ssm:LabelParameterVersion", BY_NAME)]),
    Access::new("UnlabelParameterVersion", &[Need::on("ssm:UnlabelParameterVersion", BY_NAME)]),
    Access::new("DeleteParameter", &[Need::on("ssm:DeleteParameter", BY_NAME)]),
    Access::new("DeleteParameters", &[Need::on("ssm:DeleteParameters", BY_NAMES)]),
    Access::new("DescribeParameters", &[Need::on("ssm:DescribeParameters", &[])]),
    Access::new("AddTagsToResource", &[Need::on("ssm:AddTagsToResource", BY_ID)]),
    Access::new("RemoveTagsFromResource", &[Need::on("ssm:RemoveTagsFromResource", BY_ID)]),
    Access::new("ListTagsForResource", &[Need::on("ssm:ListTagsForResource", BY_ID)]),
];
