//! MariaDB under faults.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use engine::{EngineKind, Event, Loss, Node, Role};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::stories::{self, Fault, primary_fault};
use crate::support::{Bench, Client, Outcome, login, until};

struct Tested<const LATER: bool>(Conn);

type MariaDb = Tested<false>;

#[async_trait]
impl<const LATER: bool> Client for Tested<LATER> {
    const KIND: EngineKind = EngineKind::MariaDb;
    const VERSION: &'static str = if LATER { "11.8" } else { "10.11" };

    async fn connect(port: u16) -> Outcome<Self> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .prefer_socket(false)
            .user(Some(login().user))
            .pass(Some(login().password))
            .db_name(Some("app"));
        Ok(Self(Conn::new(options).await?))
    }

    async fn prepare(&mut self) -> Outcome {
        let table = "CREATE TABLE IF NOT EXISTS log (w BIGINT, n BIGINT, PRIMARY KEY (w, n))";
        Ok(self.0.query_drop(table).await?)
    }

    async fn insert(&mut self, writer: u64, row: u64) -> Outcome {
        Ok(self.0.query_drop(format!("INSERT INTO log VALUES ({writer}, {row})")).await?)
    }

    async fn rows(&mut self) -> Outcome<BTreeSet<(u64, u64)>> {
        Ok(self.0.query::<(u64, u64), _>("SELECT w, n FROM log").await?.into_iter().collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_replaced_without_loss() -> Outcome {
    primary_fault::<MariaDb>(Fault::Kill, 3, Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_primary_is_fenced_and_replaced_without_loss() -> Outcome {
    primary_fault::<MariaDb>(Fault::Freeze, 1, Duration::from_secs(15)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_link_is_fenced_and_replaced_without_loss() -> Outcome {
    primary_fault::<MariaDb>(Fault::Cut, 1, Duration::from_secs(15)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_standby_does_not_take_over() -> Outcome {
    stories::stale_standby::<MariaDb>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_replica_follows_and_becomes_an_instance() -> Outcome {
    stories::read_replica::<MariaDb>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_holds_the_data() -> Outcome {
    stories::snapshot_and_restore::<MariaDb>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_control_plane_goes_on() -> Outcome {
    stories::new_control_plane::<MariaDb>().await
}

/// The management connection of a node.
async fn manage(node: &Node) -> Outcome<Conn> {
    let options = OptsBuilder::default()
        .socket(Some(node.volume.join("run/engine.sock").to_str().unwrap()))
        .user(Some("rdsadmin"))
        .pass(Some("manage1234"));
    Ok(Conn::new(options).await?)
}

/// A parameter's text arrives as it was given, at once and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_kept_as_it_is() -> Outcome {
    let bench = Bench::new::<MariaDb>(&[Role::Primary]).await?;
    let text = r#"SET @a = "it's # not \ a ; comment""#;
    let wanted = [("init_connect".to_owned(), text.to_owned())].into();
    assert!(bench.cluster.apply_parameters(wanted).await?.is_empty());
    for _ in 0..2 {
        let mut connection = manage(&bench.node("n1")).await?;
        let seen: Option<String> = connection.query_first("SELECT @@init_connect").await?;
        assert_eq!(seen.as_deref(), Some(text));
        bench.cluster.restart("n1").await?;
    }
    Ok(())
}

/// A commit that waits for the standby when the primary dies was never acknowledged; the old
/// primary has it in its log and must not bring it back.
#[tokio::test(flavor = "multi_thread")]
async fn an_unacknowledged_commit_does_not_come_back() -> Outcome {
    let bench = Bench::new::<MariaDb>(&[Role::Primary, Role::Standby]).await?;
    let mut client: MariaDb = bench.client().await?;
    client.prepare().await?;
    client.insert(1, 1).await?;
    bench.whole().await?;
    manage(&bench.node("n2")).await?.query_drop("STOP SLAVE IO_THREAD").await?;
    let mut pending: MariaDb = bench.client().await?;
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { pending.insert(2, 2).await });
    let mut primary = manage(&bench.node("n1")).await?;
    let question = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
                    WHERE STATE LIKE '%semi-sync%'";
    while primary.query_first::<u64, _>(question).await? == Some(0) {}
    bench.host.signal("n1", Signal::KILL);
    assert!(
        waiting.join_next().await.unwrap()?.is_err(),
        "a commit was acknowledged that no standby has"
    );
    bench.host.primary.subscribe().wait_for(|port| *port == bench.node("n2").port).await?;
    bench.whole().await?;
    let mut client: MariaDb = bench.client().await?;
    client.insert(3, 3).await?;
    let expected = BTreeSet::from([(1, 1), (3, 3)]);
    assert_eq!(client.rows().await?, expected);
    bench.whole().await?;
    bench.cluster.failover("back", Loss::Refuse).await?;
    assert_eq!(bench.client::<MariaDb>().await?.rows().await?, expected);
    Ok(())
}

/// A primary that committed alone, and was then replaced by an operator who accepted the loss, gets
/// a new copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_diverged_primary_gets_a_new_copy() -> Outcome {
    let mut bench = Bench::new::<MariaDb>(&[Role::Primary, Role::Standby]).await?;
    let mut client: MariaDb = bench.client().await?;
    client.prepare().await?;
    client.insert(1, 1).await?;
    bench.whole().await?;
    bench.stop_watching().await;
    manage(&bench.node("n2")).await?.query_drop("STOP SLAVE IO_THREAD").await?;
    let alone = "SET GLOBAL rpl_semi_sync_master_enabled=OFF";
    manage(&bench.node("n1")).await?.query_drop(alone).await?;
    client.insert(2, 2).await?;
    // What is only prepared in the storage engine would be taken back at the restart.
    manage(&bench.node("n1")).await?.query_drop("FLUSH LOCAL LOGS").await?;
    bench.cluster.observe().await;
    let refused = bench.cluster.failover("a test", Loss::Refuse).await;
    assert!(refused.is_err(), "commits would have been lost in silence");
    bench.cluster.failover("a test", Loss::Accept).await?;
    bench.client::<MariaDb>().await?.insert(3, 3).await?;
    bench.watch();
    until("the old primary gets a copy", Duration::from_secs(60), || {
        bench.host.happened(|event| matches!(event, Event::Reseeded { .. }))
    })
    .await?;
    bench.whole().await?;
    bench.cluster.failover("back", Loss::Refuse).await?;
    let rows = bench.client::<MariaDb>().await?.rows().await?;
    assert_eq!(rows, BTreeSet::from([(1, 1), (3, 3)]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_later_release_is_replaced_without_loss_too() -> Outcome {
    primary_fault::<Tested<true>>(Fault::Kill, 1, Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_the_later_release_holds_the_data() -> Outcome {
    stories::snapshot_and_restore::<Tested<true>>().await
}
