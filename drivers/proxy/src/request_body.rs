//! A client's request body on its way to a target, which can start again at another target.
//!
//! What was passed on is remembered up to a bound. Within it, a body is replayable: the next
//! attempt sends what is remembered and goes on with what the client sends.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::target::lock;

/// Bytes remembered of a request's body.
const REPLAY_MAX_BYTES: usize = 64 << 10;

/// A request's body, kept by the request while attempts come and go.
#[derive(Debug, Clone)]
pub(crate) struct Source(Option<Arc<Mutex<State>>>);

#[derive(Debug)]
struct State {
    incoming: Incoming,
    /// The body's length as the client declared it.
    length: SizeHint,
    passed: Vec<Bytes>,
    passed_bytes: usize,
    forgotten: bool,
    trailers: Option<HeaderMap>,
    ended: bool,
    moved: Instant,
}

/// The body as one attempt reads it.
#[derive(Debug)]
pub(crate) struct RequestBody {
    source: Option<Arc<Mutex<State>>>,
    length: SizeHint,
    next: usize,
    sent_trailers: bool,
}

impl Source {
    pub(crate) fn new(incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        let length = incoming.size_hint();
        Self(Some(Arc::new(Mutex::new(State {
            incoming,
            length,
            passed: Vec::new(),
            passed_bytes: 0,
            forgotten: false,
            trailers: None,
            ended: false,
            moved: Instant::now(),
        }))))
    }

    /// Whether there is a body at all.
    pub(crate) fn has_body(&self) -> bool {
        self.0.is_some()
    }

    /// Whether an attempt can begin at the body's first byte.
    pub(crate) fn is_replayable(&self) -> bool {
        self.0.as_ref().is_none_or(|state| !lock(state).forgotten)
    }

    /// When the client last sent a part of it.
    pub(crate) fn moved(&self) -> Option<Instant> {
        self.0.as_ref().map(|state| lock(state).moved)
    }

    /// The body from its first byte.
    pub(crate) fn body(&self) -> RequestBody {
        let length = match &self.0 {
            Some(state) => lock(state).length,
            None => SizeHint::with_exact(0),
        };
        RequestBody { source: self.0.clone(), length, next: 0, sent_trailers: false }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(source) = &this.source else { return Poll::Ready(None) };
        let mut state = lock(source);
        if let Some(bytes) = state.passed.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
        }
        if state.ended {
            let trailers = if this.sent_trailers { None } else { state.trailers.clone() };
            this.sent_trailers = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        match ready!(Pin::new(&mut state.incoming).poll_frame(context)) {
            Some(Ok(frame)) => {
                state.moved = Instant::now();
                state.remember(&frame);
                this.next = state.passed.len();
                this.sent_trailers |= frame.is_trailers();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                // The client is gone; there is nothing to replay for.
                state.forgotten = true;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                state.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
    }
}

impl State {
    fn remember(&mut self, frame: &Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
            self.ended = true;
        }
        let Some(bytes) = frame.data_ref() else { return };
        self.passed_bytes = self.passed_bytes.saturating_add(bytes.len());
        if self.passed_bytes > REPLAY_MAX_BYTES {
            self.forgotten = true;
            self.passed = Vec::new();
        } else {
            self.passed.push(bytes.clone());
        }
    }
}
