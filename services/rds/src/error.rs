//! The errors of RDS, one variant a documented code.

use kernel::ServiceError;
use protocol::schema;
use rds_api::error as shape;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("DBInstance {0} not found.")]
    InstanceNotFound(String),
    #[error("DB instance already exists")]
    InstanceAlreadyExists,
    #[error("{0}")]
    InvalidInstanceState(String),
    #[error("Cannot create more than {0} DB instances")]
    InstanceQuotaExceeded(u64),
    #[error("{0}")]
    InsufficientCapacity(String),
    #[error("DB subnet group '{0}' does not exist.")]
    SubnetGroupNotFound(String),
    #[error("The DB subnet group '{0}' already exists.")]
    SubnetGroupAlreadyExists(String),
    #[error("{0}")]
    SubnetGroupCoversTooFewZones(String),
    #[error("{0}")]
    InvalidSubnetGroupState(String),
    #[error("Cannot create more than {0} DB subnet groups")]
    SubnetGroupQuotaExceeded(u64),
    #[error("{0}")]
    InvalidSubnet(String),
    #[error("{0}")]
    InvalidVpcNetworkState(String),
    #[error("DBParameterGroup not found: {0}")]
    ParameterGroupNotFound(String),
    #[error("Parameter group {0} already exists")]
    ParameterGroupAlreadyExists(String),
    #[error("Cannot create more than {0} DB parameter groups")]
    ParameterGroupQuotaExceeded(u64),
    #[error("{0}")]
    InvalidParameterGroupState(String),
    #[error("DBSnapshot {0} not found.")]
    SnapshotNotFound(String),
    #[error(
        "Cannot create the snapshot because a snapshot with the identifier {0} already exists."
    )]
    SnapshotAlreadyExists(String),
    #[error("Cannot create more than {0} manual snapshots")]
    SnapshotQuotaExceeded(u64),
    #[error("{0}")]
    InvalidSnapshotState(String),
    #[error("DBLog File: {0}, is not found on the DB instance")]
    LogFileNotFound(String),
    #[error("{0}")]
    StorageTypeNotSupported(String),
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("{0}")]
    InvalidParameterCombination(String),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

impl From<nodes::Error> for Error {
    fn from(error: nodes::Error) -> Self {
        match error {
            nodes::Error::InvalidSubnet(text) => Self::InvalidSubnet(text),
            nodes::Error::InvalidSecurityGroup(text) => Self::InvalidParameterValue(text),
            nodes::Error::InvalidVpcNetworkState(text) => Self::InvalidVpcNetworkState(text),
            nodes::Error::Inside(inside) => Self::Inside(inside),
        }
    }
}

impl Error {
    pub(crate) fn value(text: impl Into<String>) -> Self {
        Self::InvalidParameterValue(text.into())
    }

    pub(crate) fn combination(text: impl Into<String>) -> Self {
        Self::InvalidParameterCombination(text.into())
    }

    pub(crate) fn state(text: impl Into<String>) -> Self {
        Self::InvalidInstanceState(text.into())
    }
}

/// Refuses the members that are given and that nothing here honours.
pub(crate) fn refuse(members: &[(&str, bool)]) -> Result<()> {
    match members.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::combination(format!(
            "The parameter {name} is not available in this Region."
        ))),
        None => Ok(()),
    }
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let name = match error {
            Error::InstanceNotFound(_) => shape::DB_INSTANCE_NOT_FOUND_FAULT,
            Error::InstanceAlreadyExists => shape::DB_INSTANCE_ALREADY_EXISTS_FAULT,
            Error::InvalidInstanceState(_) => shape::INVALID_DB_INSTANCE_STATE_FAULT,
            Error::InstanceQuotaExceeded(_) => shape::INSTANCE_QUOTA_EXCEEDED_FAULT,
            Error::InsufficientCapacity(_) => shape::INSUFFICIENT_DB_INSTANCE_CAPACITY_FAULT,
            Error::SubnetGroupNotFound(_) => shape::DB_SUBNET_GROUP_NOT_FOUND_FAULT,
            Error::SubnetGroupAlreadyExists(_) => shape::DB_SUBNET_GROUP_ALREADY_EXISTS_FAULT,
            Error::SubnetGroupCoversTooFewZones(_) => {
                shape::DB_SUBNET_GROUP_DOES_NOT_COVER_ENOUGH_AZS
            }
            Error::InvalidSubnetGroupState(_) => shape::INVALID_DB_SUBNET_GROUP_STATE_FAULT,
            Error::SubnetGroupQuotaExceeded(_) => shape::DB_SUBNET_GROUP_QUOTA_EXCEEDED_FAULT,
            Error::InvalidSubnet(_) => shape::INVALID_SUBNET,
            Error::InvalidVpcNetworkState(_) => shape::INVALID_VPC_NETWORK_STATE_FAULT,
            Error::ParameterGroupNotFound(_) => shape::DB_PARAMETER_GROUP_NOT_FOUND_FAULT,
            Error::ParameterGroupAlreadyExists(_) => shape::DB_PARAMETER_GROUP_ALREADY_EXISTS_FAULT,
            Error::ParameterGroupQuotaExceeded(_) => shape::DB_PARAMETER_GROUP_QUOTA_EXCEEDED_FAULT,
            Error::InvalidParameterGroupState(_) => shape::INVALID_DB_PARAMETER_GROUP_STATE_FAULT,
            Error::SnapshotNotFound(_) => shape::DB_SNAPSHOT_NOT_FOUND_FAULT,
            Error::SnapshotAlreadyExists(_) => shape::DB_SNAPSHOT_ALREADY_EXISTS_FAULT,
            Error::SnapshotQuotaExceeded(_) => shape::SNAPSHOT_QUOTA_EXCEEDED_FAULT,
            Error::InvalidSnapshotState(_) => shape::INVALID_DB_SNAPSHOT_STATE_FAULT,
            Error::LogFileNotFound(_) => shape::DB_LOG_FILE_NOT_FOUND_FAULT,
            Error::StorageTypeNotSupported(_) => shape::STORAGE_TYPE_NOT_SUPPORTED_FAULT,
            Error::InvalidParameterValue(_) => "InvalidParameterValue",
            Error::InvalidParameterCombination(_) => "InvalidParameterCombination",
            Error::Engine(inside) => return Self::internal(inside.chain()),
            Error::Io(inside) => return Self::internal(inside),
            Error::Store(inside) => return Self::internal(inside),
            Error::Inside(inside) => return inside,
        };
        match schema::service(rds_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
