//! What happens while things change: targets die, leave and come, configurations are replaced.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a fault in a test is to stop it"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proxy::*;
use support::*;
use tokio_util::task::TaskTracker;

/// Clients that ask again and again until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    tasks: TaskTracker,
}

impl Load {
    fn start(node: &Node, clients: usize) -> Self {
        let load = Self {
            stop: Arc::default(),
            sent: Arc::default(),
            failed: Arc::default(),
            tasks: TaskTracker::new(),
        };
        for number in 0..clients {
            let client = if number % 2 == 0 { Browser::http1(node) } else { Browser::http2(node) };
            let (stop, sent, failed) = (load.stop.clone(), load.sent.clone(), load.failed.clone());
            load.tasks.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let page = client.send(client.request("GET", "/")).await;
                    sent.fetch_add(1, Ordering::SeqCst);
                    if !page.is_ok_and(|page| page.status == 200) {
                        failed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        load
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    async fn reach(&self, count: usize) {
        until("enough requests are sent", || self.sent() >= count).await;
    }

    /// How many were sent, and how many failed.
    async fn end(self) -> (usize, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.close();
        self.tasks.wait().await;
        (self.sent(), self.failed.load(Ordering::SeqCst))
    }
}

fn state(node: &Node, id: &str) -> Option<HealthState> {
    let targets = node.status().target_groups.remove(0).targets;
    targets.iter().find(|target| target.id == id).map(|target| target.state)
}

#[tokio::test]
async fn killing_a_target_fails_no_request_that_can_be_repeated() {
    let (a, b, c) =
        (Backend::start("a").await, Backend::start("b").await, Backend::start("c").await);
    let node = node(group(&[&a, &b, &c])).await;
    let load = Load::start(&node, 16);
    load.reach(1000).await;
    b.kill();
    until("the target is unhealthy", || state(&node, "b") == Some(HealthState::Unhealthy)).await;
    let reached = load.sent();
    load.reach(reached + 1000).await;
    let again = Backend::start_at("b", b.address).await;
    until("the target is healthy", || state(&node, "b") == Some(HealthState::Healthy)).await;
    until("the target gets requests", || again.count() > 100).await;
    let (sent, failed) = load.end().await;
    assert_eq!(failed, 0, "of {sent}");
    assert!(node.status().target_groups[0].counters.retries > 0);
}

#[tokio::test]
async fn requests_that_must_not_be_repeated_are_not() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let node = node(group(&[&a, &b])).await;
    let client = Browser::http1(&node);
    for _ in 0..4 {
        client.get("/").await;
    }
    let before = a.count() + b.count();
    [&a, &b].iter().for_each(|it| it.delay_ms.store(300, Ordering::SeqCst));
    let posted = client.send(client.request("POST", "/"));
    let killed = async {
        until("a target has the request", || a.count() + b.count() > before).await;
        if a.count() > b.count() { a.kill() } else { b.kill() }
    };
    let (page, ()) = tokio::join!(posted, killed);
    // Which of the two got it depends on whose turn it was; if the other was killed, it succeeds.
    let status = page.unwrap().status;
    assert!(matches!(status, 502 | 200), "{status}");
    assert_eq!(a.count() + b.count(), before + 1);
}

#[tokio::test]
async fn a_target_that_refuses_costs_a_retry_and_not_a_request() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    b.kill();
    until("the target is gone", || std::net::TcpStream::connect(b.address).is_err()).await;
    // Without health checks nobody finds out but the requests.
    let unchecked = TargetGroup { health_check: None, ..group(&[&a, &b]) };
    let node = Node::start(config(vec![unchecked])).await.unwrap();
    for client in [Browser::http1(&node), Browser::http2(&node)] {
        for method in ["GET", "POST"] {
            for _ in 0..10 {
                let mut request = client.request(method, "/");
                *request.body_mut() = http_body_util::Full::new("x".repeat(1000).into());
                assert_eq!(client.send(request).await.unwrap().status, 200);
            }
        }
    }
    assert_eq!(a.count(), 40);
    assert!(node.status().target_groups[0].counters.connection_errors >= 20);
}

#[tokio::test]
async fn a_target_that_never_accepts_delays_few_and_fails_nobody() {
    // A full backlog drops what asks for a connection, as a dead machine does.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let black_hole = socket.listen(1).unwrap();
    let address = black_hole.local_addr().unwrap();
    let fillers: Vec<_> = (0..4)
        .map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)))
        .collect();
    assert!(fillers.iter().any(Result::is_err));
    let a = Backend::start("a").await;
    let mut group = TargetGroup { health_check: None, ..group(&[&a]) };
    group.targets.push(Target::new("hole", address));
    let node = Node::start(config(vec![group])).await.unwrap();
    let client = Browser::http1(&node);
    let before = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.get("/").await.target(), "a");
    }
    assert!(before.elapsed() < Duration::from_secs(6), "{:?}", before.elapsed());
}

