//! Targets, clients and configurations for the tests.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use proxy::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// A target that tells who it is and what it was asked.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicUsize>,
    pub(crate) checks: Arc<Mutex<Vec<Instant>>>,
    /// What health checks get.
    pub(crate) health: Arc<AtomicU16>,
    pub(crate) delay_ms: Arc<AtomicUsize>,
    pub(crate) connections: Arc<AtomicUsize>,
    kill: CancellationToken,
    tasks: TaskTracker,
}

impl Backend {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(name: &str, address: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let backend = Self {
            name: name.to_owned(),
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            checks: Arc::default(),
            health: Arc::new(AtomicU16::new(200)),
            delay_ms: Arc::default(),
            connections: Arc::default(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let accept = backend.accept(listener);
        backend.tasks.spawn(accept);
        backend
    }

    fn accept(&self, listener: TcpListener) -> impl Future<Output = ()> + Send + use<> {
        let (name, requests, checks) =
            (self.name.clone(), self.requests.clone(), self.checks.clone());
        let (health, delay, connections) =
            (self.health.clone(), self.delay_ms.clone(), self.connections.clone());
        let (kill, tasks) = (self.kill.clone(), self.tasks.clone());
        async move {
            loop {
                let (stream, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = kill.cancelled() => return,
                };
                stream.set_nodelay(true).unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (name, requests, checks) = (name.clone(), requests.clone(), checks.clone());
                let (health, delay, kill) = (health.clone(), delay.clone(), kill.clone());
                tasks.spawn(async move {
                    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                        let (name, requests) = (name.clone(), requests.clone());
                        let (checks, health, delay) =
                            (checks.clone(), health.clone(), delay.clone());
                        async move {
                            let agent = request.headers().get("user-agent");
                            if agent.is_some_and(|agent| agent == "ELB-HealthChecker/2.0") {
                                checks.lock().unwrap().push(Instant::now());
                                let code = health.load(Ordering::SeqCst);
                                return Ok::<_, Infallible>(status(code));
                            }
                            requests.fetch_add(1, Ordering::SeqCst);
                            let delay = delay.load(Ordering::SeqCst) as u64;
                            if delay > 0 {
                                tokio::time::sleep(Duration::from_millis(delay)).await;
                            }
                            Ok(answer(&name, request).await)
                        }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let connection =
                        builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
                    tokio::select! {
                        _ = connection => {}
                        () = kill.cancelled() => {}
                    }
                });
            }
        }
    }

    /// Closes the socket and every connection, as a killed process does.
    pub(crate) fn kill(&self) {
        self.kill.cancel();
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn target(&self) -> Target {
        Target::new(self.name.clone(), self.address)
    }
}

fn status(code: u16) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

pub(crate) fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

async fn answer(name: &str, mut request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/echo" => return Response::new(request.into_body().boxed()),
        "/length" => {
            let mut length = 0;
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                length += frame.data_ref().map_or(0, Bytes::len);
            }
            return Response::new(full(length.to_string()));
        }
        "/chunks" => {
            let frames = (0..100).map(|_| Ok(Frame::data(Bytes::from(vec![b'x'; 10_000]))));
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let frames = frames.chain([Ok(Frame::trailers(trailers))]);
            let body = StreamBody::new(futures_util::stream::iter(frames));
            return Response::new(BodyExt::boxed(body));
        }
        "/ws" => {
            let upgrade = hyper::upgrade::on(&mut request);
            TaskTracker::new().spawn(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let mut buffer = [0; 1024];
                while let Ok(read @ 1..) = io.read(&mut buffer).await {
                    io.write_all(&buffer[..read]).await.unwrap();
                }
            });
            let mut response = status(101);
            response.headers_mut().insert("connection", "upgrade".parse().unwrap());
            response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            return response;
        }
        "/error" => return status(500),
        "/login" => {
            let mut response = status(200);
            response.headers_mut().insert("set-cookie", "session=1; Path=/".parse().unwrap());
            return response;
        }
        _ => {}
    }
    let version = request.version();
    let mut text = format!("{name}\n{} {}\n", request.method(), request.uri());
    for (header, value) in request.headers() {
        text += &format!("{header}: {}\n", value.to_str().unwrap());
    }
    let mut response = Response::new(full(text));
    response.headers_mut().insert("x-target", name.parse().unwrap());
    response.headers_mut().insert("x-target-version", format!("{version:?}").parse().unwrap());
    response.headers_mut().insert("keep-alive", "timeout=5".parse().unwrap());
    response
}

