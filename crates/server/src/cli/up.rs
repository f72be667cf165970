//! `skyhold up`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use base::Region;
use clap::Args;

use crate::credentials::private_folder;
use crate::paths::Paths;
use crate::start::{self, StartOptions};

/// Starts the region.
#[derive(Args)]
pub(super) struct Up {
    /// Where to listen.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// The region's name.
    #[arg(long, default_value = "ap-northeast-2")]
    region: String,
    /// Return when the region is ready.
    #[arg(long)]
    detach: bool,
    /// Accept any key: twelve digits are that account's root user, a known key is itself, any
    /// other is the first account's administrator.
    #[arg(long)]
    open: bool,
    /// Keep nothing.
    #[arg(long)]
    ephemeral: bool,
    /// The DNS server that is asked for the records that validate certificates' domains. Without
    /// one, requested certificates stay pending.
    #[arg(long, value_name = "ADDR:PORT")]
    resolver: Option<SocketAddr>,
}

impl Up {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        if self.detach {
            return self.detached(paths);
        }
        start::run(
            paths,
            &StartOptions {
                listen: self.listen,
                region: Region::new(self.region.clone()),
                open: self.open,
                ephemeral: self.ephemeral,
                resolver: self.resolver,
            },
        )
    }

    /// Starts this program again in a session of its own and waits for its ready line.
    #[expect(clippy::disallowed_methods, reason = "the region's own process is started here")]
    #[expect(unsafe_code, reason = "setsid between fork and exec has no safe form")]
    fn detached(&self, paths: &Paths) -> Result<ExitCode> {
        private_folder(&paths.data)?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(paths.log())?;
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg("--data-dir").arg(&paths.data).arg("up");
        command.args(["--listen", &self.listen.to_string(), "--region", &self.region]);
        if self.open {
            command.arg("--open");
        }
        if self.ephemeral {
            command.arg("--ephemeral");
        }
        if let Some(resolver) = self.resolver {
            command.args(["--resolver", &resolver.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // SAFETY: setsid is async-signal-safe and touches no memory of this process.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                Ok(())
            });
        }
        let mut child = command.spawn().context("cannot start the region")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        if line.is_empty() {
            let status = child.wait()?;
            let log = std::fs::read_to_string(paths.log()).unwrap_or_default();
            let last = log.lines().next_back().unwrap_or_default();
            bail!("the region did not start ({status}): {last}\nsee {}", paths.log().display());
        }
        super::print(line.trim_end());
        if !rustix::process::geteuid().is_root() {
            warn_without_root();
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[expect(clippy::print_stderr, reason = "a warning beside the command's answer")]
fn warn_without_root() {
    eprintln!(
        "skyhold: not root: instances, networks, load balancers, databases and caches are \
         refused; `skyhold doctor` tells what is missing"
    );
}
