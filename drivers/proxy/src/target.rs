//! One target: its health, its open connections, what it was sent.
//!
//! A target outlives configurations: as long as its id and address stay, so do its health, its
//! counters and its connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::counters::Count;
use crate::h1::Http1;
use crate::h2::Http2;
use crate::health::Health;
use crate::stream::Stream;

/// The share of a target in full, in thousandths.
pub(crate) const FULL_SHARE: u32 = 1000;
/// Idle connections kept to one target; more are closed once they are idle.
const IDLE_MAX: usize = 512;

/// How long bytes sent to a target may go unacknowledged before the connection is given up, when
/// the target has nothing to read but a request's headers. A target whose machine or network is
/// gone sends no reset; without this bound its connections would hang for the idle timeout.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(3);
/// How long a target that could not be connected to in time is chosen last.
const AVOID_FOR: Duration = Duration::from_secs(1);

/// What makes two targets of a group the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TargetKey {
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
}

/// Something that takes requests.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) key: TargetKey,
    /// Names the target in stickiness cookies.
    pub(crate) tag: Tag,
    /// How its connections are encrypted, if they are.
    tls: Option<Arc<ClientConfig>>,
    pub(crate) counts: TargetCounts,
    /// Its share in a draw by weight, in thousandths: less while its errors stand out.
    share: AtomicU64,
    health: Mutex<Health>,
    /// When a slow start began, if one is due.
    warming_since: Mutex<Option<Instant>>,
    /// When a connection to it was last given up for taking too long.
    unreachable_at: Mutex<Option<Instant>>,
    in_flight: AtomicUsize,
    idle: Mutex<Vec<Http1>>,
    pub(crate) http2: Http2,
    open: Mutex<Open>,
}

/// The name of a target in cookies: a hash, which cookies hide.
pub(crate) type Tag = [u8; 16];

/// What was counted for a target.
#[derive(Debug, Default)]
pub(crate) struct TargetCounts {
    pub(crate) requests: Count,
    pub(crate) connection_errors: Count,
    /// Requests and errors since the last look at anomalies.
    pub(crate) recent_requests: Count,
    pub(crate) recent_errors: Count,
}

/// The sockets to a target, so that they can be ended when its time is over.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    closed: bool,
    sockets: HashMap<u64, RawFd>,
}

