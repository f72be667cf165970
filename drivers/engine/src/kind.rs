//! The engines and the releases of them that are on offer.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An engine's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// MariaDB Server.
    MariaDb,
    /// MySQL Server, which no Debian release packages.
    MySql,
    /// PostgreSQL.
    PostgreSql,
    /// Valkey.
    Valkey,
    /// Redis.
    Redis,
}

impl EngineKind {
    /// AWS's name of the engine (`mariadb`, `mysql`, `postgres`, `valkey`, `redis`).
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
            Self::PostgreSql => "postgres",
            Self::Valkey => "valkey",
            Self::Redis => "redis",
        }
    }

    /// The port that AWS gives an instance of the engine when none is named.
    pub fn default_port(self) -> u16 {
        match self {
            Self::MariaDb | Self::MySql => 3306,
            Self::PostgreSql => 5432,
            Self::Valkey | Self::Redis => 6379,
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An engine and the version that is wanted: a series (`10.11`) or a full version (`10.11.19`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Engine {
    /// The kind.
    pub kind: EngineKind,
    /// The version.
    pub version: String,
}

/// A release of an engine that can be unpacked from the distribution's packages.
#[derive(Debug)]
pub struct Release {
    /// The kind.
    pub kind: EngineKind,
    /// The series, as AWS counts it: `10.11`, `15`, `8.1`.
    pub series: &'static str,
    /// The distribution's suite that carries it.
    pub(crate) suite: &'static str,
    /// The packages to unpack.
    pub(crate) packages: &'static [&'static str],
}

const MARIADB: &[&str] =
    &["base-files", "dash", "coreutils", "mariadb-server-core", "mariadb-backup"];

/// Every release on offer, the newest of a kind last.
pub(crate) const RELEASES: &[Release] = &[
    Release { kind: EngineKind::MariaDb, series: "10.11", suite: "bookworm", packages: MARIADB },
    Release { kind: EngineKind::MariaDb, series: "11.8", suite: "trixie", packages: MARIADB },
    Release {
        kind: EngineKind::PostgreSql,
        series: "15",
        suite: "bookworm",
        packages: &["base-files", "dash", "coreutils", "postgresql-15"],
    },
    Release {
        kind: EngineKind::PostgreSql,
        series: "17",
        suite: "trixie",
        packages: &["base-files", "dash", "coreutils", "postgresql-17"],
    },
    Release {
        kind: EngineKind::Redis,
        series: "7.0",
        suite: "bookworm",
        packages: &["base-files", "dash", "coreutils", "redis-server"],
    },
    Release {
        kind: EngineKind::Valkey,
        series: "8.1",
        suite: "trixie",
        packages: &["base-files", "dash", "coreutils", "valkey-server"],
    },
];

impl Release {
    /// The release that an engine of this version is served by.
    pub fn find(engine: &Engine) -> Option<&'static Release> {
        RELEASES.iter().filter(|release| release.kind == engine.kind).find(|release| {
            engine.version == release.series
                || engine
                    .version
                    .strip_prefix(release.series)
                    .is_some_and(|rest| rest.starts_with('.'))
        })
    }
}

/// Where MySQL's own server may stand on a host.
const MYSQL_PLACES: &[&str] = &[
    "/usr/sbin/mysqld",
    "/usr/libexec/mysqld",
    "/usr/local/sbin/mysqld",
    "/usr/local/mysql/bin/mysqld",
    "/opt/mysql/bin/mysqld",
];

/// The host's MySQL server, if there is one that is MySQL and not MariaDB under its name.
pub fn host_mysql() -> Option<PathBuf> {
    MYSQL_PLACES.iter().map(Path::new).find(|path| is_mysql(path)).map(Path::to_path_buf)
}

#[expect(clippy::disallowed_methods, reason = "a driver asks the host what it has")]
fn is_mysql(path: &Path) -> bool {
    std::process::Command::new(path).arg("--version").output().is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success() && text.contains("MySQL") && !text.contains("MariaDB")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(kind: EngineKind, version: &str) -> Option<&'static str> {
        Release::find(&Engine { kind, version: version.into() }).map(|release| release.series)
    }

    #[test]
    fn a_version_finds_its_series() {
        assert_eq!(series(EngineKind::MariaDb, "10.11"), Some("10.11"));
        assert_eq!(series(EngineKind::MariaDb, "10.11.19"), Some("10.11"));
        assert_eq!(series(EngineKind::MariaDb, "10.1"), None);
        assert_eq!(series(EngineKind::PostgreSql, "15.20"), Some("15"));
        assert_eq!(series(EngineKind::PostgreSql, "1"), None);
        assert_eq!(series(EngineKind::MySql, "8.0"), None);
    }
}
