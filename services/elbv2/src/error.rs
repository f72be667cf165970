//! The errors of Elastic Load Balancing, one variant a documented code.
//!
//! AWS: Elastic Load Balancing API Reference (2015-12-01), "Errors" of each operation.

use elbv2_api::error as shape;
use kernel::ServiceError;
use protocol::schema;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Each carries its text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    AlpnPolicyNotSupported(String),
    #[error("Certificate '{0}' not found")]
    CertificateNotFound(String),
    #[error("{0}")]
    DuplicateListener(String),
    #[error("A load balancer with the same name '{0}' exists, but with different settings")]
    DuplicateLoadBalancerName(String),
    #[error("Tag keys must be unique, and '{0}' is given twice")]
    DuplicateTagKeys(String),
    #[error("A target group with the same name '{0}' exists, but with different settings")]
    DuplicateTargetGroupName(String),
    #[error("{0}")]
    InvalidConfigurationRequest(String),
    #[error("{0}")]
    InvalidLoadBalancerAction(String),
    #[error("The security group '{0}' does not exist")]
    InvalidSecurityGroup(String),
    #[error("{0}")]
    InvalidSubnet(String),
    #[error("{0}")]
    InvalidTarget(String),
    #[error("{0}")]
    ListenerNotFound(String),
    #[error("{0}")]
    LoadBalancerNotFound(String),
    #[error("{0}")]
    OperationNotPermitted(String),
    #[error("Priority '{0}' is currently in use")]
    PriorityInUse(u32),
    #[error("{0}")]
    ResourceInUse(String),
    #[error("{0}")]
    RuleNotFound(String),
    #[error("SSL policy '{0}' not found")]
    SslPolicyNotFound(String),
    #[error("The subnet ID '{0}' does not exist")]
    SubnetNotFound(String),
    #[error(
        "The following target groups cannot be associated with more than one load balancer: {0}"
    )]
    TargetGroupAssociationLimit(String),
    #[error("{0}")]
    TargetGroupNotFound(String),
    #[error("{0}")]
    TooManyActions(String),
    #[error("The maximum number of certificates on load balancer '{0}' has been reached")]
    TooManyCertificates(String),
    #[error(
        "The certificate '{0}' must have a fully-qualified domain name, a supported signature, \
         and a supported key size"
    )]
    UnsupportedCertificate(String),
    #[error("The maximum number of listeners on load balancer '{0}' has been reached")]
    TooManyListeners(String),
    #[error("The maximum number of load balancers has been reached")]
    TooManyLoadBalancers,
    #[error("The maximum number of rules on load balancer '{0}' has been reached")]
    TooManyRules(String),
    #[error("{0}")]
    TooManyTags(String),
    #[error("The maximum number of target groups has been reached")]
    TooManyTargetGroups,
    #[error("The maximum number of targets has been reached")]
    TooManyTargets,
    #[error("{0}")]
    TooManyUniqueTargetGroups(String),
    #[error("{0}")]
    UnsupportedProtocol(String),
    #[error("{0}")]
    Validation(String),
    #[error("the store failed")]
    Store(#[from] store::Error),
    #[error(transparent)]
    Inside(#[from] ServiceError),
}

/// A request that the model allows and the service does not.
pub(crate) fn invalid(text: impl Into<String>) -> Error {
    Error::Validation(text.into())
}

/// A request that AWS would honour and this region cannot.
pub(crate) fn unsupported(text: impl Into<String>) -> Error {
    Error::InvalidConfigurationRequest(text.into())
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let name = match error {
            Error::AlpnPolicyNotSupported(_) => shape::ALPN_POLICY_NOT_SUPPORTED_EXCEPTION,
            Error::CertificateNotFound(_) => shape::CERTIFICATE_NOT_FOUND_EXCEPTION,
            Error::TooManyCertificates(_) => shape::TOO_MANY_CERTIFICATES_EXCEPTION,
            Error::UnsupportedCertificate(_) => return Self::new("UnsupportedCertificate", text),
            Error::DuplicateListener(_) => shape::DUPLICATE_LISTENER_EXCEPTION,
            Error::DuplicateLoadBalancerName(_) => shape::DUPLICATE_LOAD_BALANCER_NAME_EXCEPTION,
            Error::DuplicateTagKeys(_) => shape::DUPLICATE_TAG_KEYS_EXCEPTION,
            Error::DuplicateTargetGroupName(_) => shape::DUPLICATE_TARGET_GROUP_NAME_EXCEPTION,
            Error::InvalidConfigurationRequest(_) => shape::INVALID_CONFIGURATION_REQUEST_EXCEPTION,
            Error::InvalidLoadBalancerAction(_) => shape::INVALID_LOAD_BALANCER_ACTION_EXCEPTION,
            Error::InvalidSecurityGroup(_) => shape::INVALID_SECURITY_GROUP_EXCEPTION,
            Error::InvalidSubnet(_) => shape::INVALID_SUBNET_EXCEPTION,
            Error::InvalidTarget(_) => shape::INVALID_TARGET_EXCEPTION,
            Error::ListenerNotFound(_) => shape::LISTENER_NOT_FOUND_EXCEPTION,
            Error::LoadBalancerNotFound(_) => shape::LOAD_BALANCER_NOT_FOUND_EXCEPTION,
            Error::OperationNotPermitted(_) => shape::OPERATION_NOT_PERMITTED_EXCEPTION,
            Error::PriorityInUse(_) => shape::PRIORITY_IN_USE_EXCEPTION,
            Error::ResourceInUse(_) => shape::RESOURCE_IN_USE_EXCEPTION,
            Error::RuleNotFound(_) => shape::RULE_NOT_FOUND_EXCEPTION,
            Error::SslPolicyNotFound(_) => shape::SSL_POLICY_NOT_FOUND_EXCEPTION,
            Error::SubnetNotFound(_) => shape::SUBNET_NOT_FOUND_EXCEPTION,
            Error::TargetGroupAssociationLimit(_) => {
                shape::TARGET_GROUP_ASSOCIATION_LIMIT_EXCEPTION
            }
            Error::TargetGroupNotFound(_) => shape::TARGET_GROUP_NOT_FOUND_EXCEPTION,
            Error::TooManyActions(_) => shape::TOO_MANY_ACTIONS_EXCEPTION,
            Error::TooManyListeners(_) => shape::TOO_MANY_LISTENERS_EXCEPTION,
            Error::TooManyLoadBalancers => shape::TOO_MANY_LOAD_BALANCERS_EXCEPTION,
            Error::TooManyRules(_) => shape::TOO_MANY_RULES_EXCEPTION,
            Error::TooManyTags(_) => shape::TOO_MANY_TAGS_EXCEPTION,
            Error::TooManyTargetGroups => shape::TOO_MANY_TARGET_GROUPS_EXCEPTION,
            Error::TooManyTargets => shape::TOO_MANY_TARGETS_EXCEPTION,
            Error::TooManyUniqueTargetGroups(_) => {
                shape::TOO_MANY_UNIQUE_TARGET_GROUPS_PER_LOAD_BALANCER_EXCEPTION
            }
            Error::UnsupportedProtocol(_) => shape::UNSUPPORTED_PROTOCOL_EXCEPTION,
            Error::Validation(_) => return Self::new("ValidationError", text),
            Error::Store(cause) => return Self::internal(cause),
            Error::Inside(inside) => return inside,
        };
        match schema::service(elbv2_api::SERVICE) {
            Some(model) => Self::modelled(model, name, text),
            None => Self::new(name, text),
        }
    }
}
