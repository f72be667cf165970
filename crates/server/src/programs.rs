//! What this binary is when a zone starts it: a zone's supervisor, a load balancer's node, or the
//! DNS and metadata services of a zone's VPCs. Each serves from its last configuration for as long
//! as it lives, whether or not the control plane does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use ec2::VpcServicesConfig;
use elbv2::NodeMessage;
use gateway::Gateway;
use machine::program::Control;
use machine::zone::{self, ZoneOptions};

use crate::drivers::Drivers;
use crate::paths::Paths;

/// `skyhold zone`.
#[derive(Args)]
pub(crate) struct ZoneArguments {
    /// The zone.
    #[arg(long)]
    zone: String,
    /// Where sockets and namespaces are.
    #[arg(long)]
    run_dir: PathBuf,
}

/// `skyhold program`.
#[derive(Args)]
pub(crate) struct ProgramArguments {
    /// Which part of the data plane to be.
    name: String,
}

/// Supervises a zone until it is told to end.
pub(crate) fn zone(arguments: &ZoneArguments, paths: &Paths) -> Result<ExitCode> {
    let zone = base::Zone::new(arguments.zone.clone());
    zone::run(ZoneOptions::new(zone, arguments.run_dir.clone(), paths.data.clone()))
}

/// Serves as one part of the data plane until the zone ends.
pub(crate) fn program(arguments: &ProgramArguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let control = Control::inherit().context("a zone starts this, not a person")?;
        match arguments.name.as_str() {
            "alb-node" => alb_node(control).await,
            "vpc-services" => vpc_services(control).await,
            other => bail!("there is no part of the data plane called {other}"),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn alb_node(mut control: Control) -> Result<()> {
    let mut node: Option<proxy::Node> = None;
    while let Some(call) = control.receive().await? {
        let answer = match serde_json::from_slice(&call.message)? {
            NodeMessage::Configure(config) => {
                let configured = match &node {
                    Some(node) => node.configure(config).await,
                    None => proxy::Node::start(config).await.map(|started| node = Some(started)),
                };
                configured.err().map(|fault| fault.to_string().into_bytes()).unwrap_or_default()
            }
            NodeMessage::Status => match &node {
                Some(node) => serde_json::to_vec(&node.status())?,
                None => Vec::new(),
            },
        };
        control.answer(call, &answer).await?;
    }
    if let Some(node) = node {
        node.shutdown(Duration::ZERO).await;
    }
    Ok(())
}

async fn vpc_services(mut control: Control) -> Result<()> {
    let dns = dns::Dns::start(dns::Zones::default(), Arc::new(in_namespace)).await;
    let imds = imds::Imds::start(imds::Metadata::default(), Arc::new(in_namespace)).await;
    while let Some(call) = control.receive().await? {
        let mut config: VpcServicesConfig = serde_json::from_slice(&call.message)?;
        let own = config.dns.host;
        config.dns.upstreams = host_resolvers();
        // A host that asks this resolver must not be asked back.
        config.dns.upstreams.retain(|upstream| Some(*upstream) != own);
        dns.configure(config.dns).await;
        imds.configure(config.imds).await;
        control.answer(call, b"ok").await?;
    }
    Ok(())
}

/// The resolvers that the host asks, but for those that only the host itself can reach.
fn host_resolvers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let addresses =
        text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    let reachable = addresses.filter(|address: &std::net::IpAddr| !address.is_loopback());
    reachable.map(|address| SocketAddr::new(address, 53)).collect()
}

/// Opens a socket inside a network namespace.
fn in_namespace(
    path: &Path,
    open: Box<dyn FnOnce() -> std::io::Result<OwnedFd> + Send>,
) -> std::io::Result<OwnedFd> {
    net::in_namespace(path, open)
}

/// Serves the AWS APIs where instances reach them: at the fabric's public endpoint address, on the
/// region's own port and on those that AWS's endpoints have. It appears when the fabric does, and
/// again whenever the fabric was rebuilt.
pub(crate) async fn serve_inside(gateway: Arc<Gateway>, drivers: &Drivers, port: u16) {
    const LOOK_AGAIN: Duration = Duration::from_millis(200);
    const HTTP: u16 = 80;
    const HTTPS: u16 = 443;
    let ports = BTreeSet::from([port, HTTP, HTTPS]);
    let mut serving: BTreeMap<u16, tokio::task::JoinHandle<()>> = BTreeMap::new();
    loop {
        serving.retain(|_, served| !served.is_finished());
        for port in ports.iter().filter(|port| !serving.contains_key(port)).collect::<Vec<_>>() {
            let address = SocketAddrV4::new(drivers.net_options.endpoint_address(), *port);
            let namespace = drivers.net.internet_namespace();
            if let Ok(listener) = net::tcp_listen(&namespace, address)
                && let Ok(listener) = tokio::net::TcpListener::from_std(listener)
            {
                tracing::debug!(address = %SocketAddr::V4(address), "serving inside the fabric");
                let gateway = gateway.clone();
                #[expect(clippy::disallowed_methods, reason = "it ends with the runtime")]
                let served = tokio::spawn(gateway.serve(listener, std::future::pending()));
                serving.insert(*port, served);
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
