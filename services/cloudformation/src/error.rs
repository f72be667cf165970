//! The service's errors.

use cloudformation_api::error as code;
use kernel::ServiceError;

use crate::template::TemplateError;

/// What the operations fail with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The request or the state it meets is not valid (`ValidationError`, which no model lists).
    #[error("{0}")]
    Validation(String),
    /// The template or its parameters are not valid.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A stack of the name exists.
    #[error("Stack [{0}] already exists")]
    AlreadyExists(String),
    /// The template needs capabilities that the caller did not give.
    #[error("Requires capabilities : [{0}]")]
    InsufficientCapabilities(&'static str),
    /// There is no such change set.
    #[error("ChangeSet [{0}] does not exist")]
    ChangeSetNotFound(String),
    /// The change set cannot be executed or deleted as it is.
    #[error("{0}")]
    InvalidChangeSetStatus(String),
    /// The token was used by another operation.
    #[error("A previous operation used the client request token {0}")]
    TokenAlreadyExists(String),
    /// A quota.
    #[error("{0}")]
    LimitExceeded(String),
    /// A service that was asked on the caller's behalf.
    #[error("{0}")]
    Service(ServiceError),
    /// The store.
    #[error("the store failed")]
    Store(#[from] store::Error),
}

/// What the operations return.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn validation(text: impl Into<String>) -> Self {
        Self::Validation(text.into())
    }

    /// A request member that this version does not honour.
    pub(crate) fn unsupported(member: &str) -> Self {
        Self::Validation(format!("{member} is not supported by this region."))
    }

    /// AWS: `DescribeStacks`, a stack that is not there.
    pub(crate) fn no_stack(name: &str) -> Self {
        Self::Validation(format!("Stack with id {name} does not exist"))
    }
}

impl From<ServiceError> for Error {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let modelled =
            |name: &str, text: String| match protocol::schema::service(cloudformation_api::SERVICE)
            {
                Some(schema) => Self::modelled(schema, name, text),
                None => Self::new(name, text),
            };
        match error {
            Error::Validation(_) | Error::Template(_) => Self::new("ValidationError", text),
            Error::AlreadyExists(_) => modelled(code::ALREADY_EXISTS_EXCEPTION, text),
            Error::InsufficientCapabilities(_) => {
                modelled(code::INSUFFICIENT_CAPABILITIES_EXCEPTION, text)
            }
            Error::ChangeSetNotFound(_) => modelled(code::CHANGE_SET_NOT_FOUND_EXCEPTION, text),
            Error::InvalidChangeSetStatus(_) => {
                modelled(code::INVALID_CHANGE_SET_STATUS_EXCEPTION, text)
            }
            Error::TokenAlreadyExists(_) => modelled(code::TOKEN_ALREADY_EXISTS_EXCEPTION, text),
            Error::LimitExceeded(_) => modelled(code::LIMIT_EXCEEDED_EXCEPTION, text),
            Error::Service(inner) => inner,
            Error::Store(cause) => Self::internal(cause),
        }
    }
}
