//! HTTPS listeners: certificates, policies, and what nodes are told about them.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use elbv2_api::*;
use fixture::{GROUP, Region, SUBNETS, VPC, start};
use testkit::poll;

const POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

async fn load_balancer(region: &Region) -> String {
    let input = CreateLoadBalancerInput {
        name: "web".to_owned(),
        subnets: SUBNETS.map(str::to_owned).to_vec(),
        security_groups: vec![GROUP.to_owned()],
        ..Default::default()
    };
    let made = region.cloud.root().call(input).await.unwrap().load_balancers.remove(0);
    made.load_balancer_arn.unwrap()
}

fn shows(arn: &str) -> Vec<Certificate> {
    vec![Certificate { certificate_arn: Some(arn.to_owned()), is_default: None }]
}

fn secure(load_balancer: &str, certificate: &str) -> CreateListenerInput {
    CreateListenerInput {
        load_balancer_arn: load_balancer.to_owned(),
        protocol: Some(ProtocolEnum::Https),
        port: Some(443),
        certificates: shows(certificate),
        default_actions: vec![Action {
            type_: ActionTypeEnum::FixedResponse,
            fixed_response_config: Some(FixedResponseActionConfig {
                status_code: "200".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn listener(region: &Region, input: CreateListenerInput) -> Listener {
    region.cloud.root().call(input).await.unwrap().listeners.remove(0)
}

/// What a node was told about the TLS of its first listener.
fn told(region: &Region) -> Option<proxy::Tls> {
    let told = region.told.lock().unwrap();
    match &told.values().next()?.listeners.first()?.protocol {
        proxy::ListenerProtocol::Https(tls) => Some(tls.clone()),
        proxy::ListenerProtocol::Http => None,
    }
}

async fn until_shown(region: &Region, ids: &[&str]) -> proxy::Tls {
    poll::until("the node to be told", || async {
        let tls = told(region)?;
        let shown: Vec<&str> = tls.certificates.iter().map(|it| it.names[0].as_str()).collect();
        (shown == ids).then_some(tls)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_shows_its_certificates_and_holds_them() {
    let region = start().await;
    let root = region.cloud.root();
    let lb = load_balancer(&region).await;
    let first = region.certificate("first", Some("first key")).await;
    let second = region.certificate("second", Some("second key")).await;
    let made = listener(&region, secure(&lb, &first)).await;
    assert_eq!(made.protocol, Some(ProtocolEnum::Https));
    assert_eq!(made.ssl_policy.as_deref(), Some(POLICY));
    assert_eq!(made.certificates, shows(&first));
    assert_eq!(made.mutual_authentication.unwrap().mode.as_deref(), Some("off"));
    let arn = made.listener_arn.unwrap();
    // The equal listener is the same one, and another certificate makes another.
    let again = listener(&region, secure(&lb, &first)).await;
    assert_eq!(again.listener_arn.as_ref(), Some(&arn));
    let other = root.call(secure(&lb, &second)).await.unwrap_err();
    assert_eq!(other.code, "DuplicateListener");

    let tls = until_shown(&region, &["first.example"]).await;
    assert_eq!(tls.certificates[0].key.0, "first key");
    assert_eq!(tls.certificates[0].chain, "chain of first");
    assert!(tls.post_quantum && tls.versions.len() == 2);

    let add = |arn: &str, certificate: &str| AddListenerCertificatesInput {
        listener_arn: arn.to_owned(),
        certificates: shows(certificate),
    };
    for _ in 0..2 {
        let all = root.call(add(&arn, &second)).await.unwrap().certificates;
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].certificate_arn.as_ref(), Some(&second));
    }
    until_shown(&region, &["first.example", "second.example"]).await;
    let list = DescribeListenerCertificatesInput {
        listener_arn: arn.clone(),
        page_size: Some(1),
        ..Default::default()
    };
    let page = root.call(list.clone()).await.unwrap();
    assert_eq!(page.certificates[0].is_default, Some(true));
    let rest = DescribeListenerCertificatesInput { marker: page.next_marker, ..list };
    let rest = root.call(rest).await.unwrap();
    assert_eq!(rest.certificates[0].certificate_arn.as_ref(), Some(&second));
    assert!(rest.next_marker.is_none());
    assert_eq!(region.users(&first).await, std::slice::from_ref(&lb));
    assert_eq!(region.users(&second).await, std::slice::from_ref(&lb));

    // A renewal reaches the nodes by itself.
    region.certificate("first", Some("renewed key")).await;
    poll::until("the new key", || async {
        (told(&region)?.certificates.first()?.key.0 == "renewed key").then_some(())
    })
    .await;

    let remove = |certificate: &str| RemoveListenerCertificatesInput {
        listener_arn: arn.clone(),
        certificates: shows(certificate),
    };
    let kept = root.call(remove(&first)).await.unwrap_err();
    assert_eq!(kept.code, "OperationNotPermitted");
    root.call(remove(&second)).await.unwrap();
    root.call(remove(&second)).await.unwrap();
    assert!(region.users(&second).await.is_empty());
    root.call(DeleteListenerInput { listener_arn: arn }).await.unwrap();
    assert!(region.users(&first).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_changes_between_http_and_https() {
    let region = start().await;
    let root = region.cloud.root();
    let lb = load_balancer(&region).await;
    let first = region.certificate("first", Some("key")).await;
    let second = region.certificate("second", Some("key")).await;
    let arn = listener(&region, secure(&lb, &first)).await.listener_arn.unwrap();
    let modify = |change: ModifyListenerInput| {
        let input = ModifyListenerInput { listener_arn: arn.clone(), ..change };
        let root = root.clone();
        async move { root.call(input).await.map(|output| output.listeners[0].clone()) }
    };
    let changed = modify(ModifyListenerInput {
        certificates: shows(&second),
        ssl_policy: Some("ELBSecurityPolicy-TLS13-1-3-2021-06".to_owned()),
        ..Default::default()
    });
    let changed = changed.await.unwrap();
    assert_eq!(changed.certificates, shows(&second));
    let tls = until_shown(&region, &["second.example"]).await;
    assert_eq!(tls.versions.len(), 1);
    assert!(region.users(&first).await.is_empty());
    let plain = ModifyListenerInput { protocol: Some(ProtocolEnum::Http), ..Default::default() };
    let changed = modify(plain.clone()).await.unwrap();
    assert!(changed.certificates.is_empty() && changed.ssl_policy.is_none());
    assert!(region.users(&second).await.is_empty());
    let with = ModifyListenerInput { certificates: shows(&first), ..plain };
    assert_eq!(modify(with).await.unwrap_err().code, "ValidationError");
    let bare = ModifyListenerInput { protocol: Some(ProtocolEnum::Https), ..Default::default() };
    assert_eq!(modify(bare.clone()).await.unwrap_err().code, "ValidationError");
    let back = ModifyListenerInput { certificates: shows(&first), ..bare };
    assert_eq!(modify(back).await.unwrap().ssl_policy.as_deref(), Some(POLICY));
    root.call(DeleteLoadBalancerInput { load_balancer_arn: lb }).await.unwrap();
    poll::until("the certificate to be free", || async {
        region.users(&first).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_listener_cannot_show_is_refused() {
    let region = start().await;
    let root = region.cloud.root();
    let lb = load_balancer(&region).await;
    let good = region.certificate("good", Some("key")).await;
    let pending = region.certificate("pending", None).await;
    let code = |input: CreateListenerInput| {
        let root = root.clone();
        async move { root.call(input).await.unwrap_err().code }
    };
    assert_eq!(code(secure(&lb, "arn:aws:acm:x:1:certificate/n")).await, "CertificateNotFound");
    assert_eq!(code(secure(&lb, &pending)).await, "UnsupportedCertificate");
    let two = [shows(&good), shows(&pending)].concat();
    let input = CreateListenerInput { certificates: two, ..secure(&lb, &good) };
    let error = root.call(input).await.unwrap_err();
    assert!(error.message.starts_with("Up to '1' certificate ARNs"), "{}", error.message);
    let marked = vec![Certificate { is_default: Some(true), ..shows(&good).remove(0) }];
    let input = CreateListenerInput { certificates: marked, ..secure(&lb, &good) };
    assert_eq!(code(input).await, "ValidationError");
    let old = Some("ELBSecurityPolicy-2016-08".to_owned());
    let input = CreateListenerInput { ssl_policy: old, ..secure(&lb, &good) };
    assert_eq!(code(input).await, "SSLPolicyNotFound");
    let alpn = vec!["HTTP2Only".to_owned()];
    let input = CreateListenerInput { alpn_policy: alpn, ..secure(&lb, &good) };
    assert_eq!(code(input).await, "ALPNPolicyNotFound");
    let mutual = |mode: &str| {
        let mode = Some(mode.to_owned());
        Some(MutualAuthenticationAttributes { mode, ..Default::default() })
    };
    for mode in ["verify", "passthrough"] {
        let input =
            CreateListenerInput { mutual_authentication: mutual(mode), ..secure(&lb, &good) };
        assert_eq!(code(input).await, "InvalidConfigurationRequest", "{mode}");
    }
    let input = CreateListenerInput { protocol: Some(ProtocolEnum::Tls), ..secure(&lb, &good) };
    assert_eq!(code(input).await, "ValidationError");
    let input = CreateListenerInput { mutual_authentication: mutual("off"), ..secure(&lb, &good) };
    let arn = listener(&region, input).await.listener_arn.unwrap();
    let unknown = AddListenerCertificatesInput {
        listener_arn: arn.clone(),
        certificates: shows("arn:aws:acm:x:1:certificate/n"),
    };
    assert_eq!(root.call(unknown).await.unwrap_err().code, "CertificateNotFound");
    for number in 0..26 {
        let own = region.certificate(&format!("n{number}"), Some("key")).await;
        let input =
            AddListenerCertificatesInput { listener_arn: arn.clone(), certificates: shows(&own) };
        let added = root.call(input).await;
        assert_eq!(
            added.err().map(|it| it.code),
            (number == 25).then(|| "TooManyCertificates".to_owned())
        );
    }
    let plain = CreateListenerInput {
        protocol: Some(ProtocolEnum::Http),
        port: Some(80),
        certificates: Vec::new(),
        ..secure(&lb, &good)
    };
    let plain = listener(&region, plain).await.listener_arn.unwrap();
    let list =
        DescribeListenerCertificatesInput { listener_arn: plain.clone(), ..Default::default() };
    assert_eq!(root.call(list).await.unwrap_err().code, "ValidationError");
    let input = AddListenerCertificatesInput { listener_arn: plain, certificates: shows(&good) };
    assert_eq!(root.call(input).await.unwrap_err().code, "ValidationError");
    let missing = DescribeListenerCertificatesInput {
        listener_arn: arn.replace("/web/", "/gone/"),
        ..Default::default()
    };
    assert_eq!(root.call(missing).await.unwrap_err().code, "ListenerNotFound");
}

#[tokio::test]
async fn policies_are_aws_own() {
    let region = start().await;
    let root = region.cloud.root();
    let all = root.call(DescribeSSLPoliciesInput::default()).await.unwrap().ssl_policies;
    assert_eq!(all.len(), 15);
    let named = |name: &str| DescribeSSLPoliciesInput {
        names: vec![name.to_owned()],
        ..Default::default()
    };
    let policy = root.call(named("ELBSecurityPolicy-TLS13-1-2-2021-06")).await.unwrap();
    let policy = &policy.ssl_policies[0];
    assert_eq!(policy.ssl_protocols, ["TLSv1.2", "TLSv1.3"]);
    assert_eq!(policy.ciphers.len(), 11);
    assert_eq!(policy.ciphers[0].name.as_deref(), Some("TLS_AES_128_GCM_SHA256"));
    assert_eq!(policy.ciphers[0].priority, Some(1));
    let error = root.call(named("ELBSecurityPolicy-2016-08")).await.unwrap_err();
    assert_eq!(error.code, "SSLPolicyNotFound");
    let network = DescribeSSLPoliciesInput {
        load_balancer_type: Some(LoadBalancerTypeEnum::Network),
        ..Default::default()
    };
    assert!(root.call(network).await.unwrap().ssl_policies.is_empty());
    let page = DescribeSSLPoliciesInput { page_size: Some(10), ..Default::default() };
    let first = root.call(page.clone()).await.unwrap();
    let rest = DescribeSSLPoliciesInput { marker: first.next_marker, ..page };
    assert_eq!(root.call(rest).await.unwrap().ssl_policies.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_can_be_encrypted_again() {
    let region = start().await;
    let root = region.cloud.root();
    let lb = load_balancer(&region).await;
    let input = CreateTargetGroupInput {
        name: "app".to_owned(),
        protocol: Some(ProtocolEnum::Https),
        port: Some(443),
        vpc_id: Some(VPC.to_owned()),
        ..Default::default()
    };
    let group = root.call(input).await.unwrap().target_groups.remove(0);
    assert_eq!(group.protocol, Some(ProtocolEnum::Https));
    assert_eq!(group.health_check_protocol, Some(ProtocolEnum::Http));
    let arn = group.target_group_arn.unwrap();
    let modify = ModifyTargetGroupInput {
        target_group_arn: arn.clone(),
        health_check_protocol: Some(ProtocolEnum::Https),
        ..Default::default()
    };
    root.call(modify).await.unwrap();
    let own = region.certificate("own", Some("key")).await;
    let forward = vec![Action { target_group_arn: Some(arn), ..Default::default() }];
    let input = CreateListenerInput { default_actions: forward, ..secure(&lb, &own) };
    listener(&region, input).await;
    poll::until("the node to be told", || async {
        let told = region.told.lock().unwrap();
        let group = told.values().next()?.target_groups.first()?.clone();
        let check = group.health_check?;
        (group.protocol == proxy::TargetProtocol::Https
            && check.protocol == proxy::TargetProtocol::Https)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn certificates_of_listeners_are_not_everybodys() {
    let region = start().await;
    let nobody = region.cloud.nobody();
    let arn = format!(
        "arn:aws:elasticloadbalancing:ap-northeast-2:{}:listener/app/web/1/2",
        testkit::ACCOUNT
    );
    let add = AddListenerCertificatesInput {
        listener_arn: arn.clone(),
        certificates: shows("arn:aws:acm:x:1:certificate/n"),
    };
    assert_eq!(nobody.call(add).await.unwrap_err().code, "AccessDenied");
    let remove = RemoveListenerCertificatesInput {
        listener_arn: arn.clone(),
        certificates: shows("arn:aws:acm:x:1:certificate/n"),
    };
    assert_eq!(nobody.call(remove).await.unwrap_err().code, "AccessDenied");
    let list = DescribeListenerCertificatesInput { listener_arn: arn, ..Default::default() };
    assert_eq!(nobody.call(list).await.unwrap_err().code, "AccessDenied");
    let policies = DescribeSSLPoliciesInput::default();
    assert_eq!(nobody.call(policies).await.unwrap_err().code, "AccessDenied");
}
