//! One namespace of the fabric: what the kernel holds there, and the steps from that to what it
//! should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use base::{Cidr, ResourceId};

use crate::compile::{PUBLIC_IN, nat_gateway};
use crate::filter::{self, Ruleset, connection};
use crate::model::{
    Attachment, FAR_MAC, Far, INSIDE, INTERNET_MTU, Link, ROUTER_MAC, Space, VPC_MTU,
};
use crate::netlink::{Batch, Family, Socket};
use crate::route::{self, End, LOOPBACK, MAIN, SeenLink, SeenRoute, Way};
use crate::{Error, Result, namespace};

/// The index of [`INSIDE`] in an interface's namespace: the first after the loopback's.
const INSIDE_INDEX: u32 = 2;

/// Whose namespace it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The fabric's: everything in it is.
    Fabric,
    /// The host's: only this link, and what belongs to it, is the fabric's.
    Host(String),
}

/// Where a space finds the namespaces of its links' other ends.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    /// The folder of the namespaces.
    pub(crate) folder: &'a Path,
    /// What their names begin with.
    pub(crate) prefix: &'a str,
    /// The internet namespace.
    pub(crate) internet: &'a OwnedFd,
    /// The names of its links before the first step.
    pub(crate) internet_links: BTreeSet<String>,
}

impl Places<'_> {
    fn interface(&self, id: &ResourceId) -> PathBuf {
        path(self.folder, self.prefix, id.as_str())
    }
}

/// The path of the namespace called `name`.
pub(crate) fn path(folder: &Path, prefix: &str, name: &str) -> PathBuf {
    folder.join(format!("{prefix}-{name}"))
}

/// A namespace with open sockets.
#[derive(Debug)]
pub(crate) struct Handle {
    /// The namespace.
    pub(crate) namespace: OwnedFd,
    owner: Owner,
    table: String,
    route: Socket,
    filter: Socket,
    indexes: BTreeMap<String, u32>,
    /// What the kernel holds; nothing when it must be looked at.
    known: Option<Space>,
    /// Whether a link to the internet namespace was made since this was last asked.
    joined: bool,
}

impl Handle {
    /// Opens the sockets of `namespace`, where the calling thread must be.
    pub(crate) fn open(namespace: OwnedFd, owner: Owner, table: &str) -> Result<Self> {
        Ok(Self {
            namespace,
            owner,
            table: table.to_owned(),
            route: Socket::open(Family::Route)?,
            filter: Socket::open(Family::Filter)?,
            indexes: BTreeMap::new(),
            known: None,
            joined: false,
        })
    }

    /// Switches the loopback on, where a router's own addresses are.
    pub(crate) fn set_loopback_up(&mut self) -> Result<()> {
        let mut batch = Batch::default();
        route::set_up(&mut batch, LOOPBACK, true);
        self.route.send(batch)
    }

    /// Whether a link to the internet namespace was made since this was last asked.
    pub(crate) fn take_joined(&mut self) -> bool {
        std::mem::take(&mut self.joined)
    }

    /// The links, as the kernel has them now.
    pub(crate) fn links(&mut self) -> Result<Vec<SeenLink>> {
        route::links(&mut self.route)
    }

    /// Whether it is known what the kernel holds.
    pub(crate) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Forgets what the kernel holds, so that the next step looks at it.
    pub(crate) fn forget(&mut self) {
        self.known = None;
    }

    /// Makes the namespace hold `desired`. `stored` is what it was last known to hold.
    ///
    /// The calling thread may be in another namespace afterwards.
    pub(crate) fn apply(
        &mut self,
        desired: &Space,
        stored: Option<&Space>,
        places: &Places<'_>,
    ) -> Result<()> {
        // Until all is done, nothing is known: a step that failed may have done half its work.
        let known = match self.known.take() {
            Some(known) if known == *desired => {
                self.known = Some(known);
                return Ok(());
            }
            Some(known) => known,
            None => self.look(desired, stored, places)?,
        };
        // Filters come first: what is new is closed until its rules are there.
        self.apply_filters(known.ruleset.as_ref(), desired.ruleset.as_ref())?;
        self.shrink(&known, desired)?;
        self.apply_links(&known, desired, places)?;
        self.grow(&known, desired)?;
        self.known = Some(desired.clone());
        Ok(())
    }

