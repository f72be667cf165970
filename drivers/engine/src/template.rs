//! Data directories made once a release and copied for every new instance.
//!
//! Making one takes a server about a second; copying it takes tens of milliseconds, because the
//! files are sparse and only their data is copied. All instances that come from one template hold
//! the same history, so a standby can follow a primary from its first commit without a copy.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::kind::EngineKind;
use crate::packages::{EngineRoot, Engines};
use crate::spec::user_of;
use crate::tool::{Owner, RootCommand};

/// The longest that making a template may take on a loaded machine.
const MAKE_MAX: Duration = Duration::from_secs(180);

/// A data directory to copy, and its name, which says what it was made from.
#[derive(Clone, Debug)]
pub struct Template {
    /// The folder, laid out as a volume. Nobody writes to it.
    pub path: PathBuf,
    /// Equal for two templates only if they hold the same bytes.
    pub name: String,
}

impl Engines {
    /// The template of a release, made now if it is not there yet (about a second).
    ///
    /// # Errors
    ///
    /// [`Error::Tool`] when the engine's own set-up fails.
    pub async fn template(&self, root: &EngineRoot) -> Result<Template> {
        let name = format!("{}-{}-template-3", root.kind, root.version);
        let path = self.folder().join(&name);
        let id = path.join("template-id");
        let _lock = self.lock(&name).await?;
        if !id.exists() {
            let partial = self.folder().join(format!("{name}.partial"));
            if partial.exists() {
                fs::remove_dir_all(&partial).at("remove", &partial)?;
            }
            make(root, &partial).await?;
            let stamp = fs::metadata(&partial).at("read", &partial)?;
            let stamp = format!("{name}-{}-{}", stamp.ino(), stamp.ctime_nsec());
            fs::write(partial.join("template-id"), stamp).at("write", &partial)?;
            fs::rename(&partial, &path).at("put in place", &path)?;
        }
        let name = fs::read_to_string(&id).at("read", &id)?;
        Ok(Template { path, name })
    }
}

async fn make(root: &EngineRoot, volume: &Path) -> Result<()> {
    let owner = user_of(root.kind);
    for folder in ["", "run", "conf", "log"] {
        make_folder(&volume.join(folder), owner)?;
    }
    match root.kind {
        EngineKind::MariaDb => make_mariadb(root, volume, owner).await?,
        EngineKind::PostgreSql => make_postgres(root, volume, owner).await?,
        EngineKind::Valkey | EngineKind::Redis => make_folder(&volume.join("cache"), owner)?,
        EngineKind::MySql => {
            let reason = "a MySQL server has no template here".into();
            return Err(Error::Unavailable { engine: "mysql".into(), reason });
        }
    }
    let path = volume.to_path_buf();
    blocking(move || dig_holes(&path)).await
}

fn make_folder(path: &Path, owner: Owner) -> Result<()> {
    fs::create_dir_all(path).at("make", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o750)).at("protect", path)?;
    chown(path, Some(owner.uid), Some(owner.gid)).at("give away", path)
}

/// The statements of MariaDB's own installer, in its order, without its guests and host accounts.
const MARIADB_SCRIPTS: &[&str] = &[
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
];

