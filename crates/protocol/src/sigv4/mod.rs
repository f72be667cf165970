//! AWS Signature Version 4: verifying requests, making signatures, and decoding signed bodies.
//!
//! AWS: "AWS Signature Version 4 for API requests", "Authenticating Requests (AWS Signature Version
//! 4)" of the Amazon S3 API Reference.
//!
//! A gateway reads a [`Claim`] from the request's [`Parts`], finds the secret of its access key,
//! learns from [`PayloadMode`] how the body is bound to the signature, and calls [`verify`]. A body
//! in chunks is then read through a [`ChunkedBody`], which the [`Verified`] claim seeds. Errors
//! know their code and words for each [`Family`] of services.

mod canonical;
mod checksum;
mod chunked;
mod chunked_body;
mod claim;
mod error;
mod error_s3;
mod key;
mod payload;
mod sign;
mod sigv4a;
#[cfg(test)]
mod tests;
mod verify;

pub use canonical::Parts;
pub use checksum::{Checksum, ChecksumAlgorithm};
pub use chunked::{ChunkSigner, ChunkedDecoder};
pub use chunked_body::{ChunkedBody, ChunkedBodyError};
pub use claim::{Claim, Place, Presented};
pub use error::{Answer, Family, Mismatch, SigV4Error};
pub use key::{KeyCache, SigningKey, sha256_hex};
pub use payload::{ChunkMode, PayloadMode};
pub use sign::{Credentials, Payload, Scope, Signed, presign, sign};
pub use verify::{Verified, verify};

/// The algorithm of signatures that hold in one region.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The algorithm of signatures that hold in several regions.
///
/// AWS: "AWS Signature Version 4 for API requests", SigV4a.
pub const ALGORITHM_A: &str = "AWS4-ECDSA-P256-SHA256";
/// The payload hash of a request whose body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The SHA-256 of nothing.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Whether a service signs by S3's rules: the path encoded once and taken as it is.
pub(crate) fn is_s3(service: &str) -> bool {
    matches!(service, "s3" | "s3express" | "s3-object-lambda" | "s3-outposts")
}
