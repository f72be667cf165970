//! The errors of AWS Certificate Manager, one variant a documented code.

use acm_api::error as shape;
use kernel::ServiceError;
use protocol::schema;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Each carries its text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    InvalidArgs(String),
    #[error("The provided ARN {0} is not valid.")]
    InvalidArn(String),
    #[error("{0}")]
    InvalidDomainValidationOptions(String),
    #[error("{0}")]
    InvalidParameter(String),
    #[error("{0}")]
    InvalidState(String),
    #[error("{0}")]
    InvalidTag(String),
    #[error("{0}")]
    LimitExceeded(String),
    #[error("Certificate request is in progress: {0}")]
    RequestInProgress(String),
    #[error("Certificate {0} in account {1} is in use.")]
    ResourceInUse(String, String),
    #[error("Could not find certificate {0} in account {1}.")]
    ResourceNotFound(String, String),
    #[error("{0}")]
    TooManyTags(String),
    #[error("{0}")]
    Validation(String),
    #[error("the store failed")]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

/// A request that the model allows and the service does not.
pub(crate) fn invalid(text: impl Into<String>) -> Error {
    Error::Validation(text.into())
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let name = match error {
            Error::Conflict(_) => shape::CONFLICT_EXCEPTION,
            Error::InvalidArgs(_) => shape::INVALID_ARGS_EXCEPTION,
            Error::InvalidArn(_) => shape::INVALID_ARN_EXCEPTION,
            Error::InvalidDomainValidationOptions(_) => {
                shape::INVALID_DOMAIN_VALIDATION_OPTIONS_EXCEPTION
            }
            Error::InvalidParameter(_) => shape::INVALID_PARAMETER_EXCEPTION,
            Error::InvalidState(_) => shape::INVALID_STATE_EXCEPTION,
            Error::InvalidTag(_) => shape::INVALID_TAG_EXCEPTION,
            Error::LimitExceeded(_) => shape::LIMIT_EXCEEDED_EXCEPTION,
            Error::RequestInProgress(_) => shape::REQUEST_IN_PROGRESS_EXCEPTION,
            Error::ResourceInUse(..) => shape::RESOURCE_IN_USE_EXCEPTION,
            Error::ResourceNotFound(..) => shape::RESOURCE_NOT_FOUND_EXCEPTION,
            Error::TooManyTags(_) => shape::TOO_MANY_TAGS_EXCEPTION,
            Error::Validation(_) => shape::VALIDATION_EXCEPTION,
            Error::Store(cause) => return Self::internal(cause),
            Error::Inside(inside) => return inside,
        };
        match schema::service(acm_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
