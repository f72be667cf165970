//! `skyhold drill`: breaks something and prints what it measured.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{print, runtime};
use crate::control::{self, Question};
use crate::paths::Paths;

/// Breaks something and measures how the region heals.
#[derive(Args)]
pub(super) struct Drill {
    #[command(subcommand)]
    kind: Kind,
    /// An `http://` address that must go on answering meanwhile; its host may be a name that the
    /// region handed out.
    #[arg(long, global = true)]
    url: Option<String>,
    /// How long to watch it, in seconds.
    #[arg(long, global = true, default_value_t = 30)]
    watch: u64,
}

#[derive(Subcommand)]
enum Kind {
    /// Kill the processes of an instance, a database node or a load balancer node.
    Kill {
        /// Its id, as `skyhold status --json` shows it.
        workload: String,
    },
    /// Kill a zone, as `ap-northeast-2a`.
    Zone {
        /// Its name.
        zone: String,
    },
    /// Bring a killed zone back.
    Restore {
        /// Its name.
        zone: String,
    },
}

/// How often the address is asked.
const PERIOD: Duration = Duration::from_millis(50);
/// How long one request may take before it counts as failed.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// How long one of a name's addresses is tried before the next.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// What was seen of an address.
#[derive(Debug, Default)]
struct Watched {
    /// How long each request took that was answered.
    answered: Vec<Duration>,
    failed: usize,
    outage: Duration,
}

/// What is watched.
struct Page {
    control: PathBuf,
    /// A host name or address.
    host: String,
    port: u16,
    path: String,
}

impl Drill {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let question = match &self.kind {
            Kind::Kill { workload } => Question::Kill { workload: workload.clone() },
            Kind::Zone { zone } => Question::KillZone { zone: zone.clone() },
            Kind::Restore { zone } => Question::StartZone { zone: zone.clone() },
        };
        runtime()?.block_on(async {
            let control = paths.control();
            let drill = control::ask(&control, &question, super::ANSWER_MAX);
            let Some(url) = &self.url else {
                drill.await?;
                print("done; give --url to measure what users see");
                return Ok(ExitCode::SUCCESS);
            };
            let page = Page::of(url, control.clone())?;
            if !page.answers().await {
                bail!("{url} does not answer; nothing was broken");
            }
            let (done, seen) = tokio::join!(drill, watch(&page, Duration::from_secs(self.watch)));
            done?;
            print(&seen.to_string());
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.answered.clone();
        sorted.sort();
        let requests = sorted.len() + self.failed;
        let at = |hundredths: usize| {
            let place = (sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1));
            sorted.get(place).copied().unwrap_or_default().as_millis()
        };
        write!(
            f,
            "{requests} requests, {} failed ({:.2} %), longest outage {:.2} s, \
             answered in {} ms (median), {} ms (99 %), {} ms (longest)",
            self.failed,
            percent(self.failed, requests),
            self.outage.as_secs_f64(),
            at(50),
            at(99),
            at(100),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a drill are small")]
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Asks for a page again and again.
async fn watch(page: &Page, duration: Duration) -> Watched {
    let start = Instant::now();
    let mut seen = Watched::default();
    let mut down_since: Option<Instant> = None;
    while start.elapsed() < duration {
        let asked = Instant::now();
        if page.answers().await {
            seen.answered.push(asked.elapsed());
            if let Some(since) = down_since.take() {
                seen.outage = seen.outage.max(since.elapsed());
            }
        } else {
            seen.failed += 1;
            down_since.get_or_insert(asked);
        }
        tokio::time::sleep(PERIOD.saturating_sub(asked.elapsed())).await;
    }
    if let Some(since) = down_since {
        seen.outage = seen.outage.max(since.elapsed());
    }
    seen
}

impl Page {
    fn of(url: &str, control: PathBuf) -> Result<Self> {
        let Some(rest) = url.strip_prefix("http://") else { bail!("{url} is no http:// address") };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = host.split_once(':').unwrap_or((host, "80"));
        let port = port.parse().with_context(|| format!("{url} has no port"))?;
        Ok(Self { control, host: host.to_owned(), port, path: format!("/{path}") })
    }

    /// Whether it is answered in time and without a server's error.
    async fn answers(&self) -> bool {
        let answered = tokio::time::timeout(REQUEST_MAX, self.ask()).await;
        matches!(answered, Ok(Ok(status)) if status < 500)
    }

    /// Asks the first address that takes a connection, as browsers do.
    async fn ask(&self) -> Result<u16> {
        let mut last = None;
        for address in self.addresses().await {
            let connecting = TcpStream::connect((address.as_str(), self.port));
            match tokio::time::timeout(CONNECT_MAX, connecting).await {
                Ok(Ok(stream)) => return converse(stream, &self.host, &self.path).await,
                Ok(Err(error)) => last = Some(error.to_string()),
                Err(_) => last = Some(format!("{address} keeps silent")),
            }
        }
        bail!("{} does not answer: {}", self.host, last.unwrap_or_default())
    }

    /// What the region's DNS says of the name now; other names are left to the host's resolver.
    async fn addresses(&self) -> Vec<String> {
        let question = Question::Resolve { name: self.host.clone() };
        let told = control::ask(&self.control, &question, CONNECT_MAX).await.ok();
        let told = told.and_then(|told| serde_json::from_value::<Vec<String>>(told).ok());
        told.filter(|list| !list.is_empty()).unwrap_or_else(|| vec![self.host.clone()])
    }
}

/// The status of one GET.
pub(super) async fn get(host: &str, path: &str) -> Result<u16> {
    converse(TcpStream::connect(host).await?, host, path).await
}

async fn converse(mut stream: TcpStream, host: &str, path: &str) -> Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(&answer);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.context("no HTTP answer")
}
