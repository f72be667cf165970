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
use kernel::web::WebKind;
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
use crate::web;

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
/// The service that answers what its model does not describe.
const S3: &str = "s3";

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
        let began = self.kernel.clock().now();
        let info = RequestInfo {
            request_id: self.kernel.random().uuid(),
            source_ip: Some(peer),
            user_agent: header(&parts, "user-agent").unwrap_or_default().to_owned(),
            secure,
            host: host_of(&parts).to_owned(),
            keys: web::keys_of(&parts, began, secure).into_iter().collect(),
        };
        let scope = auth::scope_service(&parts);
        let detected = self.detector.detect(&parts, scope.as_deref(), None);
        let mut response = match web::kind_of(&parts, &detected) {
            Some(kind) => self.web(kind, &parts, incoming, &detected, &info).await,
            None => match self.resolve(&parts, incoming, scope.as_deref(), detected).await {
                Ok(resolved) => self.run(&parts, resolved, &info).await,
                Err((schema, error)) => {
                    let protocol = wire::guess(schema, &parts);
                    wire::encode_error(schema, protocol, &error, &info.request_id)
                }
            },
        };
        stamp(&mut response, &info.request_id);
        response
    }

    /// Lets S3 answer what its model does not describe.
    async fn web(
        &self,
        kind: WebKind,
        parts: &Parts,
        incoming: Incoming,
        detected: &Detected,
        info: &RequestInfo,
    ) -> Response<ResponseBody> {
        let length = header(parts, "content-length").and_then(|text| text.parse().ok());
        let body = ByteStream::from_body(incoming).with_length(length);
        let request = web::request_of(kind, parts, detected.host_bucket.as_deref(), body);
        let note = self.kernel.notes_calls(S3).then(|| request.clone());
        let caller = auth::anonymous(&self.kernel);
        let answer = self.kernel.web(S3, caller.clone(), info.clone(), request).await;
        let (response, error) = match answer {
            Ok(answer) => (web::response_of(answer), None),
            Err(error) => {
                let schema = schema::service(S3).unwrap_or_else(|| fallback_schema());
                let protocol = schema::Protocol::RestXml;
                let code = Some(error.code.clone());
                (wire::encode_error(schema, protocol, &error, &info.request_id), code)
            }
        };
        if let Some(note) = note {
            let served = web::served(&note, parts, "", &response, error, 0);
            self.kernel.served(S3, caller, info.clone(), served).await;
        }
        response
    }

    /// Finds service and operation, and reads the body unless the operation streams it.
    async fn resolve(
        &self,
        parts: &Parts,
        incoming: Incoming,
        scope: Option<&str>,
        detected: Detected,
    ) -> Result<Resolved, (&'static ServiceSchema, ServiceError)> {
        if detected.candidates.first() == Some(&S3) {
            return self.resolve_rest(parts, incoming, &detected).await;
        }
        let fallback = fallback_schema();
        let bytes = body::collect(incoming).await.map_err(|e| (fallback, e))?;
        let version = form_value(parts, &bytes, "Version");
        let mut detected = self.detector.detect(parts, scope, version.as_deref());
        // Services that share a signing name and a version (RDS, DocumentDB, Neptune) are told
        // apart by which of them the region has.
        detected.candidates.sort_by_key(|name| self.kernel.service(name).is_none());
        let mut failure = None;
        for name in &detected.candidates {
            let Some(schema) = schema::service(name) else { continue };
            match wire::route(schema, parts, &bytes, None) {
                Ok(routed) => {
                    let body = Body::Bytes(bytes);
                    return Ok(Resolved { schema, routed, body, host_bucket: None });
                }
                Err(error) => failure = failure.or(Some((schema, error))),
            }
        }
        Err(failure.unwrap_or_else(|| (fallback, unknown_service(scope))))
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
        let host_bucket = detected.host_bucket.clone();
        Ok(Resolved { schema, routed, body, host_bucket })
    }

    async fn run(
        &self,
        parts: &Parts,
        resolved: Resolved,
        info: &RequestInfo,
    ) -> Response<ResponseBody> {
        let Resolved { schema, routed, body, host_bucket } = resolved;
        let operation = routed.operation.name;
        let began = self.kernel.clock().now();
        let authenticated = auth::authenticate(
            &self.kernel,
            &self.keys,
            self.options.mode,
            schema,
            routed.operation,
            parts,
            body,
        )
        .await;
        let mut who = None;
        let result = match authenticated {
            Ok((caller, body)) => {
                who = Some(caller.clone());
                match wire::decode_input(schema, &routed, parts, body) {
                    Ok(input) => {
                        let info = info.clone();
                        self.kernel.invoke(schema.name, operation, input, caller, info).await
                    }
                    Err(error) => Err(error),
                }
            }
            Err(error) => {
                self.kernel.audit_refused(schema, operation, info, &error).await;
                Err(error)
            }
        };
        let code = result.as_ref().err().map(|error| error.code.clone());
        let mut response = encode(schema, &routed, result, &info.request_id);
        if schema.name == S3 {
            let host_bucket = host_bucket.as_deref();
            let about = |kind| web::request_of(kind, parts, host_bucket, ByteStream::default());
            let caller = who.unwrap_or_else(|| auth::anonymous(&self.kernel));
            if parts.headers.contains_key("origin") {
                let request = about(WebKind::Headers);
                // A page that may not read the answer gets it without the headers that let it.
                let more = self.kernel.web(S3, caller.clone(), info.clone(), request).await;
                web::extend(response.headers_mut(), &more.map(|m| m.headers).unwrap_or_default());
            }
            if self.kernel.notes_calls(S3) {
                let now = self.kernel.clock().now();
                let took = now.as_millis().saturating_sub(began.as_millis());
                let request = about(WebKind::Headers);
                let served = web::served(&request, parts, operation, &response, code, took);
                self.kernel.served(S3, caller, info.clone(), served).await;
            }
        }
        response
    }
}

/// A request whose service and operation are known.
struct Resolved {
    schema: &'static ServiceSchema,
    routed: Routed,
    body: Body,
    host_bucket: Option<String>,
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
