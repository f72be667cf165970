//! nf_tables: rulesets as values, and the one atomic step from one to the next.

pub(crate) mod connection;
pub(crate) mod expression;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;

use crate::model::Fnv;
use crate::netlink::{APPEND, Batch, Body, CREATE, EXCLUSIVE, Socket, Tolerate};
use crate::{Error, Result};
use expression::{Rule, Verdict, name_key};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DEL_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const DEL_CHAIN: u16 = SUBSYSTEM << 8 | 5;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const DEL_RULE: u16 = SUBSYSTEM << 8 | 8;
const NEW_SET: u16 = SUBSYSTEM << 8 | 9;
const DEL_SET: u16 = SUBSYSTEM << 8 | 11;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const GET_ELEMENT: u16 = SUBSYSTEM << 8 | 13;
const DEL_ELEMENT: u16 = SUBSYSTEM << 8 | 14;

const IPV4: u8 = 2;
/// The set that holds a ruleset's fingerprint, so that a new process can tell what is there.
const FINGERPRINT: &str = "fingerprint";
/// Elements in one message: far below 64 KiB.
const ELEMENTS_PER_MESSAGE: usize = 256;

/// What the keys of a set are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A link's name.
    Link,
    /// An address.
    Address,
    /// A packet's mark.
    Mark,
    /// A link's name and an address.
    LinkAddress,
    /// A link's name and a mark.
    LinkMark,
    /// An address and a port.
    AddressPort,
    /// A fingerprint.
    Fingerprint,
}

impl Key {
    /// Length in bytes, and the number by which `nft` knows how to print it.
    fn shape(self) -> (u32, u32) {
        const NAME: u32 = 41;
        const ADDRESS: u32 = 7;
        const MARK: u32 = 19;
        const PORT: u32 = 13;
        const INTEGER: u32 = 4;
        match self {
            Self::Link => (16, NAME),
            Self::Address => (4, ADDRESS),
            Self::Mark => (4, MARK),
            Self::LinkAddress => (20, NAME << 6 | ADDRESS),
            Self::LinkMark => (20, NAME << 6 | MARK),
            Self::AddressPort => (8, ADDRESS << 6 | PORT),
            Self::Fingerprint => (8, INTEGER),
        }
    }
}

/// What a map has for a key; a set has nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// The key alone.
    Nothing,
    /// An address.
    Address(Ipv4Addr),
    /// A mark.
    Mark(u32),
    /// A verdict.
    Verdict(Verdict),
}

/// What the values of a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Values {
    /// It is a set.
    Nothing,
    /// Addresses.
    Address,
    /// Marks.
    Mark,
    /// Verdicts.
    Verdict,
}

/// A set or a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Set {
    key: Key,
    values: Values,
    elements: BTreeMap<Vec<u8>, Value>,
}

impl Set {
    /// An empty one.
    pub(crate) fn new(key: Key, values: Values) -> Self {
        Self { key, values, elements: BTreeMap::new() }
    }

    /// Adds a key made of `parts`.
    pub(crate) fn insert(&mut self, parts: &[&[u8]], value: Value) {
        self.elements.insert(parts.concat(), value);
    }

    /// Adds a link's name as key.
    pub(crate) fn link(&mut self, name: &str, value: Value) {
        self.insert(&[&name_key(name)], value);
    }

    /// Adds an address as key.
    pub(crate) fn address(&mut self, address: Ipv4Addr, value: Value) {
        self.insert(&[&address.octets()], value);
    }
}

/// Where a chain is hooked into the kernel's path of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Hook {
    /// As soon as it arrives.
    Prerouting,
    /// When it is for this namespace.
    Input,
    /// When it passes through.
    Forward,
    /// As it leaves.
    Postrouting,
}

/// A hooked chain's place, kind and default.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Base {
    /// Where.
    pub(crate) hook: Hook,
    /// Lower comes first.
    pub(crate) priority: i32,
    /// Whether it translates addresses; it filters otherwise.
    pub(crate) translates: bool,
    /// Whether what no rule decided is dropped.
    pub(crate) drops: bool,
}

/// A chain of rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Chain {
    /// Where it is hooked; other chains jump to it when absent.
    pub(crate) base: Option<Base>,
    /// Its rules in order.
    pub(crate) rules: Vec<Rule>,
}

/// All sets and chains of one table. The table's name is the ruleset's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Ruleset {
    /// By name.
    pub(crate) sets: BTreeMap<String, Set>,
    /// By name.
    pub(crate) chains: BTreeMap<String, Chain>,
}

impl Ruleset {
    /// Adds a chain that is hooked in.
    pub(crate) fn base(&mut self, name: &str, base: Base, rules: Vec<Rule>) {
        self.chains.insert(name.to_owned(), Chain { base: Some(base), rules });
    }

    /// Adds a chain that others jump to.
    pub(crate) fn chain(&mut self, name: String, rules: Vec<Rule>) {
        self.chains.insert(name, Chain { base: None, rules });
    }

    /// Adds a set.
    pub(crate) fn set(&mut self, name: impl Into<String>, set: Set) {
        self.sets.insert(name.into(), set);
    }

