//! How a request's body is bound to its signature.
//!
//! AWS: "Signature Calculations for the Authorization Header: Transferring Payload in a Single
//! Chunk" and "... in Multiple Chunks".

use super::canonical::Parts;
use super::claim::{Claim, Presented};
use super::error::SigV4Error;
use super::key::unhex;
use super::{UNSIGNED_PAYLOAD, is_s3};

/// The services beside S3 that take bodies which nobody signed, as their models say.
const UNSIGNED_BODIES: [&str; 2] = ["lex", "mediastore"];

/// How a request's body is bound to its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadMode {
    /// The signature is over this SHA-256, in hexadecimal; the body must have it.
    Declared(String),
    /// The signature is over the SHA-256 of the body, which is to be computed.
    Computed,
    /// The body is not signed.
    Unsigned,
    /// The body comes in chunks.
    Chunks(ChunkMode),
}

/// How the chunks of an `aws-chunked` body are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkMode {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: each is signed.
    Signed,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: each is signed, and so are the trailers.
    SignedTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: none is signed, trailers carry a checksum.
    UnsignedTrailer,
}

impl ChunkMode {
    /// The value of `x-amz-content-sha256` that names the mode.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signed => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::SignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Signed, Self::SignedTrailer, Self::UnsignedTrailer]
            .into_iter()
            .find(|mode| mode.name() == name)
    }

    /// Whether each chunk carries a signature.
    pub fn is_signed(self) -> bool {
        match self {
            Self::Signed | Self::SignedTrailer => true,
            Self::UnsignedTrailer => false,
        }
    }

    /// Whether headers follow the last chunk.
    pub fn has_trailer(self) -> bool {
        match self {
            Self::SignedTrailer | Self::UnsignedTrailer => true,
            Self::Signed => false,
        }
    }
}

impl PayloadMode {
    /// Reads the mode of a request.
    ///
    /// # Errors
    ///
    /// [`SigV4Error::MissingContentSha256`] and [`SigV4Error::BadContentSha256`], by S3's rules.
    pub fn of(parts: &Parts<'_>, claim: &Claim) -> Result<Self, SigV4Error> {
        let s3 = is_s3(&claim.service);
        let header = parts.header("x-amz-content-sha256").map(str::to_owned);
        let declared = header.or_else(|| parts.query_value("X-Amz-Content-Sha256"));
        let presigned = matches!(claim.presented, Presented::Query { .. });
        match declared.as_deref() {
            None if s3 && presigned => Ok(Self::Unsigned),
            None if s3 => Err(SigV4Error::MissingContentSha256),
            None => Ok(Self::Computed),
            // Elsewhere than there the body itself is looked at.
            Some(UNSIGNED_PAYLOAD) if s3 || UNSIGNED_BODIES.contains(&claim.service.as_str()) => {
                Ok(Self::Unsigned)
            }
            Some(text) => match ChunkMode::parse(text) {
                // Chunks are chained by the key of one region.
                Some(mode) if claim.asymmetric && mode.is_signed() => {
                    Err(SigV4Error::BadContentSha256)
                }
                Some(mode) => Ok(Self::Chunks(mode)),
                None if unhex(text).is_some() => Ok(Self::Declared(text.to_owned())),
                // Other services look at the body only.
                None if !s3 => Ok(Self::Computed),
                None => Err(SigV4Error::BadContentSha256),
            },
        }
    }

    /// What stands for the body in the canonical request; nothing when it is to be computed.
    pub fn canonical(&self) -> Option<&str> {
        match self {
            Self::Declared(hash) => Some(hash),
            Self::Computed => None,
            Self::Unsigned => Some(UNSIGNED_PAYLOAD),
            Self::Chunks(mode) => Some(mode.name()),
        }
    }

    /// Checks a body's SHA-256, in hexadecimal, against the declared one.
    ///
    /// # Errors
    ///
    /// [`SigV4Error::ContentMismatch`].
    pub fn check_body(&self, computed: &str) -> Result<(), SigV4Error> {
        match self {
            Self::Declared(declared) if declared != computed => Err(SigV4Error::ContentMismatch {
                declared: declared.clone(),
                computed: computed.to_owned(),
            }),
            Self::Declared(_) | Self::Computed | Self::Unsigned | Self::Chunks(_) => Ok(()),
        }
    }
}
