//! The sockets, and the connections that come through them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metadata::Metadata;
use crate::service::{self, Guest, Reach};
use crate::socket::{InNamespace, Place};
use crate::time::epoch_seconds;
use crate::token::Tokens;
use crate::tree::Tree;

const PORT: u16 = 80;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Connections of one listener at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
/// How long a connection may be without a whole request.
const CONNECTION_IDLE: Duration = Duration::from_secs(30);
/// How soon a place that can't be opened is tried again, and how often it is looked whether the
/// namespace at its path is still the same.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The hops of ordinary answers: what Linux gives.
const HOPS_ANYWHERE: u32 = 64;

/// A running metadata service. Dropping it closes its sockets.
pub struct Imds {
    shared: Arc<Shared>,
    running: Mutex<HashMap<Key, Arc<Listener>>>,
}

impl std::fmt::Debug for Imds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Imds").finish_non_exhaustive()
    }
}

/// What the service observes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImdsStatus {
    /// Where is listened, in no order.
    pub listeners: Vec<ListenerStatus>,
    /// Requests since the start.
    pub requests: u64,
    /// Requests without a token since the start (the metric `MetadataNoToken`).
    pub requests_without_token: u64,
}

/// Whether the service listens in a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// The VPC.
    pub vpc: String,
    /// Where it listens; nothing while it can't.
    pub address: Option<SocketAddr>,
    /// Why it can't. It is tried again twice a second.
    pub error: Option<String>,
}

type Key = (String, Place);
type Guests = HashMap<IpAddr, Arc<Guest>>;

struct Shared {
    enter: InNamespace,
    tasks: TaskTracker,
    kill: CancellationToken,
    tokens: RwLock<Arc<Tokens>>,
    requests: AtomicU64,
    requests_without_token: AtomicU64,
}

struct Listener {
    key: Key,
    guests: RwLock<Arc<Guests>>,
    closing: CancellationToken,
    state: Mutex<(Option<SocketAddr>, Option<String>)>,
}

impl Imds {
    /// Starts the service for a document. Sockets that can be opened at once accept when this
    /// returns; the others are told in the status and tried again.
    #[expect(clippy::unused_async, reason = "sockets belong to the runtime that this runs in")]
    pub async fn start(metadata: Metadata, enter: InNamespace) -> Self {
        let shared = Shared {
            enter,
            tasks: TaskTracker::new(),
            kill: CancellationToken::new(),
            tokens: RwLock::new(Arc::new(Tokens::new(&metadata.token_secret))),
            requests: AtomicU64::new(0),
            requests_without_token: AtomicU64::new(0),
        };
        let imds = Self { shared: Arc::new(shared), running: Mutex::default() };
        imds.put(&metadata);
        imds
    }

    /// Puts a new document in place of the last one. Listeners that both have keep their sockets.
    #[expect(clippy::unused_async, reason = "sockets belong to the runtime that this runs in")]
    pub async fn configure(&self, metadata: Metadata) {
        self.put(&metadata);
    }

    /// What is observed.
    pub fn status(&self) -> ImdsStatus {
        ImdsStatus {
            listeners: lock(&self.running).values().map(|listener| listener.status()).collect(),
            requests: self.shared.requests.load(Ordering::Relaxed),
            requests_without_token: self.shared.requests_without_token.load(Ordering::Relaxed),
        }
    }

    fn put(&self, metadata: &Metadata) {
        *write(&self.shared.tokens) = Arc::new(Tokens::new(&metadata.token_secret));
        let mut running = lock(&self.running);
        let mut wanted = wanted(metadata);
        running.retain(|key, listener| match wanted.remove(key) {
            Some(guests) => {
                *write(&listener.guests) = Arc::new(guests);
                true
            }
            None => {
                listener.closing.cancel();
                false
            }
        });
        for (key, guests) in wanted {
            let listener = Arc::new(Listener {
                key: key.clone(),
                guests: RwLock::new(Arc::new(guests)),
                closing: self.shared.kill.child_token(),
                state: Mutex::default(),
            });
            running.insert(key, listener.clone());
            let first = listener.open(&self.shared);
            let shared = self.shared.clone();
            self.shared.tasks.spawn(async move { listener.run(first, &shared).await });
        }
    }
}

impl Drop for Imds {
    fn drop(&mut self) {
        self.shared.kill.cancel();
    }
}

