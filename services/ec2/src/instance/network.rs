//! Where an instance goes: its zone, subnet, security groups and addresses. What is made of it is
//! made by the networks half of the service.

use std::net::Ipv4Addr;

use base::{Region, ResourceId, Tags, Zone};
use store::{ReadTx, WriteTx};

use super::settings::{InterfaceSettings, Settings};
use super::store::Instance;
use super::types::InstanceType;
use crate::error::{Error, Result};
use crate::maker::Maker;
use crate::vpc::placement::{self, NewInterface, Secondary};
use crate::vpc::store::{INTERFACES, Interface, InterfaceKind, Subnet};
use crate::vpc::{attachment, default_vpc, interface, interface_view, security_group, subnet};

/// What the network of instances is to be.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) subnet: Subnet,
    groups: Vec<ResourceId>,
    /// An interface that exists, instead of a new one.
    existing: Option<Interface>,
    description: String,
    primary: Option<Ipv4Addr>,
    secondary: Secondary,
    /// Whether the instances get public addresses.
    pub(super) public: bool,
    delete_on_termination: bool,
}

/// The private host name of `address`.
pub(crate) fn private_name(region: &Region, address: Ipv4Addr) -> String {
    interface_view::private_name(region, address)
}

/// The public host name of `address`.
pub(crate) fn public_name(region: &Region, address: Ipv4Addr) -> String {
    interface_view::public_name(region, address)
}

/// The domain of private host names.
pub(crate) fn private_domain(region: &Region) -> String {
    crate::region::private_domain(region)
}

/// What `settings` ask for, checked against what is there. `count` instances are to share it.
/// Where they leave the zone open it is one of `usable`.
pub(super) fn plan(
    tx: &ReadTx<'_>,
    maker: Maker<'_>,
    settings: &Settings,
    (zone, usable): (Option<&Zone>, &[Zone]),
    groups_max: u64,
    (instance_type, count): (InstanceType, usize),
) -> Result<Plan> {
    let own = single(settings)?;
    let existing = own.existing.as_deref().map(|id| free(tx, id)).transpose()?;
    let subnet = match &existing {
        Some(eni) => subnet::get(tx, eni.subnet.as_str())?,
        None => {
            let zones = zone.map_or(usable, std::slice::from_ref);
            subnet_for(tx, maker, own.subnet.as_deref(), zones)?
        }
    };
    if let Some(zone) = zone
        && *zone != subnet.zone
    {
        return Err(Error::value(format!(
            "The availability zone '{zone}' does not match the availability zone '{}' of the \
             subnet '{}'.",
            subnet.zone, subnet.id
        )));
    }
    let mut ids = own.groups.clone();
    for name in &settings.group_names {
        ids.push(security_group::by_name(tx, &subnet.vpc, name)?.id.to_string());
    }
    let groups = match &existing {
        Some(eni) => eni.groups.clone(),
        None => security_group::for_interface(tx, &subnet.vpc, &ids, groups_max)?,
    };
    let (primary, secondary) = addresses(&own, instance_type)?;
    if count > 1 && (primary.is_some() || existing.is_some() || secondary_named(&secondary)) {
        return Err(Error::InvalidParameterCombination(
            "A private address or a network interface cannot be given to more than one instance."
                .to_owned(),
        ));
    }
    let public = own.public_address.unwrap_or(existing.is_none() && subnet.map_public_ip);
    Ok(Plan {
        groups,
        // An interface that is made with the instance goes with it; another stays.
        delete_on_termination: own.delete_on_termination.unwrap_or(existing.is_none()),
        existing,
        description: own.description.unwrap_or_default(),
        primary,
        secondary,
        public,
        subnet,
    })
}

fn secondary_named(secondary: &Secondary) -> bool {
    match secondary {
        Secondary::These(addresses) => !addresses.is_empty(),
        Secondary::Count(_) => false,
    }
}

/// The one interface that `settings` describe, be it as an interface or beside it.
fn single(settings: &Settings) -> Result<InterfaceSettings> {
    let [first, rest @ ..] = settings.interfaces.as_slice() else {
        return Ok(InterfaceSettings {
            subnet: settings.subnet.clone(),
            groups: settings.group_ids.clone(),
            private_ips: settings.private_ip.iter().cloned().collect(),
            primary_named: settings.private_ip.is_some(),
            ..InterfaceSettings::default()
        });
    };
    if !rest.is_empty() {
        return Err(Error::Unsupported(
            "Instances with more than one network interface are not supported by this region"
                .to_owned(),
        ));
    }
    let level = |what: &str| {
        Error::InvalidParameterCombination(format!(
            "Network interfaces and an instance-level {what} may not be specified on the same \
             request"
        ))
    };
    if settings.subnet.is_some() {
        return Err(level("subnet ID"));
    }
    if !settings.group_ids.is_empty() || !settings.group_names.is_empty() {
        return Err(level("security groups"));
    }
    if settings.private_ip.is_some() {
        return Err(level("private IP address"));
    }
    if first.device_index.is_some_and(|index| index != 0) {
        return Err(Error::value("The primary network interface must have device index 0."));
    }
    let with_existing = first.subnet.is_some()
        || !first.groups.is_empty()
        || !first.private_ips.is_empty()
        || first.secondary_count.is_some()
        || first.public_address.is_some()
        || first.description.is_some();
    if first.existing.is_some() && with_existing {
        return Err(Error::InvalidParameterCombination(
            "A network interface may not specify both a network interface ID and what a new \
             interface is to be"
                .to_owned(),
        ));
    }
    Ok(first.clone())
}