    /// The addresses that are keys of the map `name` here, and there are none or have another
    /// value.
    pub(crate) fn lost_keys(&self, name: &str, there: &Self) -> BTreeSet<Ipv4Addr> {
        let Some(here) = self.sets.get(name) else { return BTreeSet::new() };
        let kept = |key: &Vec<u8>| there.sets.get(name).and_then(|set| set.elements.get(key));
        let lost = here.elements.iter().filter(|(key, value)| kept(key) != Some(*value));
        let address = |key: &Vec<u8>| <[u8; 4]>::try_from(key.as_slice()).ok().map(Ipv4Addr::from);
        lost.filter_map(|(key, _)| address(key)).collect()
    }

    /// A number that differs, in practice, between any two rulesets.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = Fnv::default();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

fn header(body: &mut Body<'_>) {
    body.raw(&[IPV4, 0, 0, 0]);
}

/// One atomic step, while it is written.
struct Step<'a> {
    table: &'a str,
    batch: Batch,
}

impl Step<'_> {
    fn new(table: &str) -> Step<'_> {
        let mut batch = Batch::default();
        marker(&mut batch, BATCH_BEGIN);
        Step { table, batch }
    }

    fn add(&mut self, what: String, kind: (u16, u16), body: impl FnOnce(&mut Body<'_>)) {
        self.batch.message(what, Tolerate::Nothing, kind, |message| {
            header(message);
            body(message);
        });
    }

    fn table(&mut self, kind: (u16, u16)) {
        let table = self.table;
        self.add(format!("change table {table}"), kind, |body| body.text(1, table));
    }

    fn add_set(&mut self, name: &str, set: &Set) {
        const MAP: u32 = 8;
        let (table, id) = (self.table, u32::try_from(self.batch.len()).unwrap_or(u32::MAX));
        let (key_bytes, key_type) = set.key.shape();
        let values = match set.values {
            Values::Nothing => None,
            Values::Address => Some((7, 4)),
            Values::Mark => Some((19, 4)),
            Values::Verdict => Some((0xffff_ff00, 0)),
        };
        self.add(format!("add set {name}"), (NEW_SET, CREATE | EXCLUSIVE), |body| {
            body.text(1, table);
            body.text(2, name);
            body.big(3, if values.is_some() { MAP } else { 0 });
            body.big(4, key_type);
            body.big(5, key_bytes);
            if let Some((data_type, data_bytes)) = values {
                body.big(6, data_type);
                body.big(7, data_bytes);
            }
            body.big(10, id);
        });
    }

    fn elements(&mut self, name: &str, kind: (u16, u16), elements: &[(&Vec<u8>, &Value)]) {
        let table = self.table;
        for part in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.add(format!("change elements of {name}"), kind, |body| {
                body.text(1, table);
                body.text(2, name);
                body.nest(3, |list| part.iter().for_each(|(key, value)| element(list, key, value)));
            });
        }
    }

    fn add_chain(&mut self, name: &str, chain: &Chain) {
        let table = self.table;
        self.add(format!("add chain {name}"), (NEW_CHAIN, CREATE | EXCLUSIVE), |body| {
            body.text(1, table);
            body.text(3, name);
            let Some(base) = &chain.base else { return };
            body.nest(4, |hook| {
                let number = match base.hook {
                    Hook::Prerouting => 0,
                    Hook::Input => 1,
                    Hook::Forward => 2,
                    Hook::Postrouting => 4,
                };
                hook.big(1, number);
                hook.put(2, &base.priority.to_be_bytes());
            });
            body.big(5, u32::from(!base.drops));
            body.text(7, if base.translates { "nat" } else { "filter" });
        });
    }

    fn named(&mut self, what: &str, kind: u16, attribute: u16, name: &str) {
        let table = self.table;
        self.add(format!("{what} {name}"), (kind, 0), |body| {
            body.text(1, table);
            body.text(attribute, name);
        });
    }

    fn add_rules(&mut self, name: &str, chain: &Chain) {
        let table = self.table;
        for (place, rule) in chain.rules.iter().enumerate() {
            let what = format!("add rule {place} of chain {name}");
            self.add(what, (NEW_RULE, CREATE | APPEND), |body| {
                body.text(1, table);
                body.text(2, name);
                body.nest(4, |list| list.raw(rule.bytes()));
            });
        }
    }

    fn finish(mut self) -> Batch {
        marker(&mut self.batch, BATCH_END);
        self.batch
    }
}

fn marker(batch: &mut Batch, kind: u16) {
    batch.message("commit the filters", Tolerate::Nothing, (kind, 0), |body| {
        body.raw(&[0, 0, 0, u8::try_from(SUBSYSTEM).unwrap_or(0)]);
    });
}

fn element(list: &mut Body<'_>, key: &[u8], value: &Value) {
    list.nest(1, |element| {
        element.nest(1, |data| data.put(1, key));
        match value {
            Value::Nothing => {}
            Value::Address(address) => element.nest(2, |data| data.put(1, &address.octets())),
            Value::Mark(mark) => element.nest(2, |data| data.put(1, &mark.to_ne_bytes())),
            Value::Verdict(verdict) => element.nest(2, |data| verdict.write(data)),
        }
    });
}

