//! Data on its way: from a template or a snapshot to a volume, from a running node to another's
//! volume or to a snapshot.
//!
//! The copies are made by the engines' own backup tools, run beside the server over its socket; no
//! network and no other node takes part.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::Origin;
use crate::error::{Context, Error, Result};
use crate::kind::EngineKind;
use crate::member::Member;
use crate::node::{Node, Seed};
use crate::spec::{ClusterSpec, data_folder};
use crate::template::{blocking, copy_tree};
use crate::tool::{Owner, ROOT, RootCommand};

/// The longest that a copy may take.
const COPY_MAX: Duration = Duration::from_secs(6 * 3600);

/// What a snapshot's folder holds, written into it as `snapshot.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// The engine.
    pub kind: EngineKind,
    /// Its full version.
    pub version: String,
    /// Where the copied server's log of changes ended, in the engine's own terms.
    pub position: String,
}

/// Fills a new node's volume, and returns where its data came from.
pub(crate) async fn fill(spec: &ClusterSpec, node: &Node, origin: &Origin) -> Result<Seed> {
    let folder = data_folder(spec.root.kind);
    clear(&node.volume.join(folder)).await?;
    match origin {
        Origin::Template(template) => {
            copy_tree(&template.path, &node.volume, node.owner).await?;
            Ok(Seed::Template(template.name.clone()))
        }
        Origin::Snapshot(path) => {
            let info = path.join("snapshot.json");
            let text = fs::read(&info).at("read", &info)?;
            let found: SnapshotInfo =
                serde_json::from_slice(&text).map_err(std::io::Error::from).at("read", &info)?;
            if found.kind != spec.root.kind {
                let (found, wanted) = (found.kind, spec.root.kind);
                return Err(Error::Refused(format!("the snapshot is of {found}, not of {wanted}")));
            }
            copy_tree(&path.join(folder), &node.volume.join(folder), node.owner).await?;
            Ok(Seed::Copy)
        }
    }
}

/// Copies a running node's data to a folder.
pub(crate) async fn snapshot(
    spec: &ClusterSpec,
    source: &Member,
    target: &Path,
) -> Result<SnapshotInfo> {
    fs::create_dir_all(target).at("make", target)?;
    let position = copy(spec, source, target, source.node.owner).await?;
    let info = SnapshotInfo { kind: spec.root.kind, version: spec.root.version.clone(), position };
    let path = target.join("snapshot.json");
    let text = serde_json::to_vec(&info).map_err(std::io::Error::from).at("encode", &path)?;
    fs::write(&path, text).at("write", &path)?;
    let whole = target.to_path_buf();
    blocking(move || {
        let folder = fs::File::open(&whole).at("open", &whole)?;
        rustix::fs::syncfs(&folder).at("write", &whole)
    })
    .await?;
    Ok(info)
}

/// Gives a node that does not run a new copy of a running one's data; returns its position.
pub(crate) async fn copy_node(spec: &ClusterSpec, source: &Member, node: &Node) -> Result<String> {
    fs::create_dir_all(&node.volume).at("make", &node.volume)?;
    if matches!(spec.root.kind, EngineKind::Valkey | EngineKind::Redis) {
        // It gets everything from its source when it connects.
        clear(&node.volume.join(data_folder(spec.root.kind))).await?;
        return Ok(String::new());
    }
    copy(spec, source, &node.volume, node.owner).await
}

/// Tells a node that was started on a fresh copy where its source's log continues.
pub(crate) async fn after_copy(member: &Member, position: &str) -> Result<()> {
    if position.is_empty() { Ok(()) } else { member.control.copied_at(position).await }
}

async fn copy(spec: &ClusterSpec, source: &Member, target: &Path, owner: Owner) -> Result<String> {
    let folder = target.join(data_folder(spec.root.kind));
    clear(&folder).await?;
    let stage = target.join("stage");
    clear(&stage).await?;
    fs::create_dir(&stage).at("make", &stage)?;
    let position = match spec.root.kind {
        EngineKind::MariaDb | EngineKind::MySql => copy_mariadb(spec, &source.node, &stage).await?,
        EngineKind::PostgreSql => copy_postgres(spec, &source.node, &stage).await?,
        EngineKind::Valkey | EngineKind::Redis => copy_cache(source, &stage).await?,
    };
    let made = stage.join("data");
    let whole = made.clone();
    blocking(move || give_tree(&whole, owner)).await?;
    fs::rename(&made, &folder).at("put in place", &folder)?;
    clear(&stage).await?;
    Ok(position)
}

