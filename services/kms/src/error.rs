//! The errors of KMS, one variant a documented code.

use kernel::ServiceError;
use kms_api::error as shape;
use protocol::schema;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    NotFound(String),
    #[error("{0} is disabled.")]
    Disabled(String),
    #[error("{0}")]
    InvalidState(String),
    #[error("")]
    InvalidCiphertext,
    #[error("The key ID in the request does not identify a CMK that can perform this operation.")]
    IncorrectKey,
    #[error("{0}")]
    InvalidKeyUsage(String),
    #[error("{0}")]
    AlreadyExists(String),
    #[error("{0}")]
    InvalidAliasName(String),
    #[error("{0}")]
    InvalidArn(String),
    #[error("Invalid grant token.")]
    InvalidGrantToken,
    #[error("The import token is not valid for this key.")]
    InvalidImportToken,
    #[error("The import token is expired.")]
    ExpiredImportToken,
    #[error("{0}")]
    IncorrectKeyMaterial(String),
    #[error("Invalid marker")]
    InvalidMarker,
    #[error("{0}")]
    LimitExceeded(String),
    #[error("{0}")]
    MalformedPolicy(String),
    #[error("{0}")]
    Tag(String),
    #[error("{0}")]
    UnsupportedOperation(String),
    #[error("{0}")]
    Validation(String),
    #[error("The request would have succeeded, but the DryRun option is set.")]
    DryRun,
    #[error("The MAC is not valid.")]
    InvalidMac,
    #[error("The signature is not valid.")]
    InvalidSignature,
    #[error("{0}")]
    CustomKeyStoreNotFound(String),
    #[error("The cryptographic library refused to work.")]
    Crypto,
    #[error("{0}")]
    NotImplemented(String),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl From<aws_lc_rs::error::Unspecified> for Error {
    /// AWS-LC says no more than that it refused.
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let name = match error {
            Error::NotFound(_) => shape::NOT_FOUND_EXCEPTION,
            Error::Disabled(_) => shape::DISABLED_EXCEPTION,
            Error::InvalidState(_) => shape::KMS_INVALID_STATE_EXCEPTION,
            Error::InvalidCiphertext => shape::INVALID_CIPHERTEXT_EXCEPTION,
            Error::IncorrectKey => shape::INCORRECT_KEY_EXCEPTION,
            Error::InvalidKeyUsage(_) => shape::INVALID_KEY_USAGE_EXCEPTION,
            Error::AlreadyExists(_) => shape::ALREADY_EXISTS_EXCEPTION,
            Error::InvalidAliasName(_) => shape::INVALID_ALIAS_NAME_EXCEPTION,
            Error::InvalidArn(_) => shape::INVALID_ARN_EXCEPTION,
            Error::InvalidGrantToken => shape::INVALID_GRANT_TOKEN_EXCEPTION,
            Error::InvalidImportToken => shape::INVALID_IMPORT_TOKEN_EXCEPTION,
            Error::ExpiredImportToken => shape::EXPIRED_IMPORT_TOKEN_EXCEPTION,
            Error::IncorrectKeyMaterial(_) => shape::INCORRECT_KEY_MATERIAL_EXCEPTION,
            Error::InvalidMarker => shape::INVALID_MARKER_EXCEPTION,
            Error::LimitExceeded(_) => shape::LIMIT_EXCEEDED_EXCEPTION,
            Error::MalformedPolicy(_) => shape::MALFORMED_POLICY_DOCUMENT_EXCEPTION,
            Error::Tag(_) => shape::TAG_EXCEPTION,
            Error::UnsupportedOperation(_) => shape::UNSUPPORTED_OPERATION_EXCEPTION,
            Error::Validation(_) => "ValidationException",
            Error::DryRun => shape::DRY_RUN_OPERATION_EXCEPTION,
            Error::InvalidMac => shape::KMS_INVALID_MAC_EXCEPTION,
            Error::InvalidSignature => shape::KMS_INVALID_SIGNATURE_EXCEPTION,
            Error::CustomKeyStoreNotFound(_) => shape::CUSTOM_KEY_STORE_NOT_FOUND_EXCEPTION,
            Error::Crypto => return Self::internal(text),
            Error::NotImplemented(_) => return Self::new("NotImplemented", text).status(501),
            Error::Store(inside) => return Self::internal(inside),
            Error::Inside(inside) => return inside,
        };
        match schema::service(kms_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
