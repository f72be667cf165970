//! What a request meets: rules, headers, bodies, errors, upgrades.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a fault in a test is to stop it"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use proxy::*;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn rule(priority: u32, conditions: Vec<Condition>, body: &str) -> Rule {
    let action = FixedResponse {
        status: 200,
        content_type: Some("text/plain".to_owned()),
        body: body.to_owned(),
    };
    Rule {
        id: format!("rule-{priority}"),
        priority,
        conditions,
        action: Action::FixedResponse(action),
    }
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[tokio::test]
async fn rules_are_tried_by_priority_and_every_condition_counts() {
    let backend = Backend::start("a").await;
    let mut config = config(vec![group(&[&backend])]);
    let path = |values: &[&str]| Condition::PathPattern { values: texts(values) };
    let key = |key: Option<&str>, value: &str| QueryPattern {
        key: key.map(str::to_owned),
        value: value.to_owned(),
    };
    config.listeners[0].rules = vec![
        rule(50, vec![path(&["/x*"])], "late"),
        rule(10, vec![path(&["/img/*", "/pics/?"])], "path"),
        rule(20, vec![Condition::HostHeader { values: texts(&["*.example.com"]) }], "host"),
        rule(30, vec![Condition::HttpRequestMethod { values: texts(&["DELETE"]) }], "method"),
        rule(
            31,
            vec![Condition::HttpHeader {
                name: "User-Agent".to_owned(),
                values: texts(&["*chrome*", "*safari*"]),
            }],
            "header",
        ),
        rule(
            32,
            vec![Condition::QueryString {
                values: vec![key(Some("version"), "v1"), key(None, "*beta*")],
            }],
            "query",
        ),
        rule(
            33,
            vec![
                path(&["/x"]),
                Condition::SourceIp { values: vec!["127.0.0.0/8".parse().unwrap()] },
            ],
            "source",
        ),
        rule(
            34,
            vec![
                path(&["/y"]),
                Condition::SourceIp { values: vec!["10.0.0.0/8".parse().unwrap()] },
            ],
            "elsewhere",
        ),
    ];
    let node = Node::start(config).await.unwrap();
    healthy(&node).await;
    let client = Browser::http1(&node);
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(&str, Headers, &str); 11] = [
        ("/img/a", &[], "path"),
        ("/pics/1", &[], "path"),
        ("/pics/12", &[], "a\n"),
        ("/", &[("host", "WWW.example.com:8080")], "host"),
        ("/", &[("user-agent", "Mozilla Chrome/1")], "header"),
        ("/?Version=V1", &[], "query"),
        ("/?a=1&b=xbetax", &[], "query"),
        ("/?version=v2", &[], "a\n"),
        ("/x", &[], "source"),
        ("/xx", &[], "late"),
        ("/y", &[], "a\n"),
    ];
    for (path, headers, expected) in cases {
        let page = client.with(path, headers).await;
        assert!(page.text.starts_with(expected), "{path} {headers:?}: {}", page.text);
    }
    let page = client.send(client.request("DELETE", "/")).await.unwrap();
    assert_eq!(
        (page.text.as_str(), &page.headers["server"]),
        ("method", &"awselb/2.0".parse().unwrap())
    );
    assert_eq!(node.status().counters.fixed_responses, 9);
}

#[tokio::test]
async fn redirects_fill_in_the_requests_parts() {
    let backend = Backend::start("a").await;
    let mut config = config(vec![group(&[&backend])]);
    let https = Redirect {
        protocol: "HTTPS".to_owned(),
        port: "443".to_owned(),
        status: 301,
        ..Redirect::default()
    };
    config.listeners[0].default_action = Action::Redirect(https);
    let moved = Redirect {
        host: "new.#{host}".to_owned(),
        path: "/v2/#{path}".to_owned(),
        query: "old=1&#{query}".to_owned(),
        ..Redirect::default()
    };
    config.listeners[0].rules = vec![Rule {
        id: "rule".to_owned(),
        priority: 1,
        conditions: vec![Condition::PathPattern { values: texts(&["/v1/*"]) }],
        action: Action::Redirect(moved),
    }];
    let node = Node::start(config).await.unwrap();
    let client = Browser::http1(&node);
    let page = client.with("/a/b?c=d", &[("host", "a.test")]).await;
    assert_eq!(page.status, 301);
    assert_eq!(page.headers["location"], "https://a.test:443/a/b?c=d");
    assert_eq!(page.headers["content-length"], "134");
    assert_eq!(
        client.with("/", &[("host", "a.test")]).await.headers["location"],
        "https://a.test:443/"
    );
    let page = client.with("/v1/x?q=1", &[("host", "a.test")]).await;
    let port = address(&node).port();
    let expected = format!("http://new.a.test:{port}/v2/v1/x?old=1&q=1");
    assert_eq!((page.status, page.headers["location"].to_str().unwrap()), (302, expected.as_str()));
}

