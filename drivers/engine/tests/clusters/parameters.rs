//! Every parameter that is listed is one that the engine knows: written to its files and, where it
//! is said to be dynamic, given to the running server.

use std::collections::BTreeMap;

use async_trait::async_trait;
use engine::{EngineKind, Loss, Role, Tls, parameters};
use std::collections::BTreeSet;

use crate::support::{Bench, Client, Outcome};

/// An engine that only its cluster talks to.
struct Silent<const KIND: u8>;

#[async_trait]
impl<const KIND: u8> Client for Silent<KIND> {
    const KIND: EngineKind = match KIND {
        0 | 1 => EngineKind::MariaDb,
        2 | 3 => EngineKind::PostgreSql,
        4 => EngineKind::Redis,
        _ => EngineKind::Valkey,
    };
    const VERSION: &'static str = match KIND {
        0 => "10.11",
        1 => "11.8",
        2 => "15",
        3 => "17",
        4 => "7.0",
        _ => "8.1",
    };

    async fn connect(_port: u16) -> Outcome<Self> {
        Ok(Self)
    }

    async fn prepare(&mut self) -> Outcome {
        Ok(())
    }

    async fn insert(&mut self, _writer: u64, _row: u64) -> Outcome {
        Ok(())
    }

    async fn rows(&mut self) -> Outcome<BTreeSet<(u64, u64)>> {
        Ok(BTreeSet::new())
    }
}

async fn every_parameter<C: Client>() -> Outcome {
    let bench = Bench::new::<C>(&[Role::Primary]).await?;
    bench.whole().await?;
    let mut wanted = BTreeMap::new();
    let mut wrong = Vec::new();
    for parameter in parameters(C::KIND, C::VERSION) {
        // One after the other, so that a wrong one is named.
        let mut with = wanted.clone();
        with.insert(parameter.name.to_owned(), example(parameter));
        match bench.cluster.apply_parameters(with.clone()).await {
            Ok(pending) => {
                let dynamic = !pending.iter().any(|name| name == parameter.name);
                if dynamic != parameter.dynamic {
                    wrong.push(format!("{} is pending: {pending:?}", parameter.name));
                }
                wanted = with;
            }
            Err(error) => wrong.push(format!("{}: {}", parameter.name, error.chain())),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    if let Err(error) = bench.cluster.restart("n1").await {
        let console = bench.node("n1").volume.join("console.log");
        let console = std::fs::read_to_string(console).unwrap_or_default();
        return Err(format!("{}: {console}", error.chain()).into());
    }
    bench.whole().await
}

/// A value that is not the default, so that something is changed.
fn example(parameter: &engine::Parameter) -> String {
    let default = parameter.default.unwrap_or_default();
    let mut choices = parameter.allowed.split(',').map(str::trim);
    let other = choices.rfind(|choice| !choice.is_empty() && *choice != default);
    match (parameter.name, other) {
        ("innodb_buffer_pool_size" | "innodb_log_file_size", _) => "33554432".into(),
        ("max_connections", _) => "77".into(),
        ("shared_buffers" | "effective_cache_size", _) => "4096".into(),
        ("databases", _) => "17".into(),
        ("maxclients", _) => "500".into(),
        ("max_prepared_transactions" | "max_worker_processes", _) => "9".into(),
        ("optimizer_switch", _) => "mrr=on".into(),
        ("character_set_server" | "character_set_filesystem", _) => "latin1".into(),
        ("collation_server", _) => "latin1_general_ci".into(),
        ("init_connect", _) => "SET @a = 'it''s'".into(),
        ("time_zone", _) => "+09:00".into(),
        ("timezone", _) => "Asia/Seoul".into(),
        ("lc_time_names", _) => "ko_KR".into(),
        ("log_min_messages", _) => "info".into(),
        ("datestyle", _) => "ISO, DMY".into(),
        ("client_encoding", _) => "LATIN1".into(),
        ("search_path", _) => "app, public".into(),
        ("client-output-buffer-limit", _) => "normal 0 0 0".into(),
        ("notify-keyspace-events", _) => "KEA".into(),
        (_, Some(range)) => match range.get(1..).and_then(|rest| rest.find('-')) {
            Some(at) if range.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                let low = range.get(..=at).unwrap();
                if low == default {
                    format!("{}", low.parse::<f64>().unwrap() + 1.0)
                } else {
                    low.into()
                }
            }
            Some(_) | None => range.into(),
        },
        (name, None) => panic!("an example of {name} is needed"),
    }
}

/// Every engine starts with a certificate, shows it, and its nodes follow each other all the same.
async fn with_certificate<C: Client>(follower: Role) -> Outcome {
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    let authority_key = rcgen::KeyPair::generate()?;
    let authority = rcgen::CertifiedIssuer::self_signed(authority, authority_key)?;
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
    let tls = Tls {
        certificate: certificate.signed_by(&key, &authority)?.pem(),
        key: key.serialize_pem(),
        authority: authority.pem(),
    };
    let bench =
        Bench::with::<C>(&[Role::Primary, follower], None, |spec| spec.tls = Some(tls)).await?;
    bench.whole().await
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_run_with_a_certificate() -> Outcome {
    with_certificate::<Silent<0>>(Role::Standby).await?;
    with_certificate::<Silent<1>>(Role::Standby).await?;
    with_certificate::<Silent<2>>(Role::Standby).await?;
    with_certificate::<Silent<4>>(Role::Replica).await?;
    with_certificate::<Silent<5>>(Role::Replica).await
}

/// A limit that is raised and lowered again never leaves a PostgreSQL standby behind its primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_keeps_up_with_the_limits_of_its_primary() -> Outcome {
    let bench = Bench::new::<Silent<2>>(&[Role::Primary, Role::Standby]).await?;
    bench.whole().await?;
    for limit in ["200", "20"] {
        let wanted = BTreeMap::from([("max_connections".to_owned(), limit.to_owned())]);
        let pending =
            bench.cluster.apply_parameters(wanted).await.map_err(|error| error.chain())?;
        assert_eq!(pending, ["max_connections"]);
        bench.whole().await?;
        let primary = bench.primary();
        bench.cluster.restart(&primary).await.map_err(|error| error.chain())?;
        bench.whole().await?;
        bench.cluster.failover("a test", Loss::Refuse).await.map_err(|error| error.chain())?;
        bench.whole().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_10_knows_every_parameter() -> Outcome {
    every_parameter::<Silent<0>>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_11_knows_every_parameter() -> Outcome {
    every_parameter::<Silent<1>>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_15_knows_every_parameter() -> Outcome {
    every_parameter::<Silent<2>>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_17_knows_every_parameter() -> Outcome {
    every_parameter::<Silent<3>>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_knows_every_parameter() -> Outcome {
    every_parameter::<Silent<4>>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_knows_every_parameter() -> Outcome {
    every_parameter::<Silent<5>>().await
}
