//! CloudFormation resource types.

use kernel::resource::ResourceType;

/// The types of this service.
pub(crate) fn types() -> Vec<ResourceType> {
    Vec::new()
}