    /// Removes all links of the namespace and the fabric's filters.
    pub(crate) fn clear(&mut self) -> Result<()> {
        let owned = |link: &SeenLink| match &self.owner {
            Owner::Fabric => link.index != LOOPBACK,
            Owner::Host(own) => link.name == *own,
        };
        let seen = route::links(&mut self.route)?;
        let indexes: Vec<u32> = seen.iter().filter(|link| owned(link)).map(|l| l.index).collect();
        let mut batch = Batch::default();
        route::delete_links(&mut batch, &indexes);
        self.route.send(batch)?;
        self.forget();
        filter::remove(&mut self.filter, &self.table)
    }

    /// Whether another link than the fabric's own leads to a part of `block`. A wider route of
    /// the host's is no matter, as the narrower one wins; one of another install is.
    pub(crate) fn is_taken(&mut self, block: Cidr) -> Result<bool> {
        let Owner::Host(own) = &self.owner else { return Ok(false) };
        let links = route::links(&mut self.route)?;
        let own = links.iter().find(|link| link.name == *own).map(|link| link.index);
        let foreign = |way: &Way<u32>| match way {
            Way::Link(index, _) => Some(*index) != own,
            Way::Blackhole | Way::Throw => false,
        };
        let clashes = |route: &SeenRoute| {
            block.contains_block(&route.to) || (route.is_fabric && block.overlaps(&route.to))
        };
        let routes = route::routes(&mut self.route)?;
        Ok(routes.iter().any(|route| foreign(&route.way) && clashes(route)))
    }

    fn look(
        &mut self,
        desired: &Space,
        stored: Option<&Space>,
        places: &Places<'_>,
    ) -> Result<Space> {
        let mut seen = Space::default();
        self.refresh(|link| {
            let wanted = desired.links.get(&link.name);
            let found = Link { up: link.up, far: seen_far(link, wanted, places) };
            seen.links.insert(link.name.clone(), found);
        })?;
        let names: BTreeMap<u32, &String> = self.indexes.iter().map(|(n, i)| (*i, n)).collect();
        for (index, address, prefix) in route::addresses(&mut self.route)? {
            let own = !address.is_loopback();
            if let Some(name) = names.get(&index).filter(|_| own) {
                seen.addresses.insert(((*name).clone(), address, prefix));
            }
        }
        let routes = route::routes(&mut self.route)?;
        for SeenRoute { table, to, way, .. } in routes.into_iter().filter(|own| own.is_fabric) {
            let nowhere = matches!(way, Way::Blackhole | Way::Throw);
            let named = way.map(|index| names.get(index).map(|name| (*name).clone()));
            if let Some(way) = named.filter(|_| !nowhere || self.owner == Owner::Fabric) {
                seen.routes.insert((table, to), way);
            }
        }
        if self.owner == Owner::Fabric {
            seen.rules = route::rules(&mut self.route)?.into_iter().collect();
        }
        let fingerprint = filter::seen_fingerprint(&mut self.filter, &self.table)?;
        let candidates = [Some(desired), stored].into_iter().flatten();
        let held = |ruleset: &&Ruleset| Some(ruleset.fingerprint()) == fingerprint;
        seen.ruleset = candidates.filter_map(|space| space.ruleset.as_ref()).find(held).cloned();
        if seen.ruleset.is_none() && fingerprint.is_some() && desired.ruleset.is_none() {
            filter::remove(&mut self.filter, &self.table)?;
        }
        Ok(seen)
    }