/// An interface that exists and that nothing has.
fn free(tx: &ReadTx<'_>, id: &str) -> Result<Interface> {
    let eni = interface::get(tx, id)?;
    if eni.attachment.is_some() || eni.requester.is_some() {
        return Err(Error::InterfaceInUse(format!("Interface: [{id}] in use.")));
    }
    Ok(eni)
}

fn subnet_for(
    tx: &ReadTx<'_>,
    maker: Maker<'_>,
    id: Option<&str>,
    zones: &[Zone],
) -> Result<Subnet> {
    if let Some(id) = id {
        return subnet::get(tx, id);
    }
    let vpc = default_vpc::find(tx)?.ok_or(Error::VpcIdNotSpecified)?;
    let mut subnets = default_vpc::subnets(tx)?;
    subnets.retain(|subnet| zones.contains(&subnet.zone));
    let count = u64::try_from(subnets.len()).unwrap_or(0);
    if count == 0 {
        return Err(Error::MissingInput(format!(
            "No subnets found for the default VPC '{}'. Please specify a subnet.",
            vpc.id
        )));
    }
    let chosen = usize::try_from(maker.random.below(count)).unwrap_or(0);
    Ok(subnets.swap_remove(chosen))
}

fn addresses(
    own: &InterfaceSettings,
    instance_type: InstanceType,
) -> Result<(Option<Ipv4Addr>, Secondary)> {
    let named = own.private_ips.iter().map(|text| interface::address_from(text));
    let mut named = named.collect::<Result<Vec<_>>>()?;
    let primary = (own.primary_named && !named.is_empty()).then(|| named.remove(0));
    let secondary = match own.secondary_count {
        None => Secondary::These(named),
        Some(_) if !named.is_empty() => {
            return Err(Error::InvalidParameterCombination(
                "The parameters secondaryPrivateIpAddressCount and privateIpAddresses cannot be \
                 used together"
                    .to_owned(),
            ));
        }
        Some(count) => {
            let count = usize::try_from(count)
                .map_err(|_| Error::value("secondaryPrivateIpAddressCount must not be negative"))?;
            Secondary::Count(count)
        }
    };
    let further = match &secondary {
        Secondary::Count(count) => *count,
        Secondary::These(addresses) => addresses.len(),
    };
    let limit = instance_type.addresses_max();
    if further.saturating_add(1) > limit {
        return Err(Error::PrivateIpAddressLimitExceeded(format!(
            "Number of private addresses will exceed limit of {limit} for instance type '{}'.",
            instance_type.name()
        )));
    }
    Ok((primary, secondary))
}

/// Gives `instance` its interface.
pub(super) fn place(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    plan: &Plan,
    instance: &ResourceId,
    tags: Tags,
) -> Result<Interface> {
    let mut eni = match &plan.existing {
        Some(eni) => eni.clone(),
        None => {
            let new = NewInterface {
                subnet: &plan.subnet,
                kind: InterfaceKind::Interface,
                description: plan.description.clone(),
                groups: plan.groups.clone(),
                primary: plan.primary,
                secondary: plan.secondary.clone(),
                requester: None,
                tags,
            };
            placement::make(tx, maker, new)?
        }
    };
    attachment::attach(tx, maker, &mut eni, instance, plan.delete_on_termination)?;
    if plan.public {
        placement::assign_public(tx, maker, &mut eni)?;
    }
    Ok(eni)
}

/// Gives a starting instance a public address again, if it is one that has them.
pub(super) fn give_public_address(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    instance: &Instance,
) -> Result<()> {
    attachment::instance_started(tx, maker, &instance.id)
}

/// Sets whether an interface takes only what is sent to itself.
pub(super) fn set_source_dest_check(tx: &mut WriteTx<'_>, eni: &Interface, on: bool) -> Result<()> {
    Ok(tx.put(&INTERFACES, &Interface { source_dest_check: on, ..eni.clone() })?)
}

/// Sets an interface's security groups.
pub(super) fn set_groups(
    tx: &mut WriteTx<'_>,
    eni: &Interface,
    ids: &[String],
    groups_max: u64,
) -> Result<()> {
    let groups = security_group::for_interface(tx, &eni.vpc, ids, groups_max)?;
    Ok(tx.put(&INTERFACES, &Interface { groups, ..eni.clone() })?)
}
