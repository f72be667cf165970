//! What making a resource needs of the call or task that makes it.

use base::{AccountId, Cidr, Random, Region, ResourceId, Timestamp};

use crate::Ctx;

/// Where, when and with which chance something is made.
#[derive(Clone, Copy)]
pub(crate) struct Maker<'a> {
    pub(crate) random: &'a dyn Random,
    pub(crate) now: Timestamp,
    pub(crate) region: &'a Region,
    pub(crate) account: &'a AccountId,
    /// The block that public addresses come from.
    pub(crate) pool: Cidr,
}

impl<'a> Maker<'a> {
    /// On behalf of a call.
    pub(crate) fn of(ctx: &'a Ctx) -> Self {
        Self {
            random: ctx.random(),
            now: ctx.now(),
            region: &ctx.region,
            account: &ctx.account,
            pool: ctx.drivers.net_options.public_pool,
        }
    }

    /// A new id.
    pub(crate) fn id(&self, prefix: &str) -> ResourceId {
        ResourceId::random(prefix, self.random)
    }
}

/// The AWS service that calls for itself, as `rds.amazonaws.com`: what it makes belongs to it and
/// does not count against the customer's quotas. Services that act on the customer's own resources
/// (Auto Scaling's instances, CloudFormation's stacks) are not meant.
pub(crate) fn requester(ctx: &Ctx) -> Option<&str> {
    const FOR_THE_CUSTOMER: &[&str] = &["autoscaling.amazonaws.com", "ec2.amazonaws.com"];
    let policy::Principal::AssumedRole { role, .. } = &ctx.caller.principal else { return None };
    let linked = role.resource.starts_with("role/aws-service-role/");
    let service = ctx.caller.invoked_by.as_deref()?;
    (linked && !FOR_THE_CUSTOMER.contains(&service)).then_some(service)
}

/// The AWS service that calls by its service-linked role, whoever it works for.
pub(crate) fn requester_of(ctx: &Ctx) -> Option<String> {
    let policy::Principal::AssumedRole { role, .. } = &ctx.caller.principal else { return None };
    let linked = role.resource.starts_with("role/aws-service-role/");
    ctx.caller.invoked_by.clone().filter(|_| linked)
}
