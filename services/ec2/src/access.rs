//! What each operation of EC2 is authorized on. An operation without a rule is authorized on `*`.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".

use kernel::Access;
use kernel::access::Need;

pub(crate) const RULES: &[Access] = &[Access::new(
    "DeleteVpc",
    &[Need::on("ec2:DeleteVpc", &["arn:aws:ec2:{region}:{account}:vpc/{VpcId}"])],
)];
