//! Programs of an engine root run once on the host: to make a template, to copy a running server,
//! to rewind a data directory.
//!
//! A program runs in a mount namespace of its own, changed into the engine's root with the volumes
//! it needs bound below it, so that it finds its own libraries and the host keeps its mount table.
//! Services start engines through the machine driver instead; tests start them from here.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::error::{Context, Error, Result};

/// The user and group that own a volume, as the host counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Root, which one-off copies run as.
pub(crate) const ROOT: Owner = Owner { uid: 0, gid: 0 };

/// A program of an engine root, not started yet.
#[derive(Clone, Debug)]
pub struct RootCommand {
    root: PathBuf,
    binds: Vec<(PathBuf, &'static str)>,
    owner: Owner,
    argv: Vec<String>,
    env: Vec<(String, String)>,
}

/// The steps before the program: pairs of source and target up to `--`, the root, the user, and
/// then what to run. The names of devices, processes and temporary files are the host's, in
/// private.
const SCRIPT: &str = "\
root=$1; user=$2; shift 2
mount --rbind /dev \"$root/dev\"
mount --rbind /proc \"$root/proc\"
mount -t tmpfs tmpfs \"$root/tmp\"
while [ \"$1\" != -- ]; do mount --bind \"$1\" \"$root$2\"; shift 2; done
shift
exec chroot --userspec=\"$user\" \"$root\" \"$@\"";

/// How much of a failed program's output its error keeps.
const MESSAGE_MAX: usize = 2000;

impl RootCommand {
    /// A program in `root` with its arguments.
    pub fn new(root: &Path, owner: Owner, argv: Vec<String>) -> Self {
        let env = [("PATH", "/usr/sbin:/usr/bin"), ("LANG", "C.UTF-8"), ("HOME", "/tmp")];
        Self {
            root: root.to_path_buf(),
            binds: Vec::new(),
            owner,
            argv,
            env: env.map(|(key, value)| (key.into(), value.into())).into(),
        }
    }

    /// Shows a folder of the host at a place of the root that exists in it.
    #[must_use]
    pub fn bind(mut self, source: &Path, target: &'static str) -> Self {
        self.binds.push((source.to_path_buf(), target));
        self
    }

    /// Adds environment variables.
    #[must_use]
    pub fn envs(mut self, env: &[(String, String)]) -> Self {
        self.env.extend_from_slice(env);
        self
    }

    /// The command that runs it; its process becomes the program itself, so its id can be
    /// signalled.
    pub fn command(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-ec", SCRIPT, "sh"]);
        command.arg(&self.root).arg(format!("{}:{}", self.owner.uid, self.owner.gid));
        for (source, target) in &self.binds {
            command.arg(source).arg(target);
        }
        command.arg("--").args(&self.argv);
        command.env_clear().envs(self.env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs it to its end with `input` on its standard input, and returns what it wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Tool`] when it fails, [`Error::Timeout`] when it is not done in `limit`; it is then
    /// ended.
    pub async fn run(&self, input: &[u8], limit: Duration) -> Result<String> {
        let tool = self.argv.first().cloned().unwrap_or_default();
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let work = async {
            let mut child = command.spawn().at("run", &tool)?;
            let stdin = child.stdin.take();
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // A program that ends before it has read everything tells why by its status.
                    let _ = stdin.write_all(input).await;
                }
            };
            let ((), output) = futures_util::join!(feed, child.wait_with_output());
            output.at("wait for", &tool)
        };
        let output = timeout(limit, work).await.map_err(|_| Error::Timeout("a tool"))??;
        let wrote = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(wrote);
        }
        let complaint = format!("{wrote}{}", String::from_utf8_lossy(&output.stderr));
        let cut = complaint.len().saturating_sub(MESSAGE_MAX);
        let from = (cut..complaint.len()).find(|at| complaint.is_char_boundary(*at));
        let message = from.and_then(|at| complaint.get(at..)).unwrap_or_default().trim().to_owned();
        Err(Error::Tool { tool, message: format!("{}: {message}", output.status) })
    }
}
