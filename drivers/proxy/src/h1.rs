//! HTTP/1.1 connections to targets.
//!
//! The connection is driven by whoever uses it: by the request while it waits for the answer, by
//! the answer's body afterwards, by nobody while it is idle. There is no task per connection, so a
//! request crosses no thread on its way to the target and back, and giving a request up closes
//! its connection by itself.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::request_body::RequestBody;
use crate::target::{InFlight, Target, Wire, usual_silence};

/// A connection to a target.
pub(crate) struct Http1 {
    sender: SendRequest<RequestBody>,
    /// Nothing once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    /// When the last answer was over.
    pub(crate) idle_since: Instant,
    /// Whether it has carried a request before.
    pub(crate) reused: bool,
    number: u64,
    /// Whether a target that acknowledges nothing is waited for without a bound.
    patient: bool,
}

impl std::fmt::Debug for Http1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http1").field("reused", &self.reused).finish_non_exhaustive()
    }
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) struct Lost {
    /// Whether the target can't have seen the request.
    pub(crate) unsent: bool,
    pub(crate) error: hyper::Error,
}

impl Http1 {
    /// Opens a connection.
    pub(crate) async fn connect(target: &Arc<Target>) -> std::io::Result<Self> {
        let wire = Wire::connect(target).await?;
        let number = wire.number();
        let mut builder = http1::Builder::new();
        builder.preserve_header_case(true).title_case_headers(true);
        let (sender, connection) =
            builder.handshake(TokioIo::new(wire)).await.map_err(std::io::Error::other)?;
        Ok(Self {
            sender,
            connection: Some(Box::pin(connection.with_upgrades())),
            idle_since: Instant::now(),
            reused: false,
            number,
            patient: false,
        })
    }

    /// Moves the connection on. Whether it has ended.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) -> bool {
        let Some(connection) = &mut self.connection else { return true };
        match connection.as_mut().poll(context) {
            Poll::Pending => false,
            Poll::Ready(ended) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection to a target ended");
                }
                self.connection = None;
                true
            }
        }
    }

    /// Whether it can take a request.
    pub(crate) fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        !self.drive(context) && self.sender.is_ready()
    }

    /// Bounds how long the target may acknowledge nothing, unless the request has a body: a target
    /// may take its time over reading that, which to the kernel looks alike.
    pub(crate) fn prepare(&mut self, target: &Target, has_body: bool) {
        if self.patient != has_body {
            target.bound_silence(self.number, if has_body { None } else { usual_silence() });
            self.patient = has_body;
        }
    }

    /// Sends a request and waits for the answer's headers.
    ///
    /// Cancelling it leaves the connection unusable; it must be dropped then.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Lost> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        std::future::poll_fn(|context| {
            if let Some(running) = connection
                && let Poll::Ready(ended) = running.as_mut().poll(context)
            {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection to a target ended");
                }
                *connection = None;
            }
            answer.as_mut().poll(context).map_err(|mut error| Lost {
                unsent: error.take_message().is_some(),
                error: error.into_error(),
            })
        })
        .await
    }

    /// Runs the connection to its end, which for an upgraded one is the handing over of its bytes.
    pub(crate) async fn finish(mut self) {
        std::future::poll_fn(
            |context| if self.drive(context) { Poll::Ready(()) } else { Poll::Pending },
        )
        .await;
    }
}

/// An answer's body, which drives the connection that it comes from and gives the connection back
/// when it is over.
pub(crate) struct Http1Body {
    body: Incoming,
    connection: Option<Http1>,
    in_flight: InFlight,
}

impl Http1Body {
    pub(crate) fn new(body: Incoming, connection: Http1, in_flight: InFlight) -> Self {
        let mut body = Self { body, connection: Some(connection), in_flight };
        if body.body.is_end_stream() {
            body.give_back(&mut Context::from_waker(Waker::noop()));
        }
        body
    }

    fn give_back(&mut self, context: &mut Context<'_>) {
        let Some(mut connection) = self.connection.take() else { return };
        if connection.is_usable(context) {
            connection.idle_since = Instant::now();
            connection.reused = true;
            self.in_flight.0.put_idle(connection);
        }
    }
}

impl Body for Http1Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut frame = Pin::new(&mut this.body).poll_frame(context);
        if frame.is_pending()
            && let Some(connection) = &mut this.connection
        {
            // The body has told the connection that it wants more; now the connection reads.
            connection.drive(context);
            frame = Pin::new(&mut this.body).poll_frame(context);
        }
        let frame = ready!(frame);
        if frame.is_none() || this.body.is_end_stream() {
            this.give_back(context);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