#[tokio::test]
async fn targets_see_the_client_and_clients_see_the_target() {
    let backend = Backend::start("a").await;
    let node = node(group(&[&backend])).await;
    let port = address(&node).port().to_string();
    for client in [Browser::http1(&node), Browser::http2(&node)] {
        let page =
            client.with("/p?q=1", &[("x-forwarded-for", "192.0.2.1"), ("x-mine", "1")]).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.seen("x-forwarded-for"), Some("192.0.2.1, 127.0.0.1"));
        assert_eq!(page.seen("x-forwarded-proto"), Some("http"));
        assert_eq!(page.seen("x-forwarded-port"), Some(port.as_str()));
        assert_eq!(page.seen("x-mine"), Some("1"));
        assert_eq!(page.seen("host"), Some(format!("127.0.0.1:{port}").as_str()));
        assert!(page.seen("x-amzn-trace-id").unwrap().starts_with("Root=1-"));
        assert!(page.text.contains("GET /p?q=1"), "{}", page.text);
        assert!(!page.headers.contains_key("keep-alive"));
        assert!(!page.headers.contains_key("server"));
    }
}

#[tokio::test]
async fn the_load_balancers_own_errors_look_like_aws() {
    let backend = Backend::start("a").await;
    let unchecked = TargetGroup { health_check: None, ..group(&[&backend]) };
    let node = Node::start(config(vec![unchecked])).await.unwrap();
    let client = Browser::http1(&node);
    backend.kill();
    until("the target is gone", || std::net::TcpStream::connect(backend.address).is_err()).await;
    let page = client.get("/").await;
    assert_eq!(page.status, 502);
    assert_eq!(page.headers["server"], "awselb/2.0");
    assert_eq!(page.headers["content-type"], "text/html");
    let expected = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
                    <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
    assert_eq!(page.text, expected);

    let mut config = node.config().unwrap();
    config.target_groups[0].targets.clear();
    node.configure(config).await.unwrap();
    let page = client.get("/").await;
    assert_eq!(page.status, 503);
    assert!(page.text.contains("503 Service Temporarily Unavailable"));

    let at = address(&node);
    let cases = [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "405"),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "x".repeat(17_000)),
            "414",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\nConnection: close\r\n\r\n",
                "x".repeat(17_000)
            ),
            "400",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {}1\r\nConnection: close\r\n\r\n",
                "1, ".repeat(30)
            ),
            "463",
        ),
        ("nonsense\r\n\r\n".to_owned(), "400"),
    ];
    for (request, code) in cases {
        let answer = raw(at, &request).await;
        let start = answer.get(..12).unwrap_or(&answer);
        assert_eq!(start, format!("HTTP/1.1 {code}"), "{request:.80} -> {answer}");
    }
    let counters = node.status().counters;
    assert_eq!((counters.elb_502, counters.elb_503), (1, 1));
    assert_eq!(counters.elb_4xx, 6);
}

