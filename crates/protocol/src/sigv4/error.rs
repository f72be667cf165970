//! Why a request is not to be trusted, and the words in which each family of services says so.
//!
//! AWS: "Troubleshoot Signature Version 4 signing for AWS API requests", "Error responses" of the
//! Amazon S3 API Reference, "Error codes for the Amazon EC2 API".

use std::time::Duration;

use base::Timestamp;

use super::checksum::ChecksumAlgorithm;
use super::claim::Place;

/// A family of services that answers in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// awsQuery services, as IAM and RDS.
    Query,
    /// EC2, which has codes of its own.
    Ec2,
    /// awsJson and CBOR services, as DynamoDB.
    Json,
    /// restJson and restXml services other than S3.
    Rest,
    /// S3.
    S3,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The error code.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The message.
    pub message: String,
    /// Further members of S3's error document, in order.
    pub members: Vec<(&'static str, String)>,
}

/// What was signed here and by the client, where the two differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The access key.
    pub access_key_id: String,
    /// The signature that came.
    pub signature: String,
    /// The string to sign, as it is computed here.
    pub string_to_sign: String,
    /// The canonical request, as it is computed here.
    pub canonical_request: String,
}

/// What is wrong with `X-Amz-Expires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadExpires {
    /// It is no number.
    NotANumber,
    /// It is negative.
    Negative,
    /// It is longer than seven days.
    TooLong,
}

/// Why a request is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages show")]
pub enum SigV4Error {
    /// The request is not signed, and the operation wants it to be.
    #[error("the request is not signed")]
    MissingAuthenticationToken,
    /// Header and query both claim, or one twice.
    #[error("the request is signed twice")]
    SeveralMechanisms,
    /// Another algorithm or an old signature version.
    #[error("the algorithm {presented} is not supported")]
    UnsupportedAlgorithm { presented: String, place: Place },
    /// The header lacks a part.
    #[error("the Authorization header is incomplete")]
    Incomplete { missing: Vec<&'static str>, date_missing: bool, authorization: String },
    /// The query lacks a part.
    #[error("the query's signature is incomplete")]
    IncompleteQuery,
    /// The credential is not of five parts.
    #[error("the credential {presented} is malformed")]
    MalformedCredential { presented: String, place: Place },
    /// The scope does not end as it must.
    #[error("the credential scope ends in {presented}")]
    BadTerminator { presented: String, place: Place },
    /// The date is not in basic ISO 8601 form.
    #[error("the date {presented} is malformed")]
    BadDate { presented: String, place: Place },
    /// The scope's day is not the date's.
    #[error("the scope's day {scope_date} is not that of {amz_date}")]
    DateMismatch { scope_date: String, amz_date: String, place: Place },
    /// Signed for another region.
    #[error("signed for region {presented}, not {expected}")]
    WrongRegion { presented: String, expected: String, place: Place },
    /// Signed for another service.
    #[error("signed for service {presented}, not {expected}")]
    WrongService { presented: String, expected: String, place: Place },
    /// The life of a presigned request is out of bounds.
    #[error("the presigned request's life is out of bounds")]
    BadExpires(BadExpires),
    /// The host is not among the signed headers.
    #[error("the host is not signed")]
    HostNotSigned,
    /// Headers that must be signed are not.
    #[error("headers are not signed: {}", .0.join(", "))]
    HeadersNotSigned(Vec<String>),
    /// Signed too long ago.
    #[error("signed at {signed_at}, too long before {now}")]
    Expired { signed_at: Timestamp, now: Timestamp },
    /// Signed in the future.
    #[error("signed at {signed_at}, after {now}")]
    NotYetCurrent { signed_at: Timestamp, now: Timestamp, place: Place },
    /// The life of the presigned request is over.
    #[error("presigned at {signed_at} for {expires:?}, which is over at {now}")]
    PresignedExpired { signed_at: Timestamp, expires: Duration, now: Timestamp },
    /// The signature is not that of the request.
    #[error("the signature of access key {} does not match", .0.access_key_id)]
    Mismatch(Box<Mismatch>),
    /// S3 wants `x-amz-content-sha256`.
    #[error("x-amz-content-sha256 is missing")]
    MissingContentSha256,
    /// `x-amz-content-sha256` is neither a hash nor a known mode.
    #[error("x-amz-content-sha256 is malformed")]
    BadContentSha256,
    /// The body has another hash than was declared.
    #[error("the body's SHA-256 is {computed}, not {declared}")]
    ContentMismatch { declared: String, computed: String },
    /// A body in chunks says no `x-amz-decoded-content-length`.
    #[error("x-amz-decoded-content-length is missing")]
    MissingDecodedLength,
    /// A chunk's header or end is malformed, or too long.
    #[error("the body's chunks are malformed")]
    MalformedChunk,
    /// A chunk's or the trailer's signature does not match.
    #[error("the signature of a chunk does not match")]
    ChunkSignature { string_to_sign: String, signature: String },
    /// A chunk other than the last is under 8 KiB.
    #[error("a chunk is too small: {size} bytes")]
    ChunkTooSmall { size: u64 },
    /// The body ended early, or is longer or shorter than it said.
    #[error("the body holds {decoded} bytes, not {declared}")]
    DecodedLength { declared: u64, decoded: u64 },
    /// The trailer is malformed or not the one that was announced.
    #[error("the body's trailer is malformed")]
    MalformedTrailer,
    /// A trailing checksum is not that of the body.
    #[error("the body's {} does not match", algorithm.name())]
    ChecksumMismatch { algorithm: ChecksumAlgorithm },
}

impl SigV4Error {
    /// What a client of a service of `family` is told.
    pub fn answer(&self, family: Family) -> Answer {
        match family {
            Family::S3 => self.answer_of_s3(),
            Family::Query | Family::Ec2 | Family::Json | Family::Rest => self.answer_of(family),
        }
    }

