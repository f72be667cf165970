//! AWS Security Token Service, after the AWS STS API Reference (2011-06-15).
//!
//! Sessions are not kept: the token carries them, sealed by the kernel's [`kernel::session`].

mod access;
mod error;
mod federation;
mod identity;
mod issuer;
mod jwt;
mod message;
mod session;
mod store;
mod tags;

use kernel::Service;

/// The service's table.
pub fn service() -> Service {
    Service::new(sts_api::SERVICE)
        .access(access::RULES)
        .operation(identity::get_caller_identity)
        .operation(identity::get_access_key_info)
        .operation(session::assume_role)
        .operation(session::get_session_token)
        .operation(federation::get_federation_token)
        .operation(federation::assume_role_with_web_identity)
        .operation(message::decode_authorization_message)
}
