//! Listeners: a socket, the plan that its requests follow, the connections that came through it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::{Attributes, Tls};
use crate::edge::{ClientWire, Conduit, Edge};
use crate::h2::Spawner;
use crate::node::Shared;
use crate::rule::Rules;
use crate::serve;
use crate::status::ListenerStatus;
use crate::target::lock;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// Connections of one node; more are closed at once and counted as rejected.
const CONNECTIONS_MAX: u64 = 60_000;
/// AWS: "Listeners for your Application Load Balancers" (128 streams a connection).
const STREAMS_MAX: u32 = 128;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// AWS: "Quotas for your Application Load Balancers" (64 K of headers a request), and room to see
/// that there are too many.
const HEADERS_MAX_BYTES: u32 = 80 << 10;
/// How long a busy connection may stand still beyond the idle timeout. The request's own timeout
/// comes first and can still give an answer.
const BUSY_GRACE: Duration = Duration::from_secs(5);
/// How long a client may take to agree on TLS.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What requests of a listener follow. It is replaced as a whole.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rules: Rules,
    pub(crate) attributes: Arc<Attributes>,
    /// What the listener was told about TLS, and what became of it; nothing for plain HTTP.
    pub(crate) tls: Option<Secure>,
}

/// A listener's TLS.
#[derive(Debug, Clone)]
pub(crate) struct Secure {
    pub(crate) told: Tls,
    pub(crate) http2: bool,
    pub(crate) config: Arc<ServerConfig>,
}

/// A listener while it runs.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) id: String,
    pub(crate) wanted: SocketAddr,
    plan: RwLock<Arc<Plan>>,
    closing: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    address: Option<SocketAddr>,
    error: Option<String>,
}

