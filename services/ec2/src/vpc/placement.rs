//! How interfaces come by their addresses: private ones of their subnet, public ones of the
//! region's pool. Everything here happens inside the transaction of whoever needs it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use base::{Cidr, MacAddress, ResourceId, Tags};
use store::{ReadTx, WriteTx};

use super::store::{
    ADDRESSES, INTERFACE_STATES, INTERFACES, INTERFACES_BY_SUBNET, Interface, InterfaceKind,
    PUBLIC_LEASES, PrivateAddress, PublicAddress, PublicLease, Subnet,
};
use crate::error::{Error, Result};
use crate::maker::Maker;
use crate::tags;

/// The first address of a subnet that is leased: network, router, DNS and a spare come before.
///
/// AWS: "Subnet CIDR blocks".
const FIRST: u32 = 4;
/// The first addresses of the public pool are the fabric's own.
const POOL_RESERVED: u32 = 16;
/// The most private addresses of an interface, of the largest instance type.
///
/// AWS: "Maximum IP addresses per network interface".
const ADDRESSES_MAX: usize = 50;

/// What a new interface is to be.
pub(crate) struct NewInterface<'a> {
    pub(crate) subnet: &'a Subnet,
    pub(crate) kind: InterfaceKind,
    pub(crate) description: String,
    pub(crate) groups: Vec<ResourceId>,
    pub(crate) primary: Option<Ipv4Addr>,
    pub(crate) secondary: Secondary,
    /// The AWS service that makes it for itself.
    pub(crate) requester: Option<String>,
    pub(crate) tags: Tags,
}

/// Further private addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Secondary {
    Count(usize),
    These(Vec<Ipv4Addr>),
}

/// Makes an interface.
pub(crate) fn make(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    new: NewInterface<'_>,
) -> Result<Interface> {
    let NewInterface { subnet, kind, description, groups, primary, secondary, requester, tags } =
        new;
    let mut interface = Interface {
        id: maker.id("eni"),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        zone: subnet.zone.clone(),
        kind,
        description,
        mac: MacAddress::random(maker.random),
        addresses: Vec::new(),
        groups,
        source_dest_check: kind == InterfaceKind::Interface,
        wants_public: false,
        requester,
        attachment: None,
        created: maker.now,
    };
    let primary = primary.map_or(Secondary::Count(1), |address| Secondary::These(vec![address]));
    add(tx, maker, subnet, &mut interface, &primary)?;
    add(tx, maker, subnet, &mut interface, &secondary)?;
    tx.put(&INTERFACES, &interface)?;
    tags::begin(tx, &interface.id, "network-interface", &tags)?;
    Ok(interface)
}

/// Gives `interface`, which the caller puts, further private addresses. Tells which.
pub(crate) fn add(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    subnet: &Subnet,
    interface: &mut Interface,
    wanted: &Secondary,
) -> Result<Vec<Ipv4Addr>> {
    let mut taken = taken_in(tx, subnet)?;
    taken.extend(interface.addresses.iter().map(|private| private.address));
    let added = match wanted {
        Secondary::Count(count) => {
            let full = || Error::InsufficientFreeAddresses(subnet.id.to_string());
            let mut free = Vec::new();
            for _ in 0..*count {
                let address = free_in(maker, subnet.cidr, &taken).ok_or_else(full)?;
                taken.insert(address);
                free.push(address);
            }
            free
        }
        Secondary::These(addresses) => {
            for address in addresses {
                require_usable(subnet.cidr, *address)?;
                if !taken.insert(*address) {
                    return Err(Error::AddressInUse(format!(
                        "The specified address is already in use: {address}"
                    )));
                }
            }
            addresses.clone()
        }
    };
    if interface.addresses.len() + added.len() > ADDRESSES_MAX {
        return Err(Error::PrivateIpAddressLimitExceeded(format!(
            "Number of private addresses will exceed limit of {ADDRESSES_MAX}."
        )));
    }
    let private = |address: &Ipv4Addr| PrivateAddress { address: *address, public: None };
    interface.addresses.extend(added.iter().map(private));
    Ok(added)
}

