//! Networks: VPCs and everything in them, and the task that has them built.

mod address;
pub(crate) mod attachment;
pub(crate) mod default_vpc;
pub(crate) mod dhcp_options;
mod fabric;
pub(crate) mod interface;
pub(crate) mod interface_view;
mod internet_gateway;
mod nat_gateway;
mod network_acl;
mod permission;
pub(crate) mod placement;
pub(crate) mod resolver;
mod route;
mod route_table;
pub(crate) mod security_group;
mod security_group_rule;
pub(crate) mod store;
pub(crate) mod subnet;
mod traffic;
#[expect(clippy::module_inception, reason = "the resource VPC is named as its family")]
pub(crate) mod vpc;

use kernel::{Service, Task};

pub use resolver::VpcServicesConfig;

use crate::Drivers;

/// Adds the family's operations, tasks and resource types.
pub(crate) fn register(service: Service<Drivers>) -> Service<Drivers> {
    service
        .operation(vpc::create_vpc)
        .operation(vpc::delete_vpc)
        .operation(vpc::describe_vpcs)
        .operation(vpc::describe_vpc_attribute)
        .operation(vpc::modify_vpc_attribute)
        .operation(vpc::associate_vpc_cidr_block)
        .operation(vpc::disassociate_vpc_cidr_block)
        .operation(default_vpc::create_default_vpc)
        .operation(default_vpc::create_default_subnet)
        .operation(subnet::create_subnet)
        .operation(subnet::delete_subnet)
        .operation(subnet::describe_subnets)
        .operation(subnet::modify_subnet_attribute)
        .operation(internet_gateway::create_internet_gateway)
        .operation(internet_gateway::delete_internet_gateway)
        .operation(internet_gateway::attach_internet_gateway)
        .operation(internet_gateway::detach_internet_gateway)
        .operation(internet_gateway::describe_internet_gateways)
        .operation(network_acl::create_network_acl)
        .operation(network_acl::delete_network_acl)
        .operation(network_acl::create_network_acl_entry)
        .operation(network_acl::replace_network_acl_entry)
        .operation(network_acl::delete_network_acl_entry)
        .operation(network_acl::replace_network_acl_association)
        .operation(network_acl::describe_network_acls)
        .operation(security_group::create_security_group)
        .operation(security_group::delete_security_group)
        .operation(security_group::describe_security_groups)
        .operation(security_group_rule::authorize_security_group_ingress)
        .operation(security_group_rule::authorize_security_group_egress)
        .operation(security_group_rule::revoke_security_group_ingress)
        .operation(security_group_rule::revoke_security_group_egress)
        .operation(security_group_rule::modify_security_group_rules)
        .operation(security_group_rule::update_security_group_rule_descriptions_ingress)
        .operation(security_group_rule::update_security_group_rule_descriptions_egress)
        .operation(security_group_rule::describe_security_group_rules)
        .operation(route_table::create_route_table)
        .operation(route_table::delete_route_table)
        .operation(route_table::associate_route_table)
        .operation(route_table::disassociate_route_table)
        .operation(route_table::replace_route_table_association)
        .operation(route_table::describe_route_tables)
        .operation(route::create_route)
        .operation(route::replace_route)
        .operation(route::delete_route)
        .operation(address::allocate_address)
        .operation(address::release_address)
        .operation(address::associate_address)
        .operation(address::disassociate_address)
        .operation(address::describe_addresses)
        .operation(nat_gateway::create_nat_gateway)
        .operation(nat_gateway::delete_nat_gateway)
        .operation(nat_gateway::describe_nat_gateways)
        .operation(interface::create_network_interface)
        .operation(interface::delete_network_interface)
        .operation(interface::describe_network_interfaces)
        .operation(interface::describe_network_interface_attribute)
        .operation(interface::modify_network_interface_attribute)
        .operation(interface::assign_private_ip_addresses)
        .operation(interface::unassign_private_ip_addresses)
        .operation(dhcp_options::create_dhcp_options)
        .operation(dhcp_options::delete_dhcp_options)
        .operation(dhcp_options::associate_dhcp_options)
        .operation(dhcp_options::describe_dhcp_options)
        .task(fabric::task())
        .task(resolver::task())
        .task(Task::new("ec2.default_network", default_vpc::prepare))
}
