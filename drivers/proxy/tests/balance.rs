//! Who gets a request: algorithms, protocols, weights, stickiness, zones.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a fault in a test is to stop it"
)]

mod support;

use std::sync::atomic::Ordering;

use proxy::*;
use support::*;

async fn four() -> Vec<Backend> {
    let mut backends = Vec::new();
    for name in ["a", "b", "c", "d"] {
        backends.push(Backend::start(name).await);
    }
    backends
}

fn refs(backends: &[Backend]) -> Vec<&Backend> {
    backends.iter().collect()
}

#[tokio::test]
async fn http1_connections_share_every_target_equally() {
    let backends = four().await;
    let node = node(group(&refs(&backends))).await;
    let clients = (0..50).map(|_| Browser::http1(&node)).collect();
    let shares = shares(&storm(clients, 40).await);
    assert_eq!(shares.values().copied().collect::<Vec<_>>(), [500; 4], "{shares:?}");
}

#[tokio::test]
async fn streams_of_one_http2_connection_share_every_target_equally() {
    let backends = four().await;
    let node = node(group(&refs(&backends))).await;
    let client = Browser::http2(&node);
    client.get("/").await;
    let mut pages = Vec::new();
    for _ in 0..20 {
        pages.extend(futures_util::future::join_all((0..100).map(|_| client.get("/"))).await);
    }
    assert!(pages.iter().all(|page| page.version == http::Version::HTTP_2));
    assert!(pages.iter().all(|page| page.headers["x-target-version"] == "HTTP/1.1"));
    let shares = shares(&pages);
    assert_eq!(shares.values().copied().collect::<Vec<_>>(), [500; 4], "{shares:?}");
    assert_eq!(node.status().counters.new_connections, 1);
}

#[tokio::test]
async fn least_outstanding_requests_spares_a_slow_target() {
    let backends = four().await;
    backends.iter().for_each(|it| it.delay_ms.store(10, Ordering::SeqCst));
    backends[0].delay_ms.store(200, Ordering::SeqCst);
    let algorithm = Algorithm::LeastOutstandingRequests;
    let node = node(TargetGroup { algorithm, ..group(&refs(&backends)) }).await;
    let clients = (0..20).map(|_| Browser::http1(&node)).collect();
    let shares = shares(&storm(clients, 30).await);
    assert!(shares["a"] <= 60, "{shares:?}");
}

#[tokio::test]
async fn weighted_random_reaches_all_and_shifts_off_a_failing_target() {
    let backends = four().await;
    let algorithm = Algorithm::WeightedRandom { anomaly_mitigation: true };
    let node = node(TargetGroup { algorithm, ..group(&refs(&backends)) }).await;
    let clients = (0..10).map(|_| Browser::http1(&node)).collect();
    let shares = shares(&storm(clients, 100).await);
    assert!(shares.values().all(|share| (150..350).contains(share)), "{shares:?}");
}

#[tokio::test]
async fn http2_groups_get_http2_and_trailers_come_through() {
    let backends = four().await;
    for protocol_version in [ProtocolVersion::Http2, ProtocolVersion::Grpc] {
        // The test target answers checks as HTTP does, so gRPC's status is not judged here.
        let health_check = (protocol_version == ProtocolVersion::Http2).then(quick);
        let group = TargetGroup { protocol_version, health_check, ..group(&refs(&backends)) };
        let node = Node::start(config(vec![group])).await.unwrap();
        if protocol_version == ProtocolVersion::Http2 {
            healthy(&node).await;
        }
        let client = Browser::http2(&node);
        let send = |path: &str| {
            let mut request = client.request("POST", path);
            request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            request.headers_mut().insert("te", "trailers".parse().unwrap());
            client.send(request)
        };
        let mut pages = Vec::new();
        for _ in 0..100 {
            pages.push(send("/").await.unwrap());
        }
        assert!(pages.iter().all(|page| page.headers["x-target-version"] == "HTTP/2.0"));
        let shares = shares(&pages);
        assert_eq!(shares.values().copied().collect::<Vec<_>>(), [25; 4], "{shares:?}");
        assert_eq!(pages[0].seen("te"), Some("trailers"));
        let page = send("/chunks").await.unwrap();
        assert_eq!(page.text.len(), 1_000_000);
        assert_eq!(page.trailers.unwrap()["grpc-status"], "0");
        // A protocol that the group can't carry.
        assert_eq!(Browser::http1(&node).get("/").await.status, 464);
    }
    let connections = backends[0].connections.load(Ordering::SeqCst);
    assert!(connections < 100, "{connections} connections");
}

