//! Engines unpacked from distribution packages into Skyhold's own folder.
//!
//! Nothing is installed on the host and no maintainer script runs: the packages' files become a
//! tree that holds the C library too, so that it serves as the root of a sandbox. A tree is built
//! once a release, beside its final place, and moved there when it is whole.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::error::{Context, Error, Result};
use crate::kind::{Engine, EngineKind, RELEASES, Release, host_mysql};
use crate::tool::{ROOT, RootCommand};

/// Counts the changes to how a tree is made, so that an old one is not taken for a new one.
const RECIPE: u32 = 1;

/// The longest that unpacking may take, the download included.
const UNPACK_MAX: Duration = Duration::from_secs(900);

/// The file of a tree that tells the engine's full version.
const VERSION_FILE: &str = "etc/skyhold-engine-version";

/// The engines kept on this host.
#[derive(Clone, Debug)]
pub struct Engines {
    cache: PathBuf,
}

/// An unpacked engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineRoot {
    /// The tree, which serves as the lowest layer of a sandbox's root. Nobody writes to it.
    pub path: PathBuf,
    /// The kind.
    pub kind: EngineKind,
    /// The series, such as `10.11`.
    pub series: &'static str,
    /// The full version as the server tells it, such as `10.11.19`.
    pub version: String,
}

impl Engines {
    /// The engines kept in a folder, which is made when it is first needed.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into() }
    }

    /// Every release that can be unpacked, the newest of a kind last.
    pub fn releases() -> &'static [Release] {
        RELEASES
    }

    /// The unpacked engine, made now if it is not there yet (5 to 15 s, and a download).
    ///
    /// Two callers at once, in one process or in two, make it once.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when no release of that version is on offer, or its packages cannot
    /// be had.
    pub async fn ensure(&self, engine: &Engine) -> Result<EngineRoot> {
        let release = Self::release(engine)?;
        if let Some(root) = self.unpacked(release) {
            return Ok(root);
        }
        fs::create_dir_all(&self.cache).at("make", &self.cache)?;
        let _lock = self.lock(&Self::name(release)).await?;
        match self.unpacked(release) {
            Some(root) => Ok(root),
            None => self.unpack(release).await,
        }
    }

    /// The unpacked engine if it is there; never makes it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when no release of that version is on offer.
    pub fn installed(&self, engine: &Engine) -> Result<Option<EngineRoot>> {
        Ok(self.unpacked(Self::release(engine)?))
    }

    fn release(engine: &Engine) -> Result<&'static Release> {
        Release::find(engine).ok_or_else(|| Error::Unavailable {
            engine: format!("{} {}", engine.kind, engine.version),
            reason: refusal(engine.kind),
        })
    }

    fn name(release: &Release) -> String {
        format!("{}-{}-{}-{RECIPE}", release.kind, release.series, release.suite)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.cache
    }

    /// Holds the lock of a name until the file that it returns is dropped.
    pub(crate) async fn lock(&self, name: &str) -> Result<fs::File> {
        let path = self.cache.join(format!("{name}.lock"));
        let file = fs::File::create(&path).at("make", &path)?;
        let waiting = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
        match waiting.await {
            Ok(locked) => locked.at("lock", path),
            Err(_) => Err(Error::Timeout("the lock of the engine cache")),
        }
    }

    fn unpacked(&self, release: &'static Release) -> Option<EngineRoot> {
        let path = self.cache.join(Self::name(release));
        let version = fs::read_to_string(path.join(VERSION_FILE)).ok()?;
        let (kind, series) = (release.kind, release.series);
        Some(EngineRoot { path, kind, series, version: version.trim().to_owned() })
    }

    async fn unpack(&self, release: &'static Release) -> Result<EngineRoot> {
        let name = Self::name(release);
        let partial = self.cache.join(format!("{name}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial).at("remove", &partial)?;
        }
        extract(release, &partial).await?;
        merge_usr(&partial)?;
        dress(&partial)?;
        let version = ask_version(release, &partial).await?;
        fs::write(partial.join(VERSION_FILE), &version).at("write", VERSION_FILE)?;
        let path = self.cache.join(name);
        fs::rename(&partial, &path).at("put in place", &path)?;
        tracing::info!(engine = %release.kind, version, "unpacked an engine");
        Ok(EngineRoot { path, kind: release.kind, series: release.series, version })
    }
}

fn refusal(kind: EngineKind) -> String {
    match (kind, host_mysql()) {
        (EngineKind::MySql, None) => "no MySQL server is on this host and Debian packages none; \
            install MySQL's own mysqld, or choose the engine mariadb"
            .into(),
        (EngineKind::MySql, Some(path)) => format!(
            "{} was found, but replication and copies are built for MariaDB; choose the engine \
             mariadb",
            path.display()
        ),
        (
            EngineKind::MariaDb | EngineKind::PostgreSql | EngineKind::Valkey | EngineKind::Redis,
            _,
        ) => {
            let offered = RELEASES.iter().filter(|release| release.kind == kind);
            let series: Vec<_> = offered.map(|release| release.series).collect();
            format!("the versions on offer are {}", series.join(", "))
        }
    }
}

