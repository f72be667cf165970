//! Starting and stopping a region.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use base::{Clock, Random, Region};
use gateway::{Gateway, Mode};
use kernel::clock::{RegionClock, Setting};
use kernel::{Builder, Kernel, Settings};
use serde_json::{Value as Json, json};
use store::{Options, Store};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::control::{self, Answers, Question};
use crate::credentials::{self, Credentials, private_folder};
use crate::drivers::Drivers;
use crate::paths::Paths;
use crate::random::SystemRandom;
use crate::{registry, tls};

/// How a region is started.
#[derive(Debug, Clone)]
pub(crate) struct StartOptions {
    /// Where the gateway listens.
    pub(crate) listen: SocketAddr,
    /// The region's name.
    pub(crate) region: Region,
    /// Whether any key is accepted.
    pub(crate) open: bool,
    /// Whether nothing is kept.
    pub(crate) ephemeral: bool,
    /// The DNS server that certificates' validation records are looked up at.
    pub(crate) resolver: Option<SocketAddr>,
}

/// Threads that serve requests and tasks; drivers block elsewhere.
const WORKERS: usize = 2;

/// Runs the region until it is told to stop.
pub(crate) fn run(paths: &Paths, options: &StartOptions) -> Result<ExitCode> {
    start_logging();
    private_folder(&paths.data)?;
    private_folder(&paths.run())?;
    let _lock = lock(paths)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let served = runtime.block_on(serve(paths, options));
    runtime.shutdown_timeout(Duration::from_secs(1));
    if options.ephemeral {
        std::fs::remove_dir_all(&paths.data).context("cannot forget the ephemeral region")?;
    }
    served.map(|()| ExitCode::SUCCESS)
}

fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SKYHOLD_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Holds the data folder for one process.
fn lock(paths: &Paths) -> Result<std::fs::File> {
    let file = std::fs::File::create(paths.run().join("lock"))?;
    let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    if rustix::fs::flock(&file, operation).is_err() {
        bail!("a region is running in {} already; `skyhold down` stops it", paths.data.display());
    }
    Ok(file)
}

async fn serve(paths: &Paths, options: &StartOptions) -> Result<()> {
    let store_options = if options.ephemeral { Options::ephemeral() } else { Options::default() };
    let store =
        Store::open(&paths.store(), store_options).await.context("cannot open the store")?;
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let clock = Arc::new(RegionClock::new(clock_setting(paths)));
    let key = credentials::sealing_key(&paths.keys(), &*random)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let endpoint_url = format!("http://{}", listener.local_addr()?);
    let drivers = Drivers::open(paths, &options.region)?;
    let tls = tls::server_config(&paths.keys(), &options.region)?;
    let identity = Arc::new(iam::Directory::new(store.clone(), clock.clone(), random.clone()));
    let keys = first_account(paths, options, &identity, &endpoint_url).await?;
    let settings = Settings {
        region: options.region.clone(),
        account: keys.account_id.parse()?,
        endpoint_url: endpoint_url.clone(),
    };
    let mut builder =
        Builder::new(settings, store.clone(), clock.clone(), random, identity.clone(), key);
    let certificates = certificates(paths, options)?;
    for def in registry::services(paths, &drivers, &identity, key, certificates) {
        builder = builder.service(def);
    }
    let kernel = builder.start();
    let mode = if options.open { Mode::Open } else { Mode::Signed };
    let gateway_options = gateway::Options { mode, tls: Some(tls) };
    let gateway = Arc::new(Gateway::new(kernel.clone(), gateway_options));
    let stop = Arc::new(Notify::new());
    let region = Arc::new(Operator {
        kernel: kernel.clone(),
        clock,
        paths: paths.clone(),
        drivers: drivers.clone(),
        stop: stop.clone(),
    });
    // Who hears that the region is ready may ask it to end at once.
    let questions = control::listen(&paths.control())?;
    ready(&endpoint_url, options)?;
    let stopped = async {
        tokio::select! {
            () = stop.notified() => true,
            () = interrupted() => false,
        }
    };
    if !drivers.may_run {
        tracing::warn!(
            "not root: instances, networks, load balancers, databases and caches are refused; \
             `skyhold doctor` tells what is missing"
        );
    }
    let inside = crate::programs::serve_inside(gateway.clone(), &drivers, options.listen.port());
    let everything_ends = tokio::select! {
        served = control::serve(questions, region) => { served?; false }
        ended = serve_until(gateway, listener, stopped) => ended,
        () = inside => false,
    };
    kernel.stop();
    if everything_ends {
        shut_down(&drivers).await?;
    }
    store.close().await?;
    Ok(())
}

