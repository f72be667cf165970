//! The `AWS::EC2::…` resource types of CloudFormation.

mod instance;
mod instance_key;
mod instance_template;
mod shapes;
mod values;
mod vpc_acl;
mod vpc_address;
mod vpc_group;
mod vpc_network;
mod vpc_route;

use kernel::Service;

use crate::Drivers;

/// Adds the types of networks.
pub(crate) fn register_networks(service: Service<Drivers>) -> Service<Drivers> {
    let networks = vpc_network::types().into_iter();
    let all = networks
        .chain(vpc_route::types())
        .chain(vpc_address::types())
        .chain(vpc_group::types())
        .chain(vpc_acl::types());
    all.fold(service, Service::resource_type)
}

/// Adds the types of instances and what they are made from.
pub(crate) fn register_instances(service: Service<Drivers>) -> Service<Drivers> {
    let all = instance::types().into_iter();
    let all = all.chain(instance_template::types()).chain(instance_key::types());
    all.fold(service, Service::resource_type)
}
