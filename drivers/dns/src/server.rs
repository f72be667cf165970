//! The loops that read queries and write answers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Reply, Transport, encode, failure, reply};
use crate::lookup::{Index, View};
use crate::socket::{InNamespace, Place, Sockets};
use crate::upstream;
use crate::zones::Zones;

/// Questions to other resolvers at once; more are answered with a failure at once.
const ASKING_MAX: usize = 512;
/// Connections of one listener at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 128;
/// How long a connection may be without a question.
const CONNECTION_IDLE: Duration = Duration::from_secs(10);
/// How soon a place that can't be opened is tried again, and how often it is looked whether the
/// namespace at its path is still the same.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The largest question over UDP.
const UDP_READ_BYTES: usize = 4096;

/// Running resolvers. Dropping it closes them.
pub struct Dns {
    shared: Arc<Shared>,
    running: Mutex<HashMap<Key, Arc<Listener>>>,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

/// What the resolvers observe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsStatus {
    /// Where is listened, in no order.
    pub listeners: Vec<ListenerStatus>,
    /// What was counted since the start.
    pub counters: Counters,
}

/// Whether a resolver listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// The VPC; nothing for the host's listener.
    pub vpc: Option<String>,
    /// Where it listens; nothing while it can't.
    pub address: Option<SocketAddr>,
    /// Why it can't. It is tried again twice a second.
    pub error: Option<String>,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Queries.
    pub queries: u64,
    /// Answers that the name does not exist.
    pub missing: u64,
    /// Queries that other resolvers were asked for.
    pub forwarded: u64,
    /// Answers that tell of a failure.
    pub failed: u64,
}

type Key = (Option<String>, Place);

struct Shared {
    enter: InNamespace,
    tasks: TaskTracker,
    kill: CancellationToken,
    turn: AtomicUsize,
    asking: Arc<Semaphore>,
    upstreams: RwLock<Arc<Vec<SocketAddr>>>,
    queries: AtomicU64,
    missing: AtomicU64,
    forwarded: AtomicU64,
    failed: AtomicU64,
}

struct Listener {
    key: Key,
    view: RwLock<Arc<View>>,
    closing: CancellationToken,
    state: Mutex<(Option<SocketAddr>, Option<String>)>,
}

impl Dns {
    /// Starts the resolvers of a document. Those that can be opened at once answer when this
    /// returns; the others are told in the status and tried again.
    #[expect(clippy::unused_async, reason = "sockets belong to the runtime that this runs in")]
    pub async fn start(zones: Zones, enter: InNamespace) -> Self {
        let shared = Shared {
            enter,
            tasks: TaskTracker::new(),
            kill: CancellationToken::new(),
            turn: AtomicUsize::new(0),
            asking: Arc::new(Semaphore::new(ASKING_MAX)),
            upstreams: RwLock::default(),
            queries: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            forwarded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        let dns = Self { shared: Arc::new(shared), running: Mutex::default() };
        dns.put(&zones);
        dns
    }

    /// Puts a new document in place of the last one. Listeners that both have keep their sockets.
    #[expect(clippy::unused_async, reason = "sockets belong to the runtime that this runs in")]
    pub async fn configure(&self, zones: Zones) {
        self.put(&zones);
    }

    /// What is observed.
    pub fn status(&self) -> DnsStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DnsStatus {
            listeners: lock(&self.running).values().map(|listener| listener.status()).collect(),
            counters: Counters {
                queries: count(&self.shared.queries),
                missing: count(&self.shared.missing),
                forwarded: count(&self.shared.forwarded),
                failed: count(&self.shared.failed),
            },
        }
    }

