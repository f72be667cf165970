//! The errors of Organizations, one variant a documented code.

use kernel::ServiceError;
use organizations_api::error as shape;
use protocol::schema;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("You don't have permissions to access this resource.")]
    AccessDenied,
    #[error("Your account is not a member of an organization.")]
    NotInUse,
    #[error("{0}")]
    AlreadyInOrganization(String),
    #[error("You specified an account that doesn't exist.")]
    AccountNotFound,
    #[error("The account is already closed.")]
    AccountAlreadyClosed,
    #[error("The account is already a delegated administrator for the service.")]
    AccountAlreadyRegistered,
    #[error("The account is not a delegated administrator for the service.")]
    AccountNotRegistered,
    #[error("{0}")]
    ConstraintViolation(String),
    #[error("{0}")]
    InvalidInput(String),
    #[error("We can't find a create account request with the ID that you specified.")]
    CreationNotFound,
    #[error("You specified a parent that doesn't exist.")]
    ParentNotFound,
    #[error("You specified a source parent that isn't the account's.")]
    SourceParentNotFound,
    #[error("You specified a destination parent that doesn't exist.")]
    DestinationParentNotFound,
    #[error("You specified a child that doesn't exist.")]
    ChildNotFound,
    #[error("That account is already present in the specified destination.")]
    DuplicateAccount,
    #[error("An OU with the same name already exists.")]
    DuplicateUnit,
    #[error("You specified an organizational unit that doesn't exist.")]
    UnitNotFound,
    #[error("The specified OU is not empty.")]
    UnitNotEmpty,
    #[error("You specified a root that doesn't exist.")]
    RootNotFound,
    #[error("You specified a target that doesn't exist.")]
    TargetNotFound,
    #[error("You specified a policy that doesn't exist.")]
    PolicyNotFound,
    #[error("A policy with the same name already exists.")]
    DuplicatePolicy,
    #[error("The selected policy is already attached to the specified target.")]
    DuplicateAttachment,
    #[error("The policy isn't attached to the specified target.")]
    PolicyNotAttached,
    #[error("The policy is attached to one or more entities.")]
    PolicyInUse,
    #[error("{0}")]
    MalformedPolicyDocument(String),
    #[error("The specified policy type is already enabled.")]
    TypeAlreadyEnabled,
    #[error("The specified policy type is not enabled.")]
    TypeNotEnabled,
    #[error("The policy type is not available for this organization.")]
    TypeNotAvailable,
    #[error("The effective policy does not exist.")]
    EffectivePolicyNotFound,
    #[error("We can't find a handshake with the ID that you specified.")]
    HandshakeNotFound,
    #[error("The handshake is already in the requested state or can't go there.")]
    HandshakeTransition,
    #[error("A handshake with the same action and target already exists.")]
    DuplicateHandshake,
    #[error("{0}")]
    HandshakeConstraint(String),
    #[error("The organization isn't empty. Remove all accounts, OUs and policies first.")]
    OrganizationNotEmpty,
    #[error("The management account can't leave the organization.")]
    MasterCannotLeave,
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl Error {
    /// A constraint by AWS's reason and what it means.
    pub(crate) fn constraint(reason: &str, text: &str) -> Self {
        Self::ConstraintViolation(format!("{reason}: {text}"))
    }

    pub(crate) fn input(reason: &str, text: &str) -> Self {
        Self::InvalidInput(format!("{reason}: {text}"))
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
        let code = match error {
            Error::AccessDenied => shape::ACCESS_DENIED_EXCEPTION,
            Error::NotInUse => shape::AWS_ORGANIZATIONS_NOT_IN_USE_EXCEPTION,
            Error::AlreadyInOrganization(_) => shape::ALREADY_IN_ORGANIZATION_EXCEPTION,
            Error::AccountNotFound => shape::ACCOUNT_NOT_FOUND_EXCEPTION,
            Error::AccountAlreadyClosed => shape::ACCOUNT_ALREADY_CLOSED_EXCEPTION,
            Error::AccountAlreadyRegistered => shape::ACCOUNT_ALREADY_REGISTERED_EXCEPTION,
            Error::AccountNotRegistered => shape::ACCOUNT_NOT_REGISTERED_EXCEPTION,
            Error::ConstraintViolation(_) => shape::CONSTRAINT_VIOLATION_EXCEPTION,
            Error::InvalidInput(_) => shape::INVALID_INPUT_EXCEPTION,
            Error::CreationNotFound => shape::CREATE_ACCOUNT_STATUS_NOT_FOUND_EXCEPTION,
            Error::ParentNotFound => shape::PARENT_NOT_FOUND_EXCEPTION,
            Error::SourceParentNotFound => shape::SOURCE_PARENT_NOT_FOUND_EXCEPTION,
            Error::DestinationParentNotFound => shape::DESTINATION_PARENT_NOT_FOUND_EXCEPTION,
            Error::ChildNotFound => shape::CHILD_NOT_FOUND_EXCEPTION,
            Error::DuplicateAccount => shape::DUPLICATE_ACCOUNT_EXCEPTION,
            Error::DuplicateUnit => shape::DUPLICATE_ORGANIZATIONAL_UNIT_EXCEPTION,
            Error::UnitNotFound => shape::ORGANIZATIONAL_UNIT_NOT_FOUND_EXCEPTION,
            Error::UnitNotEmpty => shape::ORGANIZATIONAL_UNIT_NOT_EMPTY_EXCEPTION,
            Error::RootNotFound => shape::ROOT_NOT_FOUND_EXCEPTION,
            Error::TargetNotFound => shape::TARGET_NOT_FOUND_EXCEPTION,
            Error::PolicyNotFound => shape::POLICY_NOT_FOUND_EXCEPTION,
            Error::DuplicatePolicy => shape::DUPLICATE_POLICY_EXCEPTION,
            Error::DuplicateAttachment => shape::DUPLICATE_POLICY_ATTACHMENT_EXCEPTION,
            Error::PolicyNotAttached => shape::POLICY_NOT_ATTACHED_EXCEPTION,
            Error::PolicyInUse => shape::POLICY_IN_USE_EXCEPTION,
            Error::MalformedPolicyDocument(_) => shape::MALFORMED_POLICY_DOCUMENT_EXCEPTION,
            Error::TypeAlreadyEnabled => shape::POLICY_TYPE_ALREADY_ENABLED_EXCEPTION,
            Error::TypeNotEnabled => shape::POLICY_TYPE_NOT_ENABLED_EXCEPTION,
            Error::TypeNotAvailable => shape::POLICY_TYPE_NOT_AVAILABLE_FOR_ORGANIZATION_EXCEPTION,
            Error::EffectivePolicyNotFound => shape::EFFECTIVE_POLICY_NOT_FOUND_EXCEPTION,
            Error::HandshakeNotFound => shape::HANDSHAKE_NOT_FOUND_EXCEPTION,
            Error::HandshakeTransition => shape::INVALID_HANDSHAKE_TRANSITION_EXCEPTION,
            Error::DuplicateHandshake => shape::DUPLICATE_HANDSHAKE_EXCEPTION,
            Error::HandshakeConstraint(_) => shape::HANDSHAKE_CONSTRAINT_VIOLATION_EXCEPTION,
            Error::OrganizationNotEmpty => shape::ORGANIZATION_NOT_EMPTY_EXCEPTION,
            Error::MasterCannotLeave => shape::MASTER_CANNOT_LEAVE_ORGANIZATION_EXCEPTION,
            Error::Inside(inside) => return inside,
        };
        match schema::service(organizations_api::SERVICE) {
            Some(model) => Self::modelled(model, code, text),
            None => Self::new(code, text),
        }
    }
}
