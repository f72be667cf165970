//! The thread that builds: it holds a handle per namespace and walks them in the order in which
//! they depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use base::ResourceId;

use crate::compile::{self, Overlay, host_link};
use crate::model::Space;
use crate::record::Record;
use crate::space::{Handle, Owner, Places, path};
use crate::{Error, Fabric, InterfaceState, Observed, Options, Result, namespace};

/// The name of the internet namespace.
pub(crate) const INTERNET: &str = "internet";

/// What the thread knows between two calls.
#[derive(Debug)]
pub(crate) struct Worker {
    options: Options,
    home: OwnedFd,
    /// Nothing before the first call, when what is on the host is not known.
    record: Option<Record>,
    host: Option<Handle>,
    internet: Option<Handle>,
    routers: BTreeMap<ResourceId, Handle>,
    /// Whether there may be namespaces that nothing declares.
    unswept: bool,
}

impl Worker {
    /// Knows nothing yet, and touches nothing.
    pub(crate) fn new(options: Options) -> Result<Self> {
        let home = namespace::current()?;
        Ok(Self {
            options,
            home,
            record: None,
            host: None,
            internet: None,
            routers: BTreeMap::new(),
            unswept: true,
        })
    }

    /// Runs a call and comes back to the thread's own namespace.
    pub(crate) fn at_home<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let result = f(self);
        namespace::enter(&self.home)?;
        result
    }

    /// Makes the fabric equal to `desired`.
    pub(crate) fn apply(&mut self, desired: Fabric) -> Result<()> {
        let record = self.record()?.clone();
        if desired.public_pool != self.options.public_pool {
            let (theirs, ours) = (desired.public_pool, self.options.public_pool);
            return Err(Error::Invalid(format!("the pool is {ours}, not {theirs}")));
        }
        desired.check()?;
        self.build(&record, &desired, &record.overlay)?;
        if self.unswept {
            self.sweep(&desired)?;
            self.unswept = false;
        }
        self.store(|record| {
            record.overlay.interfaces.retain(|id| desired.has_interface(id));
            // Members may be named before they are declared, and go when they are no more.
            let before = record.fabric.take();
            let had = |id: &ResourceId| before.as_ref().is_some_and(|b| b.has_interface(id));
            for members in record.overlay.cohorts.values_mut() {
                members.retain(|id, _| desired.has_interface(id) || !had(id));
            }
            record.overlay.cohorts.retain(|_, members| !members.is_empty());
            record.fabric = Some(desired);
        })
    }

    /// Cuts an interface off, or restores it.
    pub(crate) fn cut_interface(&mut self, id: ResourceId, up: bool) -> Result<()> {
        let fabric = self.record()?.fabric.as_ref();
        if !up && !fabric.is_some_and(|fabric| fabric.has_interface(&id)) {
            return Err(Error::Invalid(format!("{id} is no interface of the fabric")));
        }
        self.overlay(|overlay| {
            if up {
                overlay.interfaces.remove(&id)
            } else {
                overlay.interfaces.insert(id)
            };
        })
    }

    /// Changes what is asked for beside the declaration.
    pub(crate) fn overlay(&mut self, change: impl FnOnce(&mut Overlay)) -> Result<()> {
        let record = self.record()?.clone();
        let mut overlay = record.overlay.clone();
        change(&mut overlay);
        // It is on disk first: a process that dies half way goes on with it.
        self.store(|record| record.overlay = overlay.clone())?;
        match &record.fabric {
            Some(fabric) => self.build(&record, fabric, &overlay),
            None => Ok(()),
        }
    }

    /// What the kernel says of each interface.
    pub(crate) fn observe(&mut self) -> Result<Observed> {
        let mut observed = Observed::default();
        let fabric = self.record()?.fabric.clone();
        for vpc in fabric.iter().flat_map(|fabric| &fabric.vpcs) {
            let Some(router) = self.existing_router(&vpc.id)? else { continue };
            let links = router.links()?;
            let own = vpc.interfaces.iter().map(|eni| &eni.id);
            for id in own.chain(vpc.nat_gateways.iter().map(|nat| &nat.interface)) {
                let name = crate::model::interface_link(id);
                let Some(link) = links.iter().find(|link| link.name == name) else { continue };
                // What the router received is what the workload sent.
                let [tx_packets, rx_packets, tx_bytes, rx_bytes] = link.counters;
                let up = link.running;
                let state = InterfaceState { up, rx_bytes, rx_packets, tx_bytes, tx_packets };
                observed.interfaces.insert(id.clone(), state);
            }
        }
        Ok(observed)
    }

    /// Removes all that this install made.
    pub(crate) fn destroy(&mut self) -> Result<()> {
        let record = self.record()?.clone();
        self.ensure_host()?;
        if let Some(mut host) = self.host.take() {
            host.clear()?;
        }
        for (name, path) in self.mounted()? {
            let is_router = name == INTERNET || name.starts_with("vpc-");
            if let Some(namespace) = namespace::open(&path)?.filter(|_| is_router) {
                // Sockets of others may hold the namespace, so its links go by name.
                namespace::enter(&namespace)?;
                Handle::open(namespace, Owner::Fabric, &self.options.prefix)?.clear()?;
            }
            namespace::remove(&path)?;
        }
        self.routers.clear();
        self.internet = None;
        namespace::enter(&self.home)?;
        if let Some(before) = &record.forwarding_before {
            namespace::set("ipv4/ip_forward", before)?;
        }
        Record::remove(&self.options.run_dir)?;
        self.record = None;
        match fs::remove_dir(self.folder()) {
            // Another install may share the folder.
            Err(error) if error.kind() != std::io::ErrorKind::DirectoryNotEmpty => {
                let what = format!("remove {}", self.folder().display());
                Err(Error::kernel(what, error))
            }
            _ => Ok(()),
        }
    }

    fn folder(&self) -> PathBuf {
        self.options.run_dir.join("netns")
    }

    fn path(&self, name: &str) -> PathBuf {
        path(&self.folder(), &self.options.prefix, name)
    }

    /// The record, read at the first call.
    fn record(&mut self) -> Result<&mut Record> {
        if self.record.is_none() {
            let folder = self.folder();
            let made = fs::create_dir_all(&folder);
            made.map_err(|error| Error::kernel(format!("make {}", folder.display()), error))?;
            self.record = Some(Record::read(&self.options.run_dir)?);
        }
        self.record.as_mut().ok_or(Error::Stopped)
    }

    fn store(&mut self, change: impl FnOnce(&mut Record)) -> Result<()> {
        let run_dir = self.options.run_dir.clone();
        let record = self.record()?;
        let before = record.clone();
        change(record);
        if *record == before { Ok(()) } else { record.write(&run_dir) }
    }

    /// Makes the namespaces hold what is declared. What fails leaves the rest undone; the next
    /// change looks at what is there.
    fn build(&mut self, record: &Record, desired: &Fabric, overlay: &Overlay) -> Result<()> {
        let wanted: Vec<_> = desired
            .vpcs
            .iter()
            .map(|vpc| Ok((&vpc.id, compile::router(vpc, overlay)?)))
            .collect::<Result<_>>()?;
        let result = self.steps(record, desired, &wanted);
        if result.is_err() {
            let spaces = self.host.iter_mut().chain(&mut self.internet);
            spaces.chain(self.routers.values_mut()).for_each(Handle::forget);
            self.unswept = true;
        }
        result
    }

    /// The steps of a change, in the order in which namespaces depend on each other.
    fn steps(
        &mut self,
        record: &Record,
        desired: &Fabric,
        wanted: &[(&ResourceId, Space)],
    ) -> Result<()> {
        self.ensure_way_out()?;
        self.ensure_internet()?;
        let known: Vec<_> = self.routers.keys().cloned().collect();
        for id in known.iter().filter(|id| !wanted.iter().any(|(wanted, _)| wanted == id)) {
            self.remove_router(id, record)?;
        }
        self.build_spaces(record, desired, wanted)
    }

    fn build_spaces(
        &mut self,
        record: &Record,
        desired: &Fabric,
        wanted: &[(&ResourceId, Space)],
    ) -> Result<()> {
        for (id, _) in wanted {
            self.ensure_router(id)?;
        }
        let Self { options, host, internet, routers, .. } = self;
        let (Some(host), Some(internet)) = (host, internet) else { return Err(Error::Stopped) };
        let seen = internet.links()?;
        let folder = options.run_dir.join("netns");
        let own = internet.namespace.try_clone();
        let places = Places {
            folder: &folder,
            prefix: &options.prefix,
            internet: &own.map_err(|error| Error::kernel("hold the internet namespace", error))?,
            internet_links: seen.into_iter().map(|link| link.name).collect(),
        };
        host.apply(&compile::host(options), None, &places)?;
        let mut joined = host.take_joined();
        for (id, space) in wanted {
            let Some(router) = routers.get_mut(*id) else { continue };
            let stored = stored_router(record, id).filter(|_| !router.is_known());
            router.apply(space, stored.as_ref(), &places)?;
            joined |= router.take_joined();
        }
        if joined {
            internet.forget();
        }
        let stored = record.fabric.as_ref().filter(|_| !internet.is_known());
        let stored = stored.map(|fabric| compile::internet(options, fabric));
        internet.apply(&compile::internet(options, desired), stored.as_ref(), &places)
    }

    /// The namespace called `name` with open sockets; made, with what a router needs, if missing.
    fn ensure(&self, name: &str) -> Result<(Handle, bool)> {
        let path = self.path(name);
        let existing = namespace::open(&path)?;
        let is_new = existing.is_none();
        let namespace = match existing {
            Some(namespace) => {
                namespace::enter(&namespace)?;
                namespace
            }
            None => {
                let namespace = namespace::create(&path)?;
                prepare_router()?;
                namespace
            }
        };
        let mut handle = Handle::open(namespace, Owner::Fabric, &self.options.prefix)?;
        if is_new {
            handle.set_loopback_up()?;
        }
        Ok((handle, is_new))
    }

    fn ensure_internet(&mut self) -> Result<()> {
        if self.internet.is_none() {
            let (handle, is_new) = self.ensure(INTERNET)?;
            self.internet = Some(handle);
            if is_new {
                // Links into a namespace that is gone may still be on their way out.
                self.ensure_host()?;
                self.host.iter_mut().try_for_each(Handle::clear)?;
            }
        }
        Ok(())
    }

    fn ensure_host(&mut self) -> Result<()> {
        if self.host.is_some() {
            return Ok(());
        }
        namespace::enter(&self.home)?;
        let home = self.home.try_clone();
        let home = home.map_err(|error| Error::kernel("hold the host's namespace", error))?;
        let owner = Owner::Host(host_link(&self.options));
        self.host = Some(Handle::open(home, owner, &self.options.prefix)?);
        Ok(())
    }

    /// Makes sure that the pool is ours to route, and lets the host forward if it should.
    fn ensure_way_out(&mut self) -> Result<()> {
        self.ensure_host()?;
        let pool = self.options.public_pool;
        let host = self.host.as_mut().filter(|host| !host.is_known());
        if host.map(|host| host.is_taken(pool)).transpose()? == Some(true) {
            return Err(Error::PoolTaken(pool));
        }
        if self.options.egress {
            namespace::enter(&self.home)?;
            let before = namespace::get("ipv4/ip_forward")?;
            if before != "1" {
                self.store(|record| record.forwarding_before = Some(before))?;
                namespace::set("ipv4/ip_forward", "1")?;
            }
        }
        Ok(())
    }

    fn ensure_router(&mut self, id: &ResourceId) -> Result<()> {
        if !self.routers.contains_key(id) {
            let (handle, _) = self.ensure(id.as_str())?;
            self.routers.insert(id.clone(), handle);
        }
        Ok(())
    }

    fn existing_router(&mut self, id: &ResourceId) -> Result<Option<&mut Handle>> {
        if !self.routers.contains_key(id) && namespace::exists(&self.path(id.as_str())) {
            self.ensure_router(id)?;
        }
        Ok(self.routers.get_mut(id))
    }

    fn remove_router(&mut self, id: &ResourceId, record: &Record) -> Result<()> {
        if let Some(mut router) = self.routers.remove(id) {
            router.clear()?;
        }
        let vpcs = record.fabric.iter().flat_map(|fabric| &fabric.vpcs);
        for vpc in vpcs.filter(|vpc| vpc.id == *id) {
            let own = vpc.interfaces.iter().map(|eni| &eni.id);
            for eni in own.chain(vpc.nat_gateways.iter().map(|nat| &nat.interface)) {
                namespace::remove(&self.path(eni.as_str()))?;
            }
        }
        namespace::remove(&self.path(id.as_str()))
    }

    /// The namespaces of this install: name and path.
    fn mounted(&self) -> Result<Vec<(String, PathBuf)>> {
        let folder = self.folder();
        let failed = |error| Error::kernel(format!("list {}", folder.display()), error);
        let mut found = Vec::new();
        let start = format!("{}-", self.options.prefix);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(name) = entry.file_name().to_str().and_then(|n| n.strip_prefix(&start)) {
                found.push((name.to_owned(), entry.path()));
            }
        }
        Ok(found)
    }

    /// Removes namespaces that an earlier process left and nothing declares.
    fn sweep(&self, desired: &Fabric) -> Result<()> {
        let mut wanted = BTreeSet::from([INTERNET]);
        for vpc in &desired.vpcs {
            wanted.insert(vpc.id.as_str());
            wanted.extend(vpc.interfaces.iter().map(|eni| eni.id.as_str()));
            wanted.extend(vpc.nat_gateways.iter().map(|nat| nat.interface.as_str()));
        }
        for (name, path) in self.mounted()? {
            if wanted.contains(name.as_str()) {
                continue;
            }
            if let Some(namespace) = namespace::open(&path)?.filter(|_| name.starts_with("vpc-")) {
                namespace::enter(&namespace)?;
                Handle::open(namespace, Owner::Fabric, &self.options.prefix)?.clear()?;
            }
            namespace::remove(&path)?;
        }
        Ok(())
    }
}

