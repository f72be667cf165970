//! Answers: those that the load balancer makes itself, and the body that every answer has.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, SERVER};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::edge::Busy;
use crate::h1::Http1Body;
use crate::h2::Stream;
use crate::rule::Fixed;
use crate::target::InFlight;

/// The load balancer's own codes.
///
/// AWS: "Troubleshoot your Application Load Balancers" (HTTP error codes).
pub(crate) const CLIENT_CLOSED: u16 = 460;
pub(crate) const TOO_MANY_FORWARDS: u16 = 463;
pub(crate) const WRONG_PROTOCOL: u16 = 464;

/// The body of an answer to a client, with what is to be let go when it is over.
pub(crate) struct Outgoing {
    body: Kind,
    _busy: Option<Arc<Busy>>,
}

enum Kind {
    Own(Option<Bytes>),
    Http1(Box<Http1Body>),
    Http2 { body: Incoming, _in_flight: InFlight, _stream: Stream },
}

impl Outgoing {
    fn own(bytes: Bytes) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self { body: Kind::Own(bytes), _busy: None }
    }

    pub(crate) fn empty() -> Self {
        Self::own(Bytes::new())
    }

    pub(crate) fn http1(body: Http1Body) -> Self {
        Self { body: Kind::Http1(Box::new(body)), _busy: None }
    }

    pub(crate) fn http2(body: Incoming, in_flight: InFlight, stream: Stream) -> Self {
        Self { body: Kind::Http2 { body, _in_flight: in_flight, _stream: stream }, _busy: None }
    }

    /// Keeps the request counted as under way until the body is over.
    pub(crate) fn keep(mut self, busy: Arc<Busy>) -> Self {
        self._busy = Some(busy);
        self
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().body {
            Kind::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Http1(body) => Pin::new(body.as_mut()).poll_frame(context),
            Kind::Http2 { body, .. } => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Kind::Own(bytes) => bytes.is_none(),
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2 { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Kind::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2 { body, .. } => body.size_hint(),
        }
    }
}

/// An error page, as AWS's nodes write it.
pub(crate) fn error(code: u16) -> Response<Outgoing> {
    page(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

/// A redirect.
pub(crate) fn redirect(status: StatusCode, location: String) -> Response<Outgoing> {
    let Ok(location) = HeaderValue::try_from(location) else { return error(400) };
    let mut answer = page(status);
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// An answer that a rule gives.
pub(crate) fn fixed(fixed: &Fixed) -> Response<Outgoing> {
    let mut answer = Response::new(Outgoing::own(fixed.body.clone()));
    *answer.status_mut() = fixed.status;
    if let Some(content_type) = &fixed.content_type {
        answer.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    answer.headers_mut().insert(SERVER, HeaderValue::from_static("awselb/2.0"));
    answer
}

fn page(status: StatusCode) -> Response<Outgoing> {
    let title = match status.as_u16() {
        code @ 414 => format!("{code} Request-URI Too Large"),
        code @ 503 => format!("{code} Service Temporarily Unavailable"),
        code @ 504 => format!("{code} Gateway Time-out"),
        code => match status.canonical_reason() {
            Some(reason) => format!("{code} {reason}"),
            None => code.to_string(),
        },
    };
    let html = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
         <center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    let mut answer = Response::new(Outgoing::own(html.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer.headers_mut().insert(SERVER, HeaderValue::from_static("awselb/2.0"));
    answer
}
