//! AWS Identity and Access Management, after the IAM API Reference (2010-05-08).
//!
//! The [`Directory`] answers the kernel on every call: whose key signed it, and which policies
//! bear on it. The operations write the same tables, so a change holds from the next call on.

mod access;
mod access_key;
mod account;
mod attachment;
mod cfn;
mod credential_report;
mod details;
mod directory;
mod document;
mod entity;
mod error;
mod group;
mod inline;
mod instance_profile;
mod last_accessed;
mod linked_role;
mod listing;
mod login_profile;
mod mfa_device;
mod oidc_provider;
mod password;
mod password_policy;
mod pem;
mod policy;
mod policy_version;
mod role;
mod saml_provider;
mod server_certificate;
mod service_credential;
mod signing_certificate;
mod simulation;
mod ssh_public_key;
mod store;
mod tag;
mod totp;
mod user;

use std::sync::Arc;

use kernel::Service;

pub use directory::{Directory, FirstAccount, KeyPair};

pub(crate) type Ctx = kernel::Ctx<Directory>;

/// The service's table.
pub fn service(directory: Arc<Directory>) -> Service<Directory> {
    let types = cfn::types(&directory);
    let service = Service::with(iam_api::SERVICE, directory).access(access::RULES);
    let service = federation(credentials(tags(policies(principals(service)))))
        .operation(account::create_account_alias)
        .operation(account::delete_account_alias)
        .operation(account::list_account_aliases)
        .operation(account::get_account_summary)
        .operation(details::get_account_authorization_details)
        .operation(simulation::simulate_principal_policy)
        .operation(simulation::simulate_custom_policy)
        .operation(simulation::get_context_keys_for_custom_policy)
        .operation(simulation::get_context_keys_for_principal_policy)
        .operation(credential_report::generate_credential_report)
        .operation(credential_report::get_credential_report)
        .operation(last_accessed::generate_service_last_accessed_details)
        .operation(last_accessed::get_service_last_accessed_details)
        .operation(last_accessed::get_service_last_accessed_details_with_entities)
        .operation(last_accessed::list_policies_granting_service_access);
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

/// What users prove themselves with beside access keys.
fn credentials(service: Service<Directory>) -> Service<Directory> {
    service
        .operation(login_profile::create_login_profile)
        .operation(login_profile::get_login_profile)
        .operation(login_profile::update_login_profile)
        .operation(login_profile::delete_login_profile)
        .operation(login_profile::change_password)
        .operation(password_policy::get_account_password_policy)
        .operation(password_policy::update_account_password_policy)
        .operation(password_policy::delete_account_password_policy)
        .operation(mfa_device::create_virtual_mfa_device)
        .operation(mfa_device::delete_virtual_mfa_device)
        .operation(mfa_device::list_virtual_mfa_devices)
        .operation(mfa_device::enable_mfa_device)
        .operation(mfa_device::deactivate_mfa_device)
        .operation(mfa_device::resync_mfa_device)
        .operation(mfa_device::list_mfa_devices)
        .operation(mfa_device::get_mfa_device)
        .operation(mfa_device::tag_mfa_device)
        .operation(mfa_device::untag_mfa_device)
        .operation(mfa_device::list_mfa_device_tags)
        .operation(signing_certificate::upload_signing_certificate)
        .operation(signing_certificate::list_signing_certificates)
        .operation(signing_certificate::update_signing_certificate)
        .operation(signing_certificate::delete_signing_certificate)
        .operation(ssh_public_key::upload_ssh_public_key)
        .operation(ssh_public_key::get_ssh_public_key)
        .operation(ssh_public_key::list_ssh_public_keys)
        .operation(ssh_public_key::update_ssh_public_key)
        .operation(ssh_public_key::delete_ssh_public_key)
        .operation(service_credential::create_service_specific_credential)
        .operation(service_credential::list_service_specific_credentials)
        .operation(service_credential::update_service_specific_credential)
        .operation(service_credential::reset_service_specific_credential)
        .operation(service_credential::delete_service_specific_credential)
}

/// Who else vouches for people, and the certificates of servers.
fn federation(service: Service<Directory>) -> Service<Directory> {
    service
        .operation(saml_provider::create_saml_provider)
        .operation(saml_provider::get_saml_provider)
        .operation(saml_provider::update_saml_provider)
        .operation(saml_provider::delete_saml_provider)
        .operation(saml_provider::list_saml_providers)
        .operation(saml_provider::tag_saml_provider)
        .operation(saml_provider::untag_saml_provider)
        .operation(saml_provider::list_saml_provider_tags)
        .operation(oidc_provider::create_open_id_connect_provider)
        .operation(oidc_provider::get_open_id_connect_provider)
        .operation(oidc_provider::delete_open_id_connect_provider)
        .operation(oidc_provider::list_open_id_connect_providers)
        .operation(oidc_provider::add_client_id_to_open_id_connect_provider)
        .operation(oidc_provider::remove_client_id_from_open_id_connect_provider)
        .operation(oidc_provider::update_open_id_connect_provider_thumbprint)
        .operation(oidc_provider::tag_open_id_connect_provider)
        .operation(oidc_provider::untag_open_id_connect_provider)
        .operation(oidc_provider::list_open_id_connect_provider_tags)
        .operation(server_certificate::upload_server_certificate)
        .operation(server_certificate::get_server_certificate)
        .operation(server_certificate::list_server_certificates)
        .operation(server_certificate::update_server_certificate)
        .operation(server_certificate::delete_server_certificate)
        .operation(server_certificate::tag_server_certificate)
        .operation(server_certificate::untag_server_certificate)
        .operation(server_certificate::list_server_certificate_tags)
}
