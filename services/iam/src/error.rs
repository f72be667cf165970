//! The errors of IAM, one variant a documented code.

use iam_api::error as shape;
use kernel::ServiceError;
use protocol::schema;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    NoSuchEntity(String),
    #[error("{0}")]
    EntityAlreadyExists(String),
    #[error("Cannot delete entity, must {0} first.")]
    DeleteConflict(&'static str),
    #[error("{0}")]
    PolicyInUse(&'static str),
    #[error("{0}")]
    LimitExceeded(String),
    #[error("{0}")]
    MalformedPolicyDocument(String),
    #[error("{0}")]
    InvalidInput(String),
    #[error(
        "Cannot perform the operation on the protected role '{0}' - this role is only modifiable \
         by AWS"
    )]
    UnmodifiableEntity(String),
    #[error("{0}")]
    PolicyNotAttachable(&'static str),
    #[error("{0}")]
    Validation(String),
    #[error("{0}")]
    AccessDenied(String),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl Error {
    /// A quota, by AWS's name, and its value.
    ///
    /// AWS: "IAM and AWS STS quotas".
    pub(crate) fn quota(name: &str, value: usize) -> Self {
        Self::LimitExceeded(format!("Cannot exceed quota for {name}: {value}"))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Inside(ServiceError::internal(error))
    }
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::NoSuchEntity(_) => modelled(shape::NO_SUCH_ENTITY_EXCEPTION, text),
            Error::EntityAlreadyExists(_) => modelled(shape::ENTITY_ALREADY_EXISTS_EXCEPTION, text),
            Error::DeleteConflict(_) | Error::PolicyInUse(_) => {
                modelled(shape::DELETE_CONFLICT_EXCEPTION, text)
            }
            Error::LimitExceeded(_) => modelled(shape::LIMIT_EXCEEDED_EXCEPTION, text),
            Error::MalformedPolicyDocument(_) => {
                modelled(shape::MALFORMED_POLICY_DOCUMENT_EXCEPTION, text)
            }
            Error::InvalidInput(_) => modelled(shape::INVALID_INPUT_EXCEPTION, text),
            Error::UnmodifiableEntity(_) => modelled(shape::UNMODIFIABLE_ENTITY_EXCEPTION, text),
            Error::PolicyNotAttachable(_) => modelled(shape::POLICY_NOT_ATTACHABLE_EXCEPTION, text),
            Error::Validation(_) => Self::new("ValidationError", text),
            Error::AccessDenied(_) => Self::new("AccessDenied", text).status(403),
            Error::Inside(inside) => inside,
        }
    }
}

fn modelled(name: &str, text: String) -> ServiceError {
    match schema::service(iam_api::SERVICE) {
        Some(model) => ServiceError::modelled(model, name, text),
        None => ServiceError::new(name, text),
    }
}
