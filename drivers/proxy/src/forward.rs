//! A request on its way to a target: the choice, the attempts, the answer.
//!
//! An attempt is made again when nothing can have happened twice: the target was never reached, it
//! says that it did not look, or it closed the connection before it answered a request that may be
//! repeated by its nature (RFC 9110, section 9.2.2): over a new connection where the old one had
//! been idle, and then at one other target, since this one may be dying. All else is a 502.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::{Extensions, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::{self, Outgoing};
use crate::config::{ProtocolVersion, Stickiness};
use crate::cookie;
use crate::edge::{Busy, Edge};
use crate::group::{Group, View};
use crate::h1::{Http1, Http1Body, Lost};
use crate::headers::{self, Came};
use crate::listener::Plan;
use crate::request_body::{RequestBody, Source};
use crate::rule::Split;
use crate::serve::is_grpc;
use crate::target::{InFlight, Tag, Target};
use crate::tunnel;

/// Targets that one request is tried at.
const TARGETS_MAX: usize = 4;
/// AWS: "Troubleshoot your Application Load Balancers" (HTTP 504: 10 seconds to connect).
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a connection may take while there is another target to try: one lost SYN is forgiven.
const CONNECT_ELSEWHERE_AFTER: Duration = Duration::from_millis(1_200);

/// A request that is forwarded.
pub(crate) struct Visit<'a> {
    pub(crate) edge: &'a Arc<Edge>,
    pub(crate) plan: &'a Arc<Plan>,
    pub(crate) parts: &'a Parts,
    /// How the client spelt its headers' names.
    pub(crate) extensions: Extensions,
    pub(crate) host: &'a str,
    pub(crate) came: Came,
    pub(crate) source: Source,
    pub(crate) busy: &'a Arc<Busy>,
}

/// Why an attempt brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// No connection: nothing was sent.
    Unreachable,
    /// No connection in time.
    ConnectTimeout,
    /// The connection ended before an answer.
    Closed,
    /// The connection ended before an answer to a request that may be repeated.
    Lost,
    /// No answer in time.
    Timeout,
}

impl Failure {
    fn code(self) -> u16 {
        match self {
            Self::Unreachable | Self::Closed | Self::Lost => 502,
            Self::ConnectTimeout | Self::Timeout => 504,
        }
    }

    /// A request that two targets lost is not given to a third: it may be what ends them.
    fn lets_another_target_try(self, before: Option<Self>) -> bool {
        match self {
            Self::Unreachable | Self::ConnectTimeout => true,
            Self::Lost => before != Some(Self::Lost),
            Self::Closed | Self::Timeout => false,
        }
    }
}

