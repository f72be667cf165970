//! What each operation of STS is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS Security
//! Token Service". Who the caller is needs no permission, nor does a session of its own. Roles are
//! weighed by their operations, which alone know the trust policy; what carries the proof of an
//! identity provider is not signed at all.

use kernel::Access;
use kernel::access::Need;

pub(crate) const RULES: &[Access] = &[
    Access::new("AssumeRole", &[]),
    Access::new("AssumeRoleWithSAML", &[]),
    Access::new("AssumeRoleWithWebIdentity", &[]),
    Access::new("DecodeAuthorizationMessage", &[Need::on("sts:DecodeAuthorizationMessage", &[])]),
    Access::new("GetAccessKeyInfo", &[Need::on("sts:GetAccessKeyInfo", &[])]),
    Access::new("GetCallerIdentity", &[]),
    Access::new(
        "GetFederationToken",
        &[Need::on("sts:GetFederationToken", &["arn:aws:sts::{account}:federated-user/{Name}"])],
    ),
    Access::new("GetSessionToken", &[]),
];
