//! Measures a node with `wrk`: a target alone, then the node in front of one and of four targets.
//!
//! `cargo run --release -p proxy --example bench [SECONDS] [CONNECTIONS]`
//!
//! With `targets` it prints the addresses of four targets, with `node TARGET...` that of a node in
//! front of them, and serves until it is interrupted, so that other load generators and other
//! proxies can be measured beside it.

#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Command;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use proxy::{
    Action, Attributes, Forward, Listener, ListenerProtocol, Node, NodeConfig, NodeIdentity,
    Target, TargetGroup, WeightedGroup,
};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().unwrap_or_else(|| "5".to_owned());
    let connections = arguments.next().unwrap_or_else(|| "32".to_owned());
    let tasks = TaskTracker::new();
    let mut targets = Vec::new();
    for _ in 0..4 {
        targets.push(target(&tasks).await?);
    }
    if seconds == "targets" {
        targets.iter().for_each(|target| println!("target {target}"));
        tokio::signal::ctrl_c().await?;
        return Ok(());
    }
    if seconds == "node" {
        let others: Result<Vec<SocketAddr>, _> =
            std::env::args().skip(2).map(|target| target.parse()).collect();
        let node = node(others?).await?;
        let listener = node.status().listeners.into_iter().next().ok_or("no listener")?;
        println!("node {}", listener.address.ok_or("not listening")?);
        tokio::signal::ctrl_c().await?;
        return Ok(());
    }
    let alone = targets.first().copied().ok_or("no target")?;
    measure("target alone", alone, &seconds, &connections).await?;
    for count in [1, 4] {
        let node = node(targets.iter().take(count).copied().collect()).await?;
        let listener = node.status().listeners.into_iter().next().ok_or("no listener")?;
        let address = listener.address.ok_or("not listening")?;
        measure(&format!("node, {count} targets"), address, &seconds, &connections).await?;
    }
    println!(
        "{}",
        std::fs::read_to_string("/proc/self/status")?
            .lines()
            .filter(|it| it.starts_with("VmHWM"))
            .collect::<String>()
    );
    Ok(())
}

async fn target(tasks: &TaskTracker) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let accepted = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted.spawn(async move {
                let answer = |_: Request<Incoming>| async {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                        b"Hello, world!",
                    ))))
                };
                let service = hyper::service::service_fn(answer);
                let http1 = hyper::server::conn::http1::Builder::new();
                // A client that leaves is no fault.
                let _ = http1.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

async fn node(targets: Vec<SocketAddr>) -> Result<Node, Box<dyn std::error::Error>> {
    let target = |address: SocketAddr| Target::new(address.to_string(), address);
    let group = TargetGroup {
        targets: targets.into_iter().map(target).collect(),
        ..TargetGroup::new("group")
    };
    let weighted = WeightedGroup { target_group: group.id.clone(), weight: 1 };
    let forward = Forward { target_groups: vec![weighted], stickiness_seconds: None };
    Ok(Node::start(NodeConfig {
        node: NodeIdentity {
            id: "bench".to_owned(),
            zone: "zone-a".to_owned(),
            address: "127.0.0.1".parse()?,
        },
        zones: Default::default(),
        listeners: vec![Listener {
            id: "listener".to_owned(),
            port: 0,
            protocol: ListenerProtocol::Http,
            default_action: Action::Forward(forward),
            rules: Vec::new(),
        }],
        target_groups: vec![group],
        attributes: Attributes::default(),
        cookie_secret: String::new(),
    })
    .await?)
}

async fn measure(
    what: &str,
    address: SocketAddr,
    seconds: &str,
    connections: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let arguments = [
        "-t1".to_owned(),
        format!("-c{connections}"),
        format!("-d{seconds}"),
        "--latency".to_owned(),
        format!("http://{address}/"),
    ];
    #[expect(
        clippy::disallowed_methods,
        reason = "a load generator of its own, not a driver's tool"
    )]
    let output = tokio::task::spawn_blocking(move || Command::new("wrk").args(arguments).output());
    let output = String::from_utf8(output.await??.stdout)?;
    let wanted = ["50%", "99%", "Requests/sec", "Non-2xx", "Socket errors"];
    let lines = output.lines().filter(|line| wanted.iter().any(|word| line.contains(word)));
    println!("{what}: {}", lines.map(str::trim).collect::<Vec<_>>().join(", "));
    Ok(())
}