#[tokio::test]
async fn draining_resets_nobody() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    [&a, &b].iter().for_each(|it| it.delay_ms.store(20, Ordering::SeqCst));
    let node = node(group(&[&a, &b])).await;
    let load = Load::start(&node, 16);
    load.reach(200).await;
    let mut config = node.config().unwrap();
    config.target_groups[0].targets[1].draining = true;
    node.configure(config.clone()).await.unwrap();
    assert_eq!(state(&node, "b"), Some(HealthState::Draining));
    until("the target is done", || node.status().target_groups[0].targets[1].in_flight == 0).await;
    let last = b.count();
    let reached = load.sent();
    load.reach(reached + 200).await;
    assert_eq!(b.count(), last);
    config.target_groups[0].targets.remove(1);
    node.configure(config.clone()).await.unwrap();
    assert_eq!(state(&node, "b"), None);
    // It comes back, as new.
    config.target_groups[0].targets.push(b.target());
    node.configure(config).await.unwrap();
    until("the target gets requests", || b.count() > last).await;
    let (sent, failed) = load.end().await;
    assert_eq!(failed, 0, "of {sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_survive_targets_that_come_and_go() {
    let mut backends = Vec::new();
    for name in ["a", "b", "c", "d"] {
        backends.push(Backend::start(name).await);
    }
    let node = node(group(&backends.iter().collect::<Vec<_>>())).await;
    let load = Load::start(&node, 12);
    let mut slowest = Duration::ZERO;
    let mut round = 0;
    while load.sent() < 10_000 {
        let mut config = node.config().unwrap();
        round += 1;
        config.target_groups[0].targets = backends
            .iter()
            .map(Backend::target)
            .filter(|it| it.id != backends[round % 4].name)
            .collect();
        config.listeners[0].rules = (1..=round as u32 % 7)
            .map(|priority| Rule {
                id: format!("rule-{priority}"),
                priority,
                conditions: vec![Condition::PathPattern { values: vec!["/never*".to_owned()] }],
                action: forward("group"),
            })
            .collect();
        let before = Instant::now();
        node.configure(config).await.unwrap();
        slowest = slowest.max(before.elapsed());
        let reached = load.sent();
        load.reach(reached + 100).await;
    }
    let (sent, failed) = load.end().await;
    assert_eq!(failed, 0, "of {sent}, {round} configurations, slowest {slowest:?}");
    assert!(round > 50);
}

