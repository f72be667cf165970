//! What the machine driver must run for a node, and the files that it finds on its volume.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use crate::config::{self, Parameters};
use crate::error::{Context, Result};
use crate::kind::EngineKind;
use crate::node::Node;
use crate::packages::{EngineRoot, program};
use crate::tool::Owner;

/// What every node of a cluster shares.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// The engine.
    pub root: EngineRoot,
    /// The passwords of the users that run the cluster.
    pub secrets: Secrets,
    /// The values of the parameter group that are not the engine's defaults, formulas included.
    pub parameters: Parameters,
    /// The memory of the instance class.
    pub memory_bytes: u64,
    /// Who may use a cache, beside the cluster itself. Not read by databases.
    pub cache_access: CacheAccess,
    /// The certificate that the engine shows; none means that it speaks plain only.
    pub tls: Option<Tls>,
}

/// The passwords of the users that run the cluster: letters and digits, made by the caller.
#[derive(Clone)]
pub struct Secrets {
    /// Of the management user `rdsadmin`, which works over the socket in the volume only.
    pub management: String,
    /// Of the user that nodes follow each other with, `rdsrepladmin`.
    pub replication: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secrets(..)")
    }
}

/// The certificate that an engine shows, in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate and its chain.
    pub certificate: String,
    /// The key.
    pub key: String,
    /// The authority that signed it.
    pub authority: String,
}

/// Who may use a cache.
#[derive(Clone, Debug, Default)]
pub enum CacheAccess {
    /// Everyone who reaches the port.
    #[default]
    Open,
    /// Those who know the token (`AuthToken`).
    Token(String),
    /// The users of a user group: access strings by name, in the engine's own language.
    Users(BTreeMap<String, CacheUser>),
}

/// A user of a cache's user group.
#[derive(Clone, Debug)]
pub struct CacheUser {
    /// The passwords that let it in; none means that no password is asked.
    pub passwords: Vec<String>,
    /// What it may do, such as `on ~app:* +@read`.
    pub access: String,
}

/// How a node is to start.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// As the one that takes writes.
    Primary {
        /// The standby that commits wait for from the start.
        standby: Option<&'a Node>,
    },
    /// As one that follows another.
    Follower {
        /// The node that it follows.
        source: &'a Node,
        /// Whether commits wait for it.
        standby: bool,
        /// Whether it took writes when it last ran. It then takes back what no standby has
        /// acknowledged, where the engine can.
        was_primary: bool,
    },
}

/// A process for the machine driver.
#[derive(Clone, Debug)]
pub struct EngineProcess {
    /// The program and its arguments, as seen in the engine's root with the volume at `/data`.
    pub argv: Vec<String>,
    /// The environment, which is complete.
    pub env: Vec<(String, String)>,
    /// The user in the workload.
    pub uid: u32,
    /// The group in the workload.
    pub gid: u32,
    /// Where the volume is mounted.
    pub data_mount: &'static str,
    /// The files below the volume that must be there before the start.
    pub files: Vec<EngineFile>,
    /// The files below the volume that must not be there.
    pub absent: Vec<String>,
    /// The folders below the volume.
    pub folders: Vec<String>,
    /// The signal that ends it in order.
    pub stop_signal: &'static str,
    /// The signal that ends it at once, and is still safe for its data.
    pub fast_signal: &'static str,
}

/// A file below a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFile {
    /// The path from the volume's folder.
    pub path: String,
    /// The content.
    pub content: String,
}

/// The user that an engine runs as inside its root.
pub fn user_of(kind: EngineKind) -> Owner {
    match kind {
        EngineKind::MariaDb | EngineKind::MySql => Owner { uid: 110, gid: 110 },
        EngineKind::PostgreSql => Owner { uid: 111, gid: 111 },
        EngineKind::Valkey | EngineKind::Redis => Owner { uid: 112, gid: 112 },
    }
}

impl ClusterSpec {
    /// What to run for a node, and the files it needs, without touching anything.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`](crate::Error::Refused) when a parameter is not one of the engine's.
    pub fn process(&self, node: &Node, start: Start<'_>) -> Result<EngineProcess> {
        let kind = self.root.kind;
        let owner = user_of(kind);
        let program = program(kind, self.root.series);
        let rendered = config::render(self, node, start)?;
        let mut argv = vec![program];
        argv.extend(rendered.arguments);
        // The caches' roots hold no locale, and these engines order nothing by one.
        let language = match kind {
            EngineKind::Valkey | EngineKind::Redis => "C",
            EngineKind::MariaDb | EngineKind::MySql | EngineKind::PostgreSql => "C.UTF-8",
        };
        let env = [("PATH", "/usr/sbin:/usr/bin"), ("LANG", language), ("HOME", "/data")];
        let (stop_signal, fast_signal) = match kind {
            EngineKind::PostgreSql => ("SIGINT", "SIGQUIT"),
            EngineKind::MariaDb | EngineKind::MySql | EngineKind::Valkey | EngineKind::Redis => {
                ("SIGTERM", "SIGKILL")
            }
        };
        Ok(EngineProcess {
            argv,
            env: env.map(|(key, value)| (key.into(), value.into())).into(),
            uid: owner.uid,
            gid: owner.gid,
            data_mount: "/data",
            files: rendered.files,
            absent: rendered.absent,
            folders: ["run", "conf", "log", data_folder(kind)].map(str::to_owned).into(),
            stop_signal,
            fast_signal,
        })
    }
}

/// The folder of an engine's own data below its volume.
pub(crate) fn data_folder(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::MariaDb | EngineKind::MySql => "mysql",
        EngineKind::PostgreSql => "pgdata",
        EngineKind::Valkey | EngineKind::Redis => "cache",
    }
}

impl EngineProcess {
    /// Puts the process's folders and files on the node's volume. [`Cluster`](crate::Cluster) does
    /// so before it asks the host to start a node.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) with the file.
    pub fn install(&self, node: &Node) -> Result<()> {
        let give = |path: &std::path::Path, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("protect", path)?;
            chown(path, Some(node.owner.uid), Some(node.owner.gid)).at("give away", path)
        };
        fs::create_dir_all(&node.volume).at("make", &node.volume)?;
        give(&node.volume, 0o750)?;
        for folder in &self.folders {
            let path = node.volume.join(folder);
            fs::create_dir_all(&path).at("make", &path)?;
            give(&path, 0o700)?;
        }
        for file in &self.files {
            let path = node.volume.join(&file.path);
            let mut fresh = path.clone();
            fresh.as_mut_os_string().push(".new");
            fs::write(&fresh, &file.content).at("write", &fresh)?;
            give(&fresh, 0o600)?;
            fs::rename(&fresh, &path).at("put in place", &path)?;
        }
        for name in &self.absent {
            let path = node.volume.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).at("remove", &path);
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}
