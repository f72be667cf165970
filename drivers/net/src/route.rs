//! rtnetlink: the messages that make and list links, addresses, routes and neighbours.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use base::{Cidr, MacAddress};

use crate::Result;
use crate::netlink::{
    Answer, Attributes, Batch, Body, CREATE, EXCLUSIVE, REPLACE, Socket, Tolerate, number,
};

const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_NEIGHBOUR: u16 = 28;
const NEW_RULE: u16 = 32;
const DEL_RULE: u16 = 33;
const GET_RULE: u16 = 34;
const SET_NEIGHBOUR_TABLE: u16 = 67;

const IPV4: u8 = 2;
const UP: u32 = 0x1;
const RUNNING: u32 = 0x40;
/// Marks routes and rules as the fabric's own among those that the kernel made.
const PROTOCOL: u8 = 83;
/// The table that the kernel asks when no rule chose one.
pub(crate) const MAIN: u32 = 254;
/// The place of the fabric's rules: before the kernel's own.
const RULE_PRIORITY: u32 = 1000;

/// The loopback's index in every namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// One end of a pair of links.
#[derive(Debug, Clone)]
pub(crate) struct End<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its index, the kernel's choice when absent.
    pub(crate) index: Option<u32>,
    /// Its hardware address.
    pub(crate) mac: MacAddress,
}

/// A link as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenLink {
    /// Its index.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its alias, empty when there is none.
    pub(crate) alias: String,
    /// Whether it is switched on.
    pub(crate) up: bool,
    /// Whether it is switched on at both ends.
    pub(crate) running: bool,
    /// Packets received and sent, bytes received and sent, seen from this end.
    pub(crate) counters: [u64; 4],
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way<L> {
    /// To a neighbour on a link, or to the destination itself.
    Link(L, Option<Ipv4Addr>),
    /// Nowhere.
    Blackhole,
    /// Back to the rules, as if the table had no such route.
    Throw,
}

impl<L> Way<L> {
    /// The same way, with another name for its link; nothing when that has none.
    pub(crate) fn map<M>(&self, name: impl FnOnce(&L) -> Option<M>) -> Option<Way<M>> {
        Some(match self {
            Self::Link(link, via) => Way::Link(name(link)?, *via),
            Self::Blackhole => Way::Blackhole,
            Self::Throw => Way::Throw,
        })
    }
}

fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

fn end(body: &mut Body<'_>, end: &End<'_>, mtu: u32, up: bool) {
    let flags = if up { UP } else { 0 };
    body.raw(&link_header(end.index.unwrap_or(0), flags, flags));
    body.text(3, end.name);
    body.put(1, &end.mac.0);
    body.number(4, mtu);
}

/// Makes a pair of links, one end here and switched on if `up`, the other in `namespace`.
pub(crate) fn add_pair(
    batch: &mut Batch,
    here: &End<'_>,
    up: bool,
    there: &End<'_>,
    namespace: BorrowedFd<'_>,
    mtu: u32,
) {
    let what = format!("add link {}", here.name);
    let kind = (NEW_LINK, CREATE | EXCLUSIVE);
    batch.message(what, Tolerate::Nothing, kind, |body| {
        end(body, here, mtu, up);
        body.nest(18, |info| {
            info.text(1, "veth");
            info.nest(2, |data| {
                data.nest(1, |peer| {
                    end(peer, there, mtu, false);
                    peer.put(28, &namespace.as_raw_fd().to_ne_bytes());
                });
            });
        });
    });
}

/// Switches a link on or off.
pub(crate) fn set_up(batch: &mut Batch, index: u32, up: bool) {
    let what = format!("switch link {index} {}", if up { "on" } else { "off" });
    batch.message(what, Tolerate::Nothing, (SET_LINK, 0), |body| {
        body.raw(&link_header(index, if up { UP } else { 0 }, UP));
    });
}

/// Gives a link an alias.
pub(crate) fn set_alias(batch: &mut Batch, index: u32, alias: &str) {
    batch.message("set a link's alias", Tolerate::Nothing, (SET_LINK, 0), |body| {
        body.raw(&link_header(index, 0, 0));
        body.text(20, alias);
    });
}

/// Removes links. Many go in one step of the kernel's, as a group.
pub(crate) fn delete_links(batch: &mut Batch, indexes: &[u32]) {
    const GROUP: u32 = 0x534b_0001;
    if let [index] = indexes {
        batch.message("delete a link", Tolerate::Absent, (DEL_LINK, 0), |body| {
            body.raw(&link_header(*index, 0, 0));
        });
    } else if !indexes.is_empty() {
        for index in indexes {
            batch.message("group a link", Tolerate::Absent, (SET_LINK, 0), |body| {
                body.raw(&link_header(*index, 0, 0));
                body.number(27, GROUP);
            });
        }
        batch.message("delete links", Tolerate::Absent, (DEL_LINK, 0), |body| {
            body.raw(&link_header(0, 0, 0));
            body.number(27, GROUP);
        });
    }
}

