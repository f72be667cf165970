//! The expressions that nf_tables rules are made of, as builder methods of a rule.
//!
//! A register of nf_tables holds 16 bytes; the second 16 follow the first without a gap, so a
//! key of several fields is loaded field by field into neighbouring places.

use std::net::Ipv4Addr;

use base::Cidr;

use crate::netlink::Body;

/// The verdict's register.
const VERDICT: u32 = 0;
/// The first register, where every rule works.
const FIRST: u32 = 1;
/// The place 16 bytes behind the first register: behind an interface's name.
const BEHIND_NAME: u32 = 2;
/// The place 4 bytes behind the first register: behind an address.
const BEHIND_ADDRESS: u32 = 9;

/// The length of an interface's name in keys and comparisons.
pub(crate) const NAME_BYTES: usize = 16;

/// TCP's protocol number.
pub(crate) const TCP: u8 = 6;
/// UDP's protocol number.
pub(crate) const UDP: u8 = 17;
/// ICMP's protocol number.
pub(crate) const ICMP: u8 = 1;

/// Which side of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

/// Which of a packet's links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The one it came in by.
    In,
    /// The one it leaves by.
    Out,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verdict {
    /// It goes on to the next hook.
    Accept,
    /// It is gone.
    Drop,
    /// Back to the chain that jumped here.
    Return,
    /// On with another chain.
    Jump(String),
}

impl Verdict {
    /// Writes the verdict as nf_tables data.
    pub(crate) fn write(&self, body: &mut Body<'_>) {
        const JUMP: i32 = -3;
        const RETURN: i32 = -5;
        body.nest(2, |verdict| {
            let code: i32 = match self {
                Self::Accept => 1,
                Self::Drop => 0,
                Self::Return => RETURN,
                Self::Jump(_) => JUMP,
            };
            verdict.put(1, &code.to_be_bytes());
            if let Self::Jump(chain) = self {
                verdict.text(2, chain);
            }
        });
    }
}

/// An interface's name as keys and comparisons hold it.
pub(crate) fn name_key(name: &str) -> [u8; NAME_BYTES] {
    let mut key = [0; NAME_BYTES];
    for (place, byte) in key.iter_mut().zip(name.bytes().take(NAME_BYTES - 1)) {
        *place = byte;
    }
    key
}

/// The expressions of one rule, encoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Rule(Vec<u8>);