impl Target {
    pub(crate) fn new(key: TargetKey, tag: Tag, tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            key,
            tag,
            tls,
            counts: TargetCounts::default(),
            share: AtomicU64::new(FULL_SHARE.into()),
            health: Mutex::new(Health::registered()),
            warming_since: Mutex::default(),
            unreachable_at: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            idle: Mutex::default(),
            http2: Http2::default(),
            open: Mutex::default(),
        }
    }

    /// The scheme of requests to it.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        lock(&self.health)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Begins a slow start.
    pub(crate) fn warm_up(&self) {
        *lock(&self.warming_since) = Some(Instant::now());
    }

    /// The share of its turns, in thousandths, that a target in slow start takes.
    pub(crate) fn warmth(&self, slow_start: Duration) -> u32 {
        let mut since = lock(&self.warming_since);
        let Some(start) = *since else { return FULL_SHARE };
        let passed = start.elapsed();
        if passed >= slow_start {
            *since = None;
            return FULL_SHARE;
        }
        let share = passed.as_millis() * u128::from(FULL_SHARE) / slow_start.as_millis().max(1);
        u32::try_from(share).unwrap_or(FULL_SHARE).max(1)
    }

    /// Its weight in a draw, in thousandths.
    pub(crate) fn share(&self) -> u64 {
        self.share.load(Ordering::Relaxed)
    }

    pub(crate) fn set_share(&self, share: u64) {
        self.share.store(share, Ordering::Relaxed);
    }

    /// Has the target chosen last for a while: a connection to it took too long.
    pub(crate) fn avoid(&self) {
        *lock(&self.unreachable_at) = Some(Instant::now());
    }

    pub(crate) fn is_avoided(&self) -> bool {
        lock(&self.unreachable_at).is_some_and(|at| at.elapsed() < AVOID_FOR)
    }

    /// Sets how long bytes on a connection may go unacknowledged; nothing for as long as it takes.
    pub(crate) fn bound_silence(&self, number: u64, bound: Option<Duration>) {
        let open = lock(&self.open);
        let Some(socket) = open.sockets.get(&number) else { return };
        // SAFETY: as in `close`: a socket in the table is open as long as the table is locked.
        #[expect(unsafe_code, reason = "tokio's stream can't be shared with its reader")]
        let socket = unsafe { BorrowedFd::borrow_raw(*socket) };
        set_silence(socket, bound);
    }

    /// An idle connection that was alive when last looked at.
    pub(crate) fn take_idle(&self, context: &mut Context<'_>) -> Option<Http1> {
        loop {
            let mut connection = lock(&self.idle).pop()?;
            if connection.is_usable(context) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(crate) fn put_idle(&self, connection: Http1) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX && !lock(&self.open).closed {
            idle.push(connection);
        }
    }

    /// Closes idle connections that the target closed, or that were idle for `limit`.
    pub(crate) fn sweep_idle(&self, limit: Duration) {
        let mut context = Context::from_waker(Waker::noop());
        let mut idle = std::mem::take(&mut *lock(&self.idle));
        idle.retain_mut(|connection| {
            connection.idle_since.elapsed() < limit && connection.is_usable(&mut context)
        });
        let mut kept = lock(&self.idle);
        // What came back meanwhile is the freshest and is taken first.
        idle.append(&mut kept);
        *kept = idle;
        drop(kept);
        self.http2.sweep(limit);
    }

    /// Closes idle connections; those with a request under way go on.
    pub(crate) fn drop_idle(&self) {
        lock(&self.idle).clear();
        self.http2.sweep(Duration::ZERO);
    }

    /// Ends every connection, with whatever is under way on it.
    pub(crate) fn close(&self) {
        let mut open = lock(&self.open);
        open.closed = true;
        for socket in open.sockets.values() {
            // SAFETY: a socket leaves the table, under this lock, before its descriptor is closed
            // (`Wire::drop`), so the number still names that socket.
            #[expect(unsafe_code, reason = "tokio's stream can't be shared with its reader")]
            let socket = unsafe { BorrowedFd::borrow_raw(*socket) };
            if let Err(error) = rustix::net::shutdown(socket, rustix::net::Shutdown::Both) {
                tracing::debug!(%error, "the connection had ended already");
            }
        }
        drop(open);
        self.drop_idle();
    }

    /// Takes the target into use again after [`close`](Self::close).
    pub(crate) fn reopen(&self) {
        lock(&self.open).closed = false;
    }
}

/// A lock whose holder can't leave it half-changed, so a panic elsewhere is no reason to stop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that a target has, from the choice of the target to the last byte of the answer.
#[derive(Debug)]
pub(crate) struct InFlight(pub(crate) Arc<Target>);

impl InFlight {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        target.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(target)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection to a target, known to the target as long as it is open.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    target: Arc<Target>,
    number: u64,
}

impl Wire {
    /// Connects.
    pub(crate) async fn connect(target: &Arc<Target>) -> std::io::Result<Self> {
        let socket = TcpStream::connect(target.key.address).await?;
        socket.set_nodelay(true)?;
        set_silence(socket.as_fd(), Some(UNACKNOWLEDGED_MAX));
        let descriptor = socket.as_raw_fd();
        let stream = Stream::over(socket, target.key.address, target.tls.clone()).await?;
        let mut open = lock(&target.open);
        if open.closed {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        let number = open.next;
        open.next += 1;
        open.sockets.insert(number, descriptor);
        drop(open);
        Ok(Self { stream, target: target.clone(), number })
    }
}

impl Wire {
    /// Its number in the target's table.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// The usual bound of [`Target::bound_silence`].
pub(crate) fn usual_silence() -> Option<Duration> {
    Some(UNACKNOWLEDGED_MAX)
}

fn set_silence(socket: BorrowedFd<'_>, bound: Option<Duration>) {
    let bound_ms = bound.map_or(0, |bound| u32::try_from(bound.as_millis()).unwrap_or(u32::MAX));
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, bound_ms) {
        tracing::debug!(%error, "a connection's silence can't be bounded");
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        lock(&self.target.open).sockets.remove(&self.number);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
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
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
