//! HTTP/2 connections to targets: a few per target, each shared by many requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::h1::Lost;
use crate::request_body::RequestBody;
use crate::target::{Target, Wire, lock};

/// Requests that share a connection before another one is opened.
///
/// AWS: "Target groups for your Application Load Balancers" (128 streams a connection).
const STREAMS_MAX: usize = 128;
/// Connections to one target; beyond these, requests wait inside them for a free stream.
const CONNECTIONS_MAX: usize = 32;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// A target whose machine or network is gone sends no reset; pings find it out while requests wait.
const PING_EVERY: Duration = Duration::from_secs(3);
const PING_WITHIN: Duration = Duration::from_secs(3);

/// The connections to one target.
#[derive(Debug, Default)]
pub(crate) struct Http2 {
    connections: Mutex<Vec<Connection>>,
    /// Held while a connection is opened, so that a burst opens one and not one each.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Connection {
    sender: SendRequest<RequestBody>,
    load: Arc<Load>,
}

#[derive(Debug)]
struct Load {
    streams: AtomicUsize,
    idle_since: Mutex<Instant>,
}

/// A stream's place on its connection, from the request to the end of the answer.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Connection,
    /// Whether the connection was there before the request.
    pub(crate) reused: bool,
}

impl Http2 {
    /// A place on an open connection, or on a new one.
    pub(crate) async fn stream(
        &self,
        target: &Arc<Target>,
        tasks: &TaskTracker,
    ) -> std::io::Result<Stream> {
        if let Some(stream) = self.least_busy() {
            return Ok(stream);
        }
        let _turn = self.opening.lock().await;
        if let Some(stream) = self.least_busy() {
            return Ok(stream);
        }
        let wire = Wire::connect(target).await?;
        let (sender, connection) = http2::Builder::new(Spawner(tasks.clone()))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WITHIN)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(std::io::Error::other)?;
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a target ended");
            }
        });
        let load = Load { streams: AtomicUsize::new(0), idle_since: Mutex::new(Instant::now()) };
        let connection = Connection { sender, load: Arc::new(load) };
        lock(&self.connections).push(connection.clone());
        Ok(Stream::on(connection, false))
    }

    fn least_busy(&self) -> Option<Stream> {
        let mut connections = lock(&self.connections);
        connections.retain(|connection| !connection.sender.is_closed());
        let full = connections.len() >= CONNECTIONS_MAX;
        let busy = |connection: &&Connection| connection.load.streams.load(Ordering::Relaxed);
        let best = connections.iter().min_by_key(busy)?;
        (full || busy(&best) < STREAMS_MAX).then(|| Stream::on(best.clone(), true))
    }

    /// Lets go of connections that have been without a request for `limit`.
    pub(crate) fn sweep(&self, limit: Duration) {
        lock(&self.connections).retain(|connection| {
            let busy = connection.load.streams.load(Ordering::Relaxed) > 0;
            busy || lock(&connection.load.idle_since).elapsed() < limit
        });
    }

    /// Forgets all connections: new requests open new ones.
    pub(crate) fn forget(&self) {
        lock(&self.connections).clear();
    }
}

impl Stream {
    fn on(connection: Connection, reused: bool) -> Self {
        connection.load.streams.fetch_add(1, Ordering::Relaxed);
        Self { connection, reused }
    }

    /// Sends a request and waits for the answer's headers.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Lost> {
        self.connection.sender.try_send_request(request).await.map_err(|mut error| {
            let unsent = error.take_message().is_some();
            let error = error.into_error();
            Lost { unsent: unsent || was_refused(&error), error }
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.connection.load.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            *lock(&self.connection.load.idle_since) = Instant::now();
        }
    }
}

/// Whether the target says that it has not looked at the request.
///
/// RFC 9113, section 8.7: a stream above GOAWAY's last id, or refused, was not processed.
fn was_refused(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            let clean_goaway = h2.is_go_away() && h2.is_remote();
            return h2.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (clean_goaway && h2.reason() == Some(h2::Reason::NO_ERROR));
        }
        cause = error.source();
    }
    false
}

/// Runs hyper's own tasks under the node's tracker.
#[derive(Debug, Clone)]
pub(crate) struct Spawner(pub(crate) TaskTracker);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
