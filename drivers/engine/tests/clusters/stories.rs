//! What every database engine must survive.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::{Event, Loss, Role};
use rustix::process::Signal;

use crate::support::{Bench, Client, Outcome, Writers, node, until};

/// What is done to the primary.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Kill,
    Freeze,
    Cut,
}

/// How often a fault is repeated: as the test says, or as `ENGINE_ROUNDS` does for a long run.
fn rounds_of(usual: u32) -> u32 {
    let wanted = std::env::var("ENGINE_ROUNDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Under writes, does `fault` to the primary `rounds` times: writes go on within `limit` each time,
/// nothing that was acknowledged is missing, and the old primary is a standby in step again.
pub(crate) async fn primary_fault<C: Client>(
    fault: Fault,
    rounds: u32,
    limit: Duration,
) -> Outcome {
    let bench = Bench::new::<C>(&[Role::Primary, Role::Standby]).await?;
    bench.client::<C>().await?.prepare().await?;
    for round in 1..=rounds_of(rounds) {
        bench.whole().await?;
        let old = bench.primary();
        let writers = Writers::start::<C>(&bench, 4);
        writers.more(100).await?;
        let before = writers.acknowledged.load(Ordering::SeqCst);
        let began = Instant::now();
        match fault {
            Fault::Kill => bench.host.signal(&old, Signal::KILL),
            Fault::Freeze => bench.host.signal(&old, Signal::STOP),
            Fault::Cut => drop(bench.host.cut.lock().unwrap().insert(old.clone())),
        }
        let mut primary = bench.host.primary.subscribe();
        primary.mark_unchanged();
        tokio::time::timeout(limit * 2, primary.changed()).await??;
        let promoted = began.elapsed();
        writers.more(1).await?;
        let took = began.elapsed();
        writers.more(100).await?;
        let acknowledged = writers.finish().await?;
        let mut client = bench.client::<C>().await?;
        let rows = client.rows().await?;
        let lost = acknowledged.difference(&rows).count();
        println!(
            "{:?} {fault:?} round {round}: promoted {promoted:?}, first write {took:?}, \
             acknowledged {} (before {before}), lost {lost}",
            C::KIND,
            acknowledged.len()
        );
        assert_eq!(lost, 0, "acknowledged rows are missing");
        assert_ne!(bench.primary(), old);
        assert!(took <= limit, "took {took:?}");
        bench.whole().await?;
        let standby =
            bench.cluster.status().nodes.into_iter().find(|node| node.role == Role::Standby);
        let mut standby = C::connect(bench.node(&standby.unwrap().id).port).await?;
        arrives_all(&mut standby, &rows).await?;
        println!("round {round}: whole again {:?} after the fault", began.elapsed());
    }
    Ok(())
}

/// A standby that dies holds the primary up only briefly; while it is away nothing fails over to
/// it, and the primary comes back with everything that it acknowledged alone.
pub(crate) async fn stale_standby<C: Client>() -> Outcome {
    let bench = Bench::new::<C>(&[Role::Primary, Role::Standby]).await?;
    bench.client::<C>().await?.prepare().await?;
    bench.whole().await?;
    let writers = Writers::start::<C>(&bench, 2);
    writers.more(50).await?;
    bench.host.signal("n2", Signal::KILL);
    until("the standby is given up", Duration::from_secs(10), || {
        bench.host.happened(|event| matches!(event, Event::ReplicationDegraded { .. }))
    })
    .await?;
    bench.host.signal("n1", Signal::KILL);
    until("the primary is back", Duration::from_secs(60), || {
        bench.host.happened(|event| matches!(event, Event::PrimaryRecovered { .. }))
    })
    .await?;
    assert!(bench.host.happened(|event| matches!(event, Event::FailoverRefused { .. })));
    writers.more(20).await?;
    let acknowledged = writers.finish().await?;
    assert_eq!(bench.primary(), "n1");
    let rows = bench.client::<C>().await?.rows().await?;
    assert_eq!(acknowledged.difference(&rows).count(), 0);
    bench.whole().await
}

/// A replica gets a copy, serves reads and refuses writes, outlives its source's failover, and can
/// become an instance of its own.
pub(crate) async fn read_replica<C: Client>() -> Outcome {
    let bench = Bench::new::<C>(&[Role::Primary, Role::Standby]).await?;
    let mut client = bench.client::<C>().await?;
    client.prepare().await?;
    client.insert(0, 1).await?;
    let replica = node(bench.folder.path(), C::KIND, 3);
    let began = Instant::now();
    bench.cluster.add(replica.clone(), Role::Replica, &bench.template).await?;
    println!("a replica was added in {:?}", began.elapsed());
    bench.whole().await?;
    let mut reader = C::connect(replica.port).await?;
    arrives(&mut reader, (0, 1)).await?;
    assert!(reader.insert(9, 9).await.is_err(), "a replica took a write");
    bench.host.signal("n1", Signal::KILL);
    let mut primary = bench.host.primary.subscribe();
    primary.wait_for(|port| *port == bench.node("n2").port).await?;
    bench.whole().await?;
    bench.client::<C>().await?.insert(0, 2).await?;
    arrives(&mut reader, (0, 2)).await?;
    let lag = bench.cluster.observe().await.nodes.into_iter().find(|node| node.id == "n3");
    assert!(lag.and_then(|node| node.lag).is_some_and(|lag| lag < Duration::from_secs(10)));
    bench.cluster.promote_replica("n3").await?;
    let mut own = C::connect(replica.port).await?;
    own.insert(0, 3).await?;
    bench.client::<C>().await?.insert(0, 4).await?;
    bench.whole().await?;
    assert!(!own.rows().await?.contains(&(0, 4)));
    assert!(!bench.client::<C>().await?.rows().await?.contains(&(0, 3)));
    Ok(())
}

/// Waits until a follower holds exactly these rows.
async fn arrives_all<C: Client>(reader: &mut C, rows: &BTreeSet<(u64, u64)>) -> Outcome {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = reader.rows().await?;
        if seen == *rows {
            return Ok(());
        }
        let (more, less) = (seen.difference(rows).count(), rows.difference(&seen).count());
        assert!(Instant::now() < end, "{more} rows too many, {less} missing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn arrives<C: Client>(reader: &mut C, row: (u64, u64)) -> Outcome {
    let end = Instant::now() + Duration::from_secs(20);
    while !reader.rows().await?.contains(&row) {
        assert!(Instant::now() < end, "{row:?} does not arrive");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A snapshot taken under writes holds what was acknowledged before it, and a pair made from it
/// works under passwords of its own.
pub(crate) async fn snapshot_and_restore<C: Client>() -> Outcome {
    let bench = Bench::new::<C>(&[Role::Primary, Role::Standby]).await?;
    bench.client::<C>().await?.prepare().await?;
    bench.whole().await?;
    let writers = Writers::start::<C>(&bench, 2);
    writers.more(50).await?;
    let mut client = bench.client::<C>().await?;
    client.insert(0, 1).await?;
    let before = client.rows().await?;
    let target = bench.folder.path().join("snapshot");
    let began = Instant::now();
    bench.cluster.snapshot(&target).await?;
    println!("a snapshot was taken in {:?}", began.elapsed());
    writers.finish().await?;
    drop(client);
    let began = Instant::now();
    let other = Bench::restored::<C>(&[Role::Primary, Role::Standby], target).await?;
    println!("a pair was restored in {:?}", began.elapsed());
    other.whole().await?;
    let mut client = other.client::<C>().await?;
    let rows = client.rows().await?;
    assert_eq!(before.difference(&rows).count(), 0, "the snapshot lacks rows");
    client.insert(0, 2).await?;
    other.cluster.failover("a test", Loss::Refuse).await?;
    assert!(other.client::<C>().await?.rows().await?.contains(&(0, 2)));
    other.whole().await
}

/// A control plane that comes back finds the cluster as it is, after a failover too, and after a
/// power cut starts it again with every row.
pub(crate) async fn new_control_plane<C: Client>() -> Outcome {
    let mut bench = Bench::new::<C>(&[Role::Primary, Role::Standby]).await?;
    bench.client::<C>().await?.prepare().await?;
    bench.whole().await?;
    bench.cluster.failover("a test", Loss::Refuse).await?;
    bench.whole().await?;
    let writers = Writers::start::<C>(&bench, 2);
    writers.more(20).await?;
    bench.take_over().await?;
    assert_eq!(bench.primary(), "n2");
    writers.more(20).await?;
    bench.whole().await?;
    assert!(!bench.host.happened(|event| matches!(event, Event::PrimaryRecovered { .. })));
    bench.stop_watching().await;
    for id in ["n1", "n2"] {
        bench.host.signal(id, Signal::KILL);
    }
    bench.take_over().await?;
    writers.more(20).await?;
    let acknowledged = writers.finish().await?;
    bench.whole().await?;
    assert_eq!(bench.primary(), "n2");
    let rows = bench.client::<C>().await?.rows().await?;
    assert_eq!(acknowledged.difference(&rows).count(), 0);
    Ok(())
}
