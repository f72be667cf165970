//! S3's words for what is wrong with a signature or a body.
//!
//! AWS: "Error responses" of the Amazon S3 API Reference.

use base::Timestamp;

use super::claim::Place;
use super::error::{Answer, Mismatch, SKEW, SigV4Error};

impl SigV4Error {
    pub(crate) fn answer_of_s3(&self) -> Answer {
        let plain = |code, status, message: &str| Answer {
            code,
            status,
            message: message.to_owned(),
            members: Vec::new(),
        };
        match self {
            Self::MissingAuthenticationToken => plain("AccessDenied", 403, "Access Denied"),
            Self::SeveralMechanisms => plain(
                "InvalidArgument",
                400,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
                 Signature query string parameter or the Authorization header should be specified",
            ),
            Self::UnsupportedAlgorithm { place: Place::Query, .. } => plain(
                "AuthorizationQueryParametersError",
                400,
                "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"",
            ),
            Self::UnsupportedAlgorithm { .. } => plain(
                "InvalidRequest",
                400,
                "The authorization mechanism you have provided is not supported. Please use \
                 AWS4-HMAC-SHA256.",
            ),
            Self::IncompleteQuery => plain(
                "AuthorizationQueryParametersError",
                400,
                "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                 X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                 X-Amz-Expires parameters.",
            ),
            Self::BadExpires(fault) => {
                plain("AuthorizationQueryParametersError", 400, fault.message())
            }
            Self::Incomplete { missing, date_missing: true, .. } if missing.is_empty() => {
                date_needed()
            }
            Self::Incomplete { .. } => malformed_header(
                "the authorization header requires three components: Credential, \
                                  SignedHeaders, and Signature.",
                Vec::new(),
            ),
            Self::MalformedCredential { .. }
            | Self::BadTerminator { .. }
            | Self::BadDate { .. }
            | Self::DateMismatch { .. }
            | Self::WrongRegion { .. }
            | Self::WrongService { .. } => self.malformed_in_s3(),
            Self::HostNotSigned => self.headers_not_signed(&["host".to_owned()]),
            Self::HeadersNotSigned(names) => self.headers_not_signed(names),
            Self::Expired { .. } | Self::NotYetCurrent { .. } | Self::PresignedExpired { .. } => {
                self.time_in_s3()
            }
            Self::Mismatch(mismatch) => mismatch.answer(),
            Self::MissingContentSha256
            | Self::BadContentSha256
            | Self::ContentMismatch { .. }
            | Self::MissingDecodedLength
            | Self::MalformedChunk
            | Self::ChunkSignature { .. }
            | Self::ChunkTooSmall { .. }
            | Self::DecodedLength { .. }
            | Self::MalformedTrailer
            | Self::ChecksumMismatch { .. } => {
                let ((code, status), message) = self.of_body();
                Answer { code, status, message, members: self.body_members() }
            }
        }
    }

    fn headers_not_signed(&self, names: &[String]) -> Answer {
        Answer {
            code: "AccessDenied",
            status: 403,
            message: "There were headers present in the request which were not signed".to_owned(),
            members: vec![("HeadersNotSigned", names.join(", "))],
        }
    }

