//! The errors of Auto Scaling, one variant a documented code.

use autoscaling_api::error as shape;
use kernel::ServiceError;
use protocol::schema;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Validation(String),
    #[error(
        "AutoScalingGroup by this name already exists - A group with the name {0} already exists"
    )]
    AlreadyExists(String),
    #[error(
        "You cannot delete an AutoScalingGroup while there are instances or pending Spot \
         instance request(s) still in the group."
    )]
    ResourceInUse,
    #[error(
        "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group."
    )]
    ScalingActivityInProgress,
    #[error(
        "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh."
    )]
    InstanceRefreshInProgress,
    #[error("No in progress or pending Instance Refresh found for Auto Scaling group {0}")]
    ActiveInstanceRefreshNotFound(String),
    #[error("You have reached the limit of {0} Auto Scaling groups.")]
    LimitExceeded(usize),
    #[error("The token is invalid.")]
    InvalidNextToken,
    #[error("{0} is not implemented yet.")]
    Unsupported(&'static str),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl Error {
    pub(crate) fn not_found(name: &str) -> Self {
        Self::Validation(format!(
            "AutoScalingGroup name not found - AutoScalingGroup {name} not found"
        ))
    }
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let name = match error {
            Error::Validation(_) => return Self::new("ValidationError", text),
            Error::AlreadyExists(_) => shape::ALREADY_EXISTS_FAULT,
            Error::ResourceInUse => shape::RESOURCE_IN_USE_FAULT,
            Error::ScalingActivityInProgress => shape::SCALING_ACTIVITY_IN_PROGRESS_FAULT,
            Error::InstanceRefreshInProgress => shape::INSTANCE_REFRESH_IN_PROGRESS_FAULT,
            Error::ActiveInstanceRefreshNotFound(_) => {
                shape::ACTIVE_INSTANCE_REFRESH_NOT_FOUND_FAULT
            }
            Error::LimitExceeded(_) => shape::LIMIT_EXCEEDED_FAULT,
            Error::InvalidNextToken => shape::INVALID_NEXT_TOKEN,
            Error::Unsupported(_) => return Self::new("NotImplemented", text).status(501),
            Error::Store(inside) => return Self::internal(inside),
            Error::Inside(inside) => return inside,
        };
        match schema::service(autoscaling_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
