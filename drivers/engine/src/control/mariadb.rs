//! MariaDB: GTID replication, half-synchronous for the standby.

use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{CONNECT_MAX, Control, Login, NodeState, SocketFolder};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::spec::CacheAccess;

/// The replica cannot get what it asks its source for: its log has gone another way, or is gone.
const ER_MASTER_FATAL_ERROR_READING_BINLOG: u32 = 1236;

/// The longest that applying received changes may take at a promotion.
const DRAIN_MAX_S: u64 = 600;

pub(crate) struct MariaDb {
    node: Node,
    password: String,
    replication: String,
    /// For questions about the node's state only.
    watch: Mutex<Option<Conn>>,
    /// For everything else.
    work: Mutex<Option<Conn>>,
}

impl MariaDb {
    pub(crate) fn new(node: &Node, password: String, replication: String) -> Self {
        let (watch, work) = (Mutex::new(None), Mutex::new(None));
        Self { node: node.clone(), password, replication, watch, work }
    }

    async fn connect(&self) -> Result<Conn> {
        let folder = SocketFolder::open(&self.node.sockets())?;
        let options = OptsBuilder::default()
            .socket(Some(folder.path("engine.sock")))
            .user(Some("rdsadmin"))
            .pass(Some(self.password.clone()))
            // Parameter groups and the owner's settings are not for the management.
            .init(vec![
                "SET SESSION sql_mode='', wait_timeout=31536000, autocommit=1, max_statement_time=0, \
                 lock_wait_timeout=86400, sql_safe_updates=0",
            ]);
        timeout(CONNECT_MAX, Conn::new(options))
            .await
            .map_err(|_| Error::Timeout("a connection to MariaDB"))?
            .map_err(Error::from)
    }

    /// The connection that is held, if it still works, or another.
    async fn held(&self, slot: &mut Option<Conn>) -> Result<Conn> {
        if let Some(mut connection) = slot.take()
            && connection.ping().await.is_ok()
        {
            return Ok(connection);
        }
        self.connect().await
    }

