//! The errors of AWS CloudTrail, one variant a documented code.

use cloudtrail_api::error as shape;
use kernel::ServiceError;
use protocol::schema;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Each carries its text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("The trail ARN {0} is not valid.")]
    ArnInvalid(String),
    #[error("Insights is not enabled for trail {0}.")]
    InsightNotEnabled(String),
    #[error("Incorrect S3 bucket policy is detected for bucket: {0}")]
    InsufficientS3BucketPolicy(String),
    #[error("{0}")]
    InvalidEventSelectors(String),
    #[error("{0}")]
    InvalidLookupAttributes(String),
    #[error("The token is not valid.")]
    InvalidNextToken,
    #[error("{0}")]
    InvalidParameter(String),
    #[error("{0}")]
    InvalidParameterCombination(String),
    #[error("Bucket name {0} is not valid.")]
    InvalidS3BucketName(String),
    #[error("Prefix {0} is not valid.")]
    InvalidS3Prefix(String),
    #[error("{0}")]
    InvalidTagParameter(String),
    #[error("The start time must be before the end time.")]
    InvalidTimeRange,
    #[error("The token is not valid.")]
    InvalidToken,
    #[error("{0}")]
    InvalidTrailName(String),
    #[error("User: {0} already has {1} trails in {2}.")]
    MaximumNumberOfTrailsExceeded(String, usize, String),
    #[error("Resource {0} was not found.")]
    ResourceNotFound(String),
    #[error("Resource type of {0} is not supported.")]
    ResourceTypeNotSupported(String),
    #[error("S3 bucket {0} does not exist!")]
    S3BucketDoesNotExist(String),
    #[error("{0}")]
    TagsLimitExceeded(String),
    #[error("Trail {0} already exists for customer: {1}")]
    TrailAlreadyExists(String, String),
    #[error("Unknown trail: {0} for the user: {1}")]
    TrailNotFound(String, String),
    #[error("{0}")]
    UnsupportedOperation(String),
    #[error("the store failed")]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let name = match error {
            Error::ArnInvalid(_) => shape::CLOUD_TRAIL_ARN_INVALID_EXCEPTION,
            Error::InsightNotEnabled(_) => shape::INSIGHT_NOT_ENABLED_EXCEPTION,
            Error::InsufficientS3BucketPolicy(_) => shape::INSUFFICIENT_S3_BUCKET_POLICY_EXCEPTION,
            Error::InvalidEventSelectors(_) => shape::INVALID_EVENT_SELECTORS_EXCEPTION,
            Error::InvalidLookupAttributes(_) => shape::INVALID_LOOKUP_ATTRIBUTES_EXCEPTION,
            Error::InvalidNextToken => shape::INVALID_NEXT_TOKEN_EXCEPTION,
            Error::InvalidParameter(_) => shape::INVALID_PARAMETER_EXCEPTION,
            Error::InvalidParameterCombination(_) => shape::INVALID_PARAMETER_COMBINATION_EXCEPTION,
            Error::InvalidS3BucketName(_) => shape::INVALID_S3_BUCKET_NAME_EXCEPTION,
            Error::InvalidS3Prefix(_) => shape::INVALID_S3_PREFIX_EXCEPTION,
            Error::InvalidTagParameter(_) => shape::INVALID_TAG_PARAMETER_EXCEPTION,
            Error::InvalidTimeRange => shape::INVALID_TIME_RANGE_EXCEPTION,
            Error::InvalidToken => shape::INVALID_TOKEN_EXCEPTION,
            Error::InvalidTrailName(_) => shape::INVALID_TRAIL_NAME_EXCEPTION,
            Error::MaximumNumberOfTrailsExceeded(..) => {
                shape::MAXIMUM_NUMBER_OF_TRAILS_EXCEEDED_EXCEPTION
            }
            Error::ResourceNotFound(_) => shape::RESOURCE_NOT_FOUND_EXCEPTION,
            Error::ResourceTypeNotSupported(_) => shape::RESOURCE_TYPE_NOT_SUPPORTED_EXCEPTION,
            Error::S3BucketDoesNotExist(_) => shape::S3_BUCKET_DOES_NOT_EXIST_EXCEPTION,
            Error::TagsLimitExceeded(_) => shape::TAGS_LIMIT_EXCEEDED_EXCEPTION,
            Error::TrailAlreadyExists(..) => shape::TRAIL_ALREADY_EXISTS_EXCEPTION,
            Error::TrailNotFound(..) => shape::TRAIL_NOT_FOUND_EXCEPTION,
            Error::UnsupportedOperation(_) => shape::UNSUPPORTED_OPERATION_EXCEPTION,
            Error::Store(cause) => return Self::internal(cause),
            Error::Inside(inside) => return inside,
        };
        match schema::service(cloudtrail_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
