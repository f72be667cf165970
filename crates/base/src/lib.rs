//! Values that every layer shares: accounts, regions, zones, ARNs, resource ids, CIDR blocks and
//! time. Nothing here does I/O or holds state; the clock and the source of randomness are traits
//! that the server hands down.

mod arn;
mod cidr;
mod clock;
mod id;
mod place;
mod timestamp;

pub use arn::{Arn, ParseArnError};
pub use cidr::{Cidr, ParseCidrError};
pub use clock::{Clock, ManualClock};
pub use id::{MacAddress, Random, ResourceId};
pub use place::{AccountId, ParseAccountIdError, Partition, Region, Zone};
pub use timestamp::{ParseTimestampError, Timestamp};

/// The tags of a resource, by key.
///
/// AWS: "Tag your AWS resources" (keys to 128 characters, values to 256, 50 a resource).
pub type Tags = std::collections::BTreeMap<String, String>;
