//! HTTPS with clients and with targets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a fault in a test is to stop it"
)]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use proxy::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::task::TaskTracker;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn certify(&self, id: &str, names: &[&str], key: &KeyPair) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let chain = CertificateParams::new(names.clone()).unwrap();
        let chain = chain.signed_by(key, &self.issuer).unwrap();
        Certificate {
            id: id.to_owned(),
            chain: chain.pem(),
            key: Secret(key.serialize_pem()),
            names,
            key_bits: 256,
            not_after: 4_000_000_000,
        }
    }

    fn elliptic(&self, id: &str, names: &[&str]) -> Certificate {
        self.certify(id, names, &KeyPair::generate().unwrap())
    }

    fn client(&self, protocols: &[&str]) -> ClientConfig {
        self.client_of(protocols, rustls::ALL_VERSIONS)
    }

    fn client_of(
        &self,
        protocols: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        config
    }
}

const SUITES: [&str; 7] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

fn tls(certificates: Vec<Certificate>) -> Tls {
    Tls {
        versions: BTreeSet::from([TlsVersion::Tls12, TlsVersion::Tls13]),
        suites: SUITES.map(str::to_owned).to_vec(),
        post_quantum: true,
        certificates,
    }
}

fn secured(tls: Tls, group: TargetGroup) -> NodeConfig {
    let mut config = config(vec![group]);
    config.listeners[0].protocol = ListenerProtocol::Https(tls);
    config
}

