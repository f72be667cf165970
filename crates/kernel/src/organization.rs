//! What an organization says of its accounts: the seam to whoever keeps organizations.
//!
//! AWS: "Policy evaluation logic", service control policies and resource control policies.

use std::sync::Arc;

use base::AccountId;
use policy::{Context, NamedPolicy};
use protocol::ServiceError;

use crate::kernel::Kernel;
use crate::service::BoxFuture;

pub(crate) type OrganizationHook = Arc<
    dyn Fn(
            Arc<Kernel>,
            AccountId,
        ) -> BoxFuture<'static, Result<Option<Arc<Membership>>, ServiceError>>
        + Send
        + Sync,
>;

/// An account's place in its organization.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The organization's id, `o-…`.
    pub organization: String,
    /// The account's path, as `o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/`.
    pub path: String,
    /// The service control policies of each level, from the root to the account; none where they
    /// do not bind (the management account, or the type is not enabled).
    pub scps: Vec<Vec<NamedPolicy>>,
    /// The resource control policies, likewise.
    pub rcps: Vec<Vec<NamedPolicy>>,
}

impl Membership {
    /// Sets the keys that tell of the caller's organization.
    pub(crate) fn describe_principal(&self, context: &mut Context) {
        context.set("aws:PrincipalOrgID", self.organization.as_str());
        context.set_all("aws:PrincipalOrgPaths", [self.path.as_str()]);
    }

    /// Sets the keys that tell of the resource's organization.
    pub(crate) fn describe_resource(&self, context: &mut Context) {
        context.set("aws:ResourceOrgID", self.organization.as_str());
        context.set_all("aws:ResourceOrgPaths", [self.path.as_str()]);
    }
}