/// Answers for other addresses on a link at once. By default the kernel waits up to 0.8 s, which
/// looks like a dropped packet.
pub(crate) fn set_proxy_delay_zero(batch: &mut Batch, index: u32) {
    let kind = (SET_NEIGHBOUR_TABLE, REPLACE);
    batch.message("set a link's ARP delay", Tolerate::Nothing, kind, |body| {
        body.raw(&[IPV4, 0, 0, 0]);
        body.text(1, "arp_cache");
        body.nest(6, |parameters| {
            parameters.number(1, index);
            parameters.put(13, &0_u64.to_ne_bytes());
        });
    });
}

fn address(batch: &mut Batch, kind: (u16, u16), index: u32, address: Ipv4Addr, prefix: u8) {
    let (what, tolerate) = if kind.0 == NEW_ADDRESS {
        ("add address", Tolerate::Present)
    } else {
        ("delete address", Tolerate::Absent)
    };
    batch.message(format!("{what} {address}/{prefix}"), tolerate, kind, |body| {
        body.raw(&[IPV4, prefix, 0, 0]);
        body.raw(&index.to_ne_bytes());
        body.put(2, &address.octets());
        body.put(1, &address.octets());
    });
}

/// Gives a link an address.
pub(crate) fn add_address(batch: &mut Batch, index: u32, value: Ipv4Addr, prefix: u8) {
    address(batch, (NEW_ADDRESS, CREATE | EXCLUSIVE), index, value, prefix);
}

/// Takes an address from a link.
pub(crate) fn delete_address(batch: &mut Batch, index: u32, value: Ipv4Addr, prefix: u8) {
    address(batch, (DEL_ADDRESS, 0), index, value, prefix);
}

fn route_body(body: &mut Body<'_>, table: u32, to: Cidr, way: &Way<u32>) {
    const ONLINK: u32 = 4;
    let (kind, scope, flags) = match way {
        Way::Link(_, None) => (1, 253, 0),
        Way::Link(_, Some(_)) => (1, 0, ONLINK),
        Way::Blackhole => (6, 0, 0),
        Way::Throw => (9, 0, 0),
    };
    // Tables beyond 255 are named by the attribute only.
    let short = u8::try_from(table).unwrap_or(0);
    body.raw(&[IPV4, to.prefix(), 0, 0, short, PROTOCOL, scope, kind]);
    body.raw(&flags.to_ne_bytes());
    body.number(15, table);
    if to.prefix() > 0 {
        body.put(1, &to.network().octets());
    }
    if let Way::Link(index, via) = way {
        body.number(4, *index);
        if let Some(via) = via {
            body.put(5, &via.octets());
        }
    }
}

/// Makes a route, or replaces the one to the same block in the same table.
pub(crate) fn set_route(batch: &mut Batch, table: u32, to: Cidr, way: &Way<u32>) {
    let kind = (NEW_ROUTE, CREATE | REPLACE);
    batch.message(format!("add route to {to}"), Tolerate::Nothing, kind, |body| {
        route_body(body, table, to, way);
    });
}

/// Removes a route.
pub(crate) fn delete_route(batch: &mut Batch, table: u32, to: Cidr, way: &Way<u32>) {
    batch.message(format!("delete route to {to}"), Tolerate::Absent, (DEL_ROUTE, 0), |body| {
        route_body(body, table, to, way);
    });
}

/// Names the hardware address behind an address, for good: nobody can claim it by ARP.
pub(crate) fn set_neighbour(batch: &mut Batch, index: u32, address: Ipv4Addr, mac: MacAddress) {
    const PERMANENT: u16 = 0x80;
    let kind = (NEW_NEIGHBOUR, CREATE | REPLACE);
    batch.message(format!("add neighbour {address}"), Tolerate::Nothing, kind, |body| {
        body.raw(&[IPV4, 0, 0, 0]);
        body.raw(&index.to_ne_bytes());
        body.raw(&PERMANENT.to_ne_bytes());
        body.raw(&[0, 1]);
        body.put(1, &address.octets());
        body.put(2, &mac.0);
    });
}

