//! AWS Certificate Manager, after the AWS Certificate Manager API Reference (2015-12-08).
//!
//! A certificate is a row with its key sealed; what can be served is written in the same
//! transaction to [`kernel::certificates`], where load balancers find it. The task
//! `acm.certificates` looks for validation records, issues, renews and lets expire.

mod access;
mod account;
mod authority;
mod cfn;
mod delete;
mod describe;
mod domain;
mod error;
mod export;
mod import;
mod issue;
mod key;
mod list;
mod request;
mod resolver;
mod store;
mod tags;
mod update;
mod x509;

use std::sync::Arc;

use kernel::cipher::Cipher;
use kernel::{Service, Task};

pub use authority::{Authority, AuthorityError};
pub use resolver::{DnsResolver, NoResolver, Resolver};

/// What the service works with.
pub struct Drivers {
    /// Seals the keys of certificates.
    pub cipher: Cipher,
    /// Signs certificates.
    pub authority: Arc<Authority>,
    /// Finds the records that prove who owns a domain.
    pub resolver: Arc<dyn Resolver>,
}

pub(crate) type Ctx = kernel::Ctx<Drivers>;
pub(crate) type TaskCtx = kernel::TaskCtx<Drivers>;

/// The service's table.
pub fn service(drivers: Drivers) -> Service<Drivers> {
    Service::with(acm_api::SERVICE, Arc::new(drivers))
        .access(access::RULES)
        .resource_tags(tags::of_arn)
        .operation(request::request_certificate)
        .operation(import::import_certificate)
        .operation(export::export_certificate)
        .operation(export::get_certificate)
        .operation(describe::describe_certificate)
        .operation(list::list_certificates)
        .operation(delete::delete_certificate)
        .operation(delete::revoke_certificate)
        .operation(update::renew_certificate)
        .operation(update::update_certificate_options)
        .operation(update::resend_validation_email)
        .operation(account::get_account_configuration)
        .operation(account::put_account_configuration)
        .operation(tags::add_tags_to_certificate)
        .operation(tags::remove_tags_from_certificate)
        .operation(tags::list_tags_for_certificate)
        .operation(tags::tag_resource)
        .operation(tags::untag_resource)
        .operation(tags::list_tags_for_resource)
        .task(
            Task::keyed("acm.certificates", issue::keys, issue::run)
                .wakes_on(&["acm.certificates", "kernel.certificate_uses"]),
        )
        .resource_type(cfn::certificate())
        .resource_type(cfn::account())
}