fn stored_router(record: &Record, id: &ResourceId) -> Option<Space> {
    let vpc = record.fabric.iter().flat_map(|fabric| &fabric.vpcs).find(|vpc| vpc.id == *id)?;
    // A record that no longer compiles helps nobody; the filters are then made anew.
    compile::router(vpc, &record.overlay).ok()
}

/// Sets what a router's namespace needs before its first link appears.
fn prepare_router() -> Result<()> {
    namespace::set("ipv4/ip_forward", "1")?;
    for scope in ["all", "default"] {
        let name = |name: &str| format!("ipv4/conf/{scope}/{name}");
        // All interfaces may be asked for any address; whom to believe is the filters' matter.
        namespace::set(&name("rp_filter"), "0")?;
        // The router's own ICMP errors come back through a NAT gateway, which passes them on.
        namespace::set(&name("accept_local"), "1")?;
        namespace::set(&name("arp_ignore"), "0")?;
        namespace::set(&name("arp_filter"), "0")?;
        namespace::set(&name("proxy_arp"), "1")?;
        namespace::set(&name("send_redirects"), "0")?;
        namespace::set(&name("accept_redirects"), "0")?;
        namespace::set_if_known(&format!("ipv6/conf/{scope}/disable_ipv6"), "1")?;
    }
    Ok(())
}
