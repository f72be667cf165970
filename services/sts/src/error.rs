//! The errors of STS, one variant a documented code.

use kernel::ServiceError;
use protocol::schema;
use sts_api::error as shape;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    AccessDenied(String),
    #[error("{0}")]
    MalformedPolicyDocument(String),
    #[error("The requested DurationSeconds exceeds the {0} set for this role.")]
    DurationTooLong(&'static str),
    #[error("{0}")]
    Validation(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("Packed size of session tags consumes {0}% of allotted space.")]
    PackedPolicyTooLarge(usize),
    #[error("The message is not a valid encoded authorization message.")]
    InvalidAuthorizationMessage,
    #[error("{0}")]
    InvalidIdentityToken(String),
    #[error("{0}")]
    IdpCommunication(String),
    #[error("{0}")]
    ExpiredToken(String),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::AccessDenied(_) => Self::new("AccessDenied", text).status(403),
            Error::MalformedPolicyDocument(_) => {
                modelled(shape::MALFORMED_POLICY_DOCUMENT_EXCEPTION, text)
            }
            Error::DurationTooLong(_) | Error::Validation(_) => Self::new("ValidationError", text),
            Error::InvalidParameterValue(_) => Self::new("InvalidParameterValue", text),
            Error::PackedPolicyTooLarge(_) => {
                modelled(shape::PACKED_POLICY_TOO_LARGE_EXCEPTION, text)
            }
            Error::InvalidAuthorizationMessage => {
                modelled(shape::INVALID_AUTHORIZATION_MESSAGE_EXCEPTION, text)
            }
            Error::InvalidIdentityToken(_) => {
                modelled(shape::INVALID_IDENTITY_TOKEN_EXCEPTION, text)
            }
            Error::IdpCommunication(_) => modelled(shape::IDP_COMMUNICATION_ERROR_EXCEPTION, text),
            Error::ExpiredToken(_) => modelled(shape::EXPIRED_TOKEN_EXCEPTION, text),
            Error::Unsupported(_) => Self::new("NotImplemented", text).status(501),
            Error::Inside(inside) => inside,
        }
    }
}

fn modelled(name: &str, text: String) -> ServiceError {
    match schema::service(sts_api::SERVICE) {
        Some(model) => ServiceError::modelled(model, name, text),
        None => ServiceError::new(name, text),
    }
}