    /// S3's words about the parts of a credential.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on the variants that are named here"
    )]
    fn malformed_in_s3(&self) -> Answer {
        const FORM: &str = "expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
        let (place, fault, members) = match self {
            Self::MalformedCredential { place, .. } => {
                (place, format!("the Credential is mal-formed; {FORM}"), Vec::new())
            }
            Self::BadTerminator { presented, place } => (
                place,
                format!("incorrect terminal \"{presented}\". This endpoint uses \"aws4_request\"."),
                Vec::new(),
            ),
            Self::BadDate { place: Place::Header, .. } => {
                return date_needed();
            }
            Self::BadDate { place, .. } => (
                place,
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"".to_owned(),
                Vec::new(),
            ),
            Self::DateMismatch { scope_date, amz_date, place } => (
                place,
                format!(
                    "Invalid credential date \"{scope_date}\". This date is not the same as \
                     X-Amz-Date: \"{}\".",
                    amz_date.get(..8).unwrap_or(amz_date)
                ),
                Vec::new(),
            ),
            Self::WrongRegion { presented, expected, place } => (
                place,
                format!("the region '{presented}' is wrong; expecting '{expected}'"),
                vec![("Region", expected.clone())],
            ),
            Self::WrongService { presented, expected, place } => (
                place,
                format!(
                    "incorrect service \"{presented}\". This endpoint belongs to \"{expected}\"."
                ),
                Vec::new(),
            ),
            _ => (&Place::Header, String::new(), Vec::new()),
        };
        match place {
            Place::Header => malformed_header(&fault, members),
            Place::Query => {
                let is_date = matches!(self, Self::BadDate { .. });
                let prefix =
                    if is_date { "" } else { "Error parsing the X-Amz-Credential parameter; " };
                Answer {
                    code: "AuthorizationQueryParametersError",
                    status: 400,
                    message: format!("{prefix}{fault}"),
                    members,
                }
            }
        }
    }

    /// S3's words about time.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on the variants that are named here"
    )]
    fn time_in_s3(&self) -> Answer {
        let skewed = |signed_at: &Timestamp, now: &Timestamp| Answer {
            code: "RequestTimeTooSkewed",
            status: 403,
            message: "The difference between the request time and the current time is too large."
                .to_owned(),
            members: vec![
                ("RequestTime", signed_at.iso8601_basic()),
                ("ServerTime", now.iso8601_seconds()),
                ("MaxAllowedSkewMilliseconds", SKEW.as_millis().to_string()),
            ],
        };
        let denied = |message: &str, members| Answer {
            code: "AccessDenied",
            status: 403,
            message: message.to_owned(),
            members,
        };
        match self {
            Self::PresignedExpired { signed_at, expires, now } => denied(
                "Request has expired",
                vec![
                    ("X-Amz-Expires", expires.as_secs().to_string()),
                    ("Expires", (*signed_at + *expires).iso8601_seconds()),
                    ("ServerTime", now.iso8601_seconds()),
                ],
            ),
            Self::NotYetCurrent { place: Place::Query, .. } => {
                denied("Request is not yet valid", Vec::new())
            }
            Self::NotYetCurrent { signed_at, now, .. } | Self::Expired { signed_at, now } => {
                skewed(signed_at, now)
            }
            _ => denied("Access Denied", Vec::new()),
        }
    }

    /// Code, status and message of faults of the body.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on the variants that are named here"
    )]
    pub(crate) fn of_body(&self) -> ((&'static str, u16), String) {
        let (code, message) = match self {
            Self::MissingContentSha256 => (
                ("InvalidRequest", 400),
                "Missing required header for this request: x-amz-content-sha256",
            ),
            Self::BadContentSha256 => (
                ("InvalidArgument", 400),
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
                 STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            ),
            Self::ContentMismatch { .. } => (
                ("XAmzContentSHA256Mismatch", 400),
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ),
            Self::MissingDecodedLength => {
                (("MissingContentLength", 411), "You must provide the Content-Length HTTP header.")
            }
            Self::ChunkTooSmall { .. } => (
                ("InvalidChunkSizeError", 403),
                "Only the last chunk is allowed to have a size less than 8192 bytes",
            ),
            Self::DecodedLength { .. } => (
                ("IncompleteBody", 400),
                "You did not provide the number of bytes specified by the Content-Length HTTP \
                 header",
            ),
            Self::MalformedTrailer => (
                ("MalformedTrailerError", 400),
                "The request contained trailing data that was not well-formed or did not conform \
                 to our published schema.",
            ),
            Self::ChecksumMismatch { algorithm } => {
                let name = algorithm.name();
                return (
                    ("BadDigest", 400),
                    format!("The {name} you specified did not match the calculated checksum."),
                );
            }
            Self::ChunkSignature { .. } => (
                ("SignatureDoesNotMatch", 403),
                "The request signature we calculated does not match the signature you provided. \
                 Check your key and signing method.",
            ),
            _ => (("IncompleteBody", 400), "The request body terminated unexpectedly"),
        };
        (code, message.to_owned())
    }

    /// Members that S3's document has about a body.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on the variants that are named here"
    )]
    fn body_members(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::ContentMismatch { declared, computed } => vec![
                ("ClientComputedContentSHA256", declared.clone()),
                ("S3ComputedContentSHA256", computed.clone()),
            ],
            Self::ChunkSignature { string_to_sign, signature } => vec![
                ("StringToSign", string_to_sign.clone()),
                ("SignatureProvided", signature.clone()),
            ],
            _ => Vec::new(),
        }
    }
}

fn date_needed() -> Answer {
    Answer {
        code: "AccessDenied",
        status: 403,
        message: "AWS authentication requires a valid Date or x-amz-date header".to_owned(),
        members: Vec::new(),
    }
}

fn malformed_header(fault: &str, members: Vec<(&'static str, String)>) -> Answer {
    Answer {
        code: "AuthorizationHeaderMalformed",
        status: 400,
        message: format!("The authorization header is malformed; {fault}"),
        members,
    }
}

impl Mismatch {
    fn answer(&self) -> Answer {
        let spaced = |text: &str| {
            text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        };
        Answer {
            code: "SignatureDoesNotMatch",
            status: 403,
            message: "The request signature we calculated does not match the signature you \
                      provided. Check your key and signing method."
                .to_owned(),
            members: vec![
                ("AWSAccessKeyId", self.access_key_id.clone()),
                ("StringToSign", self.string_to_sign.clone()),
                ("SignatureProvided", self.signature.clone()),
                ("StringToSignBytes", spaced(&self.string_to_sign)),
                ("CanonicalRequest", self.canonical_request.clone()),
                ("CanonicalRequestBytes", spaced(&self.canonical_request)),
            ],
        }
    }
}
