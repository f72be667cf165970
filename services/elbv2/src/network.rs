//! What is asked of EC2, always as the service's own role.

use std::net::Ipv4Addr;

use base::{Cidr, ResourceId, Zone};
use ec2_api::{
    DescribeInstancesInput, DescribeInternetGatewaysInput, DescribeSecurityGroupsInput,
    DescribeSubnetsInput, Filter, Instance, InstanceStateName,
};
use kernel::{Client, ServiceError};

use crate::error::{Error, Result, invalid};
use crate::store::Place;

/// Values that one filter takes.
///
/// AWS: "Filter resources using the console or API" (up to 200 values).
const FILTER_VALUES_MAX: usize = 200;

/// The fewest free addresses that a subnet must have.
///
/// AWS: "Application Load Balancers", "Subnets for your load balancer".
const FREE_ADDRESSES_MIN: i32 = 8;

/// A subnet as EC2 tells it.
pub(crate) struct Subnet {
    pub(crate) place: Place,
    pub(crate) vpc: ResourceId,
    pub(crate) cidr: Option<Cidr>,
    pub(crate) free: i32,
}

/// An instance as EC2 tells it.
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) vpc: Option<String>,
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) zone: Option<String>,
    pub(crate) state: InstanceStateName,
}

/// An EC2 filter.
pub(crate) fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    let values = values.into_iter().map(Into::into).collect();
    Filter { name: Some(name.to_owned()), values }
}

/// The id in EC2's answer.
pub(crate) fn id(prefix: &str, text: Option<&str>) -> Result<ResourceId> {
    let text = text.unwrap_or_default();
    ResourceId::parse(prefix, text).ok_or_else(|| {
        Error::Inside(ServiceError::internal(format!("EC2 answered with the id '{text}'")))
    })
}

/// The subnets called `ids`, in that order.
pub(crate) async fn subnets(ec2: &Client, ids: &[String]) -> Result<Vec<Subnet>> {
    let mut found = Vec::with_capacity(ids.len());
    for wanted in ids {
        let input = DescribeSubnetsInput { subnet_ids: vec![wanted.clone()], ..Default::default() };
        let output = ec2.call(input).await.map_err(|error| match error.code.as_str() {
            "InvalidSubnetID.NotFound"
            | "InvalidSubnetId.Malformed"
            | "InvalidSubnetID.Malformed" => Error::SubnetNotFound(wanted.clone()),
            _ => Error::Inside(error),
        })?;
        let subnet = output.subnets.into_iter().next();
        found.push(read_subnet(subnet.ok_or_else(|| Error::SubnetNotFound(wanted.clone()))?)?);
    }
    Ok(found)
}

/// The subnets of a VPC.
pub(crate) async fn subnets_of(ec2: &Client, vpc: &ResourceId) -> Result<Vec<Subnet>> {
    let input = DescribeSubnetsInput {
        filters: vec![filter("vpc-id", [vpc.as_str()])],
        ..Default::default()
    };
    ec2.call(input).await?.subnets.into_iter().map(read_subnet).collect()
}

fn read_subnet(subnet: ec2_api::Subnet) -> Result<Subnet> {
    let place = Place {
        subnet: id("subnet", subnet.subnet_id.as_deref())?,
        zone: Zone::new(subnet.availability_zone.unwrap_or_default()),
    };
    Ok(Subnet {
        place,
        vpc: id("vpc", subnet.vpc_id.as_deref())?,
        cidr: subnet.cidr_block.and_then(|block| block.parse().ok()),
        free: subnet.available_ip_address_count.unwrap_or(i32::MAX),
    })
}