    /// Learns the links' indexes and shows each link that is the fabric's, but the loopback.
    fn refresh(&mut self, mut show: impl FnMut(&SeenLink)) -> Result<()> {
        self.indexes.clear();
        if self.owner == Owner::Fabric {
            self.indexes.insert("lo".to_owned(), LOOPBACK);
        }
        for link in route::links(&mut self.route)? {
            let own = match &self.owner {
                Owner::Fabric => link.index != LOOPBACK,
                Owner::Host(name) => link.name == *name,
            };
            if own {
                show(&link);
                self.indexes.insert(link.name, link.index);
            }
        }
        Ok(())
    }

    fn apply_filters(&mut self, known: Option<&Ruleset>, desired: Option<&Ruleset>) -> Result<()> {
        match (known, desired) {
            (_, Some(desired)) => {
                filter::replace(&mut self.filter, &self.table, known, desired)?;
                let moved = known.map(|known| known.lost_keys(PUBLIC_IN, desired));
                connection::forget(&mut self.filter, &moved.unwrap_or_default())
            }
            (Some(_), None) => filter::remove(&mut self.filter, &self.table),
            (None, None) => Ok(()),
        }
    }

    /// Takes away what is no longer wanted, links that stay excepted.
    fn shrink(&mut self, known: &Space, desired: &Space) -> Result<()> {
        let mut batch = Batch::default();
        let stays = |link: &String| desired.links.contains_key(link) || link == "lo";
        for ((table, to), way) in &known.routes {
            let index = |link: &String| self.indexes.get(link).copied().filter(|_| stays(link));
            if let Some(way) = way.map(index)
                && !desired.routes.contains_key(&(*table, *to))
            {
                route::delete_route(&mut batch, *table, *to, &way);
            }
        }
        for (mark, table) in known.rules.difference(&desired.rules) {
            route::delete_rule(&mut batch, *mark, *table);
        }
        for (link, address, prefix) in known.addresses.difference(&desired.addresses) {
            if let Some(index) = self.indexes.get(link).filter(|_| stays(link)) {
                route::delete_address(&mut batch, *index, *address, *prefix);
            }
        }
        self.route.send(batch)
    }

    fn apply_links(&mut self, known: &Space, desired: &Space, places: &Places<'_>) -> Result<()> {
        self.delete_stale(known, desired, places)?;
        let mut finish = Batch::default();
        let mut made_elsewhere = false;
        for (name, link) in &desired.links {
            let old = known.links.get(name).filter(|old| !is_replaced(old, link));
            match (&link.far, old) {
                (Far::Interface(attachment), Some(old)) => {
                    if old.far != link.far {
                        readdress(attachment, &places.interface(&attachment.id))?;
                        let index = self.index(name)?;
                        route::set_alias(&mut finish, index, &attachment.alias());
                    }
                }
                (Far::Interface(attachment), None) => {
                    self.build(name, attachment, places, &mut finish)?;
                }
                (Far::Internet(far), None) => self.join_internet(name, far, places)?,
                (Far::Maker, None) => made_elsewhere = true,
                (Far::Internet(_) | Far::Maker, Some(_)) => {}
            }
        }
        if made_elsewhere || matches!(self.owner, Owner::Host(_)) {
            self.refresh(|_| {})?;
        }
        for (name, link) in &desired.links {
            let old = known.links.get(name).filter(|old| !is_replaced(old, link));
            if old.is_none_or(|old| old.up != link.up) {
                route::set_up(&mut finish, self.index(name)?, link.up);
            }
        }
        self.route.send(finish)
    }

    fn index(&self, name: &str) -> Result<u32> {
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let index = self.indexes.get(name).copied();
        index.ok_or_else(|| Error::kernel(format!("find link {name}"), missing()))
    }

    /// Deletes links that are not wanted, or not as they are, with the namespaces behind them.
    fn delete_stale(&mut self, known: &Space, desired: &Space, places: &Places<'_>) -> Result<()> {
        let mut indexes = Vec::new();
        for (name, old) in &known.links {
            if desired.links.get(name).is_some_and(|link| !is_replaced(old, link)) {
                continue;
            }
            if let Far::Interface(attachment) = &old.far {
                namespace::remove(&places.interface(&attachment.id))?;
            }
            indexes.extend(self.indexes.remove(name));
        }
        let mut batch = Batch::default();
        route::delete_links(&mut batch, &indexes);
        self.route.send(batch)
    }

