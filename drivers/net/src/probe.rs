//! What this host can do for the fabric: each feature is tried in a namespace that is thrown
//! away, because the presence of a file or a version number proves nothing.

use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;

use base::Cidr;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::filter::expression::{ESTABLISHED, Rule, Side, TCP, Way as LinkWay};
use crate::filter::{self, Base, Hook, Key, Ruleset, Set, Value, Values};
use crate::model::{FAR_MAC, INSIDE, ROUTER_MAC, VPC_MTU};
use crate::netlink::{Batch, Family, Socket};
use crate::route::{self, End, LOOPBACK, MAIN, Way};
use crate::{Error, Result, namespace};

/// A feature's name and whether it works here; the error says which step the host refused.
pub type Probe = (&'static str, Result<()>);

type Trial = fn() -> Result<()>;

/// What the fabric needs, in the order in which features build on each other.
const TRIALS: [(&str, Trial); 9] = [
    ("network namespaces", || Ok(())),
    ("namespaces held by mounts", mounts),
    ("virtual links", links),
    ("policy routing", routing),
    ("settings per namespace", settings),
    ("packet filters", || filters(Rule::new().protocol(TCP).ports(80, 90).drop())),
    ("refusals", || filters(Rule::new().protocol(TCP).refuse())),
    ("connection tracking", || filters(Rule::new().state(ESTABLISHED).accept())),
    ("address translation", translation),
];

/// Tries each feature that the fabric stands on.
pub fn probe() -> Vec<Probe> {
    TRIALS.iter().map(|(name, trial)| (*name, in_new_namespace(*trial))).collect()
}

/// Runs a trial on a thread of its own, which takes its namespace with it when it ends.
fn in_new_namespace(trial: Trial) -> Result<()> {
    let run = move || {
        namespace::leave_for_new()?;
        trial()
    };
    let thread = std::thread::Builder::new().name("probe".to_owned()).spawn(run);
    let thread = thread.map_err(|error| Error::kernel("start a thread", error))?;
    thread.join().map_err(|_| Error::Stopped)?
}

fn mounts() -> Result<()> {
    #[expect(unsafe_code, reason = "rustix has no safe call for the harmless flags alone")]
    // SAFETY: only unsharing the table of file descriptors is unsafe, and NEWNS does not.
    let done = unsafe { unshare_unsafe(UnshareFlags::NEWNS) };
    done.map_err(|error| Error::kernel("make a mount namespace", error))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| Error::kernel("keep mounts to oneself", error))?;
    let folder = std::env::temp_dir();
    let path = folder.join(format!("net-probe-{}", std::process::id()));
    let found = namespace::create(&path).map(|_| namespace::exists(&path));
    namespace::remove(&path)?;
    match found? {
        true => Ok(()),
        false => Err(Error::kernel("hold a namespace by a mount", std::io::Error::other("lost"))),
    }
}

fn pair() -> Result<Socket> {
    let mut socket = Socket::open(Family::Route)?;
    let own = namespace::current()?;
    let mut batch = Batch::default();
    let here = End { name: "probe", index: Some(10), mac: ROUTER_MAC };
    let there = End { name: INSIDE, index: Some(11), mac: FAR_MAC };
    route::add_pair(&mut batch, &here, true, &there, own.as_fd(), VPC_MTU);
    route::set_up(&mut batch, 11, true);
    socket.send(batch)?;
    Ok(socket)
}

fn links() -> Result<()> {
    let mut socket = pair()?;
    let mut batch = Batch::default();
    route::set_proxy_delay_zero(&mut batch, 10);
    route::set_alias(&mut batch, 10, "probe");
    route::set_neighbour(&mut batch, 10, Ipv4Addr::new(192, 0, 2, 1), FAR_MAC);
    route::delete_links(&mut batch, &[10, 11]);
    socket.send(batch)
}

fn routing() -> Result<()> {
    let mut socket = pair()?;
    let to = Cidr::containing(Ipv4Addr::new(192, 0, 2, 0), 24);
    let mut batch = Batch::default();
    route::set_up(&mut batch, LOOPBACK, true);
    let way = Way::Link(10, Some(Ipv4Addr::new(198, 51, 100, 1)));
    route::set_route(&mut batch, 1000, to, &way);
    route::set_route(&mut batch, 1000, Cidr::ALL, &Way::Throw);
    route::set_route(&mut batch, MAIN, Cidr::ALL, &Way::Blackhole);
    route::add_rule(&mut batch, 7, 1000);
    socket.send(batch)
}

fn settings() -> Result<()> {
    namespace::set("ipv4/ip_forward", "1")?;
    namespace::set("ipv4/conf/all/proxy_arp", "1")?;
    namespace::set("ipv4/ping_group_range", "0 2147483647")?;
    namespace::set("ipv4/ip_unprivileged_port_start", "0")
}

fn apply(ruleset: &Ruleset) -> Result<()> {
    filter::replace(&mut Socket::open(Family::Filter)?, "probe", None, ruleset)
}

fn filters(rule: Rule) -> Result<()> {
    let mut ruleset = Ruleset::default();
    let mut links = Set::new(Key::LinkAddress, Values::Nothing);
    links.insert(&[&[b'x'; 16], &[192, 0, 2, 1]], Value::Nothing);
    ruleset.set("links", links);
    ruleset.set("marks", Set::new(Key::Link, Values::Mark));
    ruleset.set("verdicts", Set::new(Key::Mark, Values::Verdict));
    let rules = vec![
        Rule::new().link_and_address_not_in(LinkWay::In, Side::Source, "links").drop(),
        Rule::new().mark_by_link(LinkWay::In, "marks"),
        Rule::new().verdict_by_mark("verdicts"),
        rule,
    ];
    let base = Base { hook: Hook::Forward, priority: 0, translates: false, drops: true };
    ruleset.base("forward", base, rules);
    apply(&ruleset)
}

fn translation() -> Result<()> {
    let mut ruleset = Ruleset::default();
    ruleset.set("map", Set::new(Key::Address, Values::Address));
    let into = Base { hook: Hook::Prerouting, priority: -100, translates: true, drops: false };
    let out = Base { hook: Hook::Postrouting, priority: 100, translates: true, drops: false };
    ruleset.base("in", into, vec![Rule::new().translate_by(Side::Destination, "map")]);
    let source = Rule::new().translate_by(Side::Source, "map");
    ruleset.base("out", out, vec![source, Rule::new().masquerade()]);
    apply(&ruleset)
}
