//! CloudFormation resource types of IAM.
//!
//! AWS: "AWS Identity and Access Management resource type reference". A resource is made under its
//! name, then [`settled`](kernel::resource::ResourceHandler::settled) gives it its policies, so
//! that a stack knows, and can delete, what failed halfway.

mod access_key;
mod claim;
mod instance_profile;
mod linked_role;
mod policy;
mod principal;
mod properties;
mod role;
mod user;

use std::sync::Arc;

use kernel::resource::ResourceType;

use crate::Directory;

/// Every resource type of IAM.
pub(crate) fn types(directory: &Arc<Directory>) -> Vec<ResourceType> {
    let claims = claim::Claims::new(directory.clone());
    vec![
        role::role(claims.clone()),
        user::user(claims.clone()),
        user::group(claims.clone()),
        instance_profile::instance_profile(claims.clone()),
        policy::policy(),
        policy::managed_policy(claims.clone()),
        access_key::access_key(claims.clone()),
        linked_role::service_linked_role(claims),
    ]
}
