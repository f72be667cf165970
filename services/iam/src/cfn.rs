//! CloudFormation resource types.
use crate::Directory;
use kernel::resource::ResourceType;
use std::sync::Arc;
pub(crate) fn types(_directory: &Arc<Directory>) -> Vec<ResourceType> {
    Vec::new()
}
