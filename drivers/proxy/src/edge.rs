//! A client's connection: who it is, how busy it is, when bytes last moved.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use crate::listener::Door;
use crate::node::Shared;

/// What the requests of one connection share.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) node: Arc<Shared>,
    pub(crate) door: Arc<Door>,
    pub(crate) from: SocketAddr,
    pub(crate) port: u16,
    pub(crate) scheme: &'static str,
    agreed: OnceLock<(&'static str, &'static str)>,
    since: Instant,
    moved_ms: AtomicU64,
    requests: AtomicUsize,
}

impl Edge {
    pub(crate) fn new(
        node: Arc<Shared>,
        door: Arc<Door>,
        from: SocketAddr,
        port: u16,
        scheme: &'static str,
    ) -> Self {
        node.counts.new_connections.up();
        node.counts.active_connections.up();
        Self {
            node,
            door,
            from,
            port,
            scheme,
            agreed: OnceLock::new(),
            since: Instant::now(),
            moved_ms: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
        }
    }

    /// Notes what a handshake came to.
    pub(crate) fn agreed(
        &self,
        version: Option<rustls::ProtocolVersion>,
        suite: Option<rustls::SupportedCipherSuite>,
    ) {
        let newest = version == Some(rustls::ProtocolVersion::TLSv1_3);
        let version = if newest { "TLSv1.3" } else { "TLSv1.2" };
        // A connection has one handshake.
        let _ = self.agreed.set((version, suite.map_or("", crate::tls::suite_name)));
    }

    /// The version of TLS and the suite, on a connection that has them.
    pub(crate) fn tls(&self) -> Option<(&'static str, &'static str)> {
        self.agreed.get().copied()
    }

    /// How long no byte has moved.
    pub(crate) fn still_for(&self) -> Duration {
        let moved = Duration::from_millis(self.moved_ms.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(moved)
    }

    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    fn moved(&self, bytes: usize) {
        self.node.counts.processed_bytes.add(bytes as u64);
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(now, Ordering::Relaxed);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.node.counts.active_connections.down();
    }
}

/// A request under way, from its headers to the last byte of its answer.
#[derive(Debug)]
pub(crate) struct Busy {
    edge: Arc<Edge>,
    answered: std::sync::atomic::AtomicBool,
}

impl Busy {
    pub(crate) fn new(edge: Arc<Edge>) -> Arc<Self> {
        edge.requests.fetch_add(1, Ordering::Relaxed);
        edge.node.counts.requests.up();
        edge.node.counts.in_flight.up();
        Arc::new(Self { edge, answered: false.into() })
    }

    /// The answer's headers are on their way.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.edge.requests.fetch_sub(1, Ordering::Relaxed);
        self.edge.node.counts.in_flight.down();
        if !self.answered.load(Ordering::Relaxed) {
            self.edge.node.counts.own_answer(crate::answer::CLIENT_CLOSED);
        }
    }
}

/// A client's socket, which tells its [`Edge`] what moves.
#[derive(Debug)]
pub(crate) struct ClientWire {
    pub(crate) stream: TcpStream,
    pub(crate) edge: Arc<Edge>,
}

impl AsyncRead for ClientWire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
        this.edge.moved(into.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientWire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        this.edge.moved(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, bytes))?;
        this.edge.moved(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// What requests come through.
#[derive(Debug)]
pub(crate) enum Conduit {
    Plain(ClientWire),
    Tls(Box<TlsStream<ClientWire>>),
}

impl AsyncRead for Conduit {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Conduit {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write_vectored(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(wire) => wire.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
