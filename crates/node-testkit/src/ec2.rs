//! EC2 as far as nodes of engines need it: subnets, groups, interfaces.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use base::ResourceId;
use ec2_api as ec2;
use kernel::{Service, ServiceDef, ServiceError};

/// What EC2 has made.
pub struct Addresses {
    block: u8,
    principal: &'static str,
    next: AtomicU32,
    made: Mutex<BTreeMap<String, (ResourceId, Ipv4Addr)>>,
    deleted: Mutex<Vec<String>>,
    refusal: Mutex<Option<&'static str>>,
}

type Ec2 = kernel::Ctx<Addresses>;
const ZONES: [(&str, &str); 3] =
    [("subnet-0000000a", "a"), ("subnet-0000000b", "b"), ("subnet-0000001a", "a")];
const VPC: &str = "vpc-00000001";

/// Two subnets in two zones.
pub const SUBNETS: [&str; 2] = ["subnet-0000000a", "subnet-0000000b"];
/// The security group of their VPC.
pub const GROUP: &str = "sg-00000001";

impl Addresses {
    pub(crate) fn new(block: u8, principal: &'static str) -> Self {
        let (made, deleted, refusal) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { block, principal, next: AtomicU32::new(0), made, deleted, refusal }
    }

    /// The interface of a node, and its address.
    pub fn interface(&self, node: &str) -> (ResourceId, Ipv4Addr) {
        let mut made = self.made.lock().unwrap();
        made.entry(node.to_owned())
            .or_insert_with(|| {
                let number = self.next.fetch_add(1, Ordering::SeqCst) + 1;
                let id = ResourceId::parse("eni", &format!("eni-0{number:016x}")).unwrap();
                let host = u8::try_from(std::process::id() % 250).unwrap();
                (id, Ipv4Addr::new(127, self.block, host, u8::try_from(number).unwrap()))
            })
            .clone()
    }

    /// Every interface by its node.
    pub fn made(&self) -> BTreeMap<String, (ResourceId, Ipv4Addr)> {
        self.made.lock().unwrap().clone()
    }

    /// The node at an address.
    pub fn node_at(&self, address: Ipv4Addr) -> String {
        let made = self.made.lock().unwrap();
        made.iter().find(|(_, (_, at))| *at == address).unwrap().0.clone()
    }

    /// Refuses new interfaces with this code from now on.
    pub fn refuse(&self, code: &'static str) {
        *self.refusal.lock().unwrap() = Some(code);
    }

    /// The interfaces that were deleted.
    pub fn deleted(&self) -> Vec<String> {
        self.deleted.lock().unwrap().clone()
    }
}

pub(crate) fn service(addresses: Arc<Addresses>) -> ServiceDef {
    Service::with(ec2::SERVICE, addresses)
        .operation(describe_subnets)
        .operation(describe_security_groups)
        .operation(describe_vpcs)
        .operation(create_network_interface)
        .operation(modify_network_interface_attribute)
        .operation(delete_network_interface)
        .into()
}

async fn describe_subnets(
    _: Ec2,
    input: ec2::DescribeSubnetsInput,
) -> Result<ec2::DescribeSubnetsOutput, ServiceError> {
    let subnet = |(id, zone): &(&str, &str)| ec2::Subnet {
        subnet_id: Some((*id).to_owned()),
        vpc_id: Some(VPC.to_owned()),
        availability_zone: Some(format!("{}{zone}", testkit::REGION)),
        ..Default::default()
    };
    let wanted = |(id, _): &&(&str, &str)| input.subnet_ids.iter().any(|one| one == id);
    let subnets: Vec<_> = ZONES.iter().filter(wanted).map(subnet).collect();
    if subnets.len() < input.subnet_ids.len() {
        return Err(ServiceError::new("InvalidSubnetID.NotFound", "no such subnet"));
    }
    Ok(ec2::DescribeSubnetsOutput { subnets, ..Default::default() })
}

async fn describe_security_groups(
    _: Ec2,
    input: ec2::DescribeSecurityGroupsInput,
) -> Result<ec2::DescribeSecurityGroupsOutput, ServiceError> {
    if input.group_ids.iter().any(|id| id != GROUP) {
        return Err(ServiceError::new("InvalidGroup.NotFound", "no such group"));
    }
    let group = ec2::SecurityGroup {
        group_id: Some(GROUP.to_owned()),
        vpc_id: Some(VPC.to_owned()),
        ..Default::default()
    };
    Ok(ec2::DescribeSecurityGroupsOutput { security_groups: vec![group], ..Default::default() })
}

async fn describe_vpcs(
    _: Ec2,
    _: ec2::DescribeVpcsInput,
) -> Result<ec2::DescribeVpcsOutput, ServiceError> {
    Ok(ec2::DescribeVpcsOutput::default())
}

async fn create_network_interface(
    ctx: Ec2,
    input: ec2::CreateNetworkInterfaceInput,
) -> Result<ec2::CreateNetworkInterfaceOutput, ServiceError> {
    assert_eq!(ctx.caller.invoked_by.as_deref(), Some(ctx.drivers.principal));
    let refusal = *ctx.drivers.refusal.lock().unwrap();
    if let Some(code) = refusal {
        return Err(ServiceError::new(code, "no interface is made"));
    }
    let (id, address) = ctx.drivers.interface(&input.client_token.unwrap());
    let network_interface = Some(ec2::NetworkInterface {
        network_interface_id: Some(id.to_string()),
        private_ip_address: Some(address.to_string()),
        ..Default::default()
    });
    Ok(ec2::CreateNetworkInterfaceOutput { network_interface, client_token: None })
}

async fn modify_network_interface_attribute(
    ctx: Ec2,
    input: ec2::ModifyNetworkInterfaceAttributeInput,
) -> Result<ec2::ModifyNetworkInterfaceAttributeOutput, ServiceError> {
    let made = ctx.drivers.made();
    let known = |(id, _): &(ResourceId, Ipv4Addr)| id.as_str() == input.network_interface_id;
    assert!(made.values().any(known), "an interface that was never made is changed");
    Ok(ec2::ModifyNetworkInterfaceAttributeOutput {})
}

async fn delete_network_interface(
    ctx: Ec2,
    input: ec2::DeleteNetworkInterfaceInput,
) -> Result<ec2::DeleteNetworkInterfaceOutput, ServiceError> {
    ctx.drivers.deleted.lock().unwrap().push(input.network_interface_id);
    Ok(ec2::DeleteNetworkInterfaceOutput {})
}