/// The fingerprint as a set beside the others.
fn fingerprint_set(ruleset: &Ruleset) -> Set {
    let mut set = Set::new(Key::Fingerprint, Values::Nothing);
    set.insert(&[&ruleset.fingerprint().to_be_bytes()], Value::Nothing);
    set
}

/// Makes `table` in the socket's namespace equal to `next`, in one atomic step. `last` is what
/// it holds; without it the table is made anew.
///
/// # Errors
///
/// When the kernel refuses; nothing has changed then.
pub(crate) fn replace(
    socket: &mut Socket,
    table: &str,
    last: Option<&Ruleset>,
    next: &Ruleset,
) -> Result<()> {
    let nothing = Ruleset::default();
    let mut step = Step::new(table);
    let full = |ruleset: &Ruleset| {
        let mut sets = ruleset.sets.clone();
        sets.insert(FINGERPRINT.to_owned(), fingerprint_set(ruleset));
        sets
    };
    let (last, last_sets) = match last {
        Some(last) if last == next => return Ok(()),
        Some(last) => (last, full(last)),
        None => {
            // Deleting needs something to delete, and making what exists is no error.
            step.table((NEW_TABLE, CREATE));
            step.table((DEL_TABLE, 0));
            step.table((NEW_TABLE, CREATE));
            (&nothing, BTreeMap::new())
        }
    };
    difference(&mut step, (last, &last_sets), (next, &full(next)));
    socket.send(step.finish())
}

type Sets = BTreeMap<String, Set>;

fn difference(step: &mut Step<'_>, last: (&Ruleset, &Sets), next: (&Ruleset, &Sets)) {
    // Names are bound to one shape, so a set or a chain that stays keeps its shape.
    for (name, set) in next.1.iter().filter(|(name, _)| !last.1.contains_key(*name)) {
        step.add_set(name, set);
    }
    for (name, chain) in &next.0.chains {
        if !last.0.chains.contains_key(name) {
            step.add_chain(name, chain);
        }
    }
    let goes = |name: &String| !next.0.chains.contains_key(name);
    for (name, chain) in &last.0.chains {
        if next.0.chains.get(name).is_none_or(|next| next.rules != chain.rules) {
            step.named("empty chain", DEL_RULE, 2, name);
        }
    }
    for (name, set) in last.1 {
        let kept = next.1.get(name).map(|next| &next.elements);
        let stale = |(key, value): &(&Vec<u8>, &Value)| {
            kept.is_none_or(|kept| kept.get(*key) != Some(*value))
        };
        let gone: Vec<_> = set.elements.iter().filter(stale).collect();
        step.elements(name, (DEL_ELEMENT, 0), &gone);
    }
    for (name, set) in next.1 {
        let known = last.1.get(name).map(|last| &last.elements);
        let fresh = |(key, value): &(&Vec<u8>, &Value)| {
            known.is_none_or(|known| known.get(*key) != Some(*value))
        };
        let added: Vec<_> = set.elements.iter().filter(fresh).collect();
        step.elements(name, (NEW_ELEMENT, CREATE | EXCLUSIVE), &added);
    }
    for (name, chain) in &next.0.chains {
        if last.0.chains.get(name).is_none_or(|last| last.rules != chain.rules) {
            step.add_rules(name, chain);
        }
    }
    for name in last.0.chains.keys().filter(|name| goes(name)) {
        step.named("delete chain", DEL_CHAIN, 3, name);
    }
    for name in last.1.keys().filter(|name| !next.1.contains_key(*name)) {
        step.named("delete set", DEL_SET, 2, name);
    }
}

/// Removes `table` from the socket's namespace, if it is there.
///
/// # Errors
///
/// When the kernel refuses.
pub(crate) fn remove(socket: &mut Socket, table: &str) -> Result<()> {
    let mut step = Step::new(table);
    step.table((NEW_TABLE, CREATE));
    step.table((DEL_TABLE, 0));
    socket.send(step.finish())
}

/// The fingerprint of the ruleset in `table`; nothing when there is none.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub(crate) fn seen_fingerprint(socket: &mut Socket, table: &str) -> Result<Option<u64>> {
    let answers = socket.dump("read the filters' fingerprint", GET_ELEMENT, |body| {
        header(body);
        body.text(1, table);
        body.text(2, FINGERPRINT);
    });
    let answers = match answers {
        Err(Error::Kernel { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        other => other?,
    };
    let find = |attributes: crate::netlink::Attributes<'_>, wanted: u16| {
        attributes.into_iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value.to_vec())
    };
    let key = |answer: &crate::netlink::Answer| {
        let list = find(answer.attributes(4), 3)?;
        let element = find(crate::netlink::Attributes(&list), 1)?;
        let key = find(crate::netlink::Attributes(&element), 1)?;
        let value = find(crate::netlink::Attributes(&key), 1)?;
        Some(u64::from_be_bytes(value.try_into().ok()?))
    };
    Ok(answers.iter().find_map(key))
}
