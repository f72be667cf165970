//! The errors of Parameter Store, one variant a documented code.

use kernel::ServiceError;
use protocol::schema;
use ssm_api::error as shape;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("")]
    ParameterNotFound,
    #[error("Systems Manager could not find version {0} of {1}.")]
    ParameterVersionNotFound(String, String),
    #[error(
        "The parameter already exists. To overwrite this value, set the overwrite option in the \
         request to true."
    )]
    ParameterAlreadyExists,
    #[error("Parameter value, cannot be validated against allowedPattern: {0}")]
    ParameterPatternMismatch(String),
    #[error("{0} is not a valid regular expression.")]
    InvalidAllowedPattern(String),
    #[error(
        "You attempted to create a new version of {0} by calling the PutParameter API with the \
         overwrite flag. Version {1}, the oldest version, can't be deleted because it has a label \
         associated with it. Move the label to another version of the parameter, and try again."
    )]
    ParameterMaxVersionLimitExceeded(String, i64),
    #[error(
        "You have exceeded the number of parameters for this AWS account: {0} of the {1} tier."
    )]
    ParameterLimitExceeded(usize, &'static str),
    #[error("The policy type is not supported: {0}")]
    InvalidPolicyType(String),
    #[error("{0}")]
    InvalidPolicyAttribute(String),
    #[error("You specified more than the maximum number of allowed policies: 10.")]
    PoliciesLimitExceeded,
    #[error("{0}")]
    InvalidFilterValue(String),
    #[error("A parameter version can have a maximum of ten labels.")]
    ParameterVersionLabelLimitExceeded,
    #[error("The parameter type can't be changed from {0} to {1}.")]
    HierarchyTypeMismatch(String, String),
    #[error("A hierarchy can have a maximum of 15 levels.")]
    HierarchyLevelLimitExceeded,
    #[error("The filter key {0} is not valid.")]
    InvalidFilterKey(String),
    #[error("The filter option {0} is not valid.")]
    InvalidFilterOption(String),
    #[error("The specified token is not valid.")]
    InvalidNextToken,
    #[error("The resource ID {0} is not valid.")]
    InvalidResourceId(String),
    #[error("The resource type {0} is not valid.")]
    InvalidResourceType(String),
    #[error("{0}")]
    InvalidKeyId(String),
    #[error("{0}")]
    Validation(String),
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
            Error::ParameterNotFound => shape::PARAMETER_NOT_FOUND,
            Error::ParameterVersionNotFound(..) => shape::PARAMETER_VERSION_NOT_FOUND,
            Error::ParameterAlreadyExists => shape::PARAMETER_ALREADY_EXISTS,
            Error::ParameterPatternMismatch(_) => shape::PARAMETER_PATTERN_MISMATCH_EXCEPTION,
            Error::InvalidAllowedPattern(_) => shape::INVALID_ALLOWED_PATTERN_EXCEPTION,
            Error::ParameterLimitExceeded(..) => shape::PARAMETER_LIMIT_EXCEEDED,
            Error::InvalidPolicyType(_) => shape::INVALID_POLICY_TYPE_EXCEPTION,
            Error::InvalidPolicyAttribute(_) => shape::INVALID_POLICY_ATTRIBUTE_EXCEPTION,
            Error::PoliciesLimitExceeded => shape::POLICIES_LIMIT_EXCEEDED_EXCEPTION,
            Error::InvalidFilterValue(_) => shape::INVALID_FILTER_VALUE,
            Error::ParameterMaxVersionLimitExceeded(..) => {
                shape::PARAMETER_MAX_VERSION_LIMIT_EXCEEDED
            }
            Error::ParameterVersionLabelLimitExceeded => {
                shape::PARAMETER_VERSION_LABEL_LIMIT_EXCEEDED
            }
            Error::HierarchyTypeMismatch(..) => shape::HIERARCHY_TYPE_MISMATCH_EXCEPTION,
            Error::HierarchyLevelLimitExceeded => shape::HIERARCHY_LEVEL_LIMIT_EXCEEDED_EXCEPTION,
            Error::InvalidFilterKey(_) => shape::INVALID_FILTER_KEY,
            Error::InvalidFilterOption(_) => shape::INVALID_FILTER_OPTION,
            Error::InvalidNextToken => shape::INVALID_NEXT_TOKEN,
            Error::InvalidResourceId(_) => shape::INVALID_RESOURCE_ID,
            Error::InvalidResourceType(_) => shape::INVALID_RESOURCE_TYPE,
            Error::InvalidKeyId(_) => shape::INVALID_KEY_ID,
            Error::Validation(_) => "ValidationException",
            Error::Unsupported(_) => return Self::new("NotImplemented", text).status(501),
            Error::Store(inside) => return Self::internal(inside),
            Error::Inside(inside) => return inside,
        };
        match schema::service(ssm_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
