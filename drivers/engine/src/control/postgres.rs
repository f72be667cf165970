//! PostgreSQL: streaming replication, synchronous for the standby.

use std::time::Duration;

use async_trait::async_trait;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::{CONNECT_MAX, Control, Driving, Login, NodeState, SocketFolder};
use crate::config::postgres_sync_file;
use crate::error::{Context, Error, Result};
use crate::node::Node;
use crate::spec::CacheAccess;

/// Parameter groups and the owner's settings are not for the management.
const OPTIONS: &str = "-c statement_timeout=0 -c lock_timeout=0 \
    -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off \
    -c search_path=pg_catalog -c standard_conforming_strings=on -c datestyle=ISO -c log_statement=none";

/// How often a server is asked whether a change has reached it.
const POLL: Duration = Duration::from_millis(10);

/// How long a server may take to take note of its changed files.
const RELOAD_MAX: Duration = Duration::from_secs(10);

/// The longest that a promotion may take; what was received is applied first.
const PROMOTE_MAX: Duration = Duration::from_secs(600);

/// What a standby must have as much of as its primary, or it stops applying.
///
/// PostgreSQL: "Hot Standby", "Administrator's Overview".
const LIMITS: &[&str] = &[
    "max_connections",
    "max_worker_processes",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

struct Connection {
    client: Client,
    _driving: Driving,
}

pub(crate) struct Postgres {
    node: Node,
    replication: String,
    watch: Mutex<Option<Connection>>,
    work: Mutex<Option<Connection>>,
}

impl Postgres {
    pub(crate) fn new(node: &Node, replication: String) -> Self {
        let (watch, work) = (Mutex::new(None), Mutex::new(None));
        Self { node: node.clone(), replication, watch, work }
    }

    async fn connect(&self) -> Result<Connection> {
        let folder = SocketFolder::open(&self.node.sockets())?;
        let path = folder.path(&format!(".s.PGSQL.{}", self.node.port));
        let open = async {
            let stream = UnixStream::connect(&path).await.at("connect to", &path)?;
            let mut config = Config::new();
            config.user("rdsadmin").dbname("postgres").application_name("rdsadmin");
            config.options(OPTIONS);
            Ok::<_, Error>(config.connect_raw(stream, NoTls).await?)
        };
        let opened = timeout(CONNECT_MAX, open).await;
        let (client, connection) = opened.map_err(|_| Error::Timeout("a connection"))??;
        let driving = Driving::start(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a management connection ended");
            }
        });
        Ok(Connection { client, _driving: driving })
    }

    /// Runs statements and returns the last row of the last of them. The connection is kept unless
    /// it is closed or the caller gives up.
    async fn query(
        &self,
        slot: &Mutex<Option<Connection>>,
        statements: &str,
    ) -> Result<Option<SimpleQueryRow>> {
        let mut slot = slot.lock().await;
        let connection = match slot.take().filter(|held| !held.client.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = connection.client.simple_query(statements).await;
        *slot = Some(connection);
        let mut last = None;
        for message in answer? {
            if let SimpleQueryMessage::Row(row) = message {
                last = Some(row);
            }
        }
        Ok(last)
    }

    async fn run(&self, statements: &str) -> Result<()> {
        self.query(&self.work, statements).await.map(drop)
    }

    async fn ask(&self, question: &str) -> Result<Option<String>> {
        let row = self.query(&self.work, question).await?;
        Ok(row.and_then(|row| row.get(0).map(str::to_owned)))
    }

    /// Makes commits wait for a standby of this name, or for nobody.
    async fn set_sync(&self, name: &str) -> Result<()> {
        let file = postgres_sync_file(name);
        let path = self.node.volume.join(&file.path);
        let fresh = path.with_extension("fresh");
        std::fs::write(&fresh, &file.content).at("write", &fresh)?;
        std::os::unix::fs::chown(&fresh, Some(self.node.owner.uid), Some(self.node.owner.gid))
            .at("give away", &fresh)?;
        std::fs::rename(&fresh, &path).at("put in place", &path)?;
        self.run("SELECT pg_reload_conf()").await?;
        let until = Instant::now() + RELOAD_MAX;
        let question = "SELECT current_setting('synchronous_standby_names')";
        while self.ask(question).await?.as_deref() != Some(name) {
            if Instant::now() > until {
                return Err(Error::Timeout("PostgreSQL to read its configuration"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The `host` and `port` of a connection string as this crate writes it.
fn source_in(conninfo: &str) -> Option<(String, u16)> {
    let word = |key: &str| {
        let mut words = conninfo.split_whitespace();
        words.find_map(|word| word.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
    };
    Some((word("host")?, word("port")?.parse().ok()?))
}

const STATE: &str = "SELECT pg_is_in_recovery() AS follows, \
    current_setting('primary_conninfo') AS source, \
    current_setting('synchronous_standby_names') <> '' AS holding, \
    coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver), false) AS receiving, \
    CASE WHEN pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn() THEN 0 \
      ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END AS lag";

/// Makes what the owner's user belongs to.
///
/// AWS: "Understanding the rds_superuser role".
const GROUPS: &str = "DO $$ BEGIN \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_superuser') THEN \
      CREATE ROLE rds_superuser NOLOGIN; \
      GRANT pg_monitor, pg_signal_backend, pg_checkpoint, pg_read_all_data, pg_write_all_data \
        TO rds_superuser WITH ADMIN OPTION; \
      CREATE ROLE rds_replication NOLOGIN; \
      CREATE ROLE rds_password NOLOGIN; \
      GRANT rds_replication, rds_password TO rds_superuser WITH ADMIN OPTION; \
    END IF; END $$";

#[async_trait]
impl Control for Postgres {
    async fn state(&self) -> Result<NodeState> {
        let row = self.query(&self.watch, STATE).await?;
        let row = row.ok_or(Error::Timeout("the state of PostgreSQL"))?;
        let is = |column: &str| row.get(column) == Some("t");
        if !is("follows") {
            let holding = is("holding");
            return Ok(NodeState { writable: true, holding, ..NodeState::default() });
        }
        let receiving = is("receiving");
        let seconds = row.get("lag").and_then(|lag| lag.parse::<f64>().ok());
        let lag = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(NodeState {
            source: Some(source_in(row.get("source").unwrap_or_default()).unwrap_or_default()),
            receiving,
            lag: lag.filter(|_| receiving),
            ..NodeState::default()
        })
    }

    async fn limits(&self) -> Result<Vec<(String, u64)>> {
        let mut limits = Vec::new();
        for name in LIMITS {
            let value = self.ask(&format!("SELECT current_setting('{name}')")).await?;
            let value = value.and_then(|value| value.parse().ok());
            limits.extend(value.map(|value| ((*name).to_owned(), value)));
        }
        Ok(limits)
    }

    async fn forget(&self) {
        *self.watch.lock().await = None;
        *self.work.lock().await = None;
    }

    async fn follow(&self, _source: &Node, _standby: bool, _branch: &str) -> Result<()> {
        // Whom to follow stands in the files that were installed before.
        self.run("SELECT pg_reload_conf()").await
    }

    async fn drain(&self) -> Result<String> {
        // Timelines tell histories apart, and a promotion applies everything first.
        Ok(String::new())
    }

    async fn promote(&self) -> Result<()> {
        // The server's own wait looks ten times a second only.
        let question = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(false) END";
        self.run(question).await?;
        let until = Instant::now() + PROMOTE_MAX;
        while self.ask("SELECT pg_is_in_recovery()").await?.as_deref() != Some("f") {
            if Instant::now() > until {
                return Err(Error::Timeout("the promotion of PostgreSQL"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn open(&self) -> Result<()> {
        let password = literal(&self.replication);
        self.run(&format!(
            "SET LOCAL synchronous_commit = local; \
             DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rdsrepladmin') \
             THEN CREATE ROLE rdsrepladmin LOGIN REPLICATION; END IF; END $$; \
             ALTER ROLE rdsrepladmin LOGIN REPLICATION PASSWORD {password}"
        ))
        .await
    }

    async fn hold(&self, standby: &Node) -> Result<()> {
        self.set_sync(&standby.plain_name()).await?;
        // Commits wait once the checkpointer has read the file too, and it does so before it
        // answers a request that came later.
        self.checkpoint().await
    }

    async fn release(&self) -> Result<()> {
        self.set_sync("").await
    }

    async fn position(&self) -> Result<String> {
        let position = self.ask("SELECT pg_current_wal_flush_lsn()").await?;
        Ok(position.unwrap_or_default())
    }

    async fn reached(&self, position: &str, limit: Duration) -> Result<bool> {
        let until = Instant::now() + limit;
        let question =
            format!("SELECT coalesce(pg_last_wal_receive_lsn() >= '{position}'::pg_lsn, false)");
        loop {
            if self.ask(&question).await?.as_deref() == Some("t") {
                return Ok(true);
            }
            if Instant::now() > until {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn copied_at(&self, _position: &str) -> Result<()> {
        Ok(())
    }

    async fn checkpoint(&self) -> Result<()> {
        self.run("CHECKPOINT").await
    }

    async fn save(&self) -> Result<()> {
        self.checkpoint().await
    }

    async fn set_master(&self, login: &Login) -> Result<()> {
        let (user, password) = (identifier(&login.user), literal(&login.password));
        let name = literal(&login.user);
        self.run(GROUPS).await?;
        let found = format!("SELECT count(*) FROM pg_roles WHERE rolname = {name}");
        if self.ask(&found).await?.as_deref() == Some("0") {
            self.run(&format!("CREATE ROLE {user}")).await?;
        }
        self.run(&format!(
            "ALTER ROLE {user} LOGIN CREATEDB CREATEROLE INHERIT PASSWORD {password}; \
             GRANT rds_superuser TO {user} WITH ADMIN OPTION"
        ))
        .await
    }

    async fn create_database(&self, name: &str, owner: &str) -> Result<()> {
        let found = format!("SELECT count(*) FROM pg_database WHERE datname = {}", literal(name));
        if self.ask(&found).await?.as_deref() != Some("0") {
            return Ok(());
        }
        let (name, owner) = (identifier(name), identifier(owner));
        self.run(&format!("CREATE DATABASE {name} OWNER {owner}")).await
    }

    async fn set_access(&self, _access: &CacheAccess) -> Result<()> {
        Err(Error::Refused("access rules of this kind are for caches".into()))
    }

    async fn set_parameter(&self, _name: &str, _value: &str) -> Result<()> {
        self.run("SELECT pg_reload_conf()").await
    }
}

#[cfg(test)]
mod tests {
    use super::source_in;

    #[test]
    fn the_source_is_read_from_the_connection_string() {
        let text = "host=10.0.1.5 port=5432 user=rdsrepladmin password=x application_name=node_2";
        assert_eq!(source_in(text), Some(("10.0.1.5".into(), 5432)));
        assert_eq!(source_in(""), None);
    }
}
