//! The errors of ElastiCache, one variant a documented code.

use elasticache_api::error as shape;
use kernel::ServiceError;
use protocol::schema;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("CacheCluster not found: {0}")]
    ClusterNotFound(String),
    #[error("Cache cluster already exists: {0}")]
    ClusterAlreadyExists(String),
    #[error("{0}")]
    InvalidClusterState(String),
    #[error("ReplicationGroup {0} not found.")]
    GroupNotFound(String),
    #[error("Replication group {0} already exists.")]
    GroupAlreadyExists(String),
    #[error("{0}")]
    InvalidGroupState(String),
    #[error("Node group {0} not found.")]
    NodeGroupNotFound(String),
    #[error("You have exceeded the maximum number of cache nodes allowed: {0}")]
    NodeQuotaExceeded(u64),
    #[error("{0}")]
    InsufficientCapacity(String),
    #[error("Cache Subnet Group {0} does not exist.")]
    SubnetGroupNotFound(String),
    #[error("Cache subnet group {0} already exists.")]
    SubnetGroupAlreadyExists(String),
    #[error("Cache subnet group {0} is currently in use by a cache cluster.")]
    SubnetGroupInUse(String),
    #[error("Cannot create more than {0} cache subnet groups")]
    SubnetGroupQuotaExceeded(u64),
    #[error("{0}")]
    InvalidSubnet(String),
    #[error("The subnet {0} is currently in use by a cache cluster.")]
    SubnetInUse(String),
    #[error("{0}")]
    InvalidVpcNetworkState(String),
    #[error("CacheParameterGroup {0} not found.")]
    ParameterGroupNotFound(String),
    #[error("Parameter group {0} already exists")]
    ParameterGroupAlreadyExists(String),
    #[error("Cannot create more than {0} cache parameter groups")]
    ParameterGroupQuotaExceeded(u64),
    #[error("{0}")]
    InvalidParameterGroupState(String),
    #[error("{0} is not a valid ARN of an ElastiCache resource.")]
    InvalidArn(String),
    #[error("Tag {0} not found.")]
    TagNotFound(String),
    #[error("The maximum number of tags is 50.")]
    TagQuotaExceeded,
    #[error("{0}")]
    NoOperation(String),
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

    /// The message with those of its causes.
    pub(crate) fn chain(&self) -> String {
        if let Self::Engine(inside) = self { inside.chain() } else { self.to_string() }
    }

    /// Whether another try would end the same way.
    pub(crate) fn is_lasting(&self) -> bool {
        let engine = matches!(
            self,
            Self::Engine(engine::Error::Refused(_) | engine::Error::Unavailable { .. })
        );
        engine || matches!(self, Self::Inside(inside) if inside.sender)
    }

    pub(crate) fn combination(text: impl Into<String>) -> Self {
        Self::InvalidParameterCombination(text.into())
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
            Error::ClusterNotFound(_) => shape::CACHE_CLUSTER_NOT_FOUND_FAULT,
            Error::ClusterAlreadyExists(_) => shape::CACHE_CLUSTER_ALREADY_EXISTS_FAULT,
            Error::InvalidClusterState(_) => shape::INVALID_CACHE_CLUSTER_STATE_FAULT,
            Error::GroupNotFound(_) => shape::REPLICATION_GROUP_NOT_FOUND_FAULT,
            Error::GroupAlreadyExists(_) => shape::REPLICATION_GROUP_ALREADY_EXISTS_FAULT,
            Error::InvalidGroupState(_) => shape::INVALID_REPLICATION_GROUP_STATE_FAULT,
            Error::NodeGroupNotFound(_) => shape::NODE_GROUP_NOT_FOUND_FAULT,
            Error::NodeQuotaExceeded(_) => shape::NODE_QUOTA_FOR_CUSTOMER_EXCEEDED_FAULT,
            Error::InsufficientCapacity(_) => shape::INSUFFICIENT_CACHE_CLUSTER_CAPACITY_FAULT,
            Error::SubnetGroupNotFound(_) => shape::CACHE_SUBNET_GROUP_NOT_FOUND_FAULT,
            Error::SubnetGroupAlreadyExists(_) => shape::CACHE_SUBNET_GROUP_ALREADY_EXISTS_FAULT,
            Error::SubnetGroupInUse(_) => shape::CACHE_SUBNET_GROUP_IN_USE,
            Error::SubnetGroupQuotaExceeded(_) => shape::CACHE_SUBNET_GROUP_QUOTA_EXCEEDED_FAULT,
            Error::InvalidSubnet(_) => shape::INVALID_SUBNET,
            Error::SubnetInUse(_) => shape::SUBNET_IN_USE,
            Error::InvalidVpcNetworkState(_) => shape::INVALID_VPC_NETWORK_STATE_FAULT,
            Error::ParameterGroupNotFound(_) => shape::CACHE_PARAMETER_GROUP_NOT_FOUND_FAULT,
            Error::ParameterGroupAlreadyExists(_) => {
                shape::CACHE_PARAMETER_GROUP_ALREADY_EXISTS_FAULT
            }
            Error::ParameterGroupQuotaExceeded(_) => {
                shape::CACHE_PARAMETER_GROUP_QUOTA_EXCEEDED_FAULT
            }
            Error::InvalidParameterGroupState(_) => {
                shape::INVALID_CACHE_PARAMETER_GROUP_STATE_FAULT
            }
            Error::InvalidArn(_) => shape::INVALID_ARN_FAULT,
            Error::TagNotFound(_) => shape::TAG_NOT_FOUND_FAULT,
            Error::TagQuotaExceeded => shape::TAG_QUOTA_PER_RESOURCE_EXCEEDED,
            Error::NoOperation(_) => shape::NO_OPERATION_FAULT,
            Error::InvalidParameterValue(_) => shape::INVALID_PARAMETER_VALUE_EXCEPTION,
            Error::InvalidParameterCombination(_) => shape::INVALID_PARAMETER_COMBINATION_EXCEPTION,
            Error::Engine(inside) => return Self::internal(inside.chain()),
            Error::Io(inside) => return Self::internal(inside),
            Error::Store(inside) => return Self::internal(inside),
            Error::Inside(inside) => return inside,
        };
        match schema::service(elasticache_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
