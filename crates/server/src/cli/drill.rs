//! `skyhold drill`: breaks something and prints what it measured.

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
    /// An `http://` address that must go on answering meanwhile.
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

/// What was seen of an address.
#[derive(Debug, Default)]
struct Watched {
    requests: u64,
    failed: u64,
    outage: Duration,
}

impl Drill {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let question = match &self.kind {
            Kind::Kill { workload } => Question::Kill { workload: workload.clone() },
            Kind::Zone { zone } => Question::KillZone { zone: zone.clone() },
            Kind::Restore { zone } => Question::StartZone { zone: zone.clone() },
        };
        runtime()?.block_on(async {
            control::ask(&paths.control(), &question, super::ANSWER_MAX).await?;
            let Some(url) = &self.url else {
                print("done; give --url to measure what users see");
                return Ok(ExitCode::SUCCESS);
            };
            let seen = watch(url, Duration::from_secs(self.watch)).await?;
            print(&format!(
                "{} requests, {} failed ({:.2} %), longest outage {:.2} s",
                seen.requests,
                seen.failed,
                percent(seen.failed, seen.requests),
                seen.outage.as_secs_f64()
            ));
            Ok(ExitCode::SUCCESS)
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a drill are small")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Asks `url` again and again.
async fn watch(url: &str, duration: Duration) -> Result<Watched> {
    let (host, path) = split(url)?;
    let start = Instant::now();
    let mut seen = Watched::default();
    let mut down_since: Option<Instant> = None;
    while start.elapsed() < duration {
        let asked = Instant::now();
        let ok = matches!(
            tokio::time::timeout(REQUEST_MAX, get(&host, &path)).await,
            Ok(Ok(status)) if status < 500
        );
        seen.requests += 1;
        if ok {
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
    Ok(seen)
}

fn split(url: &str) -> Result<(String, String)> {
    let Some(rest) = url.strip_prefix("http://") else { bail!("{url} is no http:// address") };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    Ok((host, format!("/{path}")))
}

/// The status of one GET.
pub(super) async fn get(host: &str, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(&answer);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.context("no HTTP answer")
}
