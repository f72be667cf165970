//! Valkey and Redis: asynchronous replication, steered from here and not by a sentinel.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisConnectionInfo};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{CONNECT_MAX, Control, Driving, Login, NodeState, SocketFolder};
use crate::config::{CACHE_ADMIN, RESERVED_MEMORY, cache_rules, maxmemory};
use crate::error::{Context, Error, Result};
use crate::node::Node;
use crate::spec::CacheAccess;

/// How often a server is asked whether its save has ended.
const POLL: Duration = Duration::from_millis(20);

/// The longest that a save may take.
const SAVE_MAX: Duration = Duration::from_secs(3600);

struct Connection {
    commands: MultiplexedConnection,
    _driving: Driving,
}

pub(crate) struct Valkey {
    node: Node,
    password: String,
    memory_bytes: u64,
    watch: Mutex<Option<Connection>>,
    work: Mutex<Option<Connection>>,
}

impl Valkey {
    pub(crate) fn new(node: &Node, password: String, memory_bytes: u64) -> Self {
        let (watch, work) = (Mutex::new(None), Mutex::new(None));
        Self { node: node.clone(), password, memory_bytes, watch, work }
    }

    async fn connect(&self) -> Result<Connection> {
        let folder = SocketFolder::open(&self.node.sockets())?;
        let path = folder.path("engine.sock");
        let open = async {
            let stream = UnixStream::connect(&path).await.at("connect to", &path)?;
            let login = RedisConnectionInfo::default()
                .set_username(CACHE_ADMIN)
                .set_password(self.password.as_str());
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let (commands, driver) =
                MultiplexedConnection::new_with_config(&login, stream, config).await?;
            let driver: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(driver);
            Ok::<_, Error>((commands, driver))
        };
        let opened = timeout(CONNECT_MAX, open).await;
        let (commands, driver) = opened.map_err(|_| Error::Timeout("a connection"))??;
        Ok(Connection { commands, _driving: Driving::start(driver) })
    }

    async fn query<T: FromRedisValue>(
        &self,
        slot: &Mutex<Option<Connection>>,
        words: &[&str],
    ) -> Result<T> {
        let mut slot = slot.lock().await;
        let mut connection = match slot.take() {
            Some(connection) if answers(&connection).await => connection,
            Some(_) | None => self.connect().await?,
        };
        let (name, arguments) = words.split_first().unwrap_or((&"PING", &[]));
        let mut command = redis::cmd(name);
        for argument in arguments {
            command.arg(*argument);
        }
        match command.query_async(&mut connection.commands).await {
            Ok(answer) => {
                *slot = Some(connection);
                Ok(answer)
            }
            Err(error) => {
                if !error.is_connection_dropped() && !error.is_io_error() {
                    *slot = Some(connection);
                }
                Err(error.into())
            }
        }
    }

    async fn run(&self, words: &[&str]) -> Result<()> {
        self.query::<redis::Value>(&self.work, words).await.map(drop)
    }

    async fn info(
        &self,
        slot: &Mutex<Option<Connection>>,
        section: &str,
    ) -> Result<HashMap<String, String>> {
        let text: String = self.query(slot, &["INFO", section]).await?;
        let fields = text.lines().filter_map(|line| line.trim().split_once(':'));
        Ok(fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

/// Whether a connection that idled still works.
async fn answers(connection: &Connection) -> bool {
    let mut commands = connection.commands.clone();
    redis::cmd("PING").query_async::<redis::Value>(&mut commands).await.is_ok()
}

#[async_trait]
impl Control for Valkey {
    async fn state(&self) -> Result<NodeState> {
        let fields = self.info(&self.watch, "replication").await?;
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let number = |name: &str| field(name).parse::<u64>().ok();
        if field("role") == "master" {
            let offset = number("master_repl_offset").unwrap_or_default();
            return Ok(NodeState { writable: true, offset, ..NodeState::default() });
        }
        let receiving = field("master_link_status") == "up";
        let silent = number("master_last_io_seconds_ago").map(Duration::from_secs);
        let port = field("master_port").parse().unwrap_or_default();
        Ok(NodeState {
            source: Some((field("master_host").into(), port)),
            receiving,
            lag: silent.filter(|_| receiving),
            offset: number("slave_repl_offset").unwrap_or_default(),
            ..NodeState::default()
        })
    }

    async fn forget(&self) {
        *self.watch.lock().await = None;
        *self.work.lock().await = None;
    }

    async fn follow(&self, source: &Node, _standby: bool, _branch: &str) -> Result<()> {
        let (host, port) = (source.address.to_string(), source.port.to_string());
        self.run(&["REPLICAOF", &host, &port]).await
    }

    async fn drain(&self) -> Result<String> {
        Ok(String::new())
    }

    async fn promote(&self) -> Result<()> {
        self.run(&["REPLICAOF", "NO", "ONE"]).await
    }

    async fn open(&self) -> Result<()> {
        Ok(())
    }

    async fn hold(&self, _standby: &Node) -> Result<()> {
        Err(Error::Refused("a cache's writes do not wait for a follower".into()))
    }

    async fn release(&self) -> Result<()> {
        Ok(())
    }

    async fn position(&self) -> Result<String> {
        let fields = self.info(&self.work, "replication").await?;
        Ok(fields.get("master_repl_offset").cloned().unwrap_or_default())
    }

    async fn reached(&self, position: &str, limit: Duration) -> Result<bool> {
        let until = Instant::now() + limit;
        let wanted: u64 = position.parse().unwrap_or_default();
        loop {
            let state = self.state().await?;
            if state.receiving && state.offset >= wanted {
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
        Ok(())
    }

    async fn save(&self) -> Result<()> {
        // A save that began before this request lacks what came since, so that one is awaited, and
        // ours then begins.
        let until = Instant::now() + SAVE_MAX;
        let mut ours = false;
        while Instant::now() < until {
            let fields = self.info(&self.work, "persistence").await?;
            let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
            if field("rdb_bgsave_in_progress") == "1" {
                tokio::time::sleep(POLL).await;
                continue;
            }
            if !ours {
                ours = self.run(&["BGSAVE"]).await.is_ok();
                tokio::time::sleep(POLL).await;
                continue;
            }
            if field("rdb_last_bgsave_status") == "ok" {
                return Ok(());
            }
            return Err(Error::Refused("the cache could not save its data".into()));
        }
        Err(Error::Timeout("the cache to save its data"))
    }

    async fn set_master(&self, _login: &Login) -> Result<()> {
        Ok(())
    }

    async fn create_database(&self, _name: &str, _owner: &str) -> Result<()> {
        Err(Error::Refused("a cache has numbered databases only".into()))
    }

    async fn set_access(&self, access: &CacheAccess) -> Result<()> {
        let rules = cache_rules(access);
        let listed: Vec<String> = self.query(&self.work, &["ACL", "USERS"]).await?;
        for (user, rule) in &rules {
            let mut words = vec!["ACL", "SETUSER", user, "reset"];
            words.extend(rule.split_whitespace());
            self.run(&words).await?;
        }
        for user in listed.iter().filter(|user| user.as_str() != CACHE_ADMIN) {
            if !rules.iter().any(|(name, _)| name == user) {
                self.run(&["ACL", "DELUSER", user]).await?;
            }
        }
        Ok(())
    }

    async fn set_parameter(&self, name: &str, value: &str) -> Result<()> {
        if name == RESERVED_MEMORY {
            let limit = maxmemory(self.memory_bytes, value).to_string();
            return self.run(&["CONFIG", "SET", "maxmemory", &limit]).await;
        }
        self.run(&["CONFIG", "SET", name, value]).await
    }
}