/// Who is answered where.
fn wanted(metadata: &Metadata) -> HashMap<Key, Guests> {
    let listener = |vpc: &crate::metadata::VpcMetadata| {
        let address = vpc.address.unwrap_or_else(|| (ADDRESS, PORT).into());
        let guest = |instance: &crate::metadata::InstanceMetadata| {
            Arc::new(Guest {
                id: instance.instance_id.clone(),
                options: instance.options.clone(),
                tree: Tree::new(instance),
            })
        };
        let guests = vpc.instances.iter().map(|(at, instance)| (*at, guest(instance))).collect();
        ((vpc.id.clone(), Place { namespace: vpc.namespace.clone(), address }), guests)
    };
    metadata.vpcs.iter().map(listener).collect()
}

impl Listener {
    fn status(&self) -> ListenerStatus {
        let (address, error) = lock(&self.state).clone();
        ListenerStatus { vpc: self.key.0.clone(), address, error }
    }

    fn open(&self, shared: &Shared) -> Option<(Option<u64>, TcpListener)> {
        let identity = self.key.1.identity();
        let opened = self.key.1.open(&shared.enter).and_then(|it| Ok((it.local_addr()?, it)));
        let mut state = lock(&self.state);
        match opened {
            Ok((address, socket)) => {
                *state = (Some(address), None);
                Some((identity, socket))
            }
            Err(error) => {
                if state.1.is_none() {
                    tracing::warn!(%error, place = ?self.key.1, "can't listen for instances");
                }
                *state = (None, Some(error.to_string()));
                None
            }
        }
    }

    /// Serves until it is closed, and opens its socket anew when its namespace is another one.
    async fn run(
        self: Arc<Self>,
        mut open: Option<(Option<u64>, TcpListener)>,
        shared: &Arc<Shared>,
    ) {
        while !self.closing.is_cancelled() {
            let Some((identity, socket)) = open.take() else {
                let nap = tokio::time::sleep(LOOK_EVERY);
                self.closing.run_until_cancelled(nap).await;
                open = self.open(shared);
                continue;
            };
            tokio::select! {
                () = self.accept_for_ever(&socket, shared) => {}
                () = self.namespace_changes(identity) => {}
                () = self.closing.cancelled() => {}
            }
        }
    }

    async fn namespace_changes(&self, identity: Option<u64>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            // A path without a namespace may get a new one, which then has another identity.
            let now = self.key.1.identity();
            if now.is_some() && now != identity {
                return;
            }
        }
    }

    async fn accept_for_ever(self: &Arc<Self>, socket: &TcpListener, shared: &Arc<Shared>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let (stream, from) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (listener, shared) = (self.clone(), shared.clone());
            shared.tasks.clone().spawn(async move {
                let closing = listener.closing.clone();
                let serve = listener.serve(stream, from.ip(), &shared);
                if let Some(Err(error)) = closing.run_until_cancelled(serve).await {
                    tracing::debug!(%error, %from, "a connection ended");
                }
                drop(place);
            });
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        source: IpAddr,
        shared: &Arc<Shared>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        // A second handle to the socket, since the first one goes to the server.
        let socket: Arc<OwnedFd> = Arc::new(stream.as_fd().try_clone_to_owned()?);
        let shared = shared.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (response, reach) = self.answer(source, &request, &shared);
            limit(&socket, reach);
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let mut server = hyper::server::conn::http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(CONNECTION_IDLE);
        server.title_case_headers(true);
        server.serve_connection(TokioIo::new(stream), service).await?;
        Ok(())
    }

    fn answer(
        &self,
        source: IpAddr,
        request: &Request<Incoming>,
        shared: &Shared,
    ) -> (http::Response<http_body_util::Full<bytes::Bytes>>, Reach) {
        let guests = self.guests.read().unwrap_or_else(PoisonError::into_inner).clone();
        let tokens = shared.tokens.read().unwrap_or_else(PoisonError::into_inner).clone();
        let answer =
            service::answer(guests.get(&source), &tokens, source, epoch_seconds(), request);
        shared.requests.fetch_add(1, Ordering::Relaxed);
        if answer.1 == Reach::Anywhere
            && !request.headers().contains_key("x-aws-ec2-metadata-token")
        {
            shared.requests_without_token.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

/// Sets how far what is sent next may travel.
fn limit(socket: &OwnedFd, reach: Reach) {
    let hops = match reach {
        Reach::Anywhere => HOPS_ANYWHERE,
        Reach::Hops(hops) => hops.into(),
    };
    if let Err(error) = sockopt::set_ip_ttl(socket, hops) {
        tracing::warn!(%error, hops, "an answer's reach can't be limited");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