    fn answer_of(&self, family: Family) -> Answer {
        let (class, message) = self.class();
        let ec2_validates = "AWS was not able to validate the provided access credentials";
        let (code, status, message) = match (class, family) {
            (Class::Missing, Family::Json) => ("MissingAuthenticationTokenException", 400, message),
            (Class::Missing, Family::Rest) => ("MissingAuthenticationTokenException", 403, message),
            (Class::Missing, _) => ("MissingAuthenticationToken", 403, message),
            (Class::Incomplete, Family::Json) => ("IncompleteSignatureException", 400, message),
            (Class::Incomplete, Family::Rest) => ("IncompleteSignatureException", 403, message),
            (Class::Incomplete, _) => ("IncompleteSignature", 400, message),
            (Class::Expired, Family::Ec2) => {
                ("RequestExpired", 400, "Request has expired.".to_owned())
            }
            (Class::Invalid, Family::Ec2) => ("AuthFailure", 401, ec2_validates.to_owned()),
            (Class::Invalid | Class::Expired, Family::Json) => {
                ("InvalidSignatureException", 400, message)
            }
            (Class::Invalid | Class::Expired, Family::Rest) => {
                ("InvalidSignatureException", 403, message)
            }
            (Class::Invalid | Class::Expired, _) => ("SignatureDoesNotMatch", 403, message),
        };
        Answer { code, status, message, members: Vec::new() }
    }

    /// The class and the message outside S3.
    fn class(&self) -> (Class, String) {
        match self {
            Self::MissingAuthenticationToken => {
                (Class::Missing, "Request is missing Authentication Token".to_owned())
            }
            Self::SeveralMechanisms
            | Self::UnsupportedAlgorithm { .. }
            | Self::Incomplete { .. }
            | Self::IncompleteQuery
            | Self::MalformedCredential { .. }
            | Self::BadDate { .. }
            | Self::BadExpires(_) => (Class::Incomplete, self.incomplete()),
            Self::Expired { signed_at, now } => (Class::Expired, expired(*signed_at, *now)),
            Self::PresignedExpired { signed_at, expires, now } => (
                Class::Expired,
                format!(
                    "Signature expired: {} is now earlier than {} ({} - {}.)",
                    signed_at.iso8601_basic(),
                    (*now - *expires).iso8601_basic(),
                    now.iso8601_basic(),
                    span(*expires),
                ),
            ),
            Self::NotYetCurrent { signed_at, now, .. } => (
                Class::Invalid,
                format!(
                    "Signature not yet current: {} is still later than {} ({} + 15 min.)",
                    signed_at.iso8601_basic(),
                    (*now + SKEW).iso8601_basic(),
                    now.iso8601_basic(),
                ),
            ),
            Self::BadTerminator { .. }
            | Self::DateMismatch { .. }
            | Self::WrongRegion { .. }
            | Self::WrongService { .. }
            | Self::HostNotSigned
            | Self::HeadersNotSigned(_)
            | Self::Mismatch(_)
            | Self::MissingContentSha256
            | Self::BadContentSha256
            | Self::ContentMismatch { .. }
            | Self::MissingDecodedLength
            | Self::MalformedChunk
            | Self::ChunkSignature { .. }
            | Self::ChunkTooSmall { .. }
            | Self::DecodedLength { .. }
            | Self::MalformedTrailer
            | Self::ChecksumMismatch { .. } => (Class::Invalid, self.invalid()),
        }
    }

