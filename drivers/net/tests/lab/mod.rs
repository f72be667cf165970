//! A host of its own for each test: new network and mount namespaces on the test's thread, a
//! driver in them, and probes that speak from inside the fabric's namespaces.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Cidr, MacAddress, ResourceId, Zone};
use net::{
    Entry, Fabric, Interface, LinuxNet, NatGateway, Net, NetworkAcl, Options, Peer, Protocol,
    Route, RouteTable, Rule, SecurityGroup, Subnet, Target, Vpc, in_namespace, tcp_listen,
};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// How long a packet that should arrive may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for a packet that should not arrive.
const SILENCE: Duration = Duration::from_millis(200);

pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) net: LinuxNet,
    pub(crate) options: Options,
    pub(crate) runtime: tokio::runtime::Runtime,
}

/// Moves the test's thread into a host of its own.
pub(crate) fn isolate() {
    assert!(
        rustix::process::geteuid().is_root(),
        "the network tests build real networks: run them as root"
    );
    #[expect(unsafe_code, reason = "rustix has no safe call for the harmless flags alone")]
    // SAFETY: only unsharing the table of file descriptors is unsafe.
    let done = unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) };
    done.expect("root may make namespaces");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).unwrap();
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(false)
    }

    pub(crate) fn with(egress: bool) -> Self {
        isolate();
        let dir = tempfile::tempdir().unwrap();
        let public_pool = cidr("198.18.0.0/15");
        let run_dir = dir.path().join("run");
        let options = Options { run_dir, prefix: "lab".to_owned(), egress, public_pool };
        let net = LinuxNet::new(options.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { dir, net, options, runtime }
    }

    pub(crate) fn apply(&self, fabric: &Fabric) {
        self.try_apply(fabric).unwrap();
    }

    pub(crate) fn try_apply(&self, fabric: &Fabric) -> net::Result<()> {
        self.runtime.block_on(self.net.apply(fabric.clone()))
    }

    pub(crate) fn observe(&self) -> net::Observed {
        self.runtime.block_on(self.net.observe()).unwrap()
    }

    /// Ends the driver and starts another, as a restart of the process does.
    pub(crate) fn restart(&mut self) {
        self.net = LinuxNet::new(self.options.clone()).unwrap();
    }

    pub(crate) fn eni(&self, number: u32) -> PathBuf {
        self.net.eni_namespace(&eni(number))
    }

    pub(crate) fn router(&self, number: u32) -> PathBuf {
        self.net.router_namespace(&id("vpc", number))
    }

    /// Serves TCP at `port` of an interface.
    pub(crate) fn serve(&self, number: u32, port: u16) {
        serve(&self.eni(number), Ipv4Addr::UNSPECIFIED, port);
    }

    /// Asserts that an interface reaches a server, and hands back as whom the server sees it.
    #[track_caller]
    pub(crate) fn reaches(&self, from: u32, to: &str, port: u16) -> Ipv4Addr {
        reaches(&self.eni(from), to, port)
    }

    #[track_caller]
    pub(crate) fn is_cut(&self, from: u32, to: &str, port: u16) {
        is_cut(&self.eni(from), to, port);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A failed test has already said so; its namespaces end with its thread.
        let _ = self.runtime.block_on(self.net.destroy());
    }
}

pub(crate) fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub(crate) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

pub(crate) fn id(prefix: &str, number: u32) -> ResourceId {
    ResourceId::parse(prefix, &format!("{prefix}-{number:017x}")).unwrap()
}

pub(crate) fn eni(number: u32) -> ResourceId {
    id("eni", number)
}

pub(crate) fn zone(letter: char) -> Zone {
    Zone::new(format!("ap-northeast-2{letter}"))
}

fn mac(number: u32) -> MacAddress {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddress([2, 1, a, b, c, d])
}

/// A VPC with an internet gateway and what AWS makes with it: an open network ACL (1), and two
/// route tables, one with a default route to the gateway (1) and one without (2).
pub(crate) fn vpc(number: u32, block: &str) -> Vpc {
    let entry = Entry { number: 100, allow: true, protocol: Protocol::All, cidr: Cidr::ALL };
    let acl = NetworkAcl { id: id("acl", 1), ingress: vec![entry.clone()], egress: vec![entry] };
    let local = Route { destination: cidr(block), target: Target::Local };
    let out = Route { destination: Cidr::ALL, target: Target::InternetGateway };
    Vpc {
        id: id("vpc", number),
        cidrs: vec![cidr(block)],
        internet_gateway: Some(id("igw", number)),
        subnets: Vec::new(),
        interfaces: Vec::new(),
        security_groups: Vec::new(),
        network_acls: vec![acl],
        route_tables: vec![
            RouteTable { id: id("rtb", 1), routes: vec![local.clone(), out] },
            RouteTable { id: id("rtb", 2), routes: vec![local] },
        ],
        nat_gateways: Vec::new(),
        service_addresses: Vec::new(),
    }
}

/// A subnet in zone a with the open ACL and route table `table`.
pub(crate) fn subnet(vpc: &mut Vpc, number: u32, block: &str, table: u32) {
    vpc.subnets.push(Subnet {
        id: id("subnet", number),
        zone: zone('a'),
        cidr: cidr(block),
        network_acl: id("acl", 1),
        route_table: id("rtb", table),
    });
}

/// An interface in subnet `subnet` and group `group`.
pub(crate) fn interface(vpc: &mut Vpc, number: u32, subnet: u32, address: &str, group: u32) {
    vpc.interfaces.push(Interface {
        id: eni(number),
        subnet: id("subnet", subnet),
        zone: zone('a'),
        mac: mac(number),
        addresses: vec![ip(address)],
        public: Vec::new(),
        security_groups: vec![id("sg", group)],
        source_dest_check: true,
    });
}