impl Rule {
    /// A rule that matches everything.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The encoded expressions.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn expression(mut self, name: &str, data: impl FnOnce(&mut Body<'_>)) -> Self {
        Body(&mut self.0).nest(1, |expression| {
            expression.text(1, name);
            expression.nest(2, data);
        });
        self
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.expression("meta", |data| {
            data.big(1, register);
            data.big(2, key);
        })
    }

    fn load(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.expression("payload", |data| {
            data.big(1, register);
            data.big(2, base);
            data.big(3, offset);
            data.big(4, length);
        })
    }

    fn compare(self, operator: u32, value: &[u8]) -> Self {
        self.expression("cmp", |data| {
            data.big(1, FIRST);
            data.big(2, operator);
            data.nest(3, |nest| nest.put(1, value));
        })
    }

    fn masked(self, length: u32, mask: &[u8]) -> Self {
        self.expression("bitwise", |data| {
            data.big(1, FIRST);
            data.big(2, FIRST);
            data.big(3, length);
            data.nest(4, |nest| nest.put(1, mask));
            data.nest(5, |nest| nest.put(1, &vec![0; mask.len()]));
        })
    }

    fn load_address(self, side: Side, register: u32) -> Self {
        let offset = match side {
            Side::Source => 12,
            Side::Destination => 16,
        };
        self.load(1, offset, 4, register)
    }

    fn load_name(self, way: Way) -> Self {
        let key = match way {
            Way::In => 6,
            Way::Out => 7,
        };
        self.meta(key, FIRST)
    }

    /// Matches packets of the link called `name`.
    pub(crate) fn link(self, way: Way, name: &str) -> Self {
        self.load_name(way).compare(0, &name_key(name))
    }

    /// Matches packets of every other link.
    pub(crate) fn other_link(self, way: Way, name: &str) -> Self {
        self.load_name(way).compare(1, &name_key(name))
    }

    /// Matches packets whose address lies in `block`.
    pub(crate) fn address(self, side: Side, block: Cidr) -> Self {
        self.compare_address(side, block, 0)
    }

    /// Matches packets whose address does not lie in `block`.
    pub(crate) fn other_address(self, side: Side, block: Cidr) -> Self {
        self.compare_address(side, block, 1)
    }

    fn compare_address(self, side: Side, block: Cidr, operator: u32) -> Self {
        if block.prefix() == 0 && operator == 0 {
            return self;
        }
        let loaded = self.load_address(side, FIRST);
        let mask = u32::MAX.checked_shl(32 - u32::from(block.prefix())).unwrap_or(0);
        let masked =
            if block.prefix() == 32 { loaded } else { loaded.masked(4, &mask.to_be_bytes()) };
        masked.compare(operator, &block.network().octets())
    }

    /// Matches one transport protocol.
    pub(crate) fn protocol(self, number: u8) -> Self {
        self.meta(16, FIRST).compare(0, &[number])
    }

    /// Matches destination ports of the range, both ends included, of a protocol that has ports.
    pub(crate) fn ports(self, from: u16, to: u16) -> Self {
        if (from, to) == (0, u16::MAX) {
            return self;
        }
        let loaded = self.load(2, 2, 2, FIRST);
        if from == to {
            return loaded.compare(0, &from.to_be_bytes());
        }
        loaded.compare(5, &from.to_be_bytes()).compare(3, &to.to_be_bytes())
    }

    /// Matches a byte of the transport header: an ICMP type (0) or code (1).
    pub(crate) fn transport_byte(self, offset: u32, value: u8) -> Self {
        self.load(2, offset, 1, FIRST).compare(0, &[value])
    }

    /// Matches connections in one of the states, a mask of [`INVALID`], [`ESTABLISHED`],
    /// [`RELATED`] and [`NEW`].
    pub(crate) fn state(self, mask: u32) -> Self {
        let loaded = self.expression("ct", |data| {
            data.big(1, FIRST);
            data.big(2, 0);
        });
        loaded.masked(4, &mask.to_ne_bytes()).compare(1, &[0; 4])
    }

    fn lookup(self, set: &str, destination: Option<u32>, inverted: bool) -> Self {
        self.expression("lookup", |data| {
            data.text(1, set);
            data.big(2, FIRST);
            if let Some(register) = destination {
                data.big(3, register);
            }
            if inverted {
                data.big(5, 1);
            }
        })
    }

    /// Matches packets whose link is not in `set`.
    pub(crate) fn link_not_in(self, way: Way, set: &str) -> Self {
        self.load_name(way).lookup(set, None, true)
    }

    /// Matches packets whose link and address are not together in `set`.
    pub(crate) fn link_and_address_not_in(self, way: Way, side: Side, set: &str) -> Self {
        self.load_name(way).load_address(side, BEHIND_NAME).lookup(set, None, true)
    }

    /// Matches packets whose link and address are together in `set`.
    pub(crate) fn link_and_address_in(self, way: Way, side: Side, set: &str) -> Self {
        self.load_name(way).load_address(side, BEHIND_NAME).lookup(set, None, false)
    }

    /// Matches packets whose link and mark are together in `set`.
    pub(crate) fn link_and_mark_in(self, way: Way, set: &str) -> Self {
        self.load_name(way).meta(3, BEHIND_NAME).lookup(set, None, false)
    }

    /// Matches packets whose address is in `set`.
    pub(crate) fn address_in(self, side: Side, set: &str) -> Self {
        self.load_address(side, FIRST).lookup(set, None, false)
    }

    /// Matches packets whose address is not in `set`.
    pub(crate) fn address_not_in(self, side: Side, set: &str) -> Self {
        self.load_address(side, FIRST).lookup(set, None, true)
    }

    /// Matches packets whose destination's address and port are together in `set`.
    pub(crate) fn service_in(self, set: &str) -> Self {
        let loaded = self.load_address(Side::Destination, FIRST);
        loaded.load(2, 2, 2, BEHIND_ADDRESS).lookup(set, None, false)
    }

    /// Marks the packet with the value that `map` has for its link.
    pub(crate) fn mark_by_link(self, way: Way, map: &str) -> Self {
        let found = self.load_name(way).lookup(map, Some(FIRST), false);
        found.expression("meta", |data| {
            data.big(2, 3);
            data.big(3, FIRST);
        })
    }

    /// Does what `map` says for the packet's link; goes on when it says nothing.
    pub(crate) fn verdict_by_link(self, way: Way, map: &str) -> Self {
        self.load_name(way).lookup(map, Some(VERDICT), false)
    }

    /// Does what `map` says for the packet's mark; goes on when it says nothing.
    pub(crate) fn verdict_by_mark(self, map: &str) -> Self {
        self.meta(3, FIRST).lookup(map, Some(VERDICT), false)
    }

    /// Translates the address of `side` to what `map` has for it; goes on when it has nothing.
    pub(crate) fn translate_by(self, side: Side, map: &str) -> Self {
        let found = self.load_address(side, FIRST).lookup(map, Some(FIRST), false);
        found.translate(side)
    }

    /// Translates the address of `side` to `address`.
    pub(crate) fn translate_to(self, side: Side, address: Ipv4Addr) -> Self {
        let loaded = self.expression("immediate", |data| {
            data.big(1, FIRST);
            data.nest(2, |value| value.put(1, &address.octets()));
        });
        loaded.translate(side)
    }

    fn translate(self, side: Side) -> Self {
        const IPV4: u32 = 2;
        self.expression("nat", |data| {
            data.big(1, if side == Side::Source { 0 } else { 1 });
            data.big(2, IPV4);
            data.big(3, FIRST);
        })
    }

    /// Translates the source to the address of the link that the packet leaves by.
    pub(crate) fn masquerade(self) -> Self {
        self.expression("masq", |_| {})
    }

    /// Ends the rule with a verdict.
    pub(crate) fn verdict(self, verdict: &Verdict) -> Self {
        self.expression("immediate", |data| {
            data.big(1, VERDICT);
            data.nest(2, |value| verdict.write(value));
        })
    }

    /// Ends the rule by letting the packet on.
    pub(crate) fn accept(self) -> Self {
        self.verdict(&Verdict::Accept)
    }

    /// Ends the rule by answering that the port is closed. For TCP only.
    pub(crate) fn refuse(self) -> Self {
        const RESET: u32 = 1;
        self.expression("reject", |data| data.big(1, RESET))
    }

    /// Ends the rule by dropping the packet.
    pub(crate) fn drop(self) -> Self {
        self.verdict(&Verdict::Drop)
    }
}

/// The packet fits no connection and begins none.
pub(crate) const INVALID: u32 = 1;
/// The packet belongs to a connection that has seen both directions.
pub(crate) const ESTABLISHED: u32 = 2;
/// The packet is about a connection, as an ICMP error is.
pub(crate) const RELATED: u32 = 4;
/// The packet begins a connection.
pub(crate) const NEW: u32 = 8;
