//! The filters and translations of each kind of namespace.
//!
//! In a router a packet meets, in this order: the source check and its subnet's mark (raw), the
//! translation of public destinations, the destination check and the network ACLs (stateless),
//! the sender's security groups, the receiver's security groups (both stateful), the translation
//! of private sources. The two security group chains are hooked one after the other, because a
//! packet that one chain accepts skips the rest of that chain. What interfaces of one cohort send
//! each other is accepted at the head of all three.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use base::{Cidr, ResourceId};

use super::{Overlay, Owner, Port, host_link};
use crate::fabric::{Entry, Peer, Protocol, Subnet, Vpc};
use crate::filter::expression::{
    ESTABLISHED, ICMP, INVALID, NEW, RELATED, Rule, Side, TCP, UDP, Verdict, Way, name_key,
};
use crate::filter::{Base, Hook, Key, Ruleset, Set, Value, Values};
use crate::model::{GATEWAY_LINK, UPLINK, fingerprint, subnet_mark};
use crate::{DNS_ADDRESS, METADATA_ADDRESS, Options, TIME_ADDRESS};

const BOUND: &str = "bound";
const UNCHECKED: &str = "unchecked";
const SUBNET_OF: &str = "subnet-of";
const SAME_SUBNET: &str = "same-subnet";
const ACL_OUT: &str = "acl-out";
const ACL_IN: &str = "acl-in";
const GROUP_OUT: &str = "group-out";
const GROUP_IN: &str = "group-in";
/// The map from public addresses to private ones.
pub(crate) const PUBLIC_IN: &str = "public-in";
const PUBLIC_OUT: &str = "public-out";
const HAS_PUBLIC: &str = "has-public";
/// The chain of interfaces that are closed to all but their cohort.
const CLOSED: &str = "closed";
/// The pairs of interfaces of one cohort: the link that a packet comes from, and where it is sent.
const COHORT: &str = "cohort";
const RESOLVERS: &str = "resolvers";
const ROUTERS: &str = "routers";
const SERVICES: &str = "services";

/// An ICMP request for an answer.
const ECHO_REQUEST: u8 = 8;
/// The port of DNS.
const DNS_PORT: u16 = 53;
/// The port of the metadata service.
const METADATA_PORT: u16 = 80;
/// The port of NTP.
const TIME_PORT: u16 = 123;

fn filter(hook: Hook, priority: i32, drops: bool) -> Base {
    Base { hook, priority, translates: false, drops }
}

fn translation(hook: Hook) -> Base {
    let priority = if hook == Hook::Prerouting { -100 } else { 100 };
    Base { hook, priority, translates: true, drops: false }
}