    /// Runs statements one after the other. A connection that fails, or whose caller gives up, is
    /// dropped, and the next call opens another.
    async fn run(&self, statements: &[&str]) -> Result<()> {
        let mut slot = self.work.lock().await;
        let mut connection = self.held(&mut slot).await?;
        for statement in statements {
            match connection.query_drop(*statement).await {
                Ok(()) => {}
                Err(error @ mysql_async::Error::Server(_)) => {
                    *slot = Some(connection);
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        *slot = Some(connection);
        Ok(())
    }

    async fn ask(&self, question: &str) -> Result<Option<Row>> {
        ask(&self.work, self, question).await
    }

    async fn stands_at(&self) -> Result<String> {
        let row = self.ask("SELECT @@gtid_current_pos AS at").await?;
        Ok(row.and_then(|row| text(&row, "at")).unwrap_or_default())
    }

    async fn wait_for_gtid(&self, position: &str, limit_s: u64) -> Result<bool> {
        let question = format!("SELECT MASTER_GTID_WAIT('{position}', {limit_s}) AS reached");
        let row = self.ask(&question).await?;
        Ok(row.and_then(|row| number(&row, "reached")) == Some(0))
    }
}

async fn ask(slot: &Mutex<Option<Conn>>, engine: &MariaDb, question: &str) -> Result<Option<Row>> {
    let mut slot = slot.lock().await;
    let mut connection = engine.held(&mut slot).await?;
    let row = connection.query_first(question).await?;
    *slot = Some(connection);
    Ok(row)
}

/// Whether a node at `position` holds a transaction that is not in the history of a source that
/// took over at `branch`. There is one domain, so a position is `domain-server-number`.
fn diverged(position: &str, branch: &str) -> bool {
    let parts = |text: &str| {
        let (_, rest) = text.split_once('-')?;
        let (server, number) = rest.split_once('-')?;
        Some((number.parse::<u64>().ok()?, server.to_owned()))
    };
    match (parts(position), parts(branch)) {
        (Some((own, server)), Some((other, source))) => {
            own > other || (own == other && server != source)
        }
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}

fn text(row: &Row, column: &str) -> Option<String> {
    row.get_opt::<Option<String>, _>(column)?.ok()?
}

fn number(row: &Row, column: &str) -> Option<i64> {
    row.get_opt::<Option<i64>, _>(column)?.ok()?
}

/// A text as a literal, whatever the server's escape mode is.
fn literal(value: &str) -> String {
    use std::fmt::Write;
    let mut hex = String::with_capacity(value.len() * 2 + 3);
    for byte in value.as_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    format!("CONVERT(x'{hex}' USING utf8mb4)")
}

/// A name in the quotes that statements on users want, which take no expression.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// What the owner of a MariaDB instance may do. It has no `SUPER`, `READ_ONLY ADMIN`, `FILE` or
/// `SHUTDOWN`, so it writes to no follower and reads no file of the server.
///
/// AWS: "Master user account privileges".
const MASTER_GRANTS: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, \
    REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, \
    REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, \
    ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, DELETE HISTORY";

#[async_trait]
impl Control for MariaDb {
    async fn state(&self) -> Result<NodeState> {
        let question = "SELECT @@read_only AS closed, \
            (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
             WHERE VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_STATUS') AS waiting";
        let own = ask(&self.watch, self, question).await?;
        let own = own.ok_or(Error::Timeout("the state of MariaDB"))?;
        let mut state = NodeState {
            writable: number(&own, "closed") == Some(0),
            holding: text(&own, "waiting").as_deref() == Some("ON"),
            ..NodeState::default()
        };
        let Some(row) = ask(&self.watch, self, "SHOW SLAVE STATUS").await? else {
            return Ok(state);
        };
        let field = |column: &str| text(&row, column).unwrap_or_default();
        let port = number(&row, "Master_Port").and_then(|port| u16::try_from(port).ok());
        state.source = Some((field("Master_Host"), port.unwrap_or_default()));
        state.receiving = field("Slave_IO_Running") == "Yes";
        let applying = field("Slave_SQL_Running") == "Yes";
        if state.receiving && applying {
            let seconds = number(&row, "Seconds_Behind_Master");
            let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
            state.lag = seconds.map(Duration::from_secs);
        }
        let receive_error = number(&row, "Last_IO_Errno");
        if receive_error == Some(i64::from(ER_MASTER_FATAL_ERROR_READING_BINLOG)) {
            state.broken = Some(field("Last_IO_Error"));
        } else if !applying && number(&row, "Last_SQL_Errno").unwrap_or_default() != 0 {
            state.broken = Some(field("Last_SQL_Error"));
        }
        Ok(state)
    }

    async fn forget(&self) {
        *self.watch.lock().await = None;
        *self.work.lock().await = None;
    }

    async fn follow(&self, source: &Node, standby: bool, branch: &str) -> Result<()> {
        self.run(&["SET GLOBAL read_only=ON", "STOP SLAVE"]).await?;
        // One that was primary continues from the end of its own log; one that was a follower
        // stands where it has applied to, which its log records too.
        let position = self.stands_at().await?;
        // The server compares numbers only, and would skip what it takes for known.
        if diverged(&position, branch) {
            let node = self.node.id.clone();
            let detail = format!("it stands at {position}, its source went on from {branch}");
            return Err(Error::Diverged { node, detail });
        }
        let semi_sync = if standby { "ON" } else { "OFF" };
        let change = format!(
            "CHANGE MASTER TO MASTER_HOST='{}', MASTER_PORT={}, MASTER_USER='rdsrepladmin', \
             MASTER_PASSWORD='{}', MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1, \
             MASTER_SSL=0, MASTER_SSL_VERIFY_SERVER_CERT=0, MASTER_USE_GTID=slave_pos",
            source.address, source.port, self.replication
        );
        self.run(&[
            "SET GLOBAL rpl_semi_sync_master_enabled=OFF",
            &format!("SET GLOBAL rpl_semi_sync_slave_enabled={semi_sync}"),
            &format!("SET GLOBAL gtid_slave_pos='{position}'"),
            &change,
            "START SLAVE",
        ])
        .await
    }

    async fn drain(&self) -> Result<String> {
        // The thread that receives may not notice an order for seconds when its source is gone.
        // What it receives from now on was acknowledged to nobody, and is not applied.
        if let Some(row) = self.ask("SHOW SLAVE STATUS").await? {
            let received = text(&row, "Gtid_IO_Pos").unwrap_or_default();
            let applying = text(&row, "Slave_SQL_Running").as_deref() == Some("Yes");
            if !applying {
                self.run(&["START SLAVE SQL_THREAD"]).await?;
            }
            if !received.is_empty() && !self.wait_for_gtid(&received, DRAIN_MAX_S).await? {
                return Err(Error::Timeout("the end of the relay log"));
            }
        }
        self.run(&["STOP SLAVE SQL_THREAD"]).await?;
        self.stands_at().await
    }

    async fn promote(&self) -> Result<()> {
        self.run(&[
            "STOP SLAVE SQL_THREAD",
            "SET GLOBAL rpl_semi_sync_slave_enabled=OFF",
            "SET GLOBAL rpl_semi_sync_master_enabled=OFF",
            "SET GLOBAL read_only=OFF",
        ])
        .await
    }

    async fn forget_source(&self) -> Result<()> {
        self.run(&["STOP SLAVE", "RESET SLAVE ALL"]).await
    }

    async fn open(&self) -> Result<()> {
        self.run(&["SET GLOBAL read_only=OFF"]).await
    }

    async fn hold(&self, _standby: &Node) -> Result<()> {
        self.run(&["SET GLOBAL rpl_semi_sync_master_enabled=ON"]).await
    }

    async fn release(&self) -> Result<()> {
        self.run(&["SET GLOBAL rpl_semi_sync_master_enabled=OFF"]).await
    }

    async fn position(&self) -> Result<String> {
        let row = self.ask("SELECT @@gtid_binlog_pos AS at").await?;
        Ok(row.and_then(|row| text(&row, "at")).unwrap_or_default())
    }

    async fn reached(&self, position: &str, limit: Duration) -> Result<bool> {
        if position.is_empty() {
            return Ok(true);
        }
        self.wait_for_gtid(position, limit.as_secs().max(1)).await
    }

    async fn copied_at(&self, position: &str) -> Result<()> {
        // Its log must know the position too, or nobody could follow it from there later.
        self.run(&[
            "STOP SLAVE",
            "RESET MASTER",
            &format!("SET GLOBAL gtid_binlog_state='{position}'"),
            &format!("SET GLOBAL gtid_slave_pos='{position}'"),
        ])
        .await
    }

    async fn checkpoint(&self) -> Result<()> {
        Ok(())
    }

    async fn save(&self) -> Result<()> {
        Ok(())
    }

    async fn set_master(&self, login: &Login) -> Result<()> {
        let user = format!("{}@'%'", quoted(&login.user));
        let password = quoted(&login.password);
        self.run(&[
            &format!("CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {password}"),
            &format!("ALTER USER {user} IDENTIFIED BY {password}"),
            &format!("GRANT {MASTER_GRANTS} ON *.* TO {user} WITH GRANT OPTION"),
        ])
        .await
    }

    async fn create_database(&self, name: &str, _owner: &str) -> Result<()> {
        let name = name.replace('`', "``");
        self.run(&[&format!("CREATE DATABASE IF NOT EXISTS `{name}`")]).await
    }

    async fn set_access(&self, _access: &CacheAccess) -> Result<()> {
        Err(Error::Refused("access rules of this kind are for caches".into()))
    }

    async fn set_parameter(&self, name: &str, value: &str) -> Result<()> {
        let number = value.parse::<f64>().is_ok();
        let value = if number { value.to_owned() } else { literal(value) };
        self.run(&[&format!("SET GLOBAL `{}`={value}", name.replace('`', ""))]).await
    }
}

#[cfg(test)]
mod tests {
    use super::diverged;

    #[test]
    fn a_position_after_the_branch_is_another_history() {
        assert!(!diverged("0-1-5", "0-1-7"));
        assert!(!diverged("0-1-7", "0-1-7"));
        assert!(diverged("0-1-8", "0-1-7"));
        assert!(diverged("0-2-7", "0-1-7"));
        assert!(!diverged("", "0-1-7"));
        assert!(!diverged("0-1-8", ""));
    }
}