pub(crate) fn nat(vpc: &mut Vpc, number: u32, subnet: u32, address: &str, public: &str) {
    vpc.nat_gateways.push(NatGateway {
        id: id("nat", number),
        interface: eni(number),
        subnet: id("subnet", subnet),
        zone: zone('a'),
        mac: mac(number),
        private_address: ip(address),
        public_address: Some(ip(public)),
    });
}

/// The interface `number` of a VPC.
pub(crate) fn find(vpc: &mut Vpc, number: u32) -> &mut Interface {
    vpc.interfaces.iter_mut().find(|own| own.id == eni(number)).unwrap()
}

pub(crate) fn tcp(port: u16, peer: Peer) -> Rule {
    Rule { protocol: Protocol::Tcp { from: port, to: port }, peer }
}

pub(crate) fn any(peer: Peer) -> Rule {
    Rule { protocol: Protocol::All, peer }
}

pub(crate) fn everyone() -> Peer {
    Peer::Cidr(Cidr::ALL)
}

pub(crate) fn group(vpc: &mut Vpc, number: u32, ingress: Vec<Rule>, egress: Vec<Rule>) {
    vpc.security_groups.push(SecurityGroup { id: id("sg", number), ingress, egress });
}

/// A group that lets everything pass.
pub(crate) fn open_group(vpc: &mut Vpc, number: u32) {
    group(vpc, number, vec![any(everyone())], vec![any(everyone())]);
}

pub(crate) fn fabric(vpcs: &[&Vpc]) -> Fabric {
    let vpcs = vpcs.iter().map(|vpc| (*vpc).clone()).collect();
    Fabric { public_pool: cidr("198.18.0.0/15"), vpcs }
}

/// Serves TCP in a namespace until the test ends: tells each caller its address, then echoes.
pub(crate) fn serve(namespace: &Path, address: Ipv4Addr, port: u16) {
    let listener = tcp_listen(namespace, SocketAddrV4::new(address, port)).unwrap();
    listener.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, peer)) = listener.accept() {
            std::thread::spawn(move || answer(stream, peer));
        }
    });
}

fn answer(mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    writeln!(stream, "{:<40}", peer.ip())?;
    let mut buffer = [0; 256];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length])?;
    }
}

/// An open connection to a server of [`serve`].
pub(crate) struct Flow {
    stream: TcpStream,
    pub(crate) seen_as: Ipv4Addr,
}

impl Flow {
    pub(crate) fn open(
        namespace: &Path,
        to: &str,
        port: u16,
        within: Duration,
    ) -> io::Result<Self> {
        let to = SocketAddrV4::new(ip(to), port);
        let mut stream = net::tcp_connect(namespace, to, within)?;
        stream.set_read_timeout(Some(within))?;
        let mut line = [0; 41];
        stream.read_exact(&mut line)?;
        let seen_as = String::from_utf8_lossy(&line).trim().parse().unwrap();
        Ok(Self { stream, seen_as })
    }

    /// Whether what is sent comes back.
    pub(crate) fn echoes(&mut self) -> bool {
        let mut buffer = [0; 5];
        self.stream.write_all(b"hello").is_ok() && self.stream.read_exact(&mut buffer).is_ok()
    }
}

#[track_caller]
pub(crate) fn reaches(namespace: &Path, to: &str, port: u16) -> Ipv4Addr {
    let flow = Flow::open(namespace, to, port, PATIENCE);
    flow.unwrap_or_else(|error| panic!("{to}:{port} is not reached: {error}")).seen_as
}

#[track_caller]
pub(crate) fn is_cut(namespace: &Path, to: &str, port: u16) {
    let flow = Flow::open(namespace, to, port, SILENCE);
    assert!(flow.is_err(), "{to}:{port} is reached");
}

/// Connects from the host's own namespace, which is the test thread's.
pub(crate) fn host() -> PathBuf {
    PathBuf::from("/proc/thread-self/ns/net")
}

impl Flow {
    /// Whether a megabyte comes back, sent while it is read.
    pub(crate) fn echoes_much(&mut self) -> bool {
        const BYTES: usize = 1 << 20;
        let mut writer = self.stream.try_clone().unwrap();
        writer.set_write_timeout(Some(PATIENCE)).unwrap();
        let sent = std::thread::spawn(move || writer.write_all(&vec![7; BYTES]));
        let mut buffer = vec![0; BYTES];
        let received = self.stream.read_exact(&mut buffer);
        sent.join().unwrap().is_ok() && received.is_ok()
    }
}

/// Whether an ICMP echo request is answered.
pub(crate) fn pings(namespace: &Path, to: &str) -> bool {
    use rustix::net::{AddressFamily, SocketType, ipproto, recv, sendto, socket};
    let to = SocketAddr::V4(SocketAddrV4::new(ip(to), 0));
    in_namespace(namespace, move || {
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP))?;
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(SILENCE * 2))?;
        let request = [8, 0, 0, 0, 0, 0, 0, 1];
        if sendto(socket.as_fd(), &request, rustix::net::SendFlags::empty(), &to).is_err() {
            return Ok(false);
        }
        let mut buffer = [0_u8; 64];
        let flags = rustix::net::RecvFlags::empty();
        let answer = recv(socket.as_fd(), &mut buffer[..], flags);
        Ok(answer.is_ok() && buffer[0] == 0)
    })
    .unwrap()
}

/// Runs `ip` in a namespace, for what a workload may do in its own and the fabric never does.
pub(crate) fn ip_command(namespace: &Path, arguments: &[&str]) {
    in_namespace(namespace, || {
        let status = std::process::Command::new("ip").args(arguments).status()?;
        assert!(status.success(), "{arguments:?}");
        Ok(())
    })
    .unwrap();
}
