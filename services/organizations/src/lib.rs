//! AWS Organizations, after the AWS Organizations API Reference (2016-11-28).
//!
//! The tables are global: an organization spans accounts. The kernel asks [`membership::of`] on
//! every call for the policies that bind an account, so a policy that is attached holds from the
//! next call on.

mod access;
mod account;
mod effective;
mod error;
mod handshake;
mod ids;
mod listing;
mod membership;
mod organization;
mod policy;
mod policy_type;
mod service_access;
mod store;
mod tag;
mod unit;

use kernel::{Service, Task};

/// The service's table.
pub fn service() -> Service {
    let service =
        Service::new(organizations_api::SERVICE).access(access::RULES).organization(membership::of);
    operations(service).subject(access::subject).task(
        Task::keyed("organizations.accounts", account::keys, account::run)
            .wakes_on(&["organizations.creations"]),
    )
}

fn operations(service: Service) -> Service {
    service
        .operation(organization::create_organization)
        .operation(organization::describe_organization)
        .operation(organization::delete_organization)
        .operation(organization::enable_all_features)
        .operation(organization::leave_organization)
        .operation(account::create_account)
        .operation(account::describe_create_account_status)
        .operation(account::list_create_account_status)
        .operation(account::describe_account)
        .operation(account::list_accounts)
        .operation(account::list_accounts_for_parent)
        .operation(account::close_account)
        .operation(account::move_account)
        .operation(account::remove_account_from_organization)
        .operation(unit::create_organizational_unit)
        .operation(unit::update_organizational_unit)
        .operation(unit::delete_organizational_unit)
        .operation(unit::describe_organizational_unit)
        .operation(unit::list_organizational_units_for_parent)
        .operation(unit::list_roots)
        .operation(unit::list_children)
        .operation(unit::list_parents)
        .operation(policy::create_policy)
        .operation(policy::update_policy)
        .operation(policy::delete_policy)
        .operation(policy::describe_policy)
        .operation(policy::list_policies)
        .operation(policy::list_policies_for_target)
        .operation(policy::list_targets_for_policy)
        .operation(policy::attach_policy)
        .operation(policy::detach_policy)
        .operation(policy_type::enable_policy_type)
        .operation(policy_type::disable_policy_type)
        .operation(effective::describe_effective_policy)
        .operation(handshake::invite_account_to_organization)
        .operation(handshake::accept_handshake)
        .operation(handshake::decline_handshake)
        .operation(handshake::cancel_handshake)
        .operation(handshake::describe_handshake)
        .operation(handshake::list_handshakes_for_account)
        .operation(handshake::list_handshakes_for_organization)
        .operation(service_access::enable_aws_service_access)
        .operation(service_access::disable_aws_service_access)
        .operation(service_access::list_aws_service_access_for_organization)
        .operation(service_access::register_delegated_administrator)
        .operation(service_access::deregister_delegated_administrator)
        .operation(service_access::list_delegated_administrators)
        .operation(service_access::list_delegated_services_for_account)
        .operation(tag::tag_resource)
        .operation(tag::untag_resource)
        .operation(tag::list_tags_for_resource)
}
