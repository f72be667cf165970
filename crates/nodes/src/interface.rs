//! What a service asks of EC2 for its nodes: subnets, security groups, interfaces.

use std::net::Ipv4Addr;

use base::{ResourceId, Zone};
use ec2_api::{
    CreateNetworkInterfaceInput, DeleteNetworkInterfaceInput, DescribeSecurityGroupsInput,
    DescribeSubnetsInput, DescribeVpcsInput, Filter, ModifyNetworkInterfaceAttributeInput, Subnet,
};
use kernel::Client;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A subnet of a subnet group, as it was when it was put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSubnet {
    /// Its id.
    pub id: String,
    /// Its zone.
    pub zone: Zone,
}

/// How a service says it.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// What EC2 shows beside an interface.
    pub description: &'static str,
    /// What the service calls a subnet group.
    pub subnet_group: &'static str,
}

/// An interface that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its id.
    pub eni: Option<ResourceId>,
    /// Its address.
    pub address: Option<Ipv4Addr>,
}

fn filter(name: &str, value: &str) -> Filter {
    Filter { name: Some(name.to_owned()), values: vec![value.to_owned()] }
}

/// The subnets of these ids with their VPC, which must be one.
///
/// # Errors
///
/// [`Error::InvalidSubnet`] when one is not there, or not in the VPC of the others.
pub async fn subnets(client: &Client, ids: &[String]) -> Result<(ResourceId, Vec<GroupSubnet>)> {
    let input = DescribeSubnetsInput { subnet_ids: ids.to_vec(), ..Default::default() };
    let found = client.call(input).await.map_err(|error| {
        if error.code.starts_with("InvalidSubnet") {
            return Error::InvalidSubnet(format!(
                "Some input subnets in :[{}] are invalid.",
                ids.join(", ")
            ));
        }
        Error::Inside(error)
    })?;
    grouped(&found.subnets, ids)
}

fn grouped(found: &[Subnet], ids: &[String]) -> Result<(ResourceId, Vec<GroupSubnet>)> {
    let invalid = || {
        Error::InvalidSubnet(format!("Some input subnets in :[{}] are invalid.", ids.join(", ")))
    };
    let mut vpc = None;
    let mut subnets = Vec::new();
    for id in ids {
        let subnet = found.iter().find(|subnet| subnet.subnet_id.as_ref() == Some(id));
        let subnet = subnet.ok_or_else(invalid)?;
        let of = subnet.vpc_id.as_deref().and_then(|id| ResourceId::parse("vpc", id));
        let of = of.ok_or_else(invalid)?;
        if *vpc.get_or_insert_with(|| of.clone()) != of {
            return Err(Error::InvalidSubnet(format!(
                "Subnets: [{}] are not in the same VPC.",
                ids.join(", ")
            )));
        }
        let zone = Zone::new(subnet.availability_zone.clone().unwrap_or_default());
        subnets.push(GroupSubnet { id: id.clone(), zone });
    }
    Ok((vpc.ok_or_else(invalid)?, subnets))
}

impl Words {
    /// The default VPC and its subnets.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidVpcNetworkState`] when there is none.
    pub async fn default_vpc(self, client: &Client) -> Result<(ResourceId, Vec<GroupSubnet>)> {
        let input =
            DescribeVpcsInput { filters: vec![filter("is-default", "true")], ..Default::default() };
        let vpcs = client.call(input).await?.vpcs;
        let Some(vpc) = vpcs.first().and_then(|vpc| vpc.vpc_id.clone()) else {
            return Err(Error::InvalidVpcNetworkState(format!(
                "No default VPC was found for this account: name a {}.",
                self.subnet_group
            )));
        };
        let filters = vec![filter("vpc-id", &vpc), filter("default-for-az", "true")];
        let found = client.call(DescribeSubnetsInput { filters, ..Default::default() }).await?;
        let ids: Vec<_> =
            found.subnets.iter().filter_map(|subnet| subnet.subnet_id.clone()).collect();
        grouped(&found.subnets, &ids)
    }

    /// The security groups that are asked for, or the VPC's default one; all must be of the VPC.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSecurityGroup`] when one is not there, [`Error::InvalidVpcNetworkState`]
    /// when it is of another VPC.
    pub async fn security_groups(
        self,
        client: &Client,
        vpc: &ResourceId,
        asked: &[String],
    ) -> Result<Vec<String>> {
        let mut input = DescribeSecurityGroupsInput::default();
        if asked.is_empty() {
            input.filters = vec![filter("vpc-id", vpc.as_str()), filter("group-name", "default")];
        } else {
            input.group_ids = asked.to_vec();
        }
        let invalid = || {
            let ids = asked.join(", ");
            let text = format!("Invalid security group , groupId= {ids}, groupName=.");
            Error::InvalidSecurityGroup(text)
        };
        let found = client.call(input).await.map_err(|error| {
            if error.code.starts_with("InvalidGroup") { invalid() } else { Error::Inside(error) }
        })?;
        let foreign =
            found.security_groups.iter().any(|group| group.vpc_id.as_deref() != Some(vpc.as_str()));
        if foreign {
            return Err(Error::InvalidVpcNetworkState(format!(
                "The security groups and the {} are not in the same VPC: {vpc}",
                self.subnet_group
            )));
        }
        let ids: Vec<_> =
            found.security_groups.into_iter().filter_map(|group| group.group_id).collect();
        if ids.is_empty() { Err(invalid()) } else { Ok(ids) }
    }

    /// Gives a node its interface. The same one when it is asked again.
    ///
    /// # Errors
    ///
    /// EC2's answer.
    pub async fn make(
        self,
        client: &Client,
        node: &str,
        subnet: &str,
        groups: &[String],
    ) -> Result<Made> {
        let input = CreateNetworkInterfaceInput {
            subnet_id: subnet.to_owned(),
            description: Some(self.description.to_owned()),
            groups: groups.to_vec(),
            client_token: Some(node.to_owned()),
            ..Default::default()
        };
        let made = client.call(input).await?.network_interface.unwrap_or_default();
        let id = made.network_interface_id.as_deref();
        let eni = id.and_then(|id| ResourceId::parse("eni", id));
        let address = made.private_ip_address.as_deref().and_then(|text| text.parse().ok());
        Ok(Made { eni, address })
    }
}

/// Gives an interface other security groups.
///
/// # Errors
///
/// EC2's answer.
pub async fn set_groups(client: &Client, eni: &ResourceId, groups: &[String]) -> Result<()> {
    let input = ModifyNetworkInterfaceAttributeInput {
        network_interface_id: eni.to_string(),
        groups: groups.to_vec(),
        ..Default::default()
    };
    client.call(input).await?;
    Ok(())
}

/// Removes an interface; one that is gone is no error.
///
/// # Errors
///
/// EC2's answer.
pub async fn delete(client: &Client, eni: &ResourceId) -> Result<()> {
    let input =
        DeleteNetworkInterfaceInput { network_interface_id: eni.to_string(), dry_run: None };
    match client.call(input).await {
        Ok(_) => Ok(()),
        Err(error) if error.code == "InvalidNetworkInterfaceID.NotFound" => Ok(()),
        Err(error) => Err(error.into()),
    }
}