async fn extract(release: &Release, target: &Path) -> Result<()> {
    let engine = || format!("{} {}", release.kind, release.series);
    let mut command = Command::new("mmdebstrap");
    command.arg("--variant=extract").arg("--quiet");
    command.arg(format!("--include={}", release.packages.join(",")));
    command.arg(release.suite).arg(target).kill_on_drop(true);
    let output = match tokio::time::timeout(UNPACK_MAX, command.output()).await {
        Err(_) => return Err(Error::Timeout("mmdebstrap")),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = "mmdebstrap is not installed; apt-get install mmdebstrap".into();
            return Err(Error::Unavailable { engine: engine(), reason });
        }
        Ok(result) => result.at("run", "mmdebstrap")?,
    };
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last: Vec<_> = complaint.lines().rev().take(3).collect();
    let reason = format!("mmdebstrap could not unpack its packages: {}", last.join("; "));
    Err(Error::Unavailable { engine: engine(), reason })
}

/// Moves `/bin`, `/sbin`, `/lib` and `/lib64` below `/usr`, as a package's script would have done.
fn merge_usr(root: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        let (from, to) = (root.join(name), root.join("usr").join(name));
        if from.is_symlink() {
            continue;
        }
        fs::create_dir_all(&to).at("make", &to)?;
        if from.is_dir() {
            move_into(&from, &to)?;
            fs::remove_dir_all(&from).at("remove", &from)?;
        }
        symlink(format!("usr/{name}"), &from).at("link", &from)?;
    }
    Ok(())
}

fn move_into(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).at("list", from)? {
        let entry = entry.at("list", from)?;
        let target = to.join(entry.file_name());
        if target.is_dir() && !entry.path().is_symlink() {
            move_into(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), &target).at("move", entry.path())?;
        }
    }
    Ok(())
}

/// The users that the packages' scripts would have made, with numbers of our own.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    mysql:x:110:110::/data:/usr/sbin/nologin\n\
    postgres:x:111:111::/data:/usr/sbin/nologin\n\
    cache:x:112:112::/data:/usr/sbin/nologin\n\
    nobody:x:65534:65534::/:/usr/sbin/nologin\n";

/// The groups of these users.
const GROUP: &str = "root:x:0:\nmysql:x:110:\npostgres:x:111:\ncache:x:112:\nnogroup:x:65534:\n";

/// Adds what an engine looks for and no package's file holds, and the places of the volumes.
fn dress(root: &Path) -> Result<()> {
    for folder in ["etc", "data", "target", "proc", "sys", "dev", "tmp", "run"] {
        let path = root.join(folder);
        fs::create_dir_all(&path).at("make", &path)?;
    }
    let files = [
        ("etc/passwd", PASSWD),
        ("etc/group", GROUP),
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ];
    for (name, text) in files {
        fs::write(root.join(name), text).at("write", root.join(name))?;
    }
    Ok(())
}

async fn ask_version(release: &Release, root: &Path) -> Result<String> {
    let program = program(release.kind, release.series);
    let command = RootCommand::new(root, ROOT, vec![program, "--version".into()]);
    let answer = command.run(b"", Duration::from_secs(60)).await?;
    version_in(&answer).ok_or(Error::Tool { tool: "--version".into(), message: answer })
}

/// The server's program in its root.
pub(crate) fn program(kind: EngineKind, series: &str) -> String {
    match kind {
        EngineKind::MariaDb => "/usr/sbin/mariadbd".into(),
        EngineKind::MySql => "/usr/sbin/mysqld".into(),
        EngineKind::PostgreSql => format!("/usr/lib/postgresql/{series}/bin/postgres"),
        EngineKind::Valkey => "/usr/bin/valkey-server".into(),
        EngineKind::Redis => "/usr/bin/redis-server".into(),
    }
}

/// The first word of the answer that is a version, with `v=` or `Ver` before it or not.
fn version_in(answer: &str) -> Option<String> {
    answer.split_whitespace().find_map(|word| {
        let word = word.strip_prefix("v=").unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let version = word.get(..end)?;
        (version.contains('.') && !version.starts_with('.')).then(|| version.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn versions_are_found_in_what_servers_say() {
        let check = |answer: &str, version: &str| {
            assert_eq!(version_in(answer).as_deref(), Some(version), "{answer}");
        };
        check(
            "/usr/sbin/mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu",
            "10.11.19",
        );
        check("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", "15.20");
        check("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "7.0.15");
        check("Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "8.1.1");
    }
}