async fn make_mariadb(root: &EngineRoot, volume: &Path, owner: Owner) -> Result<()> {
    make_folder(&volume.join("mysql"), owner)?;
    let mut statements = b"CREATE DATABASE mysql;\nUSE mysql;\n".to_vec();
    let scripts = ["usr/share/mysql", "usr/share/mariadb"].map(|folder| root.path.join(folder));
    for name in MARIADB_SCRIPTS {
        let later = name.replace("mysql_", "mariadb_");
        let named = |folder: &PathBuf| [folder.join(name), folder.join(&later)];
        let found = scripts.iter().flat_map(named).find(|path| path.exists());
        let path = found.ok_or_else(|| Error::Tool {
            tool: "mariadb".into(),
            message: format!("the package holds no {name}"),
        })?;
        let text = fs::read_to_string(&path).at("read", &path)?;
        for line in text.lines().filter(|line| !line.contains("@current_hostname")) {
            statements.extend_from_slice(line.as_bytes());
            statements.push(b'\n');
        }
    }
    statements.extend_from_slice(
        b"DELETE FROM mysql.global_priv WHERE User IN ('root', 'mysql', '');\n\
          DELETE FROM mysql.proxies_priv;\n",
    );
    let argv = [
        "/usr/sbin/mariadbd",
        "--no-defaults",
        "--bootstrap",
        "--datadir=/data/mysql",
        "--tmpdir=/tmp",
        "--skip-log-bin",
        "--innodb-log-file-size=16M",
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-use-native-aio=0",
        "--enforce-storage-engine=",
        "--max-allowed-packet=8M",
        "--log-warnings=0",
    ];
    let command = RootCommand::new(&root.path, owner, argv.map(str::to_owned).into());
    command.bind(volume, "/data").run(&statements, MAKE_MAX).await.map(drop)
}

async fn make_postgres(root: &EngineRoot, volume: &Path, owner: Owner) -> Result<()> {
    let program = format!("/usr/lib/postgresql/{}/bin/initdb", root.series);
    let argv = [
        program.as_str(),
        "--pgdata=/data/pgdata",
        "--data-checksums",
        "--no-sync",
        // A promotion copies a segment of the log, so that small ones make it quick.
        "--wal-segsize=4",
        "--username=rdsadmin",
        "--locale=C.UTF-8",
        "--encoding=UTF8",
        "--auth=scram-sha-256",
        "--pwfile=/etc/skyhold-engine-seed",
    ];
    // The password of the template is never used: our own access file admits the management user
    // by the socket in the volume, which only the host and the server itself can reach.
    let seed = volume.join("conf/seed");
    let random = fs::read("/proc/sys/kernel/random/uuid").at("read", "random")?;
    fs::write(&seed, random).at("write", &seed)?;
    chown(&seed, Some(owner.uid), Some(owner.gid)).at("give away", &seed)?;
    let argv = argv.map(|word| word.replace("/etc/skyhold-engine-seed", "/data/conf/seed"));
    let command = RootCommand::new(&root.path, owner, argv.into());
    command.bind(volume, "/data").run(b"", MAKE_MAX).await?;
    fs::remove_file(&seed).at("remove", &seed)?;
    lower_limits(root, volume, owner).await
}

/// Records the smallest limits in the data: a standby refuses to start with smaller ones than those
/// of the server that wrote it last, and the small classes have smaller ones than the default.
async fn lower_limits(root: &EngineRoot, volume: &Path, owner: Owner) -> Result<()> {
    let program = format!("/usr/lib/postgresql/{}/bin/postgres", root.series);
    let mut argv = vec![program, "--single".into(), "-D".into(), "/data/pgdata".into()];
    for limit in [
        "max_connections=6",
        "max_worker_processes=0",
        "max_wal_senders=0",
        "max_prepared_transactions=0",
        "max_locks_per_transaction=10",
        "dynamic_shared_memory_type=mmap",
        "wal_level=replica",
    ] {
        argv.extend(["-c".to_owned(), limit.to_owned()]);
    }
    argv.push("postgres".into());
    let command = RootCommand::new(&root.path, owner, argv);
    command.bind(volume, "/data").run(b"", MAKE_MAX).await.map(drop)
}

/// Runs file work of more than a moment where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Timeout("file work, which was cancelled")),
        },
    }
}

/// The size from which a file is worth digging holes into.
const HOLE_MIN: u64 = 64 * 1024;

fn dig_holes(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at("list", folder)? {
        let entry = entry.at("list", folder)?;
        let (path, meta) = (entry.path(), entry.metadata().at("read", folder)?);
        if meta.is_dir() {
            dig_holes(&path)?;
        } else if meta.is_file() && meta.len() >= HOLE_MIN {
            dig_file(&path)?;
        }
    }
    Ok(())
}

