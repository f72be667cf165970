//! Sockets that are opened in a network namespace and may be shared between processes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// Runs a function with the network namespace at a path as its own and hands back its socket
/// (`net::in_namespace` is one).
pub type InNamespace = Arc<
    dyn Fn(&Path, Box<dyn FnOnce() -> io::Result<OwnedFd> + Send>) -> io::Result<OwnedFd>
        + Send
        + Sync,
>;

const BACKLOG: i32 = 1024;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) namespace: Option<PathBuf>,
    pub(crate) address: SocketAddr,
}

impl Place {
    /// Opens the socket.
    pub(crate) fn open(&self, enter: &InNamespace) -> io::Result<tokio::net::TcpListener> {
        let address = self.address;
        let open = move || open(address);
        let socket = match &self.namespace {
            Some(path) => enter(path, Box::new(open))?,
            None => open()?,
        };
        tokio::net::TcpListener::from_std(TcpListener::from(socket))
    }

    /// What tells one namespace at the path from the next.
    pub(crate) fn identity(&self) -> Option<u64> {
        let path = self.namespace.as_ref()?;
        std::fs::metadata(path).ok().map(|metadata| metadata.ino())
    }
}

fn open(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // The processes of other zones serve the same address, each with its own socket.
    sockopt::set_socket_reuseport(&socket, true)?;
    if address.is_ipv4() {
        // The router may get its addresses later.
        sockopt::set_ip_freebind(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}