    fn put(&self, zones: &Zones) {
        *write(&self.shared.upstreams) = Arc::new(zones.upstreams.clone());
        let mut running = lock(&self.running);
        let mut wanted = wanted(zones);
        running.retain(|key, listener| match wanted.remove(key) {
            Some(view) => {
                *write(&listener.view) = view;
                true
            }
            None => {
                listener.closing.cancel();
                false
            }
        });
        for (key, view) in wanted {
            let listener = Arc::new(Listener {
                key: key.clone(),
                view: RwLock::new(view),
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

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.kill.cancel();
    }
}

/// Who is to listen where, and what they may tell.
fn wanted(zones: &Zones) -> HashMap<Key, Arc<View>> {
    const PORT: u16 = 53;
    let shared = Arc::new(Index::new(&zones.shared));
    let mut wanted = HashMap::new();
    if let Some(address) = zones.host {
        let place = Place { namespace: None, address };
        wanted.insert((None, place), Arc::new(View::new(vec![shared.clone()])));
    }
    for vpc in &zones.vpcs {
        let own = Arc::new(Index::new(&vpc.names));
        let view = Arc::new(View::new(vec![own, shared.clone()]));
        for address in &vpc.addresses {
            let address = SocketAddr::new(*address, vpc.port.unwrap_or(PORT));
            let place = Place { namespace: vpc.namespace.clone(), address };
            wanted.insert((Some(vpc.id.clone()), place), view.clone());
        }
    }
    wanted
}

impl Listener {
    fn status(&self) -> ListenerStatus {
        let (address, error) = lock(&self.state).clone();
        ListenerStatus { vpc: self.key.0.clone(), address, error }
    }

    fn open(&self, shared: &Shared) -> Option<(Option<u64>, Sockets)> {
        let identity = self.key.1.identity();
        let mut state = lock(&self.state);
        match self.key.1.open(&shared.enter) {
            Ok(sockets) => {
                *state = (Some(sockets.address), None);
                Some((identity, sockets))
            }
            Err(error) => {
                if state.1.is_none() {
                    tracing::warn!(%error, place = ?self.key.1, "can't listen for questions");
                }
                *state = (None, Some(error.to_string()));
                None
            }
        }
    }

    /// Serves until it is closed, and opens its sockets anew when its namespace is another one.
    async fn run(self: Arc<Self>, mut open: Option<(Option<u64>, Sockets)>, shared: &Arc<Shared>) {
        while !self.closing.is_cancelled() {
            let Some((identity, sockets)) = open.take() else {
                let nap = tokio::time::sleep(LOOK_EVERY);
                self.closing.run_until_cancelled(nap).await;
                open = self.open(shared);
                continue;
            };
            let Sockets { udp, tcp, .. } = sockets;
            tokio::select! {
                () = self.serve_udp(Arc::new(udp), shared) => {}
                () = self.serve_tcp(&tcp, shared) => {}
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

    async fn serve_udp(&self, socket: Arc<UdpSocket>, shared: &Arc<Shared>) {
        let mut buffer = vec![0; UDP_READ_BYTES];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    // Errors of earlier answers come back here; the socket itself lives on.
                    tracing::debug!(%error, "no question");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            let Some(request) = buffer.get(..length) else { continue };
            match self.reply(request, shared) {
                Ok(Some(message)) => {
                    let bytes = encode(&message, Transport::Udp, request);
                    send(&socket, &bytes, from).await;
                }
                Ok(None) => {}
                Err(later) => {
                    let (socket, request, shared) =
                        (socket.clone(), request.to_vec(), shared.clone());
                    shared.tasks.clone().spawn(async move {
                        let message = shared.ask(later).await;
                        send(&socket, &encode(&message, Transport::Udp, &request), from).await;
                    });
                }
            }
        }
    }

    async fn serve_tcp(self: &Arc<Self>, socket: &TcpListener, shared: &Arc<Shared>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let stream = match socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (listener, shared) = (self.clone(), shared.clone());
            shared.tasks.clone().spawn(async move {
                let talk = listener.talk(stream, &shared);
                if let Some(Err(error)) = listener.closing.run_until_cancelled(talk).await {
                    tracing::debug!(%error, "a connection ended");
                }
                drop(place);
            });
        }
    }

    /// Answers the questions of one connection, one after the other.
    async fn talk(&self, mut stream: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let request = tokio::time::timeout(CONNECTION_IDLE, read(&mut stream)).await??;
            let message = match self.reply(&request, shared) {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(()),
                Err(later) => shared.ask(later).await,
            };
            let bytes = encode(&message, Transport::Tcp, &request);
            let length = u16::try_from(bytes.len()).map_err(std::io::Error::other)?;
            let mut framed = length.to_be_bytes().to_vec();
            framed.extend_from_slice(&bytes);
            tokio::time::timeout(CONNECTION_IDLE, stream.write_all(&framed)).await??;
        }
    }

    /// The answer, if it is known; nothing for what needs none; else what has to be asked.
    fn reply(&self, request: &[u8], shared: &Shared) -> Result<Option<Message>, Box<Later>> {
        shared.queries.fetch_add(1, Ordering::Relaxed);
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner).clone();
        match reply(&view, &shared.turn, request) {
            Reply::Now(message) => {
                shared.count(&message);
                Ok(Some(message))
            }
            Reply::Silence => Ok(None),
            Reply::Ask { query, known } => {
                let upstreams =
                    shared.upstreams.read().unwrap_or_else(PoisonError::into_inner).clone();
                if upstreams.is_empty() {
                    let mut known = known;
                    known.metadata.response_code = ResponseCode::NXDomain;
                    shared.count(&known);
                    return Ok(Some(known));
                }
                Err(Box::new(Later { upstreams, query, known }))
            }
        }
    }
}

/// A question for others.
struct Later {
    upstreams: Arc<Vec<SocketAddr>>,
    query: hickory_proto::op::Query,
    known: Message,
}

impl Shared {
    async fn ask(&self, later: Box<Later>) -> Message {
        self.forwarded.fetch_add(1, Ordering::Relaxed);
        let message = match self.asking.clone().try_acquire_owned() {
            Ok(_room) => upstream::ask(&later.upstreams, later.query, later.known).await,
            Err(_) => failure(&later.known),
        };
        self.count(&message);
        message
    }

    fn count(&self, message: &Message) {
        let code = message.metadata.response_code;
        if code == ResponseCode::NXDomain {
            self.missing.fetch_add(1, Ordering::Relaxed);
        } else if code != ResponseCode::NoError {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(bytes, to).await {
        tracing::debug!(%error, %to, "an answer could not be sent");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
