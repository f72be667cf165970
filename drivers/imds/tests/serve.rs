//! Requests over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a fault in a test is to stop it"
)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use imds::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn here() -> InNamespace {
    Arc::new(|_, open| open())
}

fn instance() -> InstanceMetadata {
    InstanceMetadata {
        instance_id: "i-0123456789abcdef0".to_owned(),
        image_id: "ami-0123456789abcdef0".to_owned(),
        instance_type: "t3.micro".to_owned(),
        local_hostname: "ip-10-0-1-5.ap-northeast-2.compute.internal".to_owned(),
        local_ipv4: Some("10.0.1.5".parse().unwrap()),
        mac: "02:00:00:00:00:01".to_owned(),
        security_groups: vec!["web".to_owned(), "admin".to_owned()],
        interfaces: vec![InterfaceMetadata {
            mac: "02:00:00:00:00:01".to_owned(),
            local_ipv4s: vec!["10.0.1.5".parse().unwrap()],
            public_ipv4s: vec!["198.18.0.7".parse().unwrap()],
            vpc_id: "vpc-1".to_owned(),
            vpc_ipv4_cidr_blocks: vec!["10.0.0.0/16".to_owned()],
            ..InterfaceMetadata::default()
        }],
        availability_zone: "ap-northeast-2a".to_owned(),
        region: "ap-northeast-2".to_owned(),
        public_key: Some(PublicKey {
            name: "my-key".to_owned(),
            openssh_key: "ssh-ed25519 AAAA my-key\n".to_owned(),
        }),
        iam: Some(Iam {
            instance_profile_arn: "arn:aws:iam::123456789012:instance-profile/web".to_owned(),
            instance_profile_id: "AIPA1".to_owned(),
            role: "web-role".to_owned(),
            credentials: Some(Credentials {
                last_updated: "2026-11-20T11:30:25Z".to_owned(),
                access_key_id: "ASIA1".to_owned(),
                secret_access_key: "secret".to_owned(),
                token: "session".to_owned(),
                expiration: "2026-11-20T17:30:25Z".to_owned(),
            }),
        }),
        tags: [("Name".to_owned(), "web-1".to_owned())].into(),
        user_data: Some("IyEvYmluL3NoCg==".to_owned()),
        account_id: "123456789012".to_owned(),
        architecture: "x86_64".to_owned(),
        ..InstanceMetadata::default()
    }
}

fn metadata(instance: InstanceMetadata) -> Metadata {
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    Metadata {
        token_secret: "secret".to_owned(),
        vpcs: vec![VpcMetadata {
            id: "vpc-1".to_owned(),
            namespace: None,
            address: Some("127.0.0.1:0".parse().unwrap()),
            instances: [(address, instance)].into(),
        }],
    }
}

