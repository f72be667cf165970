//! The operator's socket: one JSON line asks, one JSON line answers. It is reached by whoever may
//! open the file, which is the owner of the data folder.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The longest line that is read.
const LINE_MAX: u64 = 1024 * 1024;

/// What the operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Question {
    /// How the region is.
    Status,
    /// Stop the control plane and all that it started.
    Down,
    /// What the clock shows.
    ClockShow,
    /// Move the clock.
    ClockAdvance { ms: u64 },
    /// Stop the clock.
    ClockFreeze,
    /// Let the clock run on.
    ClockResume,
    /// Why a call was allowed or denied.
    Why { request_id: String },
    /// The public addresses of a name that the region handed out.
    Resolve { name: String },
    /// End an instance's or database's processes at once.
    Kill { workload: String },
    /// End a zone at once.
    KillZone { zone: String },
    /// Bring a zone back.
    StartZone { zone: String },
}

/// Answers questions.
#[async_trait]
pub(crate) trait Answers: Send + Sync + 'static {
    /// The answer, as JSON.
    async fn answer(&self, question: Question) -> Result<Json>;
}

#[derive(Serialize, Deserialize)]
enum Reply {
    Ok(Json),
    Error(String),
}

/// Listens for questions at `path`.
pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("cannot take over the control socket"),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves questions until the future is dropped.
pub(crate) async fn serve(listener: UnixListener, answers: Arc<dyn Answers>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let answers = answers.clone();
        #[expect(clippy::disallowed_methods, reason = "a connection is a task of its own")]
        tokio::spawn(async move {
            if let Err(error) = converse(stream, answers).await {
                tracing::warn!(%error, "control connection ended");
            }
        });
    }
}

async fn converse(stream: UnixStream, answers: Arc<dyn Answers>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LINE_MAX)).read_line(&mut line).await?;
    let question: Question = serde_json::from_str(&line)?;
    let reply = match answers.answer(question).await {
        Ok(json) => Reply::Ok(json),
        Err(error) => Reply::Error(format!("{error:#}")),
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    Ok(())
}

/// Asks the region whose socket is at `path`.
pub(crate) async fn ask(path: &Path, question: &Question, within: Duration) -> Result<Json> {
    let asked = async {
        let stream = UnixStream::connect(path)
            .await
            .context("no region is running here; run: skyhold up")?;
        let (read, mut write) = stream.into_split();
        let mut text = serde_json::to_string(question)?;
        text.push('\n');
        write.write_all(text.as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(read.take(LINE_MAX)).read_line(&mut line).await?;
        if line.is_empty() {
            bail!("the region hung up");
        }
        match serde_json::from_str(&line)? {
            Reply::Ok(json) => Ok(json),
            Reply::Error(error) => bail!("{error}"),
        }
    };
    tokio::time::timeout(within, asked).await.context("the region does not answer")?
}