impl Visit<'_> {
    /// Has a target of the split's groups answer.
    pub(crate) async fn forward(
        self,
        split: &Split,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Response<Outgoing>, u16> {
        let seal = self.edge.node.seal();
        let stuck = (!split.is_single() && split.stickiness_seconds.is_some())
            .then(|| seal.read(&self.parts.headers, cookie::GROUP, self.came.at))
            .flatten();
        let group = stuck.and_then(|tag| split.find(|group| group.tag == tag));
        let group = group.or_else(|| split.next()).ok_or(503_u16)?;
        let view = group.view();
        self.check_protocol(view.config.protocol_version)?;

        let (target, mut answer) = self.attempts(group, &view, upgrade).await?;

        if let Some(seconds) = split.stickiness_seconds.filter(|_| !split.is_single()) {
            let end = self.came.at + u64::from(seconds);
            let value = seal.write(cookie::GROUP, &group.tag, end);
            cookie::set(answer.headers_mut(), cookie::GROUP, &value, end);
        }
        self.stick(&view, &target, &mut answer);
        Ok(answer)
    }

    /// AWS: HTTP 464, a protocol that the target group's version can't carry.
    fn check_protocol(&self, version: ProtocolVersion) -> Result<(), u16> {
        let http2 = self.parts.version == Version::HTTP_2;
        let fits = match version {
            ProtocolVersion::Http1 => !(http2 && is_grpc(self.parts)),
            ProtocolVersion::Http2 => http2,
            ProtocolVersion::Grpc => http2 && self.parts.method == http::Method::POST,
        };
        if fits { Ok(()) } else { Err(answer::WRONG_PROTOCOL) }
    }

    async fn attempts(
        &self,
        group: &Arc<Group>,
        view: &View,
        mut upgrade: Option<OnUpgrade>,
    ) -> Result<(Arc<Target>, Response<Outgoing>), u16> {
        let mut tried: Vec<Arc<Target>> = Vec::new();
        let mut failure = None;
        let mut stuck = self.stuck_target(view);
        let started = Instant::now();
        while tried.len() < TARGETS_MAX {
            let choose = || group.choose(view, &self.edge.node.dice, &tried);
            let Some(target) = stuck.take().or_else(choose) else { break };
            let others = tried.len() + 1 < view.open_count().min(TARGETS_MAX);
            let patience = if others { CONNECT_ELSEWHERE_AFTER } else { CONNECT_MAX };
            let patience = patience.min(CONNECT_MAX.saturating_sub(started.elapsed()));
            group.counts.requests.up();
            match self.attempt(group, view, &target, patience, &mut upgrade).await {
                Ok(answer) => return Ok((target, answer)),
                Err(failed) => {
                    let before = failure.replace(failed);
                    target.counts.recent_errors.up();
                    if !failed.lets_another_target_try(before) {
                        break;
                    }
                    if failed != Failure::Lost {
                        group.counts.connection_errors.up();
                        target.counts.connection_errors.up();
                    }
                    if failed == Failure::ConnectTimeout {
                        target.avoid();
                    }
                    if !self.source.is_replayable() {
                        break;
                    }
                }
            }
            group.counts.retries.up();
            tried.push(target);
        }
        // Without a failure there was nobody to try.
        Err(failure.map_or(503, Failure::code))
    }

    /// Sends the request to one target, and once more if an idle connection turned out dead.
    async fn attempt(
        &self,
        group: &Arc<Group>,
        view: &View,
        target: &Arc<Target>,
        patience: Duration,
        upgrade: &mut Option<OnUpgrade>,
    ) -> Result<Response<Outgoing>, Failure> {
        target.counts.requests.up();
        target.counts.recent_requests.up();
        let started = Instant::now();
        let in_flight = InFlight::new(target.clone());
        let answer = match view.config.protocol_version {
            ProtocolVersion::Http1 => {
                let (connection, answer) = self.over_http1(group, target, patience).await?;
                group.counts.answer(answer.status(), started.elapsed());
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    return self.switch(connection, answer, in_flight, upgrade.take());
                }
                answer.map(|body| Outgoing::http1(Http1Body::new(body, connection, in_flight)))
            }
            ProtocolVersion::Http2 | ProtocolVersion::Grpc => {
                let (stream, answer) = self.over_http2(group, target, patience).await?;
                group.counts.answer(answer.status(), started.elapsed());
                if is_grpc(self.parts) {
                    self.edge.node.counts.grpc_requests.up();
                }
                answer.map(|body| Outgoing::http2(body, in_flight, stream))
            }
        };
        if answer.status().is_server_error() {
            target.counts.recent_errors.up();
        }
        Ok(self.returned(answer))
    }

    async fn over_http1(
        &self,
        group: &Group,
        target: &Arc<Target>,
        patience: Duration,
    ) -> Result<(Http1, Response<Incoming>), Failure> {
        let mut idle = std::future::poll_fn(|context| Poll::Ready(target.take_idle(context))).await;
        loop {
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => connected(timeout(patience, Http1::connect(target)).await)?,
            };
            let reused = connection.reused;
            connection.prepare(target, self.source.has_body());
            let sent = self.await_answer(connection.exchange(self.http1_request())).await?;
            match sent {
                Ok(answer) => return Ok((connection, answer)),
                Err(lost) if reused && self.may_repeat(&lost) => group.counts.retries.up(),
                Err(lost) => return Err(self.lost(target, &lost)),
            }
        }
    }

    async fn over_http2(
        &self,
        group: &Group,
        target: &Arc<Target>,
        patience: Duration,
    ) -> Result<(crate::h2::Stream, Response<Incoming>), Failure> {
        loop {
            let tasks = &self.edge.node.tasks;
            let mut stream =
                connected(timeout(patience, target.http2.stream(target, tasks)).await)?;
            let request = self.http2_request(target.scheme()).ok_or(Failure::Closed)?;
            match self.await_answer(stream.exchange(request)).await? {
                Ok(answer) => return Ok((stream, answer)),
                Err(lost) if stream.reused && self.may_repeat(&lost) => {
                    group.counts.retries.up();
                    // The next one is opened anew, so this goes round once only.
                    target.http2.forget();
                }
                Err(lost) => return Err(self.lost(target, &lost)),
            }
        }
    }

    /// Waits for an answer as long as the idle timeout lets nothing happen.
    async fn await_answer<T>(&self, exchange: impl Future<Output = T>) -> Result<T, Failure> {
        let idle = self.plan.idle_timeout();
        let mut exchange = std::pin::pin!(exchange);
        let mut since = Instant::now();
        loop {
            if let Ok(answer) = timeout_at(since + idle, exchange.as_mut()).await {
                return Ok(answer);
            }
            match self.source.moved().filter(|moved| *moved > since) {
                Some(moved) => since = moved,
                None => return Err(Failure::Timeout),
            }
        }
    }

    fn lost(&self, target: &Target, lost: &Lost) -> Failure {
        tracing::debug!(target = %target.key.id, error = %lost.error, "a target gave no answer");
        if self.may_repeat(lost) { Failure::Lost } else { Failure::Closed }
    }

    fn may_repeat(&self, lost: &Lost) -> bool {
        (lost.unsent || self.parts.method.is_idempotent()) && self.source.is_replayable()
    }

    fn http1_request(&self) -> Request<RequestBody> {
        let attributes = &self.plan.attributes;
        let upgrade = self.parts.headers.contains_key(http::header::UPGRADE)
            && self.parts.version == Version::HTTP_11;
        let mut request = Request::new(self.source.body());
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = path_only(&self.parts.uri);
        let dice = &self.edge.node.dice;
        *request.headers_mut() =
            headers::for_target(&self.parts.headers, &self.came, attributes, dice, upgrade);
        *request.extensions_mut() = self.extensions.clone();
        let host = match self.parts.headers.get(HOST) {
            // Mostly the client's own header will do as it is.
            Some(host) if host.as_bytes() == self.host_for_target().as_bytes() => Ok(host.clone()),
            _ => HeaderValue::from_str(&self.host_for_target()),
        };
        if let Ok(host) = host {
            request.headers_mut().insert(HOST, host);
        }
        request
    }

    /// Nothing when the host is no authority, which a request's target must have in HTTP/2.
    fn http2_request(&self, scheme: &str) -> Option<Request<RequestBody>> {
        let attributes = &self.plan.attributes;
        let path = self.parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = Uri::builder().scheme(scheme).authority(self.host_for_target().as_ref());
        let mut request = Request::new(self.source.body());
        *request.method_mut() = self.parts.method.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri.path_and_query(path).build().ok()?;
        let dice = &self.edge.node.dice;
        *request.headers_mut() =
            headers::for_target(&self.parts.headers, &self.came, attributes, dice, false);
        Some(request)
    }

    fn host_for_target(&self) -> Cow<'_, str> {
        let preserve = self.plan.attributes.preserve_host_header;
        headers::host_for_target(self.host, self.came.port, preserve)
    }

    /// A target's answer, as the client gets it.
    fn returned(&self, mut answer: Response<Outgoing>) -> Response<Outgoing> {
        headers::clean_answer(answer.headers_mut());
        *answer.version_mut() = Version::HTTP_11;
        answer
    }

    /// Joins the client's connection and the target's, which both speak another protocol now.
    fn switch(
        &self,
        connection: Http1,
        mut answer: Response<Incoming>,
        in_flight: InFlight,
        client: Option<OnUpgrade>,
    ) -> Result<Response<Outgoing>, Failure> {
        // A target that switches without being asked breaks the protocol.
        let client = client.ok_or(Failure::Closed)?;
        let target = hyper::upgrade::on(&mut answer);
        let protocol = answer.headers().get(http::header::UPGRADE).cloned();
        let tunnel = tunnel::Tunnel {
            edge: self.edge.clone(),
            busy: self.busy.clone(),
            idle: self.plan.idle_timeout(),
            in_flight,
        };
        self.edge.node.tasks.spawn(tunnel.run(client, target, connection));
        let mut answer = self.returned(answer.map(|_| Outgoing::empty()));
        let headers = answer.headers_mut();
        headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            headers.insert(http::header::UPGRADE, protocol);
        }
        Ok(answer)
    }

    /// The target that the client's cookie names.
    fn stuck_target(&self, view: &View) -> Option<Arc<Target>> {
        let name = match view.config.stickiness.as_ref()? {
            Stickiness::LbCookie { .. } => cookie::TARGET,
            Stickiness::AppCookie { cookie_name, .. } => {
                cookie::value(&self.parts.headers, cookie_name)?;
                cookie::APP_TARGET
            }
        };
        let tag: Tag = self.edge.node.seal().read(&self.parts.headers, name, self.came.at)?;
        view.named(&tag)
    }

    /// Gives the client the cookie that keeps it with its target.
    fn stick(&self, view: &View, target: &Target, answer: &mut Response<Outgoing>) {
        let (name, seconds) = match &view.config.stickiness {
            None => return,
            Some(Stickiness::LbCookie { duration_seconds }) => (cookie::TARGET, duration_seconds),
            Some(Stickiness::AppCookie { cookie_name, duration_seconds }) => {
                if !cookie::is_set(answer.headers(), cookie_name) {
                    return;
                }
                (cookie::APP_TARGET, duration_seconds)
            }
        };
        let end = self.came.at + u64::from(*seconds);
        let value = self.edge.node.seal().write(name, &target.tag, end);
        cookie::set(answer.headers_mut(), name, &value, end);
    }
}

/// What became of connecting.
fn connected<T>(
    connected: Result<std::io::Result<T>, tokio::time::error::Elapsed>,
) -> Result<T, Failure> {
    match connected {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no connection to a target");
            Err(Failure::Unreachable)
        }
        Err(_) => Err(Failure::ConnectTimeout),
    }
}

fn path_only(uri: &Uri) -> Uri {
    uri.path_and_query().map_or_else(Uri::default, |path| Uri::from(path.clone()))
}