#[tokio::test]
async fn a_target_that_keeps_silent_is_a_gateway_timeout() {
    let backend = Backend::start("a").await;
    backend.delay_ms.store(60_000, std::sync::atomic::Ordering::SeqCst);
    let mut config = config(vec![group(&[&backend])]);
    config.attributes.idle_timeout_seconds = 1;
    let node = Node::start(config).await.unwrap();
    healthy(&node).await;
    let page = Browser::http1(&node).get("/").await;
    assert_eq!(page.status, 504);
    assert!(page.text.contains("504 Gateway Time-out"));
    // A connection without a request is closed after the same time.
    let mut idle = tokio::net::TcpStream::connect(address(&node)).await.unwrap();
    let mut nothing = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut nothing)).await;
    assert_eq!(read.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn large_bodies_stream_both_ways_without_being_held() {
    let backend = Backend::start("a").await;
    let node = node(group(&[&backend])).await;
    for client in [Browser::http1(&node), Browser::http2(&node)] {
        let mut request = client.request("PUT", "/length");
        *request.body_mut() = Full::new(Bytes::from(vec![7; 64 << 20]));
        assert_eq!(client.send(request).await.unwrap().text, (64 << 20).to_string());
        assert_eq!(client.get("/chunks").await.text.len(), 1_000_000);
        let mut request = client.request("POST", "/echo");
        *request.body_mut() = Full::new(Bytes::from(vec![b'e'; 5 << 20]));
        assert_eq!(client.send(request).await.unwrap().text.len(), 5 << 20);
    }
    assert!(node.status().counters.processed_bytes > 138 << 20);
    assert_eq!(node.status().counters.in_flight, 0);
}

#[tokio::test]
async fn expectations_are_answered_and_chunked_uploads_pass() {
    let backend = Backend::start("a").await;
    let node = node(group(&[&backend])).await;
    let mut stream = tokio::net::TcpStream::connect(address(&node)).await.unwrap();
    let head = "POST /length HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 25];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"5\r\nhello\r\n0\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 OK") && rest.ends_with("\r\n\r\n5"), "{rest}");
}

#[tokio::test]
async fn websockets_pass_through_and_end_when_their_target_is_gone() {
    let backend = Backend::start("a").await;
    let group = TargetGroup { deregistration_delay_seconds: 1, ..group(&[&backend]) };
    let node = node(group).await;
    let mut stream = tokio::net::TcpStream::connect(address(&node)).await.unwrap();
    let head = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("upgrade: websocket"), "{answer}");
    for message in ["ping", "a longer message", "bye"] {
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, message.as_bytes());
    }
    assert_eq!(node.status().target_groups[0].targets[0].in_flight, 1);
    let mut config = node.config().unwrap();
    config.target_groups[0].targets[0].draining = true;
    node.configure(config).await.unwrap();
    stream.write_all(b"still here").await.unwrap();
    let mut back = [0; 10];
    stream.read_exact(&mut back).await.unwrap();
    // Once the delay is over, the connection is ended.
    assert_eq!(stream.read(&mut back).await.unwrap_or(0), 0);
    assert_eq!(node.status().target_groups[0].targets[0].state, HealthState::Draining);
}

#[tokio::test]
async fn a_slow_client_holds_up_nobody_else() {
    let backend = Backend::start("a").await;
    let node = node(group(&[&backend])).await;
    let mut slow = tokio::net::TcpStream::connect(address(&node)).await.unwrap();
    slow.write_all(b"GET /chunks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let pages = storm((0..10).map(|_| Browser::http1(&node)).collect(), 50).await;
    assert!(pages.iter().all(|page| page.status == 200));
    let mut all = Vec::new();
    slow.read_to_end(&mut all).await.unwrap();
    assert!(all.len() > 1_000_000);
}

#[tokio::test]
async fn targets_that_break_the_protocol_are_bad_gateways() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new("odd", listener.local_addr().unwrap());
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(async move {
        let answers = [
            "",
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.0 200 OK\r\nX-Mixed-Case: 1\r\n\r\nuntil the end",
        ];
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 10_000];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let group =
        TargetGroup { health_check: None, targets: vec![target], ..TargetGroup::new("group") };
    let node = Node::start(config(vec![group])).await.unwrap();
    let client = Browser::http1(&node);
    for _ in 0..4 {
        assert_eq!(client.get("/").await.status, 502);
    }
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(address(&node), request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("X-Mixed-Case: 1") && answer.contains("until the end"), "{answer}");
}