#[tokio::test]
async fn weights_split_between_groups_and_group_cookies_hold() {
    let backends = four().await;
    let named =
        |id: &str, backend: &Backend| TargetGroup { id: id.to_owned(), ..group(&[backend]) };
    let mut config = config(vec![named("blue", &backends[0]), named("green", &backends[1])]);
    let split = |blue, green, stickiness_seconds| {
        let weighted = |id: &str, weight| WeightedGroup { target_group: id.to_owned(), weight };
        let target_groups = vec![weighted("blue", blue), weighted("green", green)];
        Action::Forward(Forward { target_groups, stickiness_seconds })
    };
    config.listeners[0].default_action = split(90, 10, None);
    let node = Node::start(config.clone()).await.unwrap();
    healthy(&node).await;
    let clients = || vec![Browser::http1(&node)];
    let shares_now = shares(&storm(clients(), 1000).await);
    assert!((880..=920).contains(&shares_now["a"]), "{shares_now:?}");

    config.listeners[0].default_action = split(1, 1, Some(60));
    node.configure(config.clone()).await.unwrap();
    let client = Browser::http1(&node);
    let first = client.get("/").await;
    let cookie = first.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("AWSALBTG="), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    for _ in 0..20 {
        assert_eq!(client.with("/", &[("cookie", cookie)]).await.target(), first.target());
    }

    config.listeners[0].default_action = split(0, 0, None);
    node.configure(config).await.unwrap();
    assert_eq!(client.get("/").await.status, 503);
}

#[tokio::test]
async fn cookies_keep_a_client_with_its_target_until_that_one_fails() {
    let backends = four().await;
    let stickiness = Some(Stickiness::LbCookie { duration_seconds: 60 });
    let node = node(TargetGroup { stickiness, ..group(&refs(&backends)) }).await;
    let client = Browser::http1(&node);
    let first = client.get("/").await;
    let cookies: Vec<_> =
        first.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    assert!(cookies[0].starts_with("AWSALB=") && cookies[0].contains("; Expires="), "{cookies:?}");
    assert!(cookies[1].starts_with("AWSALBCORS=") && cookies[1].ends_with("SameSite=None"));
    let cookie = cookies[0].split(';').next().unwrap();
    for _ in 0..20 {
        assert_eq!(client.with("/", &[("cookie", cookie)]).await.target(), first.target());
    }
    let bound = backends.iter().find(|backend| backend.name == first.target()).unwrap();
    bound.health.store(500, Ordering::SeqCst);
    until("the target is unhealthy", || {
        let targets = node.status().target_groups.remove(0).targets;
        targets.iter().any(|target| target.state == HealthState::Unhealthy)
    })
    .await;
    assert_ne!(client.with("/", &[("cookie", cookie)]).await.target(), first.target());
}

#[tokio::test]
async fn application_cookies_bind_once_the_application_sets_them() {
    let backends = four().await;
    let stickiness =
        Stickiness::AppCookie { cookie_name: "session".to_owned(), duration_seconds: 60 };
    let node = node(TargetGroup { stickiness: Some(stickiness), ..group(&refs(&backends)) }).await;
    let client = Browser::http1(&node);
    assert!(!client.get("/").await.headers.contains_key("set-cookie"));
    let page = client.get("/login").await;
    let cookies: Vec<_> =
        page.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    let balancer = cookies.iter().find(|it| it.starts_with("AWSALBAPP-0=")).unwrap();
    let both = format!("session=1; {}", balancer.split(';').next().unwrap());
    let bound = client.with("/", &[("cookie", &both)]).await.target();
    for _ in 0..20 {
        assert_eq!(client.with("/", &[("cookie", &both)]).await.target(), bound);
    }
}

#[tokio::test]
async fn without_cross_zone_balancing_a_node_keeps_to_its_zone() {
    let backends = four().await;
    let mut group = TargetGroup { cross_zone: false, ..group(&refs(&backends)) };
    for (target, zone) in group.targets.iter_mut().zip(["zone-a", "zone-b", "zone-a", "zone-c"]) {
        target.zone = Some(zone.to_owned());
    }
    let mut config = config(vec![group]);
    config.zones = ["zone-a".to_owned(), "zone-b".to_owned()].into();
    let node = Node::start(config.clone()).await.unwrap();
    let reason_of_d = || {
        let targets = node.status().target_groups.remove(0).targets;
        targets.iter().find(|target| target.id == "d").unwrap().reason
    };
    assert_eq!(reason_of_d(), Some(Reason::NotInUse));
    let own = |name: &str| matches!(name, "a" | "c");
    until("both are healthy", || node.status().target_groups[0].counters.healthy == 2).await;
    let shares_now = shares(&storm(vec![Browser::http1(&node)], 40).await);
    assert!(shares_now.keys().all(|name| own(name)), "{shares_now:?}");
    config.target_groups[0].cross_zone = true;
    node.configure(config).await.unwrap();
    until("three are healthy", || node.status().target_groups[0].counters.healthy == 3).await;
    let shares_now = shares(&storm(vec![Browser::http1(&node)], 30).await);
    assert_eq!(shares_now.values().copied().collect::<Vec<_>>(), [10; 3]);
}
