//! The errors of Secrets Manager, one variant a documented code.

use kernel::ServiceError;
use protocol::schema;
use secretsmanager_api::error as shape;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Secrets Manager can't find the specified secret.")]
    SecretNotFound,
    #[error("Secrets Manager can't find the specified secret value for {0}")]
    ValueNotFound(String),
    #[error("The operation failed because the secret {0} already exists.")]
    ResourceExists(String),
    #[error("You can't perform this operation on the secret because it was marked for deletion.")]
    MarkedForDeletion,
    #[error(
        "You can't create this secret because a secret with this name is already scheduled for \
         deletion."
    )]
    NameScheduledForDeletion,
    #[error("A resource with the ID you requested already exists with different content.")]
    OtherContent,
    #[error("{0}")]
    InvalidParameter(String),
    #[error("{0}")]
    MalformedPolicy(String),
    #[error("You can't attach a policy that allows public access.")]
    PublicPolicy,
    #[error("Invalid NextToken")]
    InvalidNextToken,
    #[error("{0}")]
    InvalidRequest(String),
    #[error("Access to KMS is not allowed")]
    KmsDenied,
    #[error(
        "Secrets Manager can't encrypt the protected secret text using the provided KMS key: {0}"
    )]
    EncryptionFailure(String),
    #[error(
        "Secrets Manager can't decrypt the protected secret text using the provided KMS key: {0}"
    )]
    DecryptionFailure(String),
    #[error("{0}")]
    LimitExceeded(String),
    #[error(
        "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function \
         policy grants access to the principal secretsmanager.amazonaws.com. There is no function \
         {0} in this region."
    )]
    NoFunction(String),
    #[error("{0}")]
    Unsupported(String),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let name = match error {
            Error::SecretNotFound | Error::ValueNotFound(_) => shape::RESOURCE_NOT_FOUND_EXCEPTION,
            Error::ResourceExists(_) | Error::OtherContent => shape::RESOURCE_EXISTS_EXCEPTION,
            Error::MarkedForDeletion | Error::NameScheduledForDeletion => {
                shape::INVALID_REQUEST_EXCEPTION
            }
            Error::InvalidParameter(_) => shape::INVALID_PARAMETER_EXCEPTION,
            Error::MalformedPolicy(_) => shape::MALFORMED_POLICY_DOCUMENT_EXCEPTION,
            Error::PublicPolicy => shape::PUBLIC_POLICY_EXCEPTION,
            Error::InvalidRequest(_) => shape::INVALID_REQUEST_EXCEPTION,
            Error::EncryptionFailure(_) => shape::ENCRYPTION_FAILURE,
            Error::DecryptionFailure(_) => shape::DECRYPTION_FAILURE,
            Error::LimitExceeded(_) => shape::LIMIT_EXCEEDED_EXCEPTION,
            Error::KmsDenied | Error::NoFunction(_) => "AccessDeniedException",
            Error::InvalidNextToken => shape::INVALID_NEXT_TOKEN_EXCEPTION,
            Error::Unsupported(_) => return Self::new("NotImplemented", text).status(501),
            Error::Store(inside) => return Self::internal(inside),
            Error::Inside(inside) => return inside,
        };
        match schema::service(secretsmanager_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