/// Checks that a load balancer can stand in `subnets`; gives their VPC.
pub(crate) fn check_subnets(subnets: &[Subnet]) -> Result<ResourceId> {
    let [first, rest @ ..] = subnets else {
        return Err(invalid(
            "At least two subnets in two different Availability Zones must be specified",
        ));
    };
    if rest.iter().any(|subnet| subnet.vpc != first.vpc) {
        return Err(Error::InvalidSubnet("All subnets must belong to the same VPC".to_owned()));
    }
    for (at, subnet) in subnets.iter().enumerate() {
        if subnets.iter().take(at).any(|other| other.place.zone == subnet.place.zone) {
            return Err(Error::InvalidConfigurationRequest(
                "A load balancer cannot be attached to multiple subnets in the same \
                 Availability Zone"
                    .to_owned(),
            ));
        }
        if subnet.free < FREE_ADDRESSES_MIN {
            return Err(Error::InvalidSubnet(format!(
                "Not enough IP space available in {}. ELB requires at least \
                 {FREE_ADDRESSES_MIN} free IP addresses in each subnet.",
                subnet.place.subnet
            )));
        }
    }
    if rest.is_empty() {
        return Err(invalid(
            "At least two subnets in two different Availability Zones must be specified",
        ));
    }
    Ok(first.vpc.clone())
}

/// Checks that a VPC has a way to the internet.
pub(crate) async fn require_internet(ec2: &Client, vpc: &ResourceId) -> Result<()> {
    let input = DescribeInternetGatewaysInput {
        filters: vec![filter("attachment.vpc-id", [vpc.as_str()])],
        ..Default::default()
    };
    if ec2.call(input).await?.internet_gateways.is_empty() {
        return Err(Error::InvalidSubnet(format!("VPC {vpc} has no internet gateway")));
    }
    Ok(())
}

/// The security groups called `ids`, which must be of `vpc`; the VPC's default one when none is
/// named.
pub(crate) async fn security_groups(
    ec2: &Client,
    vpc: &ResourceId,
    ids: &[String],
) -> Result<Vec<ResourceId>> {
    if ids.is_empty() {
        let filters = vec![filter("vpc-id", [vpc.as_str()]), filter("group-name", ["default"])];
        let output =
            ec2.call(DescribeSecurityGroupsInput { filters, ..Default::default() }).await?;
        return output.security_groups.iter().map(|g| id("sg", g.group_id.as_deref())).collect();
    }
    let mut found = Vec::with_capacity(ids.len());
    for wanted in ids {
        let missing = || Error::InvalidSecurityGroup(wanted.clone());
        let input =
            DescribeSecurityGroupsInput { group_ids: vec![wanted.clone()], ..Default::default() };
        let output = ec2.call(input).await.map_err(|error| match error.code.as_str() {
            "InvalidGroup.NotFound" | "InvalidGroupId.Malformed" => missing(),
            _ => Error::Inside(error),
        })?;
        let group = output.security_groups.into_iter().next().ok_or_else(missing)?;
        if group.vpc_id.as_deref() != Some(vpc.as_str()) {
            return Err(Error::InvalidConfigurationRequest(format!(
                "One or more security groups are invalid: '{wanted}' is not in VPC '{vpc}'"
            )));
        }
        found.push(id("sg", group.group_id.as_deref())?);
    }
    Ok(found)
}

/// The instances among `ids` that exist.
pub(crate) async fn instances(ec2: &Client, ids: &[String]) -> Result<Vec<Machine>, ServiceError> {
    let mut found = Vec::new();
    for some in ids.chunks(FILTER_VALUES_MAX) {
        let mut next_token = None;
        loop {
            // By a filter, since one unknown id would fail the whole call.
            let filters = vec![filter("instance-id", some.iter().cloned())];
            let input = DescribeInstancesInput { filters, next_token, ..Default::default() };
            let output = ec2.call(input).await?;
            let instances = output.reservations.into_iter().flat_map(|r| r.instances);
            found.extend(instances.map(read_instance));
            next_token = output.next_token;
            if next_token.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

fn read_instance(instance: Instance) -> Machine {
    Machine {
        id: instance.instance_id.unwrap_or_default(),
        vpc: instance.vpc_id,
        address: instance.private_ip_address.and_then(|address| address.parse().ok()),
        zone: instance.placement.and_then(|placement| placement.availability_zone),
        state: instance.state.and_then(|state| state.name).unwrap_or_default(),
    }
}
