//! IAM over HTTP, in a region whose principals it keeps itself.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod cases;
mod credentials;
mod denied;
mod policies;
mod principals;
mod providers;
mod region;
mod stacks;
