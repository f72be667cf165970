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