/// A client with its own connections.
pub(crate) struct Browser(Client<HttpConnector, Full<Bytes>>, String);

pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn target(&self) -> String {
        self.headers.get("x-target").map_or("", |name| name.to_str().unwrap()).to_owned()
    }

    /// A header that the target got.
    pub(crate) fn seen(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&start))
    }
}

impl Browser {
    pub(crate) fn http1(node: &Node) -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http(), base(node))
    }

    pub(crate) fn http2(node: &Node) -> Self {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        Self(client, base(node))
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(self.request("GET", path)).await.unwrap()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request<Full<Bytes>> {
        let uri = format!("{}{path}", self.1);
        Request::builder().method(method).uri(uri).body(Full::default()).unwrap()
    }

    pub(crate) async fn with(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        let mut request = self.request("GET", path);
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        self.send(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Page, String> {
        let response = self.0.request(request).await.map_err(|error| format!("{error:?}"))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("{error:?}"))?;
        Ok(Page {
            status: parts.status.as_u16(),
            version: parts.version,
            headers: parts.headers,
            trailers: body.trailers().cloned(),
            text: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        })
    }
}

pub(crate) fn address(node: &Node) -> SocketAddr {
    node.status().listeners[0].address.unwrap()
}

fn base(node: &Node) -> String {
    format!("http://{}", address(node))
}

pub(crate) fn forward(group: &str) -> Action {
    let group = WeightedGroup { target_group: group.to_owned(), weight: 1 };
    Action::Forward(Forward { target_groups: vec![group], stickiness_seconds: None })
}

pub(crate) fn group(backends: &[&Backend]) -> TargetGroup {
    TargetGroup {
        health_check: Some(quick()),
        targets: backends.iter().map(|backend| backend.target()).collect(),
        ..TargetGroup::new("group")
    }
}

/// Health checks fast enough for a test.
pub(crate) fn quick() -> HealthCheck {
    HealthCheck {
        interval: Duration::from_millis(40),
        timeout: Duration::from_millis(500),
        path: "/health".to_owned(),
        ..HealthCheck::default()
    }
}

pub(crate) fn config(groups: Vec<TargetGroup>) -> NodeConfig {
    let listener = Listener {
        id: "listener".to_owned(),
        port: 0,
        protocol: ListenerProtocol::Http,
        default_action: forward(&groups[0].id),
        rules: Vec::new(),
    };
    NodeConfig {
        node: NodeIdentity {
            id: "eni-1".to_owned(),
            zone: "zone-a".to_owned(),
            address: "127.0.0.1".parse().unwrap(),
        },
        zones: Default::default(),
        listeners: vec![listener],
        target_groups: groups,
        attributes: Attributes::default(),
        cookie_secret: "secret".to_owned(),
    }
}

/// A node in front of a group, once all targets are healthy.
pub(crate) async fn node(group: TargetGroup) -> Node {
    let node = Node::start(config(vec![group])).await.unwrap();
    healthy(&node).await;
    node
}

pub(crate) async fn healthy(node: &Node) {
    until("all targets are healthy", || {
        let status = node.status();
        let mut targets = status.target_groups.iter().flat_map(|group| &group.targets);
        targets.all(|target| target.state == HealthState::Healthy)
    })
    .await;
}

/// Waits for a condition, within a bound that only a fault exceeds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How often each target answered.
pub(crate) fn shares(pages: &[Page]) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for page in pages {
        assert_eq!(page.status, 200, "{}", page.text);
        *shares.entry(page.target()).or_default() += 1;
    }
    shares
}

/// Sends `count` requests by each of `clients` at once.
pub(crate) async fn storm(clients: Vec<Browser>, count: usize) -> Vec<Page> {
    let one = |client: Browser| async move {
        let mut pages = Vec::new();
        for _ in 0..count {
            pages.push(client.get("/").await);
        }
        pages
    };
    futures_util::future::join_all(clients.into_iter().map(one))
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// Sends bytes and reads until the other side closes.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