async fn copy_mariadb(spec: &ClusterSpec, source: &Node, stage: &Path) -> Result<String> {
    // The password stands in a file because a command line is seen by every process of the host.
    let password = &spec.secrets.management;
    let options = format!(
        "[client]\nuser=rdsadmin\npassword={password}\nsocket=/data/run/engine.sock\n\
         [mariadb-backup]\ndatadir=/data/mysql\n"
    );
    let options_file = stage.join("options.cnf");
    fs::write(&options_file, "").at("write", &options_file)?;
    fs::set_permissions(&options_file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .at("protect", &options_file)?;
    fs::write(&options_file, options).at("write", &options_file)?;
    let backup = |arguments: &[&str]| {
        let mut argv = vec!["/usr/bin/mariadb-backup".to_owned()];
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        argv.push("--target-dir=/target/data".into());
        RootCommand::new(&spec.root.path, ROOT, argv)
            .bind(&source.volume, "/data")
            .bind(stage, "/target")
    };
    let take = backup(&["--defaults-file=/target/options.cnf", "--backup"]);
    take.run(b"", COPY_MAX).await?;
    let prepare = backup(&["--prepare", "--use-memory=64M"]);
    prepare.run(b"", COPY_MAX).await?;
    let names = ["xtrabackup_binlog_info", "mariadb_backup_binlog_info"];
    let found =
        names.iter().find_map(|name| fs::read_to_string(stage.join("data").join(name)).ok());
    let line = found.unwrap_or_default();
    // A position of several domains spans lines only by its commas.
    let position = line.trim().split('\t').nth(2).unwrap_or_default();
    Ok(position.split_whitespace().collect())
}

async fn copy_postgres(spec: &ClusterSpec, source: &Node, stage: &Path) -> Result<String> {
    chown(stage, Some(source.owner.uid), Some(source.owner.gid)).at("give away", stage)?;
    let argv = vec![
        format!("/usr/lib/postgresql/{}/bin/pg_basebackup", spec.root.series),
        "--pgdata=/target/data".into(),
        "--wal-method=stream".into(),
        "--checkpoint=fast".into(),
        "--no-sync".into(),
        "--host=/data/run".into(),
        format!("--port={}", source.port),
        "--username=rdsadmin".into(),
        "--no-password".into(),
    ];
    let command = RootCommand::new(&spec.root.path, source.owner, argv)
        .bind(&source.volume, "/data")
        .bind(stage, "/target");
    command.run(b"", COPY_MAX).await?;
    Ok(String::new())
}

/// Lays a cache's saved data out as the base of an append-only log, which is what the server reads
/// at its start when it keeps one, and as a plain dump for when it keeps none.
async fn copy_cache(source: &Member, stage: &Path) -> Result<String> {
    source.control.save().await?;
    let log = stage.join("data/appendonlydir");
    fs::create_dir_all(&log).at("make", &log)?;
    let manifest = log.join("appendonly.aof.manifest");
    let line = "file appendonly.aof.1.base.rdb seq 1 type b\n";
    fs::write(&manifest, line).at("write", &manifest)?;
    let from = source.node.volume.join("cache/dump.rdb");
    let targets = [log.join("appendonly.aof.1.base.rdb"), stage.join("data/dump.rdb")];
    blocking(move || {
        targets.iter().try_for_each(|to| fs::copy(&from, to).at("copy", &from).map(drop))
    })
    .await?;
    Ok(String::new())
}

/// Makes a former primary's data fit to follow the present one, where the engine needs that done
/// before the start.
pub(crate) async fn prepare_rejoin(
    spec: &ClusterSpec,
    node: &Node,
    primary: &Member,
) -> Result<()> {
    if spec.root.kind != EngineKind::PostgreSql || !node.was_primary() {
        return Ok(());
    }
    primary.control.checkpoint().await?;
    let signal = node.volume.join("pgdata/standby.signal");
    if signal.exists() {
        fs::remove_file(&signal).at("remove", &signal)?;
    }
    // The node's own volume is at the place that its configuration names, because the tool runs the
    // server on it to end its recovery.
    let argv = vec![
        format!("/usr/lib/postgresql/{}/bin/pg_rewind", spec.root.series),
        "--target-pgdata=/data/pgdata".into(),
        format!(
            "--source-server=host=/target/run port={} user=rdsadmin dbname=postgres",
            primary.node.port
        ),
        "--config-file=/data/conf/postgresql.conf".into(),
        "--no-sync".into(),
    ];
    let command = RootCommand::new(&spec.root.path, node.owner, argv)
        .bind(&node.volume, "/data")
        .bind(&primary.node.volume, "/target");
    command.run(b"", COPY_MAX).await.map(drop)
}

/// The last lines of a node's log, for an error message.
pub(crate) fn log_tail(node: &Node) -> String {
    const LINES: usize = 5;
    let text = fs::read(node.volume.join("log/error.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(LINES).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

async fn clear(folder: &Path) -> Result<()> {
    let folder = folder.to_path_buf();
    blocking(move || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).at("remove", &folder)
        }
        Ok(()) | Err(_) => Ok(()),
    })
    .await
}

fn give_tree(path: &Path, owner: Owner) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid)).at("give away", path)?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).at("list", path)? {
            give_tree(&entry.at("list", path)?.path(), owner)?;
        }
    }
    Ok(())
}