async fn connect(
    to: SocketAddr,
    name: &str,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// The certificate that a client gets to see when it asks for `name`.
async fn shown(to: SocketAddr, name: &str, config: ClientConfig) -> CertificateDer<'static> {
    let stream = connect(to, name, config).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

fn der(certificate: &Certificate) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.chain.as_bytes()).unwrap()
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str, headers: &str) -> String {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: www.example.com\r\n{headers}Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer may leave without a goodbye.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_name_picks_the_certificate_and_the_default_serves_the_rest() {
    let authority = Authority::new();
    let backend = Backend::start("a").await;
    let default = authority.elliptic("default", &["default.example"]);
    let exact = authority.elliptic("exact", &["www.example.com"]);
    let wild = authority.elliptic("wild", &["*.example.com"]);
    let all = vec![default.clone(), exact.clone(), wild.clone()];
    let node = Node::start(secured(tls(all), group(&[&backend]))).await.unwrap();
    healthy(&node).await;
    let to = address(&node);
    for (name, wanted) in [("default.example", &default), ("api.example.com", &wild)] {
        assert_eq!(shown(to, name, authority.client(&[])).await, der(wanted), "{name}");
    }
    let both = shown(to, "WWW.example.com", authority.client(&[])).await;
    assert!(both == der(&exact) || both == der(&wild));
    // A name that none is made for gets the default, which the client then refuses.
    let error = connect(to, "elsewhere.example", authority.client(&[])).await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    until("the failed handshake is counted", || node.status().counters.tls_errors == 1).await;
}

#[tokio::test]
async fn an_elliptic_key_is_taken_before_rsa_if_the_client_knows_it() {
    let authority = Authority::new();
    let backend = Backend::start("a").await;
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let rsa =
        Certificate { key_bits: 2048, ..authority.certify("rsa", &["www.example.com"], &rsa) };
    let elliptic = authority.elliptic("ec", &["www.example.com"]);
    let config = secured(tls(vec![rsa.clone(), elliptic.clone()]), group(&[&backend]));
    let node = Node::start(config).await.unwrap();
    let to = address(&node);
    let seen = shown(to, "www.example.com", authority.client(&[])).await;
    assert_eq!(seen, der(&elliptic));
}

#[tokio::test]
async fn the_protocol_follows_the_handshake_and_targets_are_told() {
    let authority = Authority::new();
    let backend = Backend::start("a").await;
    let own = authority.elliptic("own", &["www.example.com"]);
    let mut config = secured(tls(vec![own]), group(&[&backend]));
    config.attributes.tls_headers = true;
    let node = Node::start(config.clone()).await.unwrap();
    healthy(&node).await;
    let to = address(&node);
    let stream = connect(to, "www.example.com", authority.client(&["h2", "http/1.1"])).await;
    assert_eq!(stream.unwrap().get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut stream = connect(to, "www.example.com", authority.client(&["http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let page = ask(&mut stream, "/", "x-amzn-tls-version: SSLv2\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("x-forwarded-proto: https\n"), "{page}");
    assert!(page.contains(&format!("x-forwarded-port: {}\n", to.port())), "{page}");
    assert!(page.contains("x-amzn-tls-version: TLSv1.3\n"), "{page}");
    assert!(page.contains("x-amzn-tls-cipher-suite: TLS_AES_128_GCM_SHA256\n"), "{page}");
    config.attributes.http2 = false;
    node.configure(config).await.unwrap();
    let stream = connect(to, "www.example.com", authority.client(&["h2", "http/1.1"])).await;
    assert_eq!(stream.unwrap().get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn versions_are_those_of_the_policy() {
    let authority = Authority::new();
    let backend = Backend::start("a").await;
    let own = authority.elliptic("own", &["www.example.com"]);
    let mut only_new = tls(vec![own]);
    only_new.versions = BTreeSet::from([TlsVersion::Tls13]);
    let node = Node::start(secured(only_new.clone(), group(&[&backend]))).await.unwrap();
    let to = address(&node);
    let old = || authority.client_of(&[], &[&rustls::version::TLS12]);
    assert!(connect(to, "www.example.com", old()).await.is_err());
    let mut with_old = only_new;
    with_old.versions.insert(TlsVersion::Tls12);
    node.configure(secured(with_old, group(&[&backend]))).await.unwrap();
    let stream = connect(to, "www.example.com", old()).await.unwrap();
    let version = stream.get_ref().1.protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_2));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_open_connections_go_on() {
    let authority = Authority::new();
    let backend = Backend::start("a").await;
    let first = authority.elliptic("own", &["www.example.com"]);
    let second = authority.elliptic("own", &["www.example.com"]);
    let node = Node::start(secured(tls(vec![first.clone()]), group(&[&backend]))).await.unwrap();
    healthy(&node).await;
    let to = address(&node);
    let mut open = connect(to, "www.example.com", authority.client(&[])).await.unwrap();
    node.configure(secured(tls(vec![second.clone()]), group(&[&backend]))).await.unwrap();
    let seen = shown(to, "www.example.com", authority.client(&[])).await;
    assert_eq!(seen, der(&second));
    assert!(ask(&mut open, "/", "").await.starts_with("HTTP/1.1 200"));
    // A document that cannot be used changes nothing.
    let broken = Certificate { key: Secret("no key".to_owned()), ..second };
    let fault = node.configure(secured(tls(vec![broken]), group(&[&backend]))).await.unwrap_err();
    assert!(matches!(fault, ConfigError::Tls(_)), "{fault}");
    assert!(shown(to, "www.example.com", authority.client(&[])).await == seen);
}

/// A target that speaks TLS in front of another one, with a certificate that nobody signed.
async fn secure_target(behind: SocketAddr, protocols: &[&str]) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["target".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![own.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    let accepted = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            accepted.spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn targets_are_encrypted_again_whatever_certificate_they_show() {
    for version in [ProtocolVersion::Http1, ProtocolVersion::Http2] {
        let http2 = version == ProtocolVersion::Http2;
        let backend = Backend::start("a").await;
        let to = secure_target(backend.address, if http2 { &["h2"] } else { &["http/1.1"] }).await;
        let group = TargetGroup {
            protocol: TargetProtocol::Https,
            protocol_version: version,
            health_check: Some(HealthCheck { protocol: TargetProtocol::Https, ..quick() }),
            targets: vec![Target::new("a", to)],
            ..TargetGroup::new("group")
        };
        let node = node(group).await;
        let client = if http2 { Browser::http2(&node) } else { Browser::http1(&node) };
        for _ in 0..3 {
            let page = client.get("/").await;
            assert_eq!(page.status, 200, "{}", page.text);
        }
        assert_eq!(backend.count(), 3);
    }
}

#[tokio::test]
async fn a_plain_target_of_an_encrypted_group_is_unhealthy() {
    let backend = Backend::start("a").await;
    let group = TargetGroup {
        protocol: TargetProtocol::Https,
        health_check: Some(HealthCheck { protocol: TargetProtocol::Https, ..quick() }),
        ..group(&[&backend])
    };
    let node = Node::start(config(vec![group])).await.unwrap();
    until("the target is unhealthy", || {
        node.status().target_groups[0].targets[0].state == HealthState::Unhealthy
    })
    .await;
}

#[test]
fn keys_are_not_shown() {
    let text = format!("{:?}", Secret("-----BEGIN PRIVATE KEY-----".to_owned()));
    assert_eq!(text, "Secret");
}
