//! The layout of the data folder. It is a contract between versions: what moves, migrates.

use std::path::{Path, PathBuf};

/// The data folder and what lies where in it.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The folder itself.
    pub(crate) data: PathBuf,
}

impl Paths {
    /// The layout below `data`.
    pub(crate) fn new(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    /// The default: `$XDG_DATA_HOME/skyhold`.
    pub(crate) fn default_data() -> PathBuf {
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share"));
        let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
        base.unwrap_or_else(|| PathBuf::from("/var/lib")).join("skyhold")
    }

    /// The region's state.
    pub(crate) fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// Keys that never leave the machine.
    pub(crate) fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// Object bytes.
    pub(crate) fn objects(&self) -> PathBuf {
        self.data.join("objects")
    }

    /// The first account's keys, for `skyhold env`.
    pub(crate) fn credentials(&self) -> PathBuf {
        self.data.join("credentials.json")
    }

    /// What lives only while the region runs: sockets, namespaces, process ids.
    pub(crate) fn run(&self) -> PathBuf {
        self.data.join("run")
    }

    /// The operator's socket.
    pub(crate) fn control(&self) -> PathBuf {
        self.run().join("control.sock")
    }

    /// The log of a detached region.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("skyhold.log")
    }

    /// Images and engines, shared by every region of this user: `$XDG_CACHE_HOME/skyhold`.
    pub(crate) fn cache() -> PathBuf {
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
        base.unwrap_or_else(|| PathBuf::from("/var/cache")).join("skyhold")
    }
}
