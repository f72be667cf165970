//! Sockets made inside a network namespace. A socket keeps its namespace for ever, so it can be
//! used from anywhere once made.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `f` with the network namespace at `path` as its own and hands back its result.
///
/// It runs on a thread of its own, which ends with the call: a namespace belongs to a thread,
/// and the caller's is never touched. It blocks for as long as `f` does.
///
/// # Errors
///
/// When the namespace cannot be entered, or what `f` fails with.
pub fn in_namespace<T: Send>(
    path: &Path,
    f: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let namespace = File::open(path)?;
    std::thread::scope(|scope| {
        let run = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            f()
        };
        let thread = std::thread::Builder::new().name("in-netns".to_owned());
        match thread.spawn_scoped(scope, run)?.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A listening, non-blocking TCP socket in the namespace at `path`.
///
/// # Errors
///
/// When the namespace cannot be entered or the address cannot be bound.
pub fn tcp_listen(path: &Path, address: SocketAddrV4) -> io::Result<TcpListener> {
    in_namespace(path, || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    })
}

/// A bound, non-blocking UDP socket in the namespace at `path`.
///
/// # Errors
///
/// When the namespace cannot be entered or the address cannot be bound.
pub fn udp_bind(path: &Path, address: SocketAddrV4) -> io::Result<UdpSocket> {
    in_namespace(path, || {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    })
}

/// A connected, blocking TCP stream out of the namespace at `path`. It blocks up to `timeout`;
/// asynchronous code takes a [`tcp_socket`] and connects that.
///
/// # Errors
///
/// When the namespace cannot be entered, the peer refuses or the time is over.
pub fn tcp_connect(path: &Path, to: SocketAddrV4, timeout: Duration) -> io::Result<TcpStream> {
    in_namespace(path, || TcpStream::connect_timeout(&SocketAddr::V4(to), timeout))
}

/// A TCP socket in the namespace at `path` that is neither bound nor connected yet.
///
/// # Errors
///
/// When the namespace cannot be entered.
pub fn tcp_socket(path: &Path) -> io::Result<tokio::net::TcpSocket> {
    in_namespace(path, tokio::net::TcpSocket::new_v4)
}
