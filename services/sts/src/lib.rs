//! AWS Security Token Service, after the AWS STS API Reference (2011-06-15).
//!
//! Sessions are not kept: the token carries them, sealed by the kernel's [`kernel::session`].

mod access;
mod error;
mod identity;
mod session;
mod store;

use kernel::Service;

/// The service's table.
pub fn service() -> Service {
    Service::new(sts_api::SERVICE)
        .access(access::RULES)
        .operation(identity::get_caller_identity)
        .operation(identity::get_access_key_info)
        .operation(session::assume_role)
        .operation(session::get_session_token)
}
