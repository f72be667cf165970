//! AWS CloudTrail, after the AWS CloudTrail API Reference (2013-11-01).
//!
//! The kernel records every call ([`kernel::audit`]). This service looks them up, and delivers them
//! to buckets: the task `cloudtrail.delivery` writes a trail's log files every five minutes of the
//! region's clock and its digest files every hour.

mod access;
mod cfn;
mod deliver;
mod digest;
mod error;
mod event;
mod lookup;
mod public_key;
mod selector;
mod status;
mod store;
mod tags;
mod trail;

use std::sync::Arc;

use kernel::cipher::Cipher;
use kernel::throttle::Limit;
use kernel::{Service, Task};

/// What the service works with.
pub struct Drivers {
    /// Seals the keys that digests are signed with.
    pub cipher: Cipher,
}

pub(crate) type Ctx = kernel::Ctx<Drivers>;
pub(crate) type TaskCtx = kernel::TaskCtx<Drivers>;

/// The principal that log files are written as.
pub(crate) const PRINCIPAL: &str = "cloudtrail.amazonaws.com";

/// AWS: LookupEvents, "two requests per second per account and Region".
const LOOKUPS: Limit = Limit { burst: 2, refill_per_sec: 2 };

/// The service's table.
pub fn service(drivers: Drivers) -> Service<Drivers> {
    Service::with(cloudtrail_api::SERVICE, Arc::new(drivers))
        .access(access::RULES)
        .resource_tags(tags::of_arn)
        .throttle("LookupEvents", LOOKUPS)
        .operation(lookup::lookup_events)
        .operation(trail::create_trail)
        .operation(trail::update_trail)
        .operation(trail::delete_trail)
        .operation(trail::describe_trails)
        .operation(trail::get_trail)
        .operation(trail::list_trails)
        .operation(status::get_trail_status)
        .operation(status::start_logging)
        .operation(status::stop_logging)
        .operation(selector::get_event_selectors)
        .operation(selector::put_event_selectors)
        .operation(selector::get_insight_selectors)
        .operation(public_key::list_public_keys)
        .operation(tags::add_tags)
        .operation(tags::remove_tags)
        .operation(tags::list_tags)
        .task(
            Task::keyed("cloudtrail.delivery", deliver::keys, deliver::run)
                .wakes_on(&["cloudtrail.trails"]),
        )
        .resource_type(cfn::trail())
}
