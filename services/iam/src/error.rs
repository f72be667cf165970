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
    InvalidAuthenticationCode(&'static str),
    #[error("{0}")]
    PasswordPolicyViolation(String),
    #[error("{0}")]
    EntityTemporarilyUnmodifiable(String),
    #[error("{0}")]
    MalformedCertificate(&'static str),
    #[error("{0}")]
    KeyPairMismatch(&'static str),
    #[error("{0}")]
    DuplicateCertificate(String),
    #[error("{0}")]
    InvalidPublicKey(&'static str),
    #[error("{0}")]
    DuplicateSshPublicKey(String),
    #[error("Content type {0} is not supported for this key.")]
    UnrecognizedPublicKeyEncoding(&'static str),
    #[error("{0}")]
    NotSupportedService(String),
    #[error("{0}")]
    ReportNotPresent(&'static str),
    #[error("{0}")]
    ReportExpired(&'static str),
    #[error("{0}")]
    InvalidUserType(&'static str),
    #[error("The security token included in the request is invalid")]
    InvalidClientTokenId,
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
            Error::InvalidAuthenticationCode(_) => {
                modelled(shape::INVALID_AUTHENTICATION_CODE_EXCEPTION, text)
            }
            Error::PasswordPolicyViolation(_) => {
                modelled(shape::PASSWORD_POLICY_VIOLATION_EXCEPTION, text)
            }
            Error::EntityTemporarilyUnmodifiable(_) => {
                modelled(shape::ENTITY_TEMPORARILY_UNMODIFIABLE_EXCEPTION, text)
            }
            Error::MalformedCertificate(_) => {
                modelled(shape::MALFORMED_CERTIFICATE_EXCEPTION, text)
            }
            Error::KeyPairMismatch(_) => modelled(shape::KEY_PAIR_MISMATCH_EXCEPTION, text),
            Error::DuplicateCertificate(_) => {
                modelled(shape::DUPLICATE_CERTIFICATE_EXCEPTION, text)
            }
            Error::InvalidPublicKey(_) => modelled(shape::INVALID_PUBLIC_KEY_EXCEPTION, text),
            Error::DuplicateSshPublicKey(_) => {
                modelled(shape::DUPLICATE_SSH_PUBLIC_KEY_EXCEPTION, text)
            }
            Error::UnrecognizedPublicKeyEncoding(_) => {
                modelled(shape::UNRECOGNIZED_PUBLIC_KEY_ENCODING_EXCEPTION, text)
            }
            Error::NotSupportedService(_) => modelled(shape::SERVICE_NOT_SUPPORTED_EXCEPTION, text),
            Error::ReportNotPresent(_) => {
                modelled(shape::CREDENTIAL_REPORT_NOT_PRESENT_EXCEPTION, text)
            }
            Error::ReportExpired(_) => modelled(shape::CREDENTIAL_REPORT_EXPIRED_EXCEPTION, text),
            Error::InvalidUserType(_) => modelled(shape::INVALID_USER_TYPE_EXCEPTION, text),
            Error::InvalidClientTokenId => Self::new("InvalidClientTokenId", text).status(403),
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
