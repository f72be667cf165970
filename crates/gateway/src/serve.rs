//! Connections and the way of a request: detect, authenticate, decode, invoke, encode.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use kernel::{Kernel, RequestInfo};
use protocol::schema::{self, ServiceSchema};
use protocol::sigv4::KeyCache;
use protocol::wire::{self, Body, ResponseBody, Routed};
use protocol::{ByteStream, ServiceError, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::auth::{self, Mode};
use crate::body;
use crate::detect::{Detected, Detector, host_of};

/// How the gateway behaves.
#[derive(Clone, Default)]
pub struct Options {
    /// Which callers are accepted.
    pub mode: Mode,
    /// The certificate and key for clients that start with a TLS handshake.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Serves a region's AWS APIs.
pub struct Gateway {
    kernel: Arc<Kernel>,
    detector: Detector,
    keys: KeyCache,
    options: Options,
}

/// How long a client may take for its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests under way may take when the gateway stops.
const GRACE: Duration = Duration::from_secs(5);
/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

impl Gateway {
    /// A gateway to `kernel`.
    pub fn new(kernel: Arc<Kernel>, options: Options) -> Self {
        Self { kernel, detector: Detector::new(), keys: KeyCache::new(), options }
    }

    /// Accepts connections until `stop` resolves, then lets requests under way end.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (gateway, watcher) = (self.clone(), graceful.watcher());
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "a connection is a task of its own"
                    )]
                    tokio::spawn(async move { gateway.connection(stream, peer, watcher).await });
                }
                Err(error) => {
                    // Out of descriptors, or a client that was gone already: others may still come.
                    tracing::warn!(%error, "accept failed");
                    tokio::task::yield_now().await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were cut off at the end of the grace period");
        }
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let mut first = [0];
        let secure = matches!(stream.peek(&mut first).await, Ok(1) if first == [TLS_HANDSHAKE]);
        let served = match (&self.options.tls, secure) {
            (Some(tls), true) => match TlsAcceptor::from(tls.clone()).accept(stream).await {
                Ok(stream) => self.http(TokioIo::new(stream), peer, true, watcher).await,
                Err(error) => Err(error.into()),
            },
            _ => self.http(TokioIo::new(stream), peer, false, watcher).await,
        };
        if let Err(error) = served {
            tracing::debug!(%error, %peer, "connection ended");
        }
    }

    async fn http<I>(
        self: Arc<Self>,
        io: I,
        peer: SocketAddr,
        secure: bool,
        watcher: hyper_util::server::graceful::Watcher,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let service = service_fn(move |request| {
            let gateway = self.clone();
            async move { Ok::<_, Infallible>(gateway.answer(request, peer.ip(), secure).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        builder.http2().timer(TokioTimer::new());
        watcher.watch(builder.serve_connection_with_upgrades(io, service).into_owned()).await
    }

    /// Answers one request.
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        secure: bool,
    ) -> Response<ResponseBody> {
        let (parts, incoming) = request.into_parts();
        let info = RequestInfo {
            request_id: self.kernel.random().uuid(),
            source_ip: Some(peer),
            user_agent: header(&parts, "user-agent").unwrap_or_default().to_owned(),
            secure,
            host: host_of(&parts).to_owned(),
        };
        let mut response = match self.resolve(&parts, incoming).await {
            Ok(resolved) => self.run(&parts, resolved, &info).await,
            Err((schema, error)) => {
                let protocol = wire::guess(schema, &parts);
                wire::encode_error(schema, protocol, &error, &info.request_id)
            }
        };
        stamp(&mut response, &info.request_id);
        response
    }

    /// Finds service and operation, and reads the body unless the operation streams it.
    async fn resolve(
        &self,
        parts: &Parts,
        incoming: Incoming,
    ) -> Result<Resolved, (&'static ServiceSchema, ServiceError)> {
        let scope = auth::scope_service(parts);
        let streams = |d: &Detected| d.candidates.first().is_some_and(|name| *name == "s3");
        let detected = self.detector.detect(parts, scope.as_deref(), None);
        if streams(&detected) {
            return self.resolve_rest(parts, incoming, &detected).await;
        }
        let fallback = fallback_schema();
        let bytes = body::collect(incoming).await.map_err(|e| (fallback, e))?;
        let version = form_value(parts, &bytes, "Version");
        let mut detected = self.detector.detect(parts, scope.as_deref(), version.as_deref());
        // Services that share a signing name and a version (RDS, DocumentDB, Neptune) are told
        // apart by which of them the region has.
        detected.candidates.sort_by_key(|name| self.kernel.service(name).is_none());
        let mut failure = None;
        for name in &detected.candidates {
            let Some(schema) = schema::service(name) else { continue };
            match wire::route(schema, parts, &bytes, None) {
                Ok(routed) => return Ok(Resolved { schema, routed, body: Body::Bytes(bytes) }),
                Err(error) => failure = failure.or(Some((schema, error))),
            }
        }
        Err(failure.unwrap_or_else(|| (fallback, unknown_service(scope.as_deref()))))
    }

    async fn resolve_rest(
        &self,
        parts: &Parts,
        incoming: Incoming,
        detected: &Detected,
    ) -> Result<Resolved, (&'static ServiceSchema, ServiceError)> {
        let fallback = fallback_schema();
        let schema =
            detected.candidates.first().and_then(|name| schema::service(name)).unwrap_or(fallback);
        let routed = wire::route(schema, parts, &[], detected.host_bucket.as_deref())
            .map_err(|error| (schema, error))?;
        let body = if wire::has_streaming_input(schema, &routed) {
            let length = header(parts, "content-length").and_then(|text| text.parse().ok());
            Body::Stream(ByteStream::from_body(incoming).with_length(length))
        } else {
            Body::Bytes(body::collect(incoming).await.map_err(|error| (schema, error))?)
        };
        Ok(Resolved { schema, routed, body })
    }

    async fn run(
        &self,
        parts: &Parts,
        resolved: Resolved,
        info: &RequestInfo,
    ) -> Response<ResponseBody> {
        let Resolved { schema, routed, body } = resolved;
        let operation = routed.operation.name;
        let result = match auth::authenticate(
            &self.kernel,
            &self.keys,
            self.options.mode,
            schema,
            parts,
            body,
        )
        .await
        {
            Ok((caller, body)) => match wire::decode_input(schema, &routed, parts, body) {
                Ok(input) => {
                    self.kernel.invoke(schema.name, operation, input, caller, info.clone()).await
                }
                Err(error) => Err(error),
            },
            Err(error) => {
                self.kernel.audit_refused(schema, operation, info, &error).await;
                Err(error)
            }
        };
        encode(schema, &routed, result, &info.request_id)
    }
}

/// A request whose service and operation are known.
struct Resolved {
    schema: &'static ServiceSchema,
    routed: Routed,
    body: Body,
}

fn encode(
    schema: &'static ServiceSchema,
    routed: &Routed,
    result: Result<Value, ServiceError>,
    request_id: &str,
) -> Response<ResponseBody> {
    match result {
        Ok(output) => wire::encode_output(schema, routed, output, request_id),
        Err(error) => wire::encode_error(schema, routed.protocol, &error, request_id),
    }
}

/// The service in whose form an answer is given when no service was found.
#[expect(clippy::expect_used, reason = "the models are embedded; a build without STS has no users")]
fn fallback_schema() -> &'static ServiceSchema {
    schema::service("sts").expect("the model of STS is embedded")
}

fn unknown_service(scope: Option<&str>) -> ServiceError {
    let message = scope.map_or_else(
        || "The request names no service that Skyhold knows.".to_owned(),
        |scope| format!("Skyhold knows no service called {scope}."),
    );
    ServiceError::new("UnknownService", message).status(404)
}

fn stamp(response: &mut Response<ResponseBody>, request_id: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), value.clone());
        headers.insert(HeaderName::from_static("x-amz-request-id"), value);
    }
    headers.entry(http::header::SERVER).or_insert(HeaderValue::from_static("Skyhold"));
}

pub(crate) fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

/// The value of `name` in the query string or in a form body, undecoded but for what versions need.
fn form_value(parts: &Parts, body: &Bytes, name: &str) -> Option<String> {
    let is_form = header(parts, "content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let form = if is_form { std::str::from_utf8(body).unwrap_or_default() } else { "" };
    let query = parts.uri.query().unwrap_or_default();
    let pairs = query.split('&').chain(form.split('&')).filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}