fn taken_in(tx: &ReadTx<'_>, subnet: &Subnet) -> Result<BTreeSet<Ipv4Addr>> {
    let interfaces = tx.find(&INTERFACES_BY_SUBNET, &subnet.id)?;
    Ok(interfaces.iter().flat_map(|eni| &eni.addresses).map(|private| private.address).collect())
}

/// A free address, from a place by chance on, so that an address that was given back rests.
fn free_in(maker: Maker<'_>, cidr: Cidr, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let usable = cidr.size().checked_sub(u64::from(FIRST) + 1)?;
    let start = maker.random.below(usable);
    let at = |step: u64| {
        let offset = u64::from(FIRST) + (start + step) % usable;
        cidr.nth(u32::try_from(offset).ok()?)
    };
    (0..usable).filter_map(at).find(|address| !taken.contains(address))
}

/// Checks that `address` may be leased in a subnet of `cidr`.
pub(crate) fn require_usable(cidr: Cidr, address: Ipv4Addr) -> Result<()> {
    if !cidr.contains(address) {
        return Err(Error::value("Address does not fall within the subnet's address range"));
    }
    let offset = u32::from(address) - u32::from(cidr.network());
    if offset < FIRST || address == cidr.broadcast() {
        return Err(Error::value("Address is in subnet's reserved address range"));
    }
    Ok(())
}

/// Takes a public address out of the pool for `holder`.
pub(crate) fn lease(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    holder: &ResourceId,
) -> Result<Ipv4Addr> {
    let usable = maker.pool.size().saturating_sub(u64::from(POOL_RESERVED) + 1);
    if usable == 0 {
        return Err(Error::InsufficientAddressCapacity);
    }
    let start = maker.random.below(usable);
    for step in 0..usable {
        let offset = u64::from(POOL_RESERVED) + (start + step) % usable;
        let address = u32::try_from(offset).ok().and_then(|offset| maker.pool.nth(offset));
        let Some(address) = address else { break };
        // Some software takes the first and last of 256 for a network's or a broadcast address.
        let plain = !matches!(address.octets()[3], 0 | 255);
        if plain && !tx.contains(&PUBLIC_LEASES, u32::from(address))? {
            let (account, holder) = (maker.account.clone(), holder.clone());
            tx.put(&PUBLIC_LEASES, &PublicLease { address, account, holder })?;
            return Ok(address);
        }
    }
    Err(Error::InsufficientAddressCapacity)
}

/// Puts a public address back into the pool.
pub(crate) fn give_back(tx: &mut WriteTx<'_>, address: Ipv4Addr) -> Result<()> {
    tx.delete(&PUBLIC_LEASES, u32::from(address))?;
    Ok(())
}

/// Gives an interface's primary address a public one of the pool, unless it has one.
pub(crate) fn assign_public(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    interface: &mut Interface,
) -> Result<()> {
    interface.wants_public = true;
    let holder = interface.id.clone();
    if let Some(primary) = interface.addresses.first_mut()
        && primary.public.is_none()
    {
        let address = lease(tx, maker, &holder)?;
        primary.public = Some(PublicAddress { address, elastic: None });
    }
    Ok(tx.put(&INTERFACES, interface)?)
}

/// Takes the public address that came from the pool away; an elastic one stays.
pub(crate) fn unassign_public(tx: &mut WriteTx<'_>, interface: &mut Interface) -> Result<()> {
    for private in &mut interface.addresses {
        if let Some(public) = private.public.take_if(|public| public.elastic.is_none()) {
            give_back(tx, public.address)?;
        }
    }
    Ok(tx.put(&INTERFACES, interface)?)
}

/// Removes an interface. Its elastic addresses stay their owner's.
pub(crate) fn remove(tx: &mut WriteTx<'_>, interface: &Interface) -> Result<()> {
    for public in interface.addresses.iter().filter_map(|private| private.public.as_ref()) {
        match &public.elastic {
            None => give_back(tx, public.address)?,
            Some(elastic) => {
                if let Some(mut address) = tx.get(&ADDRESSES, &elastic.allocation)? {
                    address.interface = None;
                    tx.put(&ADDRESSES, &address)?;
                }
            }
        }
    }
    tx.delete(&INTERFACES, &interface.id)?;
    tx.delete(&INTERFACE_STATES, &interface.id)?;
    tags::end(tx, &interface.id)
}
