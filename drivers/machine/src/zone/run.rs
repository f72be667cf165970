//! The supervisor's start, its main loop and its table of workloads.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Timestamp;
use md5::{Digest as _, Md5};
use rustix::fs::{FlockOperation, flock};

use crate::error::{Doing as _, Error, Result};
use crate::ids::IdRanges;
use crate::sandbox::cgroup::Hierarchies;
use crate::sandbox::loops::pause;
use crate::sandbox::syscall;
use crate::spec::{EventKind, Stop, WorkloadStatus};

use super::protocol::Message;
use super::workload::Workload;
use super::{ZoneOptions, serve, zone_folder};

/// Where the ranges of ids in use are noted, for all regions of the host. They end with it.
const ID_RANGES: &str = "/run/skyhold/id-ranges";

/// How long a supervisor that was killed may still hold its lock.
const END_TIMEOUT: Duration = Duration::from_secs(5);
const END_STEP: Duration = Duration::from_millis(5);

/// What all threads of a supervisor share.
pub(super) struct Supervisor {
    pub(super) folder: PathBuf,
    pub(super) ids: IdRanges,
    pub(super) hierarchies: Hierarchies,
    /// All cgroups of this zone start with this.
    pub(super) group_prefix: String,
    workloads: Mutex<BTreeMap<String, Arc<Workload>>>,
    listeners: Mutex<Vec<SyncSender<Vec<u8>>>>,
    jobs: Sender<MainJob>,
}

/// What only the main thread does.
enum MainJob {
    Spawn { command: Box<Command>, child: SyncSender<io::Result<Child>> },
    End,
}

/// Serves until told to end.
pub(super) fn supervise(options: ZoneOptions) -> Result<()> {
    // So that a Ctrl-C for the control plane is not for its zones. Refused to a process that leads
    // a group already, which is as good.
    let _ = rustix::process::setsid();
    syscall::block_end_signals().doing(|| "block signals".to_owned())?;
    let folder = zone_folder(&options.run_dir, &options.zone);
    for name in ["", "mounts", "consoles"] {
        let path = folder.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .doing(|| format!("make {}", path.display()))?;
    }
    let _lock = claim(&folder)?;
    let hierarchies = Hierarchies::detect()?;
    let group_prefix = group_prefix(&folder);
    let ids = sweep(&folder, &hierarchies, &group_prefix)?;
    let (jobs, todo) = channel();
    let supervisor = Arc::new(Supervisor {
        ids,
        folder,
        hierarchies,
        group_prefix,
        workloads: Mutex::default(),
        listeners: Mutex::default(),
        jobs,
    });
    end_when_asked(&supervisor)?;
    let listener = bind(&options.socket)?;
    serve::start(Arc::clone(&supervisor), listener)?;
    announce();
    work(&todo);
    // What is not there is as good as deleted.
    let _ = fs::remove_file(&options.socket);
    Ok(())
}

/// What the names of all groups of a zone start with.
fn group_prefix(folder: &Path) -> String {
    let tag = Md5::digest(folder.as_os_str().as_encoded_bytes());
    let tag: String = tag.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("skyhold-{tag}-")
}

/// Ends and removes what a supervisor that was killed left behind.
fn sweep(folder: &Path, hierarchies: &Hierarchies, group_prefix: &str) -> Result<IdRanges> {
    hierarchies.sweep(group_prefix)?;
    sweep_mounts(&folder.join("mounts"))?;
    let ids = IdRanges::new(Path::new(ID_RANGES));
    ids.sweep(group_prefix)?;
    Ok(ids)
}

/// Removes what the zone's last supervisor left behind, if it ended without doing so itself.
/// Blocks until the last of it is gone.
///
/// # Errors
///
/// When a supervisor serves the zone, or something cannot be removed.
pub(crate) fn sweep_zone(options: &ZoneOptions) -> Result<()> {
    let folder = zone_folder(&options.run_dir, &options.zone);
    if !folder.join("mounts").exists() {
        return Ok(());
    }
    let mut waited = Duration::ZERO;
    let _lock = loop {
        match claim(&folder) {
            Ok(lock) => break lock,
            // A process that is being killed lets go of its socket before its lock.
            Err(_) if waited < END_TIMEOUT => pause(END_STEP),
            Err(error) => return Err(error),
        }
        waited = waited.saturating_add(END_STEP);
    };
    sweep(&folder, &Hierarchies::detect()?, &group_prefix(&folder)).map(drop)
}

