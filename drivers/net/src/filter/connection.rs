//! Connection tracking: forgetting the flows of addresses that changed hands.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::Result;
use crate::netlink::{Answer, Attributes, Batch, Socket, Tolerate};

const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const IPV4: [u8; 4] = [2, 0, 0, 0];

/// Forgets every flow that was sent to one of `addresses`, or left under it.
///
/// A flow keeps the translation that it began with, so one that goes on, as a UDP client with a
/// fixed port does, would still reach the former holder.
///
/// # Errors
///
/// When the kernel refuses.
pub(crate) fn forget(socket: &mut Socket, addresses: &BTreeSet<Ipv4Addr>) -> Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let flows = socket.dump("list flows", GET, |body| body.raw(&IPV4))?;
    let mut batch = Batch::default();
    for flow in &flows {
        let destination = |tuple| destination(tuple).is_some_and(|to| addresses.contains(&to));
        let (Some(original), Some(reply)) = (find(flow, 1), find(flow, 2)) else { continue };
        if destination(original) || destination(reply) {
            batch.message("forget a flow", Tolerate::Absent, (DELETE, 0), |body| {
                body.raw(&IPV4);
                body.nest(1, |tuple| tuple.raw(original));
            });
        }
    }
    socket.send(batch)
}

fn find(flow: &Answer, wanted: u16) -> Option<&[u8]> {
    flow.attributes(4).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn destination(tuple: &[u8]) -> Option<Ipv4Addr> {
    let (_, addresses) = Attributes(tuple).find(|(kind, _)| *kind == 1)?;
    let (_, address) = Attributes(addresses).find(|(kind, _)| *kind == 2)?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?))
}
