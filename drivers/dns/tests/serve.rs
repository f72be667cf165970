//! Questions over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a fault in a test is to stop it"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::*;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

fn here() -> InNamespace {
    Arc::new(|_, open| open())
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn names(records: &[(&str, Records)]) -> Names {
    Names {
        records: records.iter().map(|(name, it)| ((*name).to_owned(), it.clone())).collect(),
        authoritative: vec!["amazonaws.test".to_owned(), "internal".to_owned()],
        ..Names::default()
    }
}

fn zones() -> Zones {
    let public = "ec2-198-51-100-7.amazonaws.test";
    let many: Vec<_> = (0..60).map(|last| Ipv4Addr::new(10, 9, 0, last)).collect();
    let shared = names(&[
        (public, Records::addresses([ip("198.51.100.7")])),
        ("*.amazonaws.test", Records::addresses([ip("127.0.0.1")])),
        ("lb.elb.amazonaws.test", Records::addresses([ip("10.0.0.1"), ip("10.0.1.1")])),
        ("many.internal", Records::addresses(many)),
        ("www.shop.internal", Records::alias("lb.elb.amazonaws.test")),
        ("text.internal", Records { texts: vec!["hello".to_owned()], ..Records::default() }),
    ]);
    let mut own = names(&[
        (public, Records::addresses([ip("10.0.1.5")])),
        ("ip-10-0-1-5.compute.internal", Records::addresses([ip("10.0.1.5")])),
    ]);
    own.reverse.insert(ip("10.0.1.5"), "ip-10-0-1-5.compute.internal".to_owned());
    Zones {
        shared,
        host: Some("127.0.0.1:0".parse().unwrap()),
        vpcs: vec![VpcNames {
            id: "vpc-1".to_owned(),
            addresses: vec![IpAddr::from([127, 0, 0, 1])],
            port: Some(0),
            names: own,
            ..VpcNames::default()
        }],
        upstreams: Vec::new(),
    }
}

fn at(dns: &Dns, vpc: Option<&str>) -> SocketAddr {
    let status = dns.status();
    let listener = status.listeners.iter().find(|it| it.vpc.as_deref() == vpc).unwrap();
    listener.address.unwrap_or_else(|| panic!("{:?}", listener.error))
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    message.add_query(Query::query(name, kind));
    message
}

async fn udp(to: SocketAddr, message: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&message.to_vec().unwrap(), to).await.unwrap();
    let mut buffer = [0; 4096];
    let answer = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut buffer));
    let length = answer.await.expect("an answer").unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.id, message.metadata.id);
    answer
}

async fn tcp(stream: &mut TcpStream, message: &Message) -> Message {
    let bytes = message.to_vec().unwrap();
    stream.write_u16(bytes.len() as u16).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await.unwrap();
    Message::from_vec(&bytes).unwrap()
}

async fn resolve(to: SocketAddr, name: &str) -> Vec<Ipv4Addr> {
    addresses(&udp(to, &question(name, RecordType::A)).await)
}

fn addresses(message: &Message) -> Vec<Ipv4Addr> {
    let address = |data: &RData| if let RData::A(a) = data { Some(a.0) } else { None };
    message.answers.iter().filter_map(|record| address(&record.data)).collect()
}

#[tokio::test]
async fn public_names_are_private_inside_and_public_outside() {
    let dns = Dns::start(zones(), here()).await;
    let (inside, outside) = (at(&dns, Some("vpc-1")), at(&dns, None));
    let public = "EC2-198-51-100-7.amazonaws.test";
    assert_eq!(resolve(inside, public).await, [ip("10.0.1.5")]);
    assert_eq!(resolve(outside, public).await, [ip("198.51.100.7")]);
    assert_eq!(resolve(inside, "ip-10-0-1-5.compute.internal").await, [ip("10.0.1.5")]);
    let missing = udp(outside, &question("ip-10-0-1-5.compute.internal", RecordType::A)).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(resolve(inside, "sts.amazonaws.test").await, [ip("127.0.0.1")]);
    let pointer = udp(inside, &question("5.1.0.10.in-addr.arpa", RecordType::PTR)).await;
    let RData::PTR(name) = &pointer.answers[0].data else { panic!("{pointer:?}") };
    assert_eq!(name.0.to_ascii(), "ip-10-0-1-5.compute.internal.");
    assert_eq!(dns.status().counters.missing, 1);
}

#[tokio::test]
async fn answers_have_the_shape_that_clients_expect() {
    let dns = Dns::start(zones(), here()).await;
    let to = at(&dns, None);
    let alias = udp(to, &question("www.shop.internal", RecordType::A)).await;
    assert_eq!(alias.answers.len(), 3);
    assert!(matches!(alias.answers[0].data, RData::CNAME(_)));
    assert_eq!(alias.answers[1].ttl, 60);
    assert!(alias.metadata.recursion_available && alias.metadata.recursion_desired);
    // Addresses take turns at the top.
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(resolve(to, "lb.elb.amazonaws.test").await[0]);
    }
    assert_ne!(first[0], first[1]);
    assert_eq!(first[0], first[2]);
    // A name without such records exists; a name that does not exist says for how long.
    let other = udp(to, &question("many.internal", RecordType::AAAA)).await;
    assert_eq!(other.metadata.response_code, ResponseCode::NoError);
    assert!(other.answers.is_empty() && other.authorities.len() == 1);
    let missing = udp(to, &question("none.internal", RecordType::A)).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(missing.authorities[0].ttl, 5);
    // What is not ours, with nobody to ask.
    let foreign = udp(to, &question("example.org", RecordType::A)).await;
    assert_eq!(foreign.metadata.response_code, ResponseCode::NXDomain);
    let text = udp(to, &question("text.internal", RecordType::TXT)).await;
    assert_eq!(text.answers.len(), 1);
}