    /// Messages about a claim that can't be read.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on the variants that are named here"
    )]
    fn incomplete(&self) -> String {
        match self {
            Self::Incomplete { missing, date_missing, authorization } => {
                let mut text = String::new();
                for name in missing {
                    text.push_str(&format!("Authorization header requires '{name}' parameter. "));
                }
                if *date_missing {
                    text.push_str(
                        "Authorization header requires existence of either a 'X-Amz-Date' or a \
                         'Date' header. ",
                    );
                }
                text.push_str(&format!("Authorization={authorization}"));
                text
            }
            Self::UnsupportedAlgorithm { presented, .. } => {
                format!("Unsupported AWS 'algorithm': '{presented}'.")
            }
            Self::MalformedCredential { presented, .. } => format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{presented}'"
            ),
            Self::BadDate { presented, .. } => format!(
                "Date must be in ISO-8601 'basic format'. Got '{presented}'. See \
                 http://en.wikipedia.org/wiki/ISO_8601"
            ),
            Self::BadExpires(fault) => fault.message().to_owned(),
            Self::SeveralMechanisms => {
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the \
                 Authorization header should be specified"
                    .to_owned()
            }
            _ => "AWS query-string parameters must include 'X-Amz-Algorithm', 'X-Amz-Credential', \
                  'X-Amz-Signature', 'X-Amz-SignedHeaders' and 'X-Amz-Date'."
                .to_owned(),
        }
    }

    /// Messages about a claim that is read and wrong.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on the variants that are named here"
    )]
    fn invalid(&self) -> String {
        match self {
            Self::BadTerminator { presented, .. } => format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not \
                 '{presented}'."
            ),
            Self::DateMismatch { scope_date, amz_date, .. } => format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{scope_date}' != '{}', from '{amz_date}'.",
                amz_date.get(..8).unwrap_or(amz_date)
            ),
            Self::WrongRegion { expected, presented, .. } => format!(
                "Credential should be scoped to a valid region, not '{presented}'. Expected \
                 '{expected}'."
            ),
            Self::WrongService { expected, .. } => {
                format!("Credential should be scoped to correct service: '{expected}'.")
            }
            Self::HostNotSigned => {
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
                    .to_owned()
            }
            Self::ContentMismatch { .. }
            | Self::BadContentSha256
            | Self::MissingDecodedLength
            | Self::MalformedChunk
            | Self::ChunkTooSmall { .. }
            | Self::DecodedLength { .. }
            | Self::MalformedTrailer
            | Self::ChecksumMismatch { .. } => self.of_body().1,
            _ => "The request signature we calculated does not match the signature you provided. \
                  Check your AWS Secret Access Key and signing method. Consult the service \
                  documentation for details."
                .to_owned(),
        }
    }
}

pub(crate) const SKEW: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy)]
enum Class {
    Missing,
    Incomplete,
    Invalid,
    Expired,
}

fn expired(signed_at: Timestamp, now: Timestamp) -> String {
    format!(
        "Signature expired: {} is now earlier than {} ({} - 15 min.)",
        signed_at.iso8601_basic(),
        (now - SKEW).iso8601_basic(),
        now.iso8601_basic(),
    )
}

/// Minutes where there are whole ones, seconds elsewhere.
fn span(length: Duration) -> String {
    match length.as_secs() {
        secs if secs % 60 == 0 => format!("{} min", secs / 60),
        secs => format!("{secs} sec"),
    }
}

impl BadExpires {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::NotANumber => "X-Amz-Expires should be a number",
            Self::Negative => "X-Amz-Expires must be non-negative",
            Self::TooLong => {
                "X-Amz-Expires must be less than a week (in seconds); that is, the given \
                 X-Amz-Expires must be less than 604800 seconds"
            }
        }
    }
}
