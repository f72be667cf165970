//! AWS managed policies: those that the blueprints, their roles and the services' own roles name.
//!
//! AWS: "AWS managed policies" (AWS Managed Policy Reference). Names, paths and descriptions are
//! AWS's. The documents are written from what each is documented to permit; where AWS grants more
//! for consoles and services that are not here, they are narrower.

use std::sync::Arc;

use crate::document::{Kind, Policy, PolicyError};

/// An AWS managed policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// The name, unique among AWS's.
    pub name: &'static str,
    /// The path, `/` or `/aws-service-role/`.
    pub path: &'static str,
    /// The id of the default version.
    pub version_id: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The document of the default version.
    pub document: &'static str,
}

impl ManagedPolicy {
    /// `arn:aws:iam::aws:policy/..`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)
    }

    /// Whether only a service-linked role may carry it.
    pub fn is_for_service_linked_roles(&self) -> bool {
        self.path.starts_with("/aws-service-role/")
    }

    /// The document, compiled.
    ///
    /// # Errors
    ///
    /// None for the documents here: all are parsed by this crate's tests.
    pub fn compile(&self) -> Result<Arc<Policy>, PolicyError> {
        Policy::parse(self.document, Kind::Identity).map(Arc::new)
    }
}

/// All of them, ordered by name.
pub fn all() -> &'static [ManagedPolicy] {
    &POLICIES
}

/// The one with `arn`.
pub fn find(arn: &str) -> Option<&'static ManagedPolicy> {
    let rest = arn.strip_prefix("arn:aws:iam::aws:policy")?;
    POLICIES
        .iter()
        .find(|policy| rest.strip_prefix(policy.path).is_some_and(|name| name == policy.name))
}

macro_rules! managed {
    ($name:literal, $path:literal, $version:literal, $description:literal $(,)?) => {
        ManagedPolicy {
            name: $name,
            path: $path,
            version_id: $version,
            description: $description,
            document: include_str!(concat!($name, ".json")),
        }
    };
}

static POLICIES: [ManagedPolicy; 23] = [
    managed!(
        "AWSCloudFormationFullAccess",
        "/",
        "v1",
        "Provides full access to AWS CloudFormation.",
    ),
    managed!(
        "AWSElasticLoadBalancingServiceRolePolicy",
        "/aws-service-role/",
        "v7",
        "Service Linked Role Policy for AWS Elastic Load Balancing Control Plane.",
    ),
    managed!(
        "AdministratorAccess",
        "/",
        "v1",
        "Provides full access to AWS services and resources.",
    ),
    managed!(
        "AmazonEC2FullAccess",
        "/",
        "v5",
        "Provides full access to Amazon EC2 via the AWS Management Console.",
    ),
    managed!(
        "AmazonEC2ReadOnlyAccess",
        "/",
        "v2",
        "Provides read only access to Amazon EC2 via the AWS Management Console.",
    ),
    managed!(
        "AmazonElastiCacheFullAccess",
        "/",
        "v2",
        "Provides full access to Amazon ElastiCache via the AWS Management Console.",
    ),
    managed!(
        "AmazonRDSFullAccess",
        "/",
        "v6",
        "Provides full access to Amazon RDS via the AWS Management Console.",
    ),
    managed!(
        "AmazonRDSServiceRolePolicy",
        "/aws-service-role/",
        "v6",
        "Allows Amazon RDS to manage AWS resources on your behalf.",
    ),
    managed!(
        "AmazonS3FullAccess",
        "/",
        "v2",
        "Provides full access to all buckets via the AWS Management Console.",
    ),
    managed!(
        "AmazonS3ReadOnlyAccess",
        "/",
        "v3",
        "Provides read only access to all buckets via the AWS Management Console.",
    ),
    managed!(
        "AmazonSSMManagedInstanceCore",
        "/",
        "v2",
        "The policy for Amazon EC2 Role to enable AWS Systems Manager service core functionality.",
    ),
    managed!("AmazonSSMReadOnlyAccess", "/", "v1", "Provides read only access to Amazon SSM.",),
    managed!(
        "AmazonSSMServiceRolePolicy",
        "/aws-service-role/",
        "v15",
        "Provides access to AWS Resources managed or used by Amazon SSM.",
    ),
    managed!(
        "AmazonVPCFullAccess",
        "/",
        "v1",
        "Provides full access to Amazon VPC via the AWS Management Console.",
    ),
    managed!("AutoScalingFullAccess", "/", "v2", "Provides full access to Auto Scaling.",),
    managed!(
        "AutoScalingServiceRolePolicy",
        "/aws-service-role/",
        "v5",
        "Default policy for AutoScaling to manage instances on your behalf.",
    ),
    managed!(
        "CloudWatchAgentServerPolicy",
        "/",
        "v1",
        "Permissions required to use AmazonCloudWatchAgent on servers.",
    ),
    managed!(
        "ElastiCacheServiceRolePolicy",
        "/aws-service-role/",
        "v1",
        "This policy allows ElastiCache to manage AWS resources on your behalf as necessary for managing your cache.",
    ),
    managed!(
        "ElasticLoadBalancingFullAccess",
        "/",
        "v6",
        "Provides full access to Amazon ElasticLoadBalancing, and limited access to other services necessary to provide ElasticLoadBalancing features.",
    ),
    managed!(
        "IAMFullAccess",
        "/",
        "v2",
        "Provides full access to IAM via the AWS Management Console.",
    ),
    managed!(
        "PowerUserAccess",
        "/",
        "v4",
        "Provides full access to AWS services and resources, but does not allow management of users and groups.",
    ),
    managed!(
        "ReadOnlyAccess",
        "/",
        "v1",
        "Provides read-only access to AWS services and resources.",
    ),
    managed!(
        "SecretsManagerReadWrite",
        "/",
        "v2",
        "Provides read/write access to AWS Secrets Manager via the AWS Management Console.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_compiles_and_is_found_by_its_arn() {
        for policy in all() {
            let compiled = policy.compile().unwrap_or_else(|e| panic!("{}: {e}", policy.name));
            assert!(compiled.is_current_version(), "{}", policy.name);
            assert_eq!(find(&policy.arn()), Some(policy));
            // AWS: "IAM and AWS STS quotas", managed policy length without white space. AWS's own
            // may be longer.
            assert!(policy.document.len() < 20_000, "{}", policy.name);
        }
        assert!(all().is_sorted_by_key(|policy| policy.name));
        assert_eq!(find("arn:aws:iam::aws:policy/AutoScalingServiceRolePolicy"), None);
        assert_eq!(find("arn:aws:iam::111122223333:policy/AdministratorAccess"), None);
        let linked = find("arn:aws:iam::aws:policy/aws-service-role/AmazonRDSServiceRolePolicy");
        assert!(linked.unwrap().is_for_service_linked_roles());
    }
}
