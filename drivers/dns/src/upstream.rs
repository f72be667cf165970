//! Asking other resolvers, within a bound.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::answer::failure;

/// How long one resolver may take; two are asked before a client's own timeout of five seconds.
const PATIENCE: Duration = Duration::from_millis(1_800);
const RESOLVERS_MAX: usize = 2;

/// Asks for a name that is not ours and puts what comes back behind what is known.
pub(crate) async fn ask(upstreams: &[SocketAddr], query: Query, mut known: Message) -> Message {
    let mut request = Message::query();
    request.metadata.recursion_desired = true;
    request.add_query(query);
    for upstream in upstreams.iter().take(RESOLVERS_MAX) {
        match timeout(PATIENCE, exchange(*upstream, &request)).await {
            Ok(Ok(answer)) => {
                known.metadata.response_code = answer.metadata.response_code;
                known.answers.extend(answer.answers);
                known.authorities.extend(answer.authorities);
                return known;
            }
            Ok(Err(error)) => tracing::debug!(%error, %upstream, "a resolver failed"),
            Err(_) => tracing::debug!(%upstream, "a resolver kept silent"),
        }
    }
    failure(&known)
}

async fn exchange(upstream: SocketAddr, request: &Message) -> io::Result<Message> {
    let bytes = request.to_vec().map_err(io::Error::other)?;
    let any: SocketAddr = if upstream.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(upstream).await?;
    socket.send(&bytes).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok());
        let Some(answer) = answer.filter(|answer| fits(request, answer)) else { continue };
        if answer.metadata.truncation {
            return over_tcp(upstream, &bytes, request).await;
        }
        return Ok(answer);
    }
}

async fn over_tcp(upstream: SocketAddr, bytes: &[u8], request: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(upstream).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_u16(length).await?;
    stream.write_all(bytes).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer).map_err(io::Error::other)?;
    if fits(request, &answer) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether an answer is to this request: id and question are the same.
fn fits(request: &Message, answer: &Message) -> bool {
    request.metadata.id == answer.metadata.id && request.queries == answer.queries
}
