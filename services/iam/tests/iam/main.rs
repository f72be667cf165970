//! IAM over HTTP, in a region whose principals it keeps itself.

mod denied;
mod policies;
mod principals;
mod region;
mod stacks;
