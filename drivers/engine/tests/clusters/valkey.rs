//! Valkey and Redis under faults. Their replication is asynchronous, so a writer that wants a row
//! to survive waits for a replica, as these do.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::{CacheAccess, EngineKind, Role};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client as RedisClient};
use rustix::process::Signal;

use crate::support::{Bench, Client, Outcome, Writers};

struct Cache<const REDIS: bool>(MultiplexedConnection);

#[async_trait]
impl<const REDIS: bool> Client for Cache<REDIS> {
    const KIND: EngineKind = if REDIS { EngineKind::Redis } else { EngineKind::Valkey };
    const VERSION: &'static str = if REDIS { "7.0" } else { "8.1" };

    async fn connect(port: u16) -> Outcome<Self> {
        let client = RedisClient::open(("127.0.0.1", port))?;
        let config =
            AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(5)));
        Ok(Self(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    async fn prepare(&mut self) -> Outcome {
        Ok(())
    }

    async fn insert(&mut self, writer: u64, row: u64) -> Outcome {
        let mut pair = redis::pipe();
        pair.cmd("SADD").arg("log").arg(format!("{writer}:{row}")).ignore();
        pair.cmd("WAIT").arg(1).arg(1000);
        let (replicas,): (u64,) = pair.query_async(&mut self.0).await?;
        if replicas == 0 { Err("no replica has it".into()) } else { Ok(()) }
    }

    async fn rows(&mut self) -> Outcome<BTreeSet<(u64, u64)>> {
        let members: Vec<String> =
            redis::cmd("SMEMBERS").arg("log").query_async(&mut self.0).await?;
        let row = |text: String| {
            let (writer, row) = text.split_once(':').unwrap();
            (writer.parse().unwrap(), row.parse().unwrap())
        };
        Ok(members.into_iter().map(row).collect())
    }
}

type Valkey = Cache<false>;

/// Kills or freezes the primary of three nodes under writes that wait for one replica.
async fn fault<C: Client>(signal: Signal, limit: Duration) -> Outcome {
    let bench = Bench::new::<C>(&[Role::Primary, Role::Replica, Role::Replica]).await?;
    bench.whole().await?;
    let writers = Writers::start::<C>(&bench, 4);
    writers.more(500).await?;
    let old = bench.primary();
    let began = Instant::now();
    bench.host.signal(&old, signal);
    let mut primary = bench.host.primary.subscribe();
    primary.mark_unchanged();
    tokio::time::timeout(limit * 2, primary.changed()).await??;
    let promoted = began.elapsed();
    writers.more(1).await?;
    let took = began.elapsed();
    writers.more(500).await?;
    let acknowledged = writers.finish().await?;
    let rows = bench.client::<C>().await?.rows().await?;
    let lost = acknowledged.difference(&rows).count();
    println!("{:?} {signal:?}: promoted {promoted:?}, first write {took:?}, lost {lost}", C::KIND);
    assert_eq!(lost, 0);
    assert!(took <= limit, "took {took:?}");
    bench.whole().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_valkey_primary_is_replaced() -> Outcome {
    fault::<Valkey>(Signal::KILL, Duration::from_secs(2)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_valkey_primary_is_replaced() -> Outcome {
    fault::<Valkey>(Signal::STOP, Duration::from_secs(15)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_primary_is_replaced() -> Outcome {
    fault::<Cache<true>>(Signal::KILL, Duration::from_secs(2)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_keeps_its_data_over_a_snapshot_and_its_token_over_a_failover() -> Outcome {
    let bench = Bench::new::<Valkey>(&[Role::Primary, Role::Replica]).await?;
    bench.whole().await?;
    bench.client::<Valkey>().await?.insert(1, 1).await?;
    let mut client: Valkey = bench.client().await?;
    let refused: redis::RedisResult<()> =
        redis::cmd("CONFIG").arg("GET").arg("*").query_async(&mut client.0).await;
    assert!(refused.is_err(), "an ordinary user may configure the cache");
    let target = bench.folder.path().join("snapshot");
    bench.cluster.snapshot(&target).await?;
    let other = Bench::restored::<Valkey>(&[Role::Primary, Role::Replica], target).await?;
    other.whole().await?;
    assert_eq!(other.client::<Valkey>().await?.rows().await?, BTreeSet::from([(1, 1)]));
    let token = "a-token'of#\\sixteen".to_owned();
    other.cluster.set_cache_access(CacheAccess::Token(token.clone())).await?;
    other.host.signal("n1", Signal::KILL);
    other.host.primary.subscribe().wait_for(|port| *port == other.node("n2").port).await?;
    let mut stranger: Valkey = other.client().await?;
    assert!(stranger.insert(2, 2).await.is_err(), "a stranger wrote");
    other.whole().await?;
    other.cluster.restart("n2").await?;
    let mut friend =
        RedisClient::open(("127.0.0.1", other.port()))?.get_multiplexed_async_connection().await?;
    redis::cmd("AUTH").arg(token).exec_async(&mut friend).await?;
    redis::cmd("SET").arg("a").arg(1).exec_async(&mut friend).await?;
    Ok(())
}