/// A host that shuts down asks all its processes to end: workloads get their grace.
fn end_when_asked(supervisor: &Arc<Supervisor>) -> Result<()> {
    let supervisor = Arc::clone(supervisor);
    serve::spawn("signals", move || {
        while let Err(error) = syscall::wait_for_end_signal() {
            if error.kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
        supervisor.stop_all(Stop::Graceful { grace: None });
        supervisor.end();
    })
}

/// Only one supervisor may serve a zone.
fn claim(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).doing(|| format!("create {}", path.display()))?;
    let taken = |_| Error::Refused("another supervisor serves this zone".to_owned());
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(taken)?;
    Ok(file)
}

/// Mount points are private to workloads that are gone; only empty folders are left.
fn sweep_mounts(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).doing(|| format!("read {}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        fs::remove_dir(&path).doing(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

fn bind(socket: &Path) -> Result<UnixListener> {
    // The lock is ours, so a socket that exists is a dead supervisor's.
    let _ = fs::remove_file(socket);
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let listener = UnixListener::bind(socket);
    rustix::process::umask(before);
    let listener = listener.doing(|| format!("listen on {}", socket.display()))?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))
        .doing(|| format!("close {} to others", socket.display()))?;
    Ok(listener)
}

/// Nobody may be reading, and nothing else is printed.
fn announce() {
    let mut output = io::stdout();
    let _ = output.write_all(b"ready\n");
    let _ = output.flush();
}

fn work(todo: &Receiver<MainJob>) {
    while let Ok(job) = todo.recv() {
        match job {
            MainJob::Spawn { mut command, child } => {
                // A requester that is gone has ended with the whole supervisor.
                let _ = child.send(command.spawn());
            }
            MainJob::End => return,
        }
    }
}

impl Supervisor {
    /// Starts a process from the main thread, so that its death signal means the supervisor's end.
    pub(super) fn spawn(&self, command: Command) -> io::Result<Child> {
        let (child, answer) = sync_channel(1);
        let gone = || io::Error::other("the supervisor ends");
        self.jobs.send(MainJob::Spawn { command: Box::new(command), child }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// Lets the main thread end the process.
    pub(super) fn end(&self) {
        // The only way for this to fail is that it ends already.
        let _ = self.jobs.send(MainJob::End);
    }

    /// A workload by its id.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Workload>> {
        let missing = || Error::NoSuchWorkload { id: id.to_owned() };
        self.table().get(id).cloned().ok_or_else(missing)
    }

    /// The workload of this id, or a new one that `make` makes.
    pub(super) fn find_or_insert(
        &self,
        id: &str,
        make: impl FnOnce() -> Workload,
    ) -> Arc<Workload> {
        let mut table = self.table();
        Arc::clone(table.entry(id.to_owned()).or_insert_with(|| Arc::new(make())))
    }

    pub(super) fn forget(&self, id: &str) {
        self.table().remove(id);
    }

    pub(super) fn list(&self) -> Vec<WorkloadStatus> {
        let workloads: Vec<_> = self.table().values().cloned().collect();
        workloads.iter().map(|workload| workload.status()).collect()
    }

    /// Stops everything, all at once, each with its own grace but at most the one that is given.
    pub(super) fn stop_all(&self, how: Stop) {
        let workloads: Vec<_> = self.table().values().cloned().collect();
        std::thread::scope(|scope| {
            for workload in &workloads {
                scope.spawn(|| workload.stop(workload.at_most(how)));
            }
        });
    }

    /// Where a workload's console is kept on disk.
    pub(super) fn console_path(&self, id: &str) -> PathBuf {
        console_path(&self.folder, id)
    }

    /// Tells all connections.
    pub(super) fn tell(&self, id: &str, kind: EventKind) {
        let message = Message::Event { id: id.to_owned(), kind };
        let Ok(frame) = serde_json::to_vec(&message) else { return };
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection that does not read is dropped: its other end lists again when it is back.
        listeners.retain(|listener| listener.try_send(frame.clone()).is_ok());
    }

    /// Events go to this connection from now on.
    pub(super) fn listen(&self, connection: SyncSender<Vec<u8>>) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Workload>>> {
        self.workloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a workload's console is kept in a zone's folder.
pub(super) fn console_path(folder: &Path, id: &str) -> PathBuf {
    folder.join("consoles").join(id)
}

/// The machine's time: what is observed on it is stamped with it.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "observations of the host carry its own time")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since_ms = since.unwrap_or_default().as_millis();
    Timestamp::from_millis(i64::try_from(since_ms).unwrap_or(i64::MAX))
}