/// What certificates are issued by, and whom their validation asks.
fn certificates(paths: &Paths, options: &StartOptions) -> Result<registry::Certificates> {
    Ok(registry::Certificates {
        authority: tls::signing_authority(&paths.keys())?,
        resolver: match options.resolver {
            Some(address) => Arc::new(acm::DnsResolver(address)),
            None => Arc::new(acm::NoResolver),
        },
    })
}

/// Serves, and tells whether what runs is to be ended too.
async fn serve_until(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    stopped: impl Future<Output = bool>,
) -> bool {
    let ended = tokio::sync::OnceCell::new();
    gateway
        .serve(listener, async {
            let everything = stopped.await;
            // Set once, here.
            let _ = ended.set(everything);
        })
        .await;
    ended.get().copied().unwrap_or(false)
}

async fn shut_down(drivers: &Drivers) -> Result<()> {
    if !drivers.may_run {
        return Ok(());
    }
    drivers.linux_machine.shutdown().await?;
    drivers.net.destroy().await?;
    Ok(())
}

/// Resolves on SIGINT or SIGTERM. Those stop the control plane alone: what runs goes on, and the
/// next start adopts it.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn first_account(
    paths: &Paths,
    options: &StartOptions,
    identity: &iam::Directory,
    endpoint_url: &str,
) -> Result<Credentials> {
    if let Ok(kept) = Credentials::read(&paths.credentials()) {
        if kept.region != options.region.as_str() {
            bail!(
                "{} holds the region {}; give another --data-dir for {}",
                paths.data.display(),
                kept.region,
                options.region
            );
        }
        let kept = Credentials { endpoint_url: endpoint_url.to_owned(), ..kept };
        kept.write(&paths.credentials())?;
        return Ok(kept);
    }
    let first = identity.create_first_account().await?;
    let made = Credentials {
        account_id: first.account.to_string(),
        region: options.region.to_string(),
        endpoint_url: endpoint_url.to_owned(),
        access_key_id: first.administrator.access_key_id,
        secret_access_key: first.administrator.secret_access_key,
        root_access_key_id: first.root.access_key_id,
        root_secret_access_key: first.root.secret_access_key,
    };
    made.write(&paths.credentials())?;
    Ok(made)
}

#[expect(clippy::print_stdout, reason = "the ready line is part of the command's contract")]
fn ready(endpoint_url: &str, options: &StartOptions) -> Result<()> {
    println!("Skyhold is ready: {endpoint_url} ({})", options.region);
    std::io::stdout().flush()?;
    Ok(())
}