#[tokio::test]
async fn health_follows_the_thresholds_and_fails_open() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let mut group = group(&[&a, &b]);
    group.health_check =
        Some(HealthCheck { healthy_threshold: 3, unhealthy_threshold: 4, ..quick() });
    let node = Node::start(config(vec![group])).await.unwrap();
    assert!(matches!(state(&node, "a"), Some(HealthState::Initial | HealthState::Healthy)));
    healthy(&node).await;
    let checks = |backend: &Backend| backend.checks.lock().unwrap().len();
    let before = checks(&a);
    a.health.store(404, Ordering::SeqCst);
    until("the target is unhealthy", || state(&node, "a") == Some(HealthState::Unhealthy)).await;
    assert!((4..=5).contains(&(checks(&a) - before)), "{} checks", checks(&a) - before);
    let target = node.status().target_groups[0].targets[0].clone();
    assert_eq!(target.reason.unwrap().code(), "Target.ResponseCodeMismatch");
    assert_eq!(target.description.unwrap(), "Health checks failed with these codes: [404]");
    let client = Browser::http1(&node);
    let count = a.count();
    for _ in 0..10 {
        assert_eq!(client.get("/").await.target(), "b");
    }
    assert_eq!(a.count(), count);

    b.health.store(503, Ordering::SeqCst);
    until("both are unhealthy", || state(&node, "b") == Some(HealthState::Unhealthy)).await;
    let pages = storm(vec![Browser::http1(&node)], 10).await;
    assert_eq!(shares(&pages).values().copied().collect::<Vec<_>>(), [5, 5]);

    let before = checks(&a);
    a.health.store(200, Ordering::SeqCst);
    until("the target is healthy", || state(&node, "a") == Some(HealthState::Healthy)).await;
    assert!((3..=4).contains(&(checks(&a) - before)), "{} checks", checks(&a) - before);
    let times = a.checks.lock().unwrap().clone();
    let total = *times.last().unwrap() - times[0];
    let mean = total / u32::try_from(times.len() - 1).unwrap();
    assert!(mean >= Duration::from_millis(39), "{mean:?}");
}

#[tokio::test]
async fn listeners_come_and_go_without_touching_others() {
    let a = Backend::start("a").await;
    let node = node(group(&[&a])).await;
    let first = Browser::http1(&node);
    let load = Load::start(&node, 4);
    let mut config = node.config().unwrap();
    for round in 0..20 {
        let mut extra = config.listeners[0].clone();
        extra.id = format!("extra-{round}");
        config.listeners.truncate(1);
        config.listeners.push(extra);
        node.configure(config.clone()).await.unwrap();
        let status = node.status();
        let address = status.listeners[1].address.unwrap();
        let answer = raw(address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    assert_eq!(first.get("/").await.status, 200);
    let last = node.status().listeners[1].address.unwrap();
    config.listeners.truncate(1);
    node.configure(config.clone()).await.unwrap();
    until("the listener is closed", || std::net::TcpStream::connect(last).is_err()).await;
    let (sent, failed) = load.end().await;
    assert_eq!(failed, 0, "of {sent}");

    // A document that does not hang together changes nothing.
    config.listeners[0].default_action = forward("nobody");
    assert!(matches!(node.configure(config).await, Err(ConfigError::UnknownTargetGroup { .. })));
    assert_eq!(first.get("/").await.status, 200);
    let ending = Browser::http1(&node);
    ending.get("/").await;
    node.shutdown(Duration::from_secs(5)).await;
    assert!(ending.send(ending.request("GET", "/")).await.is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_tried_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let a = Backend::start("a").await;
    let mut config = config(vec![group(&[&a])]);
    config.listeners[0].port = taken.local_addr().unwrap().port();
    let node = Node::start(config).await.unwrap();
    let status = node.status().listeners.remove(0);
    assert_eq!(status.address, None);
    assert!(status.error.unwrap().contains("in use"));
    drop(taken);
    until("the listener is open", || node.status().listeners[0].address.is_some()).await;
    assert_eq!(Browser::http1(&node).get("/").await.status, 200);
}

#[test]
fn documents_survive_being_written_and_carry_awss_defaults() {
    let text = r#"{
        "node": {"id": "eni-1", "zone": "ap-northeast-2a", "address": "10.0.0.5"},
        "listeners": [{"id": "l", "port": 80, "default_action":
            {"type": "forward", "target_groups": [{"target_group": "t", "weight": 1}]},
            "rules": [{"id": "r", "priority": 1,
                "conditions": [{"field": "path-pattern", "values": ["/a*"]}],
                "action": {"type": "fixed-response", "status": 404}}]}],
        "target_groups": [{"id": "t", "targets": [{"id": "i-1", "address": "10.0.1.5:80"}]}]
    }"#;
    let config: NodeConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.attributes.idle_timeout_seconds, 60);
    let group = &config.target_groups[0];
    let check = group.health_check.as_ref().unwrap();
    assert_eq!((check.interval, check.timeout), (Duration::from_secs(30), Duration::from_secs(5)));
    assert_eq!((check.healthy_threshold, check.unhealthy_threshold), (5, 2));
    assert_eq!(group.deregistration_delay_seconds, 300);
    let again = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(config, again);
}
