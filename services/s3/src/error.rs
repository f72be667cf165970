//! The errors of S3, one variant a documented code.
//!
//! AWS: "Error responses" (Amazon S3 API Reference).

use std::io;

use kernel::ServiceError;
use protocol::Value;
use protocol::sigv4::{ChunkedBodyError, Family, SigV4Error};

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
#[expect(clippy::enum_variant_names, reason = "the variants bear the names of S3's codes")]
pub(crate) enum Error {
    #[error("The specified bucket does not exist")]
    NoSuchBucket(String),
    #[error("The specified key does not exist.")]
    NoSuchKey(String),
    #[error(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may \
         have been aborted or completed."
    )]
    NoSuchUpload(String),
    #[error("The specified version does not exist.")]
    NoSuchVersion { key: String, version: String },
    #[error("The specified key does not exist.")]
    DeletedKey { key: String, version: String },
    #[error("The specified method is not allowed against this resource.")]
    MarkerNotAllowed { version: String, made: base::Timestamp },
    #[error("Access Denied because object protected by object lock.")]
    Locked,
    #[error("Object Lock configuration does not exist for this bucket")]
    ObjectLockConfigurationNotFoundError(String),
    #[error("The specified object does not have a ObjectLock configuration")]
    NoSuchObjectLockConfiguration,
    #[error("{0}")]
    InvalidBucketState(&'static str),
    #[error("The Versioning configuration specified in the request is invalid")]
    IllegalVersioningConfigurationException,
    #[error("The lifecycle configuration does not exist")]
    NoSuchLifecycleConfiguration(String),
    #[error("The storage class you specified is not valid")]
    InvalidStorageClass,
    #[error("{message}")]
    InvalidObjectState { message: &'static str, class: &'static str, tier: Option<&'static str> },
    #[error("Object restore is already in progress")]
    RestoreAlreadyInProgress,
    #[error("The bucket policy does not exist")]
    NoSuchBucketPolicy(String),
    #[error("The CORS configuration does not exist")]
    NoSuchCorsConfiguration(String),
    #[error("The specified bucket does not have a website configuration")]
    NoSuchWebsiteConfiguration(String),
    #[error("The specified configuration does not exist.")]
    NoSuchConfiguration,
    #[error("You are attempting to create a new configuration but have already reached the limit.")]
    TooManyConfigurations,
    #[error("The specified configuration id is invalid.")]
    InvalidConfigurationId,
    #[error("The destination bucket is not valid.")]
    InvalidS3DestinationBucket,
    #[error("{0}")]
    InvalidTargetBucketForLogging(String),
    #[error("{0}")]
    InvalidPolicyDocument(String),
    #[error("Transfer Acceleration is not configured on this bucket")]
    NotAccelerated,
    #[error(
        "The XML you provided was not well-formed or did not validate against our published schema"
    )]
    MalformedAcl,
    #[error("This request does not support content")]
    UnexpectedContent,
    #[error("{0}")]
    MalformedPost(&'static str),
    #[error("Your proposed upload is smaller than the minimum allowed size")]
    FormTooSmall { size: u64, min: u64 },
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    InvalidAccessKeyId,
    #[error("The provided token has expired.")]
    ExpiredToken,
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method."
    )]
    SignatureDoesNotMatch,
    #[error("Your request was missing a required header")]
    MissingSecurityHeader,
    #[error("The specified method is not allowed against this resource.")]
    MethodNotAllowed,
    #[error("Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")]
    InvalidBucketAclWithObjectOwnership,
    #[error("The TagSet does not exist")]
    NoSuchTagSet(String),
    #[error("The public access block configuration was not found")]
    NoSuchPublicAccessBlockConfiguration(String),
    #[error("The bucket ownership controls were not found")]
    OwnershipControlsNotFoundError(String),
    #[error(
        "The requested bucket name is not available. The bucket namespace is shared by all users \
         of the system. Please select a different name and try again."
    )]
    BucketAlreadyExists(String),
    #[error("Your previous request to create the named bucket succeeded and you already own it.")]
    BucketAlreadyOwnedByYou(String),
    #[error("The bucket you tried to delete is not empty")]
    BucketNotEmpty(String),
    #[error("The specified bucket is not valid.")]
    InvalidBucketName(String),
    #[error("{0}")]
    IllegalLocationConstraintException(String),
    #[error("You have attempted to create more buckets than allowed")]
    TooManyBuckets,
    #[error("{0}")]
    AccessDenied(String),
    #[error("The bucket does not allow ACLs")]
    AccessControlListNotSupported,
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed(&'static str),
    #[error("Not Modified")]
    NotModified,
    #[error("The requested range is not satisfiable")]
    InvalidRange { requested: String, size: u64 },
    #[error("The requested partnumber is not satisfiable")]
    InvalidPartNumber { requested: i32, count: u32 },
    #[error("{message}")]
    InvalidArgument { message: String, name: &'static str, value: String },
    #[error("{0}")]
    InvalidRequest(String),
    #[error("A header you provided implies functionality that is not implemented")]
    NotImplemented(&'static str),
    #[error("The Content-MD5 you specified was invalid.")]
    InvalidDigest(String),
    #[error("{0}")]
    BadDigest(String),
    #[error("You must provide the Content-Length HTTP header.")]
    MissingContentLength,
    #[error("Your proposed upload exceeds the maximum allowed size")]
    EntityTooLarge { size: u64, max: u64 },
    #[error("Your proposed upload is smaller than the minimum allowed size")]
    EntityTooSmall { size: u64, min: u64, number: u32, etag: String },
    #[error(
        "One or more of the specified parts could not be found.  The part may not have been \
         uploaded, or the specified entity tag may not match the part's entity tag."
    )]
    InvalidPart { upload: String, number: i32, etag: String },
    #[error("The list of parts was not in ascending order. Parts must be ordered by part number.")]
    InvalidPartOrder(String),
    #[error("{0}")]
    InvalidTag(String),
    #[error("Object tags cannot be greater than 10")]
    TooManyTags,
    #[error(
        "The XML you provided was not well-formed or did not validate against our published schema"
    )]
    MalformedXml,
    #[error("{0}")]
    MalformedPolicy(String),
    #[error("Your metadata headers exceed the maximum allowed metadata size")]
    MetadataTooLarge { size: usize },
    #[error("Your key is too long")]
    KeyTooLongError { size: usize },
    #[error("the body is not what was announced")]
    Body(Box<SigV4Error>),
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    IncompleteBody,
    #[error("the bytes of an object could not be read or written")]
    Blob(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl Error {
    pub(crate) fn denied() -> Self {
        Self::AccessDenied("Access Denied".to_owned())
    }

    pub(crate) fn locked() -> Self {
        Self::Locked
    }

    pub(crate) fn no_such_version(key: &str, version: &str) -> Self {
        Self::NoSuchVersion { key: key.to_owned(), version: version.to_owned() }
    }

    pub(crate) fn argument(
        name: &'static str,
        value: impl ToString,
        message: impl Into<String>,
    ) -> Self {
        Self::InvalidArgument { message: message.into(), name, value: value.to_string() }
    }

    /// Why a request's body broke off.
    pub(crate) fn of_body(error: &io::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<SigV4Error>() {
                return Self::Body(Box::new(found.clone()));
            }
            if let Some(ChunkedBodyError::SigV4(found)) =
                error.downcast_ref::<ChunkedBodyError<io::Error>>()
            {
                return Self::Body(Box::new(found.clone()));
            }
            // An I/O error shows what it wraps by `get_ref`; its `source` skips that.
            cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        Self::IncompleteBody
    }

    /// The error as it goes out, where it is not one of S3's own.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are S3's own")]
    fn into_inside(self) -> std::result::Result<ServiceError, Self> {
        match self {
            Self::Inside(inside) => Ok(inside),
            Self::Blob(inside) => Ok(ServiceError::internal(inside)),
            Self::Store(inside) => Ok(ServiceError::internal(inside)),
            own => Err(own),
        }
    }

    /// The code, the status and the further members of the document.
    #[expect(clippy::too_many_lines, reason = "one line a code")]
    fn describe(self) -> (&'static str, u16, Vec<(&'static str, String)>) {
        match self {
            Self::NoSuchBucket(name) => ("NoSuchBucket", 404, vec![("BucketName", name)]),
            Self::NoSuchKey(key) => ("NoSuchKey", 404, vec![("Key", key)]),
            Self::NoSuchVersion { key, version } => {
                ("NoSuchVersion", 404, vec![("Key", key), ("VersionId", version)])
            }
            Self::DeletedKey { key, version } => (
                "NoSuchKey",
                404,
                vec![
                    ("Key", key),
                    ("x-amz-delete-marker", "true".to_owned()),
                    ("x-amz-version-id", version),
                ],
            ),
            Self::MarkerNotAllowed { version, made } => (
                "MethodNotAllowed",
                405,
                vec![
                    ("Method", "GET".to_owned()),
                    ("ResourceType", "DeleteMarker".to_owned()),
                    ("allow", "DELETE".to_owned()),
                    ("last-modified", made.http_date()),
                    ("x-amz-delete-marker", "true".to_owned()),
                    ("x-amz-version-id", version),
                ],
            ),
            Self::Locked => ("AccessDenied", 403, Vec::new()),
            Self::ObjectLockConfigurationNotFoundError(name) => {
                ("ObjectLockConfigurationNotFoundError", 404, vec![("BucketName", name)])
            }
            Self::NoSuchObjectLockConfiguration => {
                ("NoSuchObjectLockConfiguration", 404, Vec::new())
            }
            Self::InvalidBucketState(_) => ("InvalidBucketState", 409, Vec::new()),
            Self::IllegalVersioningConfigurationException => {
                ("IllegalVersioningConfigurationException", 400, Vec::new())
            }
            Self::NoSuchLifecycleConfiguration(name) => {
                ("NoSuchLifecycleConfiguration", 404, vec![("BucketName", name)])
            }
            Self::InvalidStorageClass => ("InvalidStorageClass", 400, Vec::new()),
            Self::InvalidObjectState { class, tier, .. } => {
                let mut members = vec![("StorageClass", class.to_owned())];
                members.extend(tier.map(|tier| ("AccessTier", tier.to_owned())));
                ("InvalidObjectState", 403, members)
            }
            Self::RestoreAlreadyInProgress => ("RestoreAlreadyInProgress", 409, Vec::new()),
            Self::NoSuchUpload(id) => ("NoSuchUpload", 404, vec![("UploadId", id)]),
            Self::NoSuchBucketPolicy(name) => {
                ("NoSuchBucketPolicy", 404, vec![("BucketName", name)])
            }
            Self::NoSuchCorsConfiguration(name) => {
                ("NoSuchCORSConfiguration", 404, vec![("BucketName", name)])
            }
            Self::NoSuchWebsiteConfiguration(name) => {
                ("NoSuchWebsiteConfiguration", 404, vec![("BucketName", name)])
            }
            Self::NoSuchConfiguration => ("NoSuchConfiguration", 404, Vec::new()),
            Self::TooManyConfigurations => ("TooManyConfigurations", 400, Vec::new()),
            Self::InvalidConfigurationId => ("InvalidConfigurationId", 400, Vec::new()),
            Self::InvalidS3DestinationBucket => ("InvalidS3DestinationBucket", 400, Vec::new()),
            Self::InvalidTargetBucketForLogging(_) => {
                ("InvalidTargetBucketForLogging", 400, Vec::new())
            }
            Self::InvalidPolicyDocument(_) => ("InvalidPolicyDocument", 400, Vec::new()),
            Self::NotAccelerated => ("InvalidRequest", 400, Vec::new()),
            Self::MalformedAcl => ("MalformedACLError", 400, Vec::new()),
            Self::MalformedPost(_) => ("MalformedPOSTRequest", 400, Vec::new()),
            Self::FormTooSmall { size, min } => (
                "EntityTooSmall",
                400,
                vec![("ProposedSize", size.to_string()), ("MinSizeAllowed", min.to_string())],
            ),
            Self::InvalidAccessKeyId => ("InvalidAccessKeyId", 403, Vec::new()),
            Self::ExpiredToken => ("ExpiredToken", 400, Vec::new()),
            Self::SignatureDoesNotMatch => ("SignatureDoesNotMatch", 403, Vec::new()),
            Self::UnexpectedContent => ("UnexpectedContent", 400, Vec::new()),
            Self::MissingSecurityHeader => {
                let name = "x-amz-acl".to_owned();
                ("MissingSecurityHeader", 400, vec![("MissingHeaderName", name)])
            }
            Self::MethodNotAllowed => ("MethodNotAllowed", 405, Vec::new()),
            Self::InvalidBucketAclWithObjectOwnership => {
                ("InvalidBucketAclWithObjectOwnership", 400, Vec::new())
            }
            Self::NoSuchTagSet(name) => ("NoSuchTagSet", 404, vec![("BucketName", name)]),
            Self::NoSuchPublicAccessBlockConfiguration(name) => {
                ("NoSuchPublicAccessBlockConfiguration", 404, vec![("BucketName", name)])
            }
            Self::OwnershipControlsNotFoundError(name) => {
                ("OwnershipControlsNotFoundError", 404, vec![("BucketName", name)])
            }
            Self::BucketAlreadyExists(name) => {
                ("BucketAlreadyExists", 409, vec![("BucketName", name)])
            }
            Self::BucketAlreadyOwnedByYou(name) => {
                ("BucketAlreadyOwnedByYou", 409, vec![("BucketName", name)])
            }
            Self::BucketNotEmpty(name) => ("BucketNotEmpty", 409, vec![("BucketName", name)]),
            Self::InvalidBucketName(name) => ("InvalidBucketName", 400, vec![("BucketName", name)]),
            Self::IllegalLocationConstraintException(_) => {
                ("IllegalLocationConstraintException", 400, Vec::new())
            }
            Self::TooManyBuckets => ("TooManyBuckets", 400, Vec::new()),
            Self::AccessDenied(_) => ("AccessDenied", 403, Vec::new()),
            Self::AccessControlListNotSupported => {
                ("AccessControlListNotSupported", 400, Vec::new())
            }
            Self::PreconditionFailed(condition) => {
                ("PreconditionFailed", 412, vec![("Condition", condition.to_owned())])
            }
            Self::NotModified => ("NotModified", 304, Vec::new()),
            Self::InvalidRange { requested, size } => (
                "InvalidRange",
                416,
                vec![("RangeRequested", requested), ("ActualObjectSize", size.to_string())],
            ),
            Self::InvalidPartNumber { requested, count } => (
                "InvalidPartNumber",
                416,
                vec![
                    ("ActualPartCount", count.to_string()),
                    ("PartNumberRequested", requested.to_string()),
                ],
            ),
            Self::InvalidArgument { name, value, .. } => (
                "InvalidArgument",
                400,
                vec![("ArgumentName", name.to_owned()), ("ArgumentValue", value)],
            ),
            Self::InvalidRequest(_) => ("InvalidRequest", 400, Vec::new()),
            Self::NotImplemented(header) => {
                ("NotImplemented", 501, vec![("Header", header.to_owned())])
            }
            Self::InvalidDigest(digest) => ("InvalidDigest", 400, vec![("Content-MD5", digest)]),
            Self::BadDigest(_) => ("BadDigest", 400, Vec::new()),
            Self::MissingContentLength => ("MissingContentLength", 411, Vec::new()),
            Self::EntityTooLarge { size, max } => (
                "EntityTooLarge",
                400,
                vec![("ProposedSize", size.to_string()), ("MaxSizeAllowed", max.to_string())],
            ),
            Self::EntityTooSmall { size, min, number, etag } => (
                "EntityTooSmall",
                400,
                vec![
                    ("ProposedSize", size.to_string()),
                    ("MinSizeAllowed", min.to_string()),
                    ("PartNumber", number.to_string()),
                    ("ETag", etag),
                ],
            ),
            Self::InvalidPart { upload, number, etag } => (
                "InvalidPart",
                400,
                vec![("UploadId", upload), ("PartNumber", number.to_string()), ("ETag", etag)],
            ),
            Self::InvalidPartOrder(upload) => ("InvalidPartOrder", 400, vec![("UploadId", upload)]),
            Self::InvalidTag(_) => ("InvalidTag", 400, Vec::new()),
            Self::TooManyTags => ("BadRequest", 400, Vec::new()),
            Self::MalformedXml => ("MalformedXML", 400, Vec::new()),
            Self::MalformedPolicy(_) => ("MalformedPolicy", 400, Vec::new()),
            Self::MetadataTooLarge { size } => (
                "MetadataTooLarge",
                400,
                vec![("Size", size.to_string()), ("MaxSizeAllowed", "2048".to_owned())],
            ),
            Self::KeyTooLongError { size } => (
                "KeyTooLongError",
                400,
                vec![("Size", size.to_string()), ("MaxSizeAllowed", "1024".to_owned())],
            ),
            Self::IncompleteBody => ("IncompleteBody", 400, Vec::new()),
            Self::Body(error) => {
                let answer = error.answer(Family::S3);
                (answer.code, answer.status, answer.members)
            }
            Self::Blob(_) | Self::Store(_) | Self::Inside(_) => ("InternalError", 500, Vec::new()),
        }
    }
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = if let Error::Body(body) = &error {
            body.answer(Family::S3).message
        } else {
            error.to_string()
        };
        let error = match error.into_inside() {
            Ok(inside) => return inside,
            Err(own) => own,
        };
        let (code, status, members) = error.describe();
        let start = Self::new(code, text).status(status);
        members.into_iter().fold(start, |e, (name, value)| e.field(name, Value::Text(value)))
    }
}
