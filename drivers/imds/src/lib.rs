//! The instance metadata service: what an instance can ask about itself, at 169.254.169.254.
//!
//! An [`Imds`] gets one document ([`Metadata`]): per VPC, what the instance behind each address may
//! read. A request is answered for the address that it comes from, which the fabric keeps from
//! being forged. Tokens (IMDSv2) need no memory: they are sealed with a key of the document, bound
//! to the instance and its address, and end by themselves, so every process with the same document
//! takes the tokens of the others. Sockets are opened with `SO_REUSEPORT` for that reason.

mod metadata;
mod server;
mod service;
mod socket;
mod time;
mod token;
mod tree;

pub use metadata::{
    Credentials, HttpTokens, Iam, InstanceMetadata, InterfaceMetadata, Metadata, Options,
    PublicKey, VpcMetadata,
};
pub use server::{Imds, ImdsStatus, ListenerStatus};
pub use socket::InNamespace;