#[tokio::test]
async fn long_answers_are_cut_over_udp_and_whole_over_tcp() {
    let dns = Dns::start(zones(), here()).await;
    let to = at(&dns, None);
    let mut query = question("many.internal", RecordType::A);
    let cut = udp(to, &query).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut stream = TcpStream::connect(to).await.unwrap();
    for _ in 0..3 {
        assert_eq!(addresses(&tcp(&mut stream, &query).await).len(), 60);
    }
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    query.set_edns(edns);
    let whole = udp(to, &query).await;
    assert_eq!(whole.answers.len(), 60);
    assert!(whole.edns.is_some());
}

#[tokio::test]
async fn what_is_no_question_is_refused_or_ignored() {
    let dns = Dns::start(zones(), here()).await;
    let to = at(&dns, None);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for bytes in [&b""[..], b"x", &[0xff; 40], &[1, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0xff]] {
        socket.send_to(bytes, to).await.unwrap();
    }
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    assert_eq!(resolve(to, "sts.amazonaws.test").await.len(), 1);
}

#[tokio::test]
async fn foreign_names_are_asked_of_others_within_a_bound() {
    let far = Zones {
        shared: names(&[("www.example.test", Records::addresses([ip("192.0.2.80")]))]),
        host: Some("127.0.0.1:0".parse().unwrap()),
        ..Zones::default()
    };
    let far = Dns::start(far, here()).await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut near = zones();
    let alias = Records::alias("www.example.test");
    near.shared.records.insert("out.internal".to_owned(), alias);
    near.upstreams = vec![silent.local_addr().unwrap(), at(&far, None)];
    let dns = Dns::start(near.clone(), here()).await;
    let to = at(&dns, None);
    assert_eq!(resolve(to, "www.example.test").await, [ip("192.0.2.80")]);
    let chain = udp(to, &question("out.internal", RecordType::A)).await;
    assert!(matches!(chain.answers[0].data, RData::CNAME(_)));
    assert_eq!(addresses(&chain), [ip("192.0.2.80")]);
    assert_eq!(dns.status().counters.forwarded, 2);
    // Our own domains are never asked for elsewhere.
    let missing = udp(to, &question("none.internal", RecordType::A)).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    // Nobody answers: a failure, not silence.
    near.upstreams = vec![silent.local_addr().unwrap()];
    dns.configure(near).await;
    let before = Instant::now();
    let failed = udp(to, &question("www.example.test", RecordType::A)).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn two_resolvers_share_an_address_and_one_is_enough() {
    let first = Dns::start(zones(), here()).await;
    let to = at(&first, None);
    let second = Dns::start(Zones { host: Some(to), ..zones() }, here()).await;
    assert_eq!(at(&second, None), to);
    for _ in 0..50 {
        assert_eq!(resolve(to, "sts.amazonaws.test").await.len(), 1);
    }
    drop(first);
    // Questions that the first one's sockets had got are lost with it, later ones are not.
    let end = Instant::now() + Duration::from_secs(10);
    let mut answered = 0;
    while answered < 50 {
        assert!(Instant::now() < end);
        let ask = resolve(to, "sts.amazonaws.test");
        match tokio::time::timeout(Duration::from_millis(200), ask).await {
            Ok(addresses) => answered += addresses.len(),
            Err(_) => answered = 0,
        }
    }
}

#[tokio::test]
async fn documents_replace_names_at_once_and_keep_sockets() {
    let dns = Dns::start(zones(), here()).await;
    let to = at(&dns, Some("vpc-1"));
    let mut zones = zones();
    for round in 1..=20 {
        let address = Records::addresses([Ipv4Addr::new(10, 0, 2, round)]);
        zones.vpcs[0].names.records.insert("db.internal".to_owned(), address);
        dns.configure(zones.clone()).await;
        assert_eq!(resolve(to, "db.internal").await, [Ipv4Addr::new(10, 0, 2, round)]);
    }
    zones.vpcs.clear();
    dns.configure(zones.clone()).await;
    assert_eq!(dns.status().listeners.len(), 1);
    let text = serde_json::to_string(&zones).unwrap();
    assert_eq!(serde_json::from_str::<Zones>(&text).unwrap(), zones);
}

#[tokio::test]
async fn a_namespace_that_comes_late_is_waited_for() {
    let folder = std::env::temp_dir().join(format!("dns-namespace-{}", std::process::id()));
    let enter: InNamespace = Arc::new(|path, open| {
        std::fs::File::open(path)?;
        open()
    });
    let mut zones = zones();
    zones.vpcs[0].namespace = Some(folder.clone());
    let dns = Dns::start(zones, enter).await;
    let vpc = || {
        let listeners = dns.status().listeners;
        listeners.into_iter().find(|listener| listener.vpc.is_some()).unwrap()
    };
    assert!(vpc().error.is_some());
    std::fs::write(&folder, "").unwrap();
    let opened = |before: Option<SocketAddr>| {
        let end = Instant::now() + Duration::from_secs(10);
        async move {
            loop {
                if let Some(address) = vpc().address.filter(|address| Some(*address) != before) {
                    return address;
                }
                assert!(Instant::now() < end);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    let first = opened(None).await;
    assert_eq!(resolve(first, "sts.amazonaws.test").await.len(), 1);
    // Another namespace takes the place of the first.
    let other = folder.with_extension("new");
    std::fs::write(&other, "").unwrap();
    std::fs::rename(&other, &folder).unwrap();
    let second = opened(Some(first)).await;
    assert_eq!(resolve(second, "sts.amazonaws.test").await.len(), 1);
    std::fs::remove_file(&folder).unwrap();
}
