//! Interfaces of instances: what the instances half of the service calls inside its transactions.
//!
//! An instance has one interface, its primary one: a workload lives in one network namespace.

use base::ResourceId;
use store::{ReadTx, WriteTx};

use super::placement;
use super::store::{Attachment, INTERFACE_STATES, INTERFACES, INTERFACES_BY_INSTANCE, Interface};
use crate::error::{Error, Result};
use crate::maker::Maker;

/// Whether the fabric has built the interface `id`.
pub(crate) fn is_up(tx: &ReadTx<'_>, id: &ResourceId) -> Result<bool> {
    Ok(tx.get(&INTERFACE_STATES, id)?.is_some_and(|state| state.up))
}

/// The interfaces of an instance, the primary one first.
pub(crate) fn of_instance(tx: &ReadTx<'_>, instance: &ResourceId) -> Result<Vec<Interface>> {
    let mut interfaces = tx.find(&INTERFACES_BY_INSTANCE, instance)?;
    interfaces.sort_by_key(|eni| eni.attachment.as_ref().map(|a| a.device_index));
    Ok(interfaces)
}

/// Makes `interface` the primary one of `instance`.
pub(crate) fn attach(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    interface: &mut Interface,
    instance: &ResourceId,
    delete_on_termination: bool,
) -> Result<()> {
    if interface.attachment.is_some() || interface.requester.is_some() {
        return Err(Error::InterfaceInUse(format!("Interface: [{}] in use.", interface.id)));
    }
    interface.attachment = Some(Attachment {
        id: maker.id("eni-attach"),
        instance: instance.clone(),
        device_index: 0,
        delete_on_termination,
        attached: maker.now,
    });
    Ok(tx.put(&INTERFACES, interface)?)
}

/// An instance stops: addresses of the pool are given back.
///
/// AWS: "Amazon EC2 instance IP addressing", public IPv4 addresses.
pub(crate) fn instance_stopped(tx: &mut WriteTx<'_>, instance: &ResourceId) -> Result<()> {
    for mut interface in of_instance(tx, instance)? {
        placement::unassign_public(tx, &mut interface)?;
    }
    Ok(())
}

/// An instance starts again: who had an address of the pool gets a new one.
pub(crate) fn instance_started(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    instance: &ResourceId,
) -> Result<()> {
    for mut interface in of_instance(tx, instance)? {
        if interface.wants_public {
            placement::assign_public(tx, maker, &mut interface)?;
        }
    }
    Ok(())
}

/// An instance is gone: its interfaces go too, or are free again.
pub(crate) fn instance_terminated(tx: &mut WriteTx<'_>, instance: &ResourceId) -> Result<()> {
    for mut interface in of_instance(tx, instance)? {
        let attachment = interface.attachment.take();
        if attachment.is_some_and(|attachment| attachment.delete_on_termination) {
            placement::remove(tx, &interface)?;
        } else {
            placement::unassign_public(tx, &mut interface)?;
        }
    }
    Ok(())
}