fn dig_file(path: &Path) -> Result<()> {
    const BLOCK: usize = 4096;
    let bytes = fs::read(path).at("read", path)?;
    let file = fs::OpenOptions::new().write(true).open(path).at("open", path)?;
    let mut offset = 0u64;
    let mut start = None;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for block in bytes.chunks(BLOCK) {
        let empty = block.len() == BLOCK && block.iter().all(|byte| *byte == 0);
        match (empty, start) {
            (true, None) => start = Some(offset),
            (false, Some(from)) => {
                rustix::fs::fallocate(&file, flags, from, offset - from).at("thin", path)?;
                start = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
        offset += block.len() as u64;
    }
    match start {
        Some(from) => rustix::fs::fallocate(&file, flags, from, offset - from).at("thin", path),
        None => Ok(()),
    }
}

/// Copies a tree, holes kept, and gives every file of the copy to `owner`.
///
/// # Errors
///
/// [`Error::Io`] with the file that could not be copied; what was copied until then stays.
pub async fn copy_tree(source: &Path, target: &Path, owner: Owner) -> Result<()> {
    let (source, target) = (source.to_path_buf(), target.to_path_buf());
    blocking(move || copy_folder(&source, &target, owner)).await
}

fn copy_folder(source: &Path, target: &Path, owner: Owner) -> Result<()> {
    let meta = fs::metadata(source).at("read", source)?;
    fs::create_dir_all(target).at("make", target)?;
    fs::set_permissions(target, meta.permissions()).at("protect", target)?;
    chown(target, Some(owner.uid), Some(owner.gid)).at("give away", target)?;
    for entry in fs::read_dir(source).at("list", source)? {
        let entry = entry.at("list", source)?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let kind = entry.file_type().at("read", &from)?;
        if kind.is_dir() {
            copy_folder(&from, &to, owner)?;
        } else if kind.is_symlink() {
            let aim = fs::read_link(&from).at("read", &from)?;
            symlink(aim, &to).at("link", &to)?;
        } else if kind.is_file() {
            copy_file(&from, &to, owner)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, owner: Owner) -> Result<()> {
    let source = fs::File::open(from).at("open", from)?;
    let meta = source.metadata().at("read", from)?;
    let target = fs::File::create(to).at("make", to)?;
    target.set_permissions(meta.permissions()).at("protect", to)?;
    rustix::fs::fchown(
        &target,
        Some(rustix::fs::Uid::from_raw(owner.uid)),
        Some(rustix::fs::Gid::from_raw(owner.gid)),
    )
    .at("give away", to)?;
    target.set_len(meta.len()).at("size", to)?;
    copy_data(&source, &target, meta.len()).at("copy", to)
}

/// Copies the stretches of a file that hold data; the rest of the target is a hole already.
fn copy_data(source: &fs::File, target: &fs::File, length: u64) -> io::Result<()> {
    let mut at = 0;
    while at < length {
        let from = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Ok(from) => from,
            Err(Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let until = rustix::fs::seek(source, SeekFrom::Hole(from))?;
        let (mut read, mut written) = (from, from);
        while read < until {
            let wanted = usize::try_from(until - read).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(
                source,
                Some(&mut read),
                target,
                Some(&mut written),
                wanted,
            ) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // Between two file systems, or on one that cannot, the bytes pass through memory.
                Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    copy_through(source, target, read, until)?;
                    read = until;
                }
                Err(error) => return Err(error.into()),
            }
        }
        at = until;
    }
    Ok(())
}

fn copy_through(source: &fs::File, target: &fs::File, from: u64, until: u64) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut at = from;
    while at < until {
        let count = match source.read_at(&mut buffer, at)? {
            0 => return Ok(()),
            count => count,
        };
        target.write_all_at(buffer.get(..count).unwrap_or_default(), at)?;
        at += count as u64;
    }
    Ok(())
}