impl Door {
    pub(crate) fn new(id: &str, address: IpAddr, port: u16, plan: Arc<Plan>) -> Self {
        Self {
            id: id.to_owned(),
            wanted: SocketAddr::new(address, port),
            plan: RwLock::new(plan),
            closing: CancellationToken::new(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.plan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn follow(&self, plan: Arc<Plan>) {
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// Stops listening and lets connections finish what they have.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    pub(crate) fn status(&self) -> ListenerStatus {
        let state = lock(&self.state);
        ListenerStatus { id: self.id.clone(), address: state.address, error: state.error.clone() }
    }

    /// Opens the socket, and has connections accepted from it, now or as soon as it can be opened.
    pub(crate) fn open(self: &Arc<Self>, node: &Arc<Shared>) {
        let first = self.bind();
        let (door, shared) = (self.clone(), node.clone());
        node.tasks.spawn(async move {
            let closing = door.closing.clone();
            closing.run_until_cancelled(door.accept_for_ever(first, &shared)).await;
            lock(&door.state).address = None;
        });
    }

    async fn accept_for_ever(self: &Arc<Self>, first: Option<TcpListener>, node: &Arc<Shared>) {
        let mut bound = first;
        let listener = loop {
            match bound {
                Some(listener) => break listener,
                None => tokio::time::sleep(RETRY_AFTER).await,
            }
            bound = self.bind();
        };
        loop {
            match listener.accept().await {
                Ok((stream, from)) => self.welcome(stream, from, node),
                Err(error) => {
                    // Out of descriptors, most likely: connections must end before new ones come.
                    tracing::warn!(%error, listener = %self.id, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn bind(&self) -> Option<TcpListener> {
        let bound = listen(self.wanted).and_then(|it| Ok((it.local_addr()?, it)));
        let mut state = lock(&self.state);
        match bound {
            Ok((address, listener)) => {
                *state = State { address: Some(address), error: None };
                Some(listener)
            }
            Err(error) => {
                if state.error.is_none() {
                    tracing::warn!(%error, listener = %self.id, address = %self.wanted, "can't listen");
                }
                *state = State { address: None, error: Some(error.to_string()) };
                None
            }
        }
    }

    fn welcome(self: &Arc<Self>, stream: TcpStream, from: SocketAddr, node: &Arc<Shared>) {
        if node.counts.active_connections.get() >= CONNECTIONS_MAX {
            node.counts.rejected_connections.up();
            return;
        }
        let Ok(port) = stream.local_addr().map(|address| address.port()) else { return };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the client is gone already");
            return;
        }
        let tls = self.plan().tls.as_ref().map(|tls| tls.config.clone());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let edge = Arc::new(Edge::new(node.clone(), self.clone(), from, port, scheme));
        node.tasks.spawn(self.clone().serve(stream, edge, tls));
    }

    /// Agrees on TLS with a client.
    async fn secure(
        &self,
        wire: ClientWire,
        edge: &Edge,
        config: Arc<ServerConfig>,
    ) -> Option<Conduit> {
        let handshake = TlsAcceptor::from(config).accept(wire);
        let agreed = tokio::select! {
            agreed = tokio::time::timeout(HANDSHAKE_MAX, handshake) => agreed,
            () = edge.node.kill.cancelled() => return None,
        };
        match agreed {
            Ok(Ok(stream)) => {
                let session = stream.get_ref().1;
                edge.agreed(session.protocol_version(), session.negotiated_cipher_suite());
                Some(Conduit::Tls(Box::new(stream)))
            }
            Ok(Err(error)) => {
                edge.node.counts.tls_errors.up();
                tracing::debug!(%error, from = %edge.from, "no TLS with a client");
                None
            }
            Err(_) => {
                edge.node.counts.tls_errors.up();
                None
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        edge: Arc<Edge>,
        tls: Option<Arc<ServerConfig>>,
    ) {
        let builder = self.builder(&edge);
        let wire = ClientWire { stream, edge: edge.clone() };
        let conduit = match tls {
            None => Conduit::Plain(wire),
            Some(config) => match self.secure(wire, &edge, config).await {
                Some(conduit) => conduit,
                None => return,
            },
        };
        let wire = TokioIo::new(conduit);
        let for_requests = edge.clone();
        let service = service_fn(move |request| serve::handle(for_requests.clone(), request));
        let mut connection = Box::pin(builder.serve_connection_with_upgrades(wire, service));
        // What else may end the connection is looked at only when it has something to say, not each
        // time that bytes arrive.
        let mut watch = FuturesUnordered::new();
        watch.push(self.watch(&edge));
        loop {
            let act = tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, from = %edge.from, "a client's connection ended");
                    }
                    return;
                }
                act = watch.next() => act.unwrap_or(Act::Drop),
            };
            match act {
                Act::Drop => return,
                Act::Leave => {
                    Pin::as_mut(&mut connection).graceful_shutdown();
                    watch.push(self.watch_leaving(&edge));
                }
            }
        }
    }

    /// Waits until the connection has to go, or should.
    fn watch<'a>(&'a self, edge: &'a Edge) -> BoxFuture<'a, Act> {
        Box::pin(async move {
            tokio::select! {
                () = edge.node.kill.cancelled() => Act::Drop,
                () = self.closing.cancelled() => Act::Leave,
                act = self.next_act(edge) => act,
            }
        })
    }

    /// Waits until a connection that was asked to leave takes too long over it.
    fn watch_leaving<'a>(&'a self, edge: &'a Edge) -> BoxFuture<'a, Act> {
        Box::pin(async move {
            tokio::select! {
                () = edge.node.kill.cancelled() => Act::Drop,
                () = self.stuck(edge) => Act::Drop,
            }
        })
    }

    /// Waits until something must be done about a connection that does not end by itself.
    async fn next_act(&self, edge: &Edge) -> Act {
        loop {
            let plan = self.plan();
            let idle = plan.idle_timeout();
            let patience = if edge.is_busy() { idle + BUSY_GRACE } else { idle };
            let old_in = plan.keep_alive().saturating_sub(edge.age());
            let still_in = patience.saturating_sub(edge.still_for());
            if still_in.is_zero() {
                return if edge.is_busy() { Act::Drop } else { Act::Leave };
            }
            if old_in.is_zero() && !edge.is_busy() {
                return Act::Leave;
            }
            let old_in = if old_in.is_zero() { RETRY_AFTER } else { old_in };
            tokio::time::sleep(still_in.min(old_in)).await;
        }
    }

    /// Waits until nothing has moved for longer than the idle timeout.
    async fn stuck(&self, edge: &Edge) {
        loop {
            let patience = self.plan().idle_timeout() + BUSY_GRACE;
            match patience.saturating_sub(edge.still_for()) {
                Duration::ZERO => return,
                left => tokio::time::sleep(left).await,
            }
        }
    }

    fn builder(&self, edge: &Edge) -> auto::Builder<Spawner> {
        let mut builder = auto::Builder::new(Spawner(edge.node.tasks.clone()));
        builder.http1().preserve_header_case(true).title_case_headers(true);
        builder
            .http2()
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(HEADERS_MAX_BYTES);
        if self.plan().attributes.http2 { builder } else { builder.http1_only() }
    }
}

/// What a quiet or old connection calls for.
enum Act {
    Leave,
    Drop,
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
