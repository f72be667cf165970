//! Nodes of engines as workloads in a customer's VPC: what RDS and ElastiCache share.
//!
//! The engine driver knows clusters and asks a host to run their nodes; here is that host, over the
//! machine and network drivers ([`NodeHost`]), what such a service asks of EC2 ([`interface`]), the
//! clusters that a process holds ([`Clusters`]) and the families of parameter groups
//! ([`parameter_group`]). What is written down about a node, and in which words a customer hears of
//! it, is the service's own.
//!
//! The nodes of a cluster are a cohort of the fabric: they reach each other whatever the customer's
//! network ACLs and security groups say, as replication does on AWS.

mod clusters;
mod host;
pub mod interface;
pub mod parameter_group;

pub use clusters::{Clusters, Parts, Running, Watching};
pub use host::{Admits, NodeHost, Owner, Place, Terms, has_process};
pub use interface::{GroupSubnet, Words};

/// Why something could not be done for a node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A subnet is not there, or not in the VPC of the others (`InvalidSubnet`).
    #[error("{0}")]
    InvalidSubnet(String),
    /// A security group is not there (`InvalidParameterValue`).
    #[error("{0}")]
    InvalidSecurityGroup(String),
    /// The VPC is not one in which the nodes can be (`InvalidVPCNetworkStateFault`).
    #[error("{0}")]
    InvalidVpcNetworkState(String),
    /// Another service's answer.
    #[error(transparent)]
    Inside(#[from] kernel::ServiceError),
}

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;