    fn next_index(&self) -> Option<u32> {
        match self.owner {
            Owner::Fabric => Some(self.indexes.values().max().unwrap_or(&LOOPBACK) + 1),
            Owner::Host(_) => None,
        }
    }

    /// Makes the pair of links between this namespace and the internet namespace.
    fn join_internet(&mut self, name: &str, far: &str, places: &Places<'_>) -> Result<()> {
        let mut batch = Batch::default();
        let here = End { name, index: self.next_index(), mac: ROUTER_MAC };
        let there = End { name: far, index: None, mac: FAR_MAC };
        let namespace = places.internet.as_fd();
        route::add_pair(&mut batch, &here, false, &there, namespace, INTERNET_MTU);
        self.route.send(batch)?;
        if let Some(index) = here.index {
            self.indexes.insert(name.to_owned(), index);
        }
        self.joined = true;
        Ok(())
    }

    /// Makes an interface: its namespace, its pair of links, and all inside. The link gets its
    /// alias by `finish`, so that one that was left half made can be told.
    fn build(
        &mut self,
        name: &str,
        attachment: &Attachment,
        places: &Places<'_>,
        finish: &mut Batch,
    ) -> Result<()> {
        let namespace = namespace::create(&places.interface(&attachment.id))?;
        prepare_inside(attachment)?;
        let index = self.next_index().unwrap_or(INSIDE_INDEX);
        let mut batch = Batch::default();
        let here = End { name, index: Some(index), mac: ROUTER_MAC };
        let there = End { name: INSIDE, index: Some(INSIDE_INDEX), mac: attachment.mac };
        route::add_pair(&mut batch, &here, false, &there, namespace.as_fd(), VPC_MTU);
        self.route.send(batch)?;
        self.indexes.insert(name.to_owned(), index);
        configure_inside(attachment, &self.table)?;
        route::set_proxy_delay_zero(finish, index);
        route::set_alias(finish, index, &attachment.alias());
        Ok(())
    }

    /// Adds what is missing, links excepted.
    fn grow(&mut self, known: &Space, desired: &Space) -> Result<()> {
        let mut batch = Batch::default();
        // A link that went down and came up again has lost what the kernel kept for it.
        let fresh: BTreeSet<&String> = desired
            .links
            .iter()
            .filter(|(name, link)| {
                let old = known.links.get(*name);
                old.is_none_or(|old| is_replaced(old, link) || old.up != link.up)
            })
            .map(|(name, _)| name)
            .collect();
        for (link, address, prefix) in &desired.addresses {
            let held = known.addresses.contains(&(link.clone(), *address, *prefix));
            if !held || fresh.contains(link) {
                route::add_address(&mut batch, self.index(link)?, *address, *prefix);
            }
        }
        for ((link, address), mac) in &desired.neighbours {
            let held = known.neighbours.get(&(link.clone(), *address)) == Some(mac);
            if !held || fresh.contains(link) {
                route::set_neighbour(&mut batch, self.index(link)?, *address, *mac);
            }
        }
        for ((table, to), way) in &desired.routes {
            let held = known.routes.get(&(*table, *to)) == Some(way);
            let lost = matches!(way, Way::Link(link, _) if fresh.contains(link));
            if held && !lost {
                continue;
            }
            let way = way.map(|link| self.indexes.get(link).copied());
            let way = way.ok_or_else(|| Error::Invalid(format!("no link for {to}")))?;
            route::set_route(&mut batch, *table, *to, &way);
        }
        for (mark, table) in desired.rules.difference(&known.rules) {
            route::add_rule(&mut batch, *mark, *table);
        }
        self.route.send(batch)
    }
}

