//! Connections that have switched to another protocol (WebSocket): bytes are copied both ways
//! until a side ends, nothing moves for the idle timeout, or the target's time is over.

use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::edge::{Busy, Edge};
use crate::h1::Http1;
use crate::target::InFlight;

/// Two joined connections.
pub(crate) struct Tunnel {
    pub(crate) edge: Arc<Edge>,
    pub(crate) busy: Arc<Busy>,
    pub(crate) idle: Duration,
    pub(crate) in_flight: InFlight,
}

impl Tunnel {
    /// Copies until the end.
    pub(crate) async fn run(self, client: OnUpgrade, target: OnUpgrade, connection: Http1) {
        let (upgraded, ()) =
            tokio::join!(async { tokio::try_join!(client, target) }, connection.finish());
        let (client, target) = match upgraded {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "an upgrade was given up");
                return;
            }
        };
        let (mut client, mut target) = (TokioIo::new(client), TokioIo::new(target));
        let ended = tokio::select! {
            copied = tokio::io::copy_bidirectional(&mut client, &mut target) => copied.map(|_| ()),
            () = self.stillness() => Ok(()),
            () = self.edge.node.kill.cancelled() => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an upgraded connection broke");
        }
        drop((self.busy, self.in_flight));
    }

    /// Ends when nothing has moved for the idle timeout. Every byte of either direction crosses the
    /// client's socket, so that is where movement is seen.
    async fn stillness(&self) {
        while let Some(left) = self.idle.checked_sub(self.edge.still_for()) {
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}