/// The ruleset of a VPC's router.
pub(super) fn router(vpc: &Vpc, ports: &[Port<'_>], overlay: &Overlay) -> Ruleset {
    let mut ruleset = Ruleset::default();
    checks(ports, &mut ruleset);
    cohorts(ports, overlay, &mut ruleset);
    acls(vpc, ports, &mut ruleset);
    groups(vpc, ports, &mut ruleset);
    public(ports, &mut ruleset);
    services(vpc, &mut ruleset);
    ruleset
}

/// Source and destination checks, and the mark of the subnet that a packet comes from.
fn checks(ports: &[Port<'_>], ruleset: &mut Ruleset) {
    let mut bound = Set::new(Key::LinkAddress, Values::Nothing);
    let mut unchecked = Set::new(Key::Link, Values::Nothing);
    let mut subnet_of = Set::new(Key::Link, Values::Mark);
    unchecked.link("lo", Value::Nothing);
    unchecked.link(GATEWAY_LINK, Value::Nothing);
    for port in ports {
        subnet_of.link(&port.link, Value::Mark(subnet_mark(port.subnet.cidr)));
        if !port.checked() {
            unchecked.link(&port.link, Value::Nothing);
        }
        for address in &port.addresses {
            bound.insert(&[&name_key(&port.link), &address.octets()], Value::Nothing);
        }
    }
    ruleset.set(BOUND, bound);
    ruleset.set(UNCHECKED, unchecked);
    ruleset.set(SUBNET_OF, subnet_of);
    let source = Rule::new()
        .link_not_in(Way::In, UNCHECKED)
        .link_and_address_not_in(Way::In, Side::Source, BOUND)
        .drop();
    let mark = Rule::new().mark_by_link(Way::In, SUBNET_OF);
    ruleset.base("raw", filter(Hook::Prerouting, -300, false), vec![source, mark]);
}

/// Who reaches whom whatever network ACLs and security groups say. The link that a packet came in
/// by cannot be feigned, as its source could be by an interface without a source check.
fn cohorts(ports: &[Port<'_>], overlay: &Overlay, ruleset: &mut Ruleset) {
    let mut pairs = Set::new(Key::LinkAddress, Values::Nothing);
    for members in overlay.cohorts.values() {
        let own: Vec<_> = ports.iter().filter(|port| members.contains_key(port.id)).collect();
        for from in &own {
            for to in own.iter().filter(|to| to.id != from.id) {
                for address in &to.addresses {
                    pairs.insert(&[&name_key(&from.link), &address.octets()], Value::Nothing);
                }
            }
        }
    }
    ruleset.set(COHORT, pairs);
}

fn within_cohort() -> Rule {
    Rule::new().link_and_address_in(Way::In, Side::Destination, COHORT).accept()
}

/// Network ACLs, at the border of each subnet, and the destination check before them.
fn acls(vpc: &Vpc, ports: &[Port<'_>], ruleset: &mut Ruleset) {
    let mut out = Set::new(Key::Mark, Values::Verdict);
    let mut into = Set::new(Key::Link, Values::Verdict);
    let mut same = Set::new(Key::LinkMark, Values::Nothing);
    for subnet in &vpc.subnets {
        let chain = format!("out-{}", subnet.network_acl);
        let mark = subnet_mark(subnet.cidr).to_ne_bytes();
        out.insert(&[&mark], Value::Verdict(Verdict::Jump(chain)));
    }
    for port in ports {
        let chain = format!("in-{}", port.subnet.network_acl);
        into.link(&port.link, Value::Verdict(Verdict::Jump(chain)));
        let mark = subnet_mark(port.subnet.cidr).to_ne_bytes();
        same.insert(&[&name_key(&port.link), &mark], Value::Nothing);
    }
    ruleset.set(ACL_OUT, out);
    ruleset.set(ACL_IN, into);
    ruleset.set(SAME_SUBNET, same);
    for acl in &vpc.network_acls {
        let chain = |entries, side| acl_chain(entries, side);
        ruleset.chain(format!("out-{}", acl.id), chain(&acl.egress, Side::Destination));
        ruleset.chain(format!("in-{}", acl.id), chain(&acl.ingress, Side::Source));
    }
    let destination = Rule::new()
        .link_not_in(Way::Out, UNCHECKED)
        .link_and_address_not_in(Way::Out, Side::Destination, BOUND)
        .drop();
    let private =
        Rule::new().link(Way::Out, GATEWAY_LINK).address_not_in(Side::Source, HAS_PUBLIC).drop();
    let rules = vec![
        destination,
        private,
        within_cohort(),
        Rule::new().link_and_mark_in(Way::Out, SAME_SUBNET).accept(),
        Rule::new().verdict_by_mark(ACL_OUT),
        Rule::new().verdict_by_link(Way::Out, ACL_IN),
    ];
    ruleset.base("acl", filter(Hook::Forward, -10, false), rules);
}

fn acl_chain(entries: &[Entry], side: Side) -> Vec<Rule> {
    let mut ordered: Vec<&Entry> = entries.iter().collect();
    ordered.sort_by_key(|entry| entry.number);
    let rule = |entry: &Entry| {
        let verdict = if entry.allow { Verdict::Return } else { Verdict::Drop };
        traffic(Rule::new().address(side, entry.cidr), entry.protocol).verdict(&verdict)
    };
    ordered.into_iter().map(rule).chain([Rule::new().drop()]).collect()
}

fn traffic(rule: Rule, protocol: Protocol) -> Rule {
    match protocol {
        Protocol::All => rule,
        Protocol::Tcp { from, to } => rule.protocol(TCP).ports(from, to),
        Protocol::Udp { from, to } => rule.protocol(UDP).ports(from, to),
        Protocol::Icmp { icmp_type, code } => {
            let rule = rule.protocol(ICMP);
            let rule = icmp_type.map_or(rule.clone(), |value| rule.transport_byte(0, value));
            code.map_or(rule.clone(), |value| rule.transport_byte(1, value))
        }
        Protocol::Other(number) => rule.protocol(number),
    }
}

/// Security groups: a chain per group and direction, and one per combination of groups in use.
fn groups(vpc: &Vpc, ports: &[Port<'_>], ruleset: &mut Ruleset) {
    let mut out = Set::new(Key::Link, Values::Verdict);
    let mut into = Set::new(Key::Link, Values::Verdict);
    let mut members: BTreeMap<&ResourceId, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    let mut combinations = BTreeSet::new();
    for port in ports {
        let eni = match port.owner {
            Owner::Workload(eni) => eni,
            Owner::Gateway(_) => {
                // Security groups cannot be associated with a NAT gateway; its own namespace
                // refuses what nobody inside asked for.
                out.link(&port.link, Value::Verdict(Verdict::Accept));
                into.link(&port.link, Value::Verdict(Verdict::Accept));
                continue;
            }
        };
        let own: BTreeSet<_> = eni.security_groups.iter().collect();
        for group in &own {
            members.entry(group).or_default().extend(&eni.addresses);
        }
        let name = combination_name(&own);
        out.link(&port.link, Value::Verdict(Verdict::Jump(format!("out-{name}"))));
        let admits = if port.closed { CLOSED.to_owned() } else { format!("in-{name}") };
        into.link(&port.link, Value::Verdict(Verdict::Jump(admits)));
        combinations.insert(own);
    }
    // Who still has the address of an interface that was open is told at once.
    let refuse = Rule::new().protocol(TCP).refuse();
    ruleset.chain(CLOSED.to_owned(), vec![refuse, Rule::new().drop()]);
    ruleset.set(GROUP_OUT, out);
    ruleset.set(GROUP_IN, into);
    for own in combinations.iter().filter(|own| own.len() != 1) {
        let name = combination_name(own);
        for direction in ["out", "in"] {
            let jump = |group: &&ResourceId| {
                Rule::new().verdict(&Verdict::Jump(format!("{direction}-{group}")))
            };
            ruleset.chain(format!("{direction}-{name}"), own.iter().map(jump).collect());
        }
    }
    group_chains(vpc, &members, ruleset);
    let base = |links: Rule, direct: Way| {
        let known = Rule::new().state(ESTABLISHED | RELATED).accept();
        let invalid = Rule::new().state(INVALID).drop();
        vec![
            known,
            invalid,
            within_cohort(),
            links,
            Rule::new().link(direct, GATEWAY_LINK).accept(),
        ]
    };
    let rules = base(Rule::new().verdict_by_link(Way::In, GROUP_OUT), Way::In);
    ruleset.base("egress", filter(Hook::Forward, 0, true), rules);
    let rules = base(Rule::new().verdict_by_link(Way::Out, GROUP_IN), Way::Out);
    ruleset.base("ingress", filter(Hook::Forward, 1, true), rules);
}

/// The chain of a single group carries its id; that of several a fingerprint of their ids.
fn combination_name(groups: &BTreeSet<&ResourceId>) -> String {
    match groups.first() {
        Some(only) if groups.len() == 1 => only.to_string(),
        _ => format!("groups-{:016x}", fingerprint(groups)),
    }
}

fn group_chains(
    vpc: &Vpc,
    members: &BTreeMap<&ResourceId, BTreeSet<Ipv4Addr>>,
    ruleset: &mut Ruleset,
) {
    for group in &vpc.security_groups {
        let directions =
            [("in", &group.ingress, Side::Source), ("out", &group.egress, Side::Destination)];
        for (direction, rules, side) in directions {
            let mut encoded = Vec::new();
            for rule in rules {
                let from = match &rule.peer {
                    Peer::Cidr(block) => Rule::new().address(side, *block),
                    Peer::Group(peer) => {
                        let set = format!("members-{peer}");
                        let mut addresses = Set::new(Key::Address, Values::Nothing);
                        for address in members.get(peer).into_iter().flatten() {
                            addresses.address(*address, Value::Nothing);
                        }
                        ruleset.set(set.clone(), addresses);
                        Rule::new().address_in(side, &set)
                    }
                };
                encoded.push(traffic(from, rule.protocol).accept());
            }
            ruleset.chain(format!("{direction}-{}", group.id), encoded);
        }
    }
}

/// Public addresses, translated one to one at the internet gateway.
fn public(ports: &[Port<'_>], ruleset: &mut Ruleset) {
    let mut into = Set::new(Key::Address, Values::Address);
    let mut out = Set::new(Key::Address, Values::Address);
    let mut has = Set::new(Key::Address, Values::Nothing);
    for (private, public) in ports.iter().flat_map(|port| &port.public) {
        into.address(*public, Value::Address(*private));
        out.address(*private, Value::Address(*public));
        has.address(*private, Value::Nothing);
    }
    ruleset.set(PUBLIC_IN, into);
    ruleset.set(PUBLIC_OUT, out);
    ruleset.set(HAS_PUBLIC, has);
    let rule = Rule::new().link(Way::In, GATEWAY_LINK).translate_by(Side::Destination, PUBLIC_IN);
    ruleset.base("public-in", translation(Hook::Prerouting), vec![rule]);
    let rule = Rule::new().link(Way::Out, GATEWAY_LINK).translate_by(Side::Source, PUBLIC_OUT);
    ruleset.base("public-out", translation(Hook::Postrouting), vec![rule]);
}

/// What the router itself answers.
fn services(vpc: &Vpc, ruleset: &mut Ruleset) {
    let mut resolvers = Set::new(Key::Address, Values::Nothing);
    let mut routers = Set::new(Key::Address, Values::Nothing);
    let mut services = Set::new(Key::AddressPort, Values::Nothing);
    for address in [DNS_ADDRESS].into_iter().chain(vpc.resolver()) {
        resolvers.address(address, Value::Nothing);
    }
    for address in vpc.subnets.iter().filter_map(Subnet::router) {
        routers.address(address, Value::Nothing);
    }
    let metadata = (METADATA_ADDRESS, METADATA_PORT);
    let own = vpc.service_addresses.iter();
    let own = own.flat_map(|own| own.tcp_ports.iter().map(|port| (own.address, *port)));
    for (address, port) in own.chain([metadata]) {
        // A port takes a place of four bytes in a key.
        services.insert(&[&address.octets(), &port.to_be_bytes(), &[0; 2]], Value::Nothing);
    }
    ruleset.set(RESOLVERS, resolvers);
    ruleset.set(ROUTERS, routers);
    ruleset.set(SERVICES, services);
    let to_resolver = || Rule::new().address_in(Side::Destination, RESOLVERS);
    let time = Cidr::host(TIME_ADDRESS);
    let rules = vec![
        Rule::new().link(Way::In, "lo").accept(),
        Rule::new().link(Way::In, GATEWAY_LINK).drop(),
        Rule::new().state(ESTABLISHED | RELATED).accept(),
        to_resolver().protocol(UDP).ports(DNS_PORT, DNS_PORT).accept(),
        to_resolver().protocol(TCP).ports(DNS_PORT, DNS_PORT).accept(),
        Rule::new().protocol(TCP).service_in(SERVICES).accept(),
        Rule::new()
            .address(Side::Destination, time)
            .protocol(UDP)
            .ports(TIME_PORT, TIME_PORT)
            .accept(),
        Rule::new()
            .address_in(Side::Destination, ROUTERS)
            .protocol(ICMP)
            .transport_byte(0, ECHO_REQUEST)
            .accept(),
    ];
    ruleset.base("input", filter(Hook::Input, 0, true), rules);
}

/// The ruleset inside a NAT gateway's namespace: translate what is sent through, refuse what is
/// sent to it.
pub(crate) fn nat_gateway(address: Ipv4Addr) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let own = Cidr::host(address);
    let source = Rule::new().other_address(Side::Source, own).translate_to(Side::Source, address);
    ruleset.base("translate", translation(Hook::Postrouting), vec![source]);
    let known = Rule::new().state(ESTABLISHED | RELATED).accept();
    ruleset.base("input", filter(Hook::Input, 0, true), vec![known]);
    let invalid = Rule::new().state(INVALID).drop();
    ruleset.base("forward", filter(Hook::Forward, 0, false), vec![invalid]);
    ruleset
}

/// The ruleset of the internet namespace.
pub(super) fn internet(options: &Options) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let foreign = Rule::new()
        .other_link(Way::In, UPLINK)
        .other_address(Side::Source, options.public_pool)
        .drop();
    let mut rules = vec![foreign];
    if !options.egress {
        rules.push(Rule::new().link(Way::Out, UPLINK).state(NEW | INVALID).drop());
    }
    ruleset.base("forward", filter(Hook::Forward, 0, false), rules);
    let rules = vec![
        Rule::new().link(Way::In, "lo").accept(),
        Rule::new().state(ESTABLISHED | RELATED).accept(),
        Rule::new().address(Side::Destination, Cidr::host(options.endpoint_address())).accept(),
        Rule::new().protocol(ICMP).transport_byte(0, ECHO_REQUEST).accept(),
    ];
    ruleset.base("input", filter(Hook::Input, 0, true), rules);
    ruleset
}

/// The ruleset that the host gets when interfaces may reach beyond it. The host's own services
/// stay out of their reach.
pub(super) fn host(options: &Options) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let link = host_link(options);
    let masquerade = Rule::new()
        .address(Side::Source, options.public_pool)
        .other_link(Way::Out, &link)
        .masquerade();
    ruleset.base("masquerade", translation(Hook::Postrouting), vec![masquerade]);
    let refuse = Rule::new().link(Way::In, &link).state(NEW | INVALID).drop();
    ruleset.base("input", filter(Hook::Input, 0, false), vec![refuse]);
    ruleset
}
