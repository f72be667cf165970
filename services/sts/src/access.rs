//! What each operation of STS is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS Security
//! Token Service". `GetCallerIdentity` and `GetSessionToken` need no permission; `AssumeRole` is
//! decided in its handler, where the role's trust policy is at hand.

use kernel::Access;
use kernel::access::Need;

pub(crate) const RULES: &[Access] = &[
    Access::new("GetCallerIdentity", &[]),
    Access::new("GetSessionToken", &[]),
    Access::new("AssumeRole", &[]),
    Access::new("GetAccessKeyInfo", &[Need::on("sts:GetAccessKeyInfo", &[])]),
];