fn rule(batch: &mut Batch, kind: (u16, u16), tolerate: Tolerate, mark: u32, table: u32) {
    batch.message("choose a route table", tolerate, kind, |body| {
        body.raw(&[IPV4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        body.number(6, RULE_PRIORITY);
        body.number(10, mark);
        body.number(16, u32::MAX);
        body.number(15, table);
        body.put(21, &[PROTOCOL]);
    });
}

/// Sends packets that bear `mark` to `table`.
pub(crate) fn add_rule(batch: &mut Batch, mark: u32, table: u32) {
    rule(batch, (NEW_RULE, CREATE | EXCLUSIVE), Tolerate::Present, mark, table);
}

/// Ends what [`add_rule`] began.
pub(crate) fn delete_rule(batch: &mut Batch, mark: u32, table: u32) {
    rule(batch, (DEL_RULE, 0), Tolerate::Absent, mark, table);
}

/// All links of the socket's namespace.
pub(crate) fn links(socket: &mut Socket) -> Result<Vec<SeenLink>> {
    let answers = socket.dump("list links", GET_LINK, |body| body.raw(&[0; 16]))?;
    Ok(answers.iter().filter_map(seen_link).collect())
}

fn seen_link(answer: &Answer) -> Option<SeenLink> {
    let header: [u8; 16] = answer.fixed()?;
    let flags = number(header.get(8..)?)?;
    let mut link = SeenLink {
        index: number(header.get(4..)?)?,
        name: String::new(),
        alias: String::new(),
        up: flags & UP != 0,
        running: flags & (UP | RUNNING) == UP | RUNNING,
        counters: [0; 4],
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
    for (kind, value) in answer.attributes(16) {
        match kind {
            3 => link.name = text(value),
            20 => link.alias = text(value),
            23 => {
                for (counter, bytes) in link.counters.iter_mut().zip(value.chunks_exact(8)) {
                    *counter = bytes.try_into().map_or(0, u64::from_ne_bytes);
                }
            }
            _ => {}
        }
    }
    Some(link)
}

/// All IPv4 addresses: index of the link, address, prefix.
pub(crate) fn addresses(socket: &mut Socket) -> Result<Vec<(u32, Ipv4Addr, u8)>> {
    let answers = socket.dump("list addresses", GET_ADDRESS, |body| {
        body.raw(&[IPV4, 0, 0, 0, 0, 0, 0, 0]);
    })?;
    let seen = |answer: &Answer| {
        let header: [u8; 8] = answer.fixed()?;
        let (prefix, index) = (*header.get(1)?, number(header.get(4..)?)?);
        Some((index, find_address(answer.attributes(8), 2)?, prefix))
    };
    Ok(answers.iter().filter_map(seen).collect())
}

fn find_address(mut attributes: Attributes<'_>, wanted: u16) -> Option<Ipv4Addr> {
    let (_, value) = attributes.find(|(kind, _)| *kind == wanted)?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))
}

/// A route as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenRoute {
    /// Its table.
    pub(crate) table: u32,
    /// Where to.
    pub(crate) to: Cidr,
    /// By which way.
    pub(crate) way: Way<u32>,
    /// Whether a fabric made it, this install's or another's.
    pub(crate) is_fabric: bool,
}

/// All IPv4 routes of the kinds that a fabric makes.
pub(crate) fn routes(socket: &mut Socket) -> Result<Vec<SeenRoute>> {
    let answers = socket.dump("list routes", GET_ROUTE, |body| {
        body.raw(&[IPV4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    })?;
    Ok(answers.iter().filter_map(seen_route).collect())
}

fn seen_route(answer: &Answer) -> Option<SeenRoute> {
    let [_, prefix, _, _, table, protocol, _, kind, ..] = answer.fixed::<12>()?;
    let attributes = answer.attributes(12);
    let find = |wanted| attributes.into_iter().find(|(kind, _)| *kind == wanted);
    let network = find_address(attributes, 1).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let way = match kind {
        1 => Way::Link(number(find(4)?.1)?, find_address(attributes, 5)),
        6 => Way::Blackhole,
        9 => Way::Throw,
        _ => return None,
    };
    Some(SeenRoute {
        table: find(15).and_then(|(_, value)| number(value)).unwrap_or(u32::from(table)),
        to: Cidr::containing(network, prefix),
        way,
        is_fabric: protocol == PROTOCOL,
    })
}

/// The fabric's own rules: mark and table.
pub(crate) fn rules(socket: &mut Socket) -> Result<Vec<(u32, u32)>> {
    let answers = socket.dump("list rules", GET_RULE, |body| {
        body.raw(&[IPV4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    })?;
    let seen = |answer: &Answer| {
        let attributes = answer.attributes(12);
        let find = |wanted| attributes.into_iter().find(|(kind, _)| *kind == wanted);
        (find(21)?.1 == [PROTOCOL]).then_some(())?;
        Some((number(find(10)?.1)?, number(find(15)?.1)?))
    };
    Ok(answers.iter().filter_map(seen).collect())
}
