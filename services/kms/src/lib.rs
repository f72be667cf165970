//! AWS Key Management Service, after the AWS KMS API Reference (2014-11-01).
//!
//! A key's material lies in the store sealed under the data folder's root key and is opened into
//! the [`keyring`], which holds what was read until a write changes it. Authorization needs more
//! than names in a request: [`subject`] finds the key that a call means (by alias, id, ARN or the
//! ciphertext itself), joins the grants that apply to the key's policy, and tells the condition
//! keys of the encryption context.

mod access;
mod alias;
mod asymmetric;
mod blob;
mod cfn;
mod data_key;
mod deletion;
mod encrypt;
mod error;
mod grant;
mod import;
mod key;
mod key_policy;
mod keyring;
mod list;
mod mac;
mod managed;
mod rotation;
mod sign;
mod spec;
mod state;
mod store;
mod subject;
mod tags;

use std::sync::Arc;

use kernel::cipher::Cipher;
use kernel::{Service, Task};

use crate::keyring::Keyring;

/// What the service works with.
pub struct Drivers {
    /// Seals key material under the data folder's root key.
    pub cipher: Cipher,
}

/// The drivers with what the service keeps in memory.
pub(crate) struct Parts {
    pub(crate) cipher: Cipher,
    pub(crate) keyring: Keyring,
}

pub(crate) type Ctx = kernel::Ctx<Parts>;
pub(crate) type TaskCtx = kernel::TaskCtx<Parts>;

/// The service's table.
pub fn service(drivers: Drivers) -> Service<impl Send + Sync + 'static> {
    let parts = Parts { cipher: drivers.cipher, keyring: Keyring::default() };
    let service = Service::with(kms_api::SERVICE, Arc::new(parts))
        .access(access::RULES)
        .subject(subject::of)
        .operation(key::create_key)
        .operation(key::describe_key)
        .operation(key::update_key_description)
        .operation(key::replicate_key)
        .operation(key::update_primary_region)
        .operation(state::enable_key)
        .operation(state::disable_key)
        .operation(deletion::schedule_key_deletion)
        .operation(deletion::cancel_key_deletion)
        .operation(list::list_keys)
        .operation(alias::create_alias)
        .operation(alias::update_alias)
        .operation(alias::delete_alias)
        .operation(alias::list_aliases)
        .operation(key_policy::put_key_policy)
        .operation(key_policy::get_key_policy)
        .operation(key_policy::list_key_policies)
        .operation(grant::create_grant)
        .operation(grant::list_grants)
        .operation(grant::list_retirable_grants)
        .operation(grant::revoke_grant)
        .operation(grant::retire_grant)
        .operation(tags::tag_resource)
        .operation(tags::untag_resource)
        .operation(tags::list_resource_tags);
    cryptographic(service)
        .operation(rotation::enable_key_rotation)
        .operation(rotation::disable_key_rotation)
        .operation(rotation::get_key_rotation_status)
        .operation(rotation::rotate_key_on_demand)
        .operation(rotation::list_key_rotations)
        .operation(import::get_parameters_for_import)
        .operation(import::import_key_material)
        .operation(import::delete_imported_key_material)
        .task(Task::new("kms.keys", state::due).wakes_on(&["kms.keys"]))
        .resource_type(cfn::key())
        .resource_type(cfn::alias())
        .resource_type(cfn::replica_key())
}

fn cryptographic(service: Service<Parts>) -> Service<Parts> {
    service
        .operation(encrypt::encrypt)
        .operation(encrypt::decrypt)
        .operation(encrypt::re_encrypt)
        .operation(data_key::generate_data_key)
        .operation(data_key::generate_data_key_without_plaintext)
        .operation(data_key::generate_data_key_pair)
        .operation(data_key::generate_data_key_pair_without_plaintext)
        .operation(data_key::generate_random)
        .operation(mac::generate_mac)
        .operation(mac::verify_mac)
        .operation(sign::sign)
        .operation(sign::verify)
        .operation(sign::get_public_key)
        .operation(sign::derive_shared_secret)
}
