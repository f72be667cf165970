//! PostgreSQL under faults.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use engine::EngineKind;
use tokio::task::JoinSet;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use crate::stories::{self, Fault, primary_fault};
use crate::support::{Client, Outcome, login};

type Postgres = Tested<false>;

struct Tested<const LATER: bool> {
    client: tokio_postgres::Client,
    _driving: JoinSet<()>,
}

#[async_trait]
impl<const LATER: bool> Client for Tested<LATER> {
    const KIND: EngineKind = EngineKind::PostgreSql;
    const VERSION: &'static str = if LATER { "17" } else { "15" };

    async fn connect(port: u16) -> Outcome<Self> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).dbname("app");
        config.user(login().user).password(login().password);
        let (client, connection) = config.connect(NoTls).await?;
        let mut driving = JoinSet::new();
        driving.spawn(async move { drop(connection.await) });
        Ok(Self { client, _driving: driving })
    }

    async fn prepare(&mut self) -> Outcome {
        let table = "CREATE TABLE IF NOT EXISTS log (w BIGINT, n BIGINT, PRIMARY KEY (w, n))";
        Ok(self.client.batch_execute(table).await?)
    }

    async fn insert(&mut self, writer: u64, row: u64) -> Outcome {
        let statement = format!("INSERT INTO log VALUES ({writer}, {row})");
        Ok(self.client.batch_execute(&statement).await?)
    }

    async fn rows(&mut self) -> Outcome<BTreeSet<(u64, u64)>> {
        let mut rows = BTreeSet::new();
        for message in self.client.simple_query("SELECT w, n FROM log").await? {
            if let SimpleQueryMessage::Row(row) = message {
                rows.insert((row.get(0).unwrap().parse()?, row.get(1).unwrap().parse()?));
            }
        }
        Ok(rows)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_replaced_without_loss() -> Outcome {
    primary_fault::<Postgres>(Fault::Kill, 3, Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_primary_is_fenced_and_replaced_without_loss() -> Outcome {
    primary_fault::<Postgres>(Fault::Freeze, 1, Duration::from_secs(15)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_link_is_fenced_and_replaced_without_loss() -> Outcome {
    primary_fault::<Postgres>(Fault::Cut, 1, Duration::from_secs(15)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_standby_does_not_take_over() -> Outcome {
    stories::stale_standby::<Postgres>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_replica_follows_and_becomes_an_instance() -> Outcome {
    stories::read_replica::<Postgres>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_holds_the_data() -> Outcome {
    stories::snapshot_and_restore::<Postgres>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_control_plane_goes_on() -> Outcome {
    stories::new_control_plane::<Postgres>().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_later_release_is_replaced_without_loss_too() -> Outcome {
    primary_fault::<Tested<true>>(Fault::Kill, 1, Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_the_later_release_holds_the_data() -> Outcome {
    stories::snapshot_and_restore::<Tested<true>>().await
}
