//! How a bucket is shared: its access control list, whether its policy lets everyone in, who pays
//! for requests, and what watches them.

use serde::{Deserialize, Serialize};

use crate::acl::Acl;

/// What of a bucket's settings every request must know.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sharing {
    pub(crate) acl: Acl,
    /// The bucket's policy lets everyone in.
    pub(crate) public_policy: bool,
    /// Other accounts must say that they pay.
    pub(crate) requester_pays: bool,
    /// Requests may come by the host name of Transfer Acceleration: `Enabled` or `Suspended`.
    pub(crate) acceleration: Option<String>,
    /// Requests are logged.
    pub(crate) logged: bool,
}