fn clock_setting(paths: &Paths) -> Setting {
    std::fs::read_to_string(paths.data.join("clock.json"))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// `skyhold down`.
pub(crate) fn down(paths: &Paths) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if ask_to_end(paths).await.is_err() && !paths.run().exists() {
            return Ok(());
        }
        wait_for_end(paths).await?;
        // A control plane that was killed left its data plane running: end that here.
        let region = Credentials::read(&paths.credentials())
            .map_or_else(|_| Region::new("ap-northeast-2"), |c| Region::new(c.region));
        shut_down(&Drivers::open(paths, &region)?).await
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn ask_to_end(paths: &Paths) -> Result<Json> {
    control::ask(&paths.control(), &Question::Down, Duration::from_secs(5)).await
}

/// Waits until no process holds the data folder. One that was only starting is asked again.
async fn wait_for_end(paths: &Paths) -> Result<()> {
    const LONGEST: Duration = Duration::from_secs(60);
    const STEP: Duration = Duration::from_millis(20);
    let ended = async {
        while lock(paths).is_err() {
            tokio::time::sleep(STEP).await;
            // It may have nobody to answer yet, or any more.
            let _ = ask_to_end(paths).await;
        }
    };
    tokio::time::timeout(LONGEST, ended).await.context("the region does not end")
}

/// Answers the operator.
struct Operator {
    kernel: Arc<Kernel>,
    clock: Arc<RegionClock>,
    paths: Paths,
    drivers: Drivers,
    stop: Arc<Notify>,
}

#[async_trait]
impl Answers for Operator {
    async fn answer(&self, question: Question) -> Result<Json> {
        match question {
            Question::Status => self.status().await,
            Question::Down => {
                self.stop.notify_one();
                Ok(Json::Null)
            }
            Question::ClockShow => Ok(self.clock_text()),
            Question::ClockAdvance { ms } => {
                self.clock.advance(Duration::from_millis(ms));
                self.clock_changed()
            }
            Question::ClockFreeze => {
                self.clock.freeze();
                self.clock_changed()
            }
            Question::ClockResume => {
                self.clock.resume();
                self.clock_changed()
            }
            Question::Why { request_id } => self.why(&request_id).await,
            Question::Resolve { name } => self.resolve(&name).await,
            Question::Kill { workload } => self.kill(&workload).await,
            Question::KillZone { zone } => {
                let zone = base::Zone::new(zone);
                self.drivers.net.set_zone_link(&zone, false).await?;
                self.drivers.linux_machine.kill_zone(&zone).await?;
                Ok(Json::Null)
            }
            Question::StartZone { zone } => {
                let zone = base::Zone::new(zone);
                self.drivers.linux_machine.start_zone(&zone).await?;
                self.drivers.net.set_zone_link(&zone, true).await?;
                Ok(Json::Null)
            }
        }
    }
}

impl Operator {
    async fn status(&self) -> Result<Json> {
        let mut zones = Vec::new();
        for zone in self.kernel.region().zones() {
            // A question starts a zone's supervisor, which is root's business.
            let (state, workloads) = if !self.drivers.may_run {
                ("without root", Vec::new())
            } else {
                match self.drivers.machine.list(&zone).await {
                    Ok(list) => ("up", list),
                    Err(_) => ("down", Vec::new()),
                }
            };
            let workloads: Vec<Json> = workloads
                .iter()
                .map(|w| json!({ "id": w.id, "state": format!("{:?}", w.state) }))
                .collect();
            zones.push(json!({ "zone": zone.as_str(), "state": state, "workloads": workloads }));
        }
        let status = self.kernel.status();
        Ok(json!({
            "region": self.kernel.region().as_str(),
            "endpoint": self.kernel.settings().endpoint_url,
            "account": self.kernel.settings().account.as_str(),
            "now": status.now,
            "pid": std::process::id(),
            "rss_mib": rss_mib(),
            "services": status.services,
            "zones": zones,
        }))
    }

    fn clock_text(&self) -> Json {
        let standing = if self.clock.setting().frozen_at.is_some() { " (frozen)" } else { "" };
        Json::String(format!("{}{standing}", self.clock.now()))
    }

    fn clock_changed(&self) -> Result<Json> {
        let kept = serde_json::to_string(&self.clock.setting())?;
        credentials::write_private(&self.paths.data.join("clock.json"), kept.as_bytes())?;
        self.kernel.clock_moved();
        Ok(self.clock_text())
    }

    async fn why(&self, request_id: &str) -> Result<Json> {
        let record = self.kernel.audit_of(request_id).await?;
        let record = record.with_context(|| format!("no call had the id {request_id}"))?;
        let event = &record.event;
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let outcome = event["errorCode"].as_str().unwrap_or("allowed");
        Ok(Json::String(format!(
            "{} {} at {} by {}: {outcome}\n{}",
            text("eventSource"),
            text("eventName"),
            text("eventTime"),
            event.pointer("/userIdentity/arn").and_then(Json::as_str).unwrap_or("unknown"),
            record.decision
        )))
    }

    async fn resolve(&self, name: &str) -> Result<Json> {
        let name = name.to_lowercase();
        let all = kernel::names::all(self.kernel.store()).await?;
        let found = all.into_iter().find(|(_, known)| known.name == name);
        let (_, known) = found.with_context(|| format!("no resource is called {name}"))?;
        let shown = if known.outside.is_empty() { known.inside } else { known.outside };
        Ok(json!(shown))
    }

    async fn kill(&self, workload: &str) -> Result<Json> {
        for zone in self.kernel.region().zones() {
            let Ok(list) = self.drivers.machine.list(&zone).await else { continue };
            if let Some(found) = list.iter().find(|w| w.id == workload) {
                self.drivers.machine.stop(&zone, &found.id, machine::Stop::Kill).await?;
                return Ok(Json::String(zone.to_string()));
            }
        }
        bail!("no workload is called {workload}; `skyhold status --json` lists them")
    }
}

/// The resident memory of this process.
fn rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0) / 1024
}