/// Whether a link must be made anew to become `wanted`.
fn is_replaced(old: &Link, wanted: &Link) -> bool {
    match (&old.far, &wanted.far) {
        (_, Far::Maker) => false,
        (Far::Interface(old), Far::Interface(wanted)) => {
            Attachment::fixed_part(&old.alias()) != Attachment::fixed_part(&wanted.alias())
        }
        (Far::Internet(old), Far::Internet(wanted)) => old != wanted,
        (
            Far::Maker | Far::Internet(_) | Far::Interface(_),
            Far::Interface(_) | Far::Internet(_),
        ) => true,
    }
}

/// What a link that the kernel shows leads to, as far as it is what is wanted.
fn seen_far(link: &SeenLink, wanted: Option<&Link>, places: &Places<'_>) -> Far {
    match wanted.map(|wanted| &wanted.far) {
        Some(Far::Interface(attachment)) => {
            let alias = attachment.alias();
            let alike = Attachment::fixed_part(&alias) == Attachment::fixed_part(&link.alias);
            if !alike || !namespace::exists(&places.interface(&attachment.id)) {
                return Far::Maker;
            }
            let mut found = attachment.clone();
            if alias != link.alias {
                // Its addresses are others; which ones, its namespace tells when they are changed.
                found.addresses.clear();
            }
            Far::Interface(found)
        }
        Some(Far::Internet(far)) if places.internet_links.contains(far) => {
            Far::Internet(far.clone())
        }
        Some(Far::Internet(_)) => Far::Maker,
        Some(Far::Maker) | None => Far::Maker,
    }
}

/// Sets what must stand before the interface appears in the calling thread's new namespace.
fn prepare_inside(attachment: &Attachment) -> Result<()> {
    // IPv6 stays possible on the loopback, where services bind `::1`.
    namespace::set_if_known("ipv6/conf/default/disable_ipv6", "1")?;
    namespace::set("ipv4/ping_group_range", "0 2147483647")?;
    namespace::set("ipv4/ip_unprivileged_port_start", "0")?;
    if attachment.translates {
        namespace::set("ipv4/ip_forward", "1")?;
        for scope in ["all", "default"] {
            namespace::set(&format!("ipv4/conf/{scope}/send_redirects"), "0")?;
            namespace::set(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
        }
    }
    Ok(())
}

/// Configures an interface inside its namespace, where the calling thread is.
fn configure_inside(attachment: &Attachment, table: &str) -> Result<()> {
    let mut batch = Batch::default();
    route::set_up(&mut batch, LOOPBACK, true);
    route::set_up(&mut batch, INSIDE_INDEX, true);
    for address in &attachment.addresses {
        route::add_address(&mut batch, INSIDE_INDEX, *address, attachment.prefix);
    }
    let way = Way::Link(INSIDE_INDEX, Some(attachment.router));
    route::set_route(&mut batch, MAIN, Cidr::ALL, &way);
    Socket::open(Family::Route)?.send(batch)?;
    if let Some(address) = attachment.addresses.first().filter(|_| attachment.translates) {
        let mut filters = Socket::open(Family::Filter)?;
        filter::replace(&mut filters, table, None, &nat_gateway(*address))?;
    }
    Ok(())
}

/// Changes the addresses of an interface in its namespace to what they should be.
fn readdress(attachment: &Attachment, path: &Path) -> Result<()> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let namespace = namespace::open(path)?
        .ok_or_else(|| Error::kernel(format!("open {}", path.display()), missing()))?;
    namespace::enter(&namespace)?;
    let mut socket = Socket::open(Family::Route)?;
    let seen = route::addresses(&mut socket)?;
    let own = seen.iter().filter(|(index, ..)| *index == INSIDE_INDEX);
    let old: BTreeSet<(Ipv4Addr, u8)> =
        own.map(|(_, address, prefix)| (*address, *prefix)).collect();
    let prefix = attachment.prefix;
    let mut batch = Batch::default();
    for (address, prefix) in &old {
        if !attachment.addresses.contains(address) {
            route::delete_address(&mut batch, INSIDE_INDEX, *address, *prefix);
        }
    }
    for address in attachment.addresses.iter().filter(|a| !old.contains(&(**a, prefix))) {
        route::add_address(&mut batch, INSIDE_INDEX, *address, prefix);
    }
    socket.send(batch)
}
