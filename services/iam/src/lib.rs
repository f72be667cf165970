//! AWS Identity and Access Management, after the IAM API Reference (2010-05-08).
//!
//! The [`Directory`] answers the kernel on every call: whose key signed it, and which policies
//! bear on it. The operations write the same tables, so a change holds from the next call on.

mod access;
mod access_key;
mod account;
mod attachment;
mod cfn;
mod details;
mod directory;
mod document;
mod entity;
mod error;
mod group;
mod inline;
mod instance_profile;
mod linked_role;
mod listing;
mod policy;
mod policy_version;
mod role;
mod simulation;
mod store;
mod tag;
mod user;

use std::sync::Arc;

use kernel::Service;

pub use directory::{Directory, FirstAccount, KeyPair};

pub(crate) type Ctx = kernel::Ctx<Directory>;

/// The service's table.
pub fn service(directory: Arc<Directory>) -> Service<Directory> {
    let types = cfn::types(&directory);
    let service = Service::with(iam_api::SERVICE, directory).access(access::RULES);
    let service = tags(policies(principals(service)))
        .operation(account::create_account_alias)
        .operation(account::delete_account_alias)
        .operation(account::list_account_aliases)
        .operation(account::get_account_summary)
        .operation(details::get_account_authorization_details)
        .operation(simulation::simulate_principal_policy)
        .operation(simulation::simulate_custom_policy);
    types.into_iter().fold(service, Service::resource_type)
}

/// Users, their keys, groups, roles and instance profiles.
fn principals(service: Service<Directory>) -> Service<Directory> {
    service
        .operation(user::create_user)
        .operation(user::get_user)
        .operation(user::list_users)
        .operation(user::update_user)
        .operation(user::delete_user)
        .operation(access_key::create_access_key)
        .operation(access_key::list_access_keys)
        .operation(access_key::update_access_key)
        .operation(access_key::delete_access_key)
        .operation(access_key::get_access_key_last_used)
        .operation(group::create_group)
        .operation(group::get_group)
        .operation(group::list_groups)
        .operation(group::update_group)
        .operation(group::delete_group)
        .operation(group::add_user_to_group)
        .operation(group::remove_user_from_group)
        .operation(group::list_groups_for_user)
        .operation(role::create_role)
        .operation(role::get_role)
        .operation(role::list_roles)
        .operation(role::update_role)
        .operation(role::update_role_description)
        .operation(role::update_assume_role_policy)
        .operation(role::delete_role)
        .operation(linked_role::create_service_linked_role)
        .operation(linked_role::delete_service_linked_role)
        .operation(linked_role::get_service_linked_role_deletion_status)
        .operation(instance_profile::create_instance_profile)
        .operation(instance_profile::get_instance_profile)
        .operation(instance_profile::list_instance_profiles)
        .operation(instance_profile::list_instance_profiles_for_role)
        .operation(instance_profile::add_role_to_instance_profile)
        .operation(instance_profile::remove_role_from_instance_profile)
        .operation(instance_profile::delete_instance_profile)
}

/// Managed and inline policies, and who has them.
fn policies(service: Service<Directory>) -> Service<Directory> {
    service
        .operation(policy::create_policy)
        .operation(policy::get_policy)
        .operation(policy::list_policies)
        .operation(policy::delete_policy)
        .operation(policy_version::create_policy_version)
        .operation(policy_version::get_policy_version)
        .operation(policy_version::list_policy_versions)
        .operation(policy_version::set_default_policy_version)
        .operation(policy_version::delete_policy_version)
        .operation(attachment::attach_user_policy)
        .operation(attachment::detach_user_policy)
        .operation(attachment::list_attached_user_policies)
        .operation(attachment::attach_group_policy)
        .operation(attachment::detach_group_policy)
        .operation(attachment::list_attached_group_policies)
        .operation(attachment::attach_role_policy)
        .operation(attachment::detach_role_policy)
        .operation(attachment::list_attached_role_policies)
        .operation(attachment::list_entities_for_policy)
        .operation(attachment::put_user_permissions_boundary)
        .operation(attachment::delete_user_permissions_boundary)
        .operation(attachment::put_role_permissions_boundary)
        .operation(attachment::delete_role_permissions_boundary)
        .operation(inline::put_user_policy)
        .operation(inline::get_user_policy)
        .operation(inline::delete_user_policy)
        .operation(inline::list_user_policies)
        .operation(inline::put_group_policy)
        .operation(inline::get_group_policy)
        .operation(inline::delete_group_policy)
        .operation(inline::list_group_policies)
        .operation(inline::put_role_policy)
        .operation(inline::get_role_policy)
        .operation(inline::delete_role_policy)
        .operation(inline::list_role_policies)
}

/// Tags.
fn tags(service: Service<Directory>) -> Service<Directory> {
    service
        .operation(tag::tag_user)
        .operation(tag::untag_user)
        .operation(tag::list_user_tags)
        .operation(tag::tag_role)
        .operation(tag::untag_role)
        .operation(tag::list_role_tags)
        .operation(tag::tag_policy)
        .operation(tag::untag_policy)
        .operation(tag::list_policy_tags)
        .operation(tag::tag_instance_profile)
        .operation(tag::untag_instance_profile)
        .operation(tag::list_instance_profile_tags)
}