fn at(imds: &Imds) -> SocketAddr {
    imds.status().listeners[0].address.unwrap()
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    stream.write_all((request + "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

async fn get(to: SocketAddr, path: &str) -> Answer {
    ask(to, "GET", path, &[]).await
}

const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "X-aws-ec2-metadata-token";

#[tokio::test]
async fn an_instance_reads_about_itself() {
    let imds = Imds::start(metadata(instance()), here()).await;
    let to = at(&imds);
    let cases = [
        ("/latest/meta-data/instance-id", "i-0123456789abcdef0"),
        ("/2009-04-04/meta-data/instance-id", "i-0123456789abcdef0"),
        ("/latest/meta-data/placement/availability-zone", "ap-northeast-2a"),
        ("/latest/meta-data/security-groups", "web\nadmin"),
        ("/latest/meta-data/services/domain", "amazonaws.com"),
        ("/latest/meta-data/network/interfaces/macs/", "02:00:00:00:00:01/"),
        (
            "/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01/vpc-ipv4-cidr-block",
            "10.0.0.0/16",
        ),
        (
            "/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01/ipv4-associations/198.18.0.7",
            "10.0.1.5",
        ),
        ("/latest/meta-data/public-keys/", "0=my-key"),
        ("/latest/meta-data/public-keys/0/", "openssh-key"),
        ("/latest/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA my-key\n"),
        ("/latest/meta-data/iam/security-credentials/", "web-role"),
        ("/latest/user-data", "#!/bin/sh\n"),
        ("/latest/dynamic/instance-identity/", "document"),
        ("/latest", "dynamic\nmeta-data\nuser-data"),
    ];
    for (path, expected) in cases {
        let answer = get(to, path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, expected), "{path}");
    }
    assert!(get(to, "/").await.body.ends_with("\nlatest"));
    let root = get(to, "/latest/meta-data/").await;
    for name in ["ami-id", "iam/", "local-ipv4", "network/", "placement/", "public-keys/"] {
        assert!(root.body.lines().any(|line| line == name), "{name} in {}", root.body);
    }
    assert!(root.head.contains("Server: EC2ws"), "{}", root.head);
    let credentials = get(to, "/latest/meta-data/iam/security-credentials/web-role").await.body;
    let credentials: serde_json::Value = serde_json::from_str(&credentials).unwrap();
    assert_eq!(credentials["Code"], "Success");
    assert_eq!(credentials["Type"], "AWS-HMAC");
    assert_eq!(credentials["SecretAccessKey"], "secret");
    let document = get(to, "/latest/dynamic/instance-identity/document").await.body;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["instanceId"], "i-0123456789abcdef0");
    assert_eq!(document["privateIp"], "10.0.1.5");
    for path in [
        "/latest/meta-data/public-ipv4",
        "/latest/meta-data/tags/instance/Name",
        "/latest/meta-data/instance-id/",
        "/latest/dynamic/instance-identity/signature",
        "/2099-01-01/meta-data/",
        "/nothing",
    ] {
        let answer = get(to, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("<title>404 - Not Found</title>"));
    }
    assert_eq!(ask(to, "POST", "/latest/meta-data/", &[]).await.status, 405);
    assert!(imds.status().requests_without_token > 20);
}

#[tokio::test]
async fn tokens_are_given_and_asked_for() {
    let mut required = instance();
    required.options.http_tokens = HttpTokens::Required;
    required.options.instance_tags = true;
    let imds = Imds::start(metadata(required.clone()), here()).await;
    let to = at(&imds);
    let path = "/latest/meta-data/tags/instance/Name";
    assert_eq!(get(to, path).await.status, 401);
    let token = ask(to, "PUT", "/latest/api/token", &[(TTL, "60")]).await;
    assert_eq!(token.status, 200);
    assert!(token.head.to_lowercase().contains("x-aws-ec2-metadata-token-ttl-seconds: 60"));
    let answer = ask(to, "GET", path, &[(TOKEN, &token.body)]).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "web-1"));
    assert!(answer.head.to_lowercase().contains("token-ttl-seconds: "));
    assert_eq!(ask(to, "GET", path, &[(TOKEN, "nonsense")]).await.status, 401);
    for ttl in ["0", "21601", "-1", "x"] {
        assert_eq!(ask(to, "PUT", "/latest/api/token", &[(TTL, ttl)]).await.status, 400, "{ttl}");
    }
    assert_eq!(ask(to, "PUT", "/latest/api/token", &[]).await.status, 400);
    let forwarded = [(TTL, "60"), ("X-Forwarded-For", "10.0.0.1")];
    assert_eq!(ask(to, "PUT", "/latest/api/token", &forwarded).await.status, 403);

    // Another process with the same document takes the token; another instance does not have it.
    let other = Imds::start(metadata(required.clone()), here()).await;
    assert_eq!(ask(at(&other), "GET", path, &[(TOKEN, &token.body)]).await.status, 200);
    let mut replaced = required.clone();
    replaced.instance_id = "i-other".to_owned();
    imds.configure(metadata(replaced)).await;
    assert_eq!(ask(to, "GET", path, &[(TOKEN, &token.body)]).await.status, 401);
}

#[tokio::test]
async fn strangers_and_disabled_endpoints_are_refused() {
    let mut disabled = instance();
    disabled.options.endpoint_enabled = false;
    let imds = Imds::start(metadata(disabled), here()).await;
    let to = at(&imds);
    assert_eq!(get(to, "/latest/meta-data/").await.status, 403);
    assert_eq!(ask(to, "PUT", "/latest/api/token", &[(TTL, "60")]).await.status, 403);
    let mut nobody = metadata(instance());
    nobody.vpcs[0].instances.clear();
    imds.configure(nobody).await;
    assert_eq!(get(to, "/latest/meta-data/").await.status, 503);
    imds.configure(metadata(instance())).await;
    assert_eq!(get(to, "/latest/meta-data/").await.status, 200);
    imds.configure(Metadata::default()).await;
    assert!(imds.status().listeners.is_empty());
}

#[tokio::test]
async fn connections_are_kept_and_credentials_rotate_under_them() {
    let imds = Imds::start(metadata(instance()), here()).await;
    let mut stream = TcpStream::connect(at(&imds)).await.unwrap();
    let request =
        b"GET /latest/meta-data/iam/security-credentials/web-role HTTP/1.1\r\nHost: a\r\n\r\n";
    for round in 0..3 {
        let mut rotated = instance();
        let key = format!("ASIA{round}");
        rotated.iam.as_mut().unwrap().credentials.as_mut().unwrap().access_key_id = key.clone();
        imds.configure(metadata(rotated)).await;
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n}") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(String::from_utf8(answer).unwrap().contains(&key));
    }
    let text = serde_json::to_string(&metadata(instance())).unwrap();
    assert_eq!(serde_json::from_str::<Metadata>(&text).unwrap(), metadata(instance()));
}
