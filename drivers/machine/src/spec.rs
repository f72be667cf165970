//! What a workload is: its program, its root, its namespaces and its limits; and what is told of
//! it.

use std::path::PathBuf;
use std::time::Duration;

use base::{Timestamp, Zone};
use serde::{Deserialize, Serialize};

use crate::wire::bytes_base64;

/// Everything a zone supervisor must know to start a workload, and to start it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSpec {
    /// Its name, unique in the zone: letters, digits, `-`, `_` and `.`, at most 80 characters.
    pub id: String,
    /// What runs.
    pub kind: Kind,
    /// The network namespace to run in. None gives the workload an empty one of its own.
    pub netns: Option<PathBuf>,
    /// What it may use.
    pub limits: Limits,
    /// How it is asked to end.
    pub stop: StopRequest,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// A machine: a root file system with its own init as process 1.
    Sandbox(Sandbox),
    /// A built-in: this very executable with other arguments, reached by [`crate::Machine::call`].
    Program(Program),
    /// One program inside a root file system, without an init of its own (database engines).
    Process(Process),
}

/// A machine with its own init.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Its file system.
    pub root: Root,
    /// Its host name.
    pub hostname: String,
    /// Process 1, as `["/sbin/init"]`.
    pub init: Vec<String>,
    /// The environment of process 1.
    pub env: Vec<(String, String)>,
}

/// A built-in program: the running executable again, with a control socket at descriptor 3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Its arguments, after the executable's name.
    pub args: Vec<String>,
    /// Added to an otherwise empty environment.
    pub env: Vec<(String, String)>,
    /// What it may reach of the host.
    #[serde(default)]
    pub reach: NetworkReach,
}

/// Which network namespaces a built-in program may open sockets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NetworkReach {
    /// The one it runs in.
    #[default]
    Own,
    /// Every one of the region: it keeps the power to enter namespaces (`CAP_SYS_ADMIN`).
    All,
}

/// One program inside a root file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its file system.
    pub root: Root,
    /// Its host name.
    pub hostname: String,
    /// The program and its arguments. The path is one inside the root.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// The user inside the root that it runs as.
    pub uid: u32,
    /// The group inside the root that it runs as.
    pub gid: u32,
    /// Its working folder inside the root.
    pub cwd: PathBuf,
}

/// A workload's file system: shared read-only layers below, its own writes above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Root {
    /// Read-only root trees, the uppermost first, the base last. Files are owned as in the guest.
    pub layers: Vec<PathBuf>,
    /// Where writes go.
    pub upper: Upper,
    /// Host folders and files that the workload sees too.
    pub binds: Vec<Bind>,
    /// Written into the root each time the workload starts.
    pub files: Vec<SeedFile>,
}

/// Where a workload's writes go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upper {
    /// To a volume made by [`crate::Volumes::create`]: they outlive the workload.
    Volume(PathBuf),
    /// To memory, at most this many bytes: they end with the workload.
    Memory {
        /// The most that fits.
        size_bytes: u64,
    },
}

/// A host folder or file that a workload sees. User and group 0 to 65535 on disk are the same
/// numbers inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// The host's path: a folder or file, or a volume (its file system is mounted then).
    pub source: PathBuf,
    /// The path inside. Missing folders on the way are made.
    pub target: PathBuf,
    /// Whether the workload may write.
    pub access: Access,
}

/// Whether a bind may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Only read; the workload cannot lift this.
    ReadOnly,
    /// Read and written.
    ReadWrite,
}

/// A file written into the root before the start. Missing folders on the way are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedFile {
    /// Its absolute path inside.
    pub path: PathBuf,
    /// Its permission bits, as `0o644`.
    pub mode: u32,
    /// Its content.
    #[serde(with = "bytes_base64")]
    pub content: Vec<u8>,
}

/// What a workload may use. None is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Processors, as 0.5 or 2.0.
    pub cpus: Option<f64>,
    /// Memory, page cache included.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids_max: Option<u64>,
}

/// How a workload is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// The signal sent to its first process.
    pub signal: i32,
    /// How long it has before it is killed.
    pub grace: Duration,
}

impl StopRequest {
    /// `SIGTERM`, as most daemons expect.
    pub fn terminate(grace: Duration) -> Self {
        Self { signal: libc::SIGTERM, grace }
    }

    /// systemd's signal for an orderly power-off (`SIGRTMIN+4`).
    ///
    /// systemd(1), "Signals".
    pub fn systemd_poweroff(grace: Duration) -> Self {
        Self { signal: libc::SIGRTMIN().saturating_add(4), grace }
    }
}

/// How to stop a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// Ask with the spec's signal; kill after `grace`, or after the spec's own when None.
    Graceful {
        /// Instead of the spec's.
        grace: Option<Duration>,
    },
    /// Kill every process at once.
    Kill,
}

/// What a supervisor observed of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadStatus {
    /// Its name.
    pub id: String,
    /// Its state.
    pub state: State,
    /// When this was observed.
    pub observed: Timestamp,
}

/// The state of a workload as its supervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Being started: nothing of the workload itself runs yet.
    Starting,
    /// Its first process runs.
    Running {
        /// That process, as the host numbers it.
        pid: u32,
        /// Since when.
        since: Timestamp,
        /// Whether its processes are held still.
        frozen: bool,
    },
    /// It ended; its volume is as it left it.
    Exited {
        /// How.
        exit: Exit,
        /// When.
        at: Timestamp,
    },
}

/// How a workload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// Its first process returned this.
    Code(i32),
    /// A signal killed its first process.
    Signal(i32),
    /// The machine switched itself off (`poweroff` inside, or an orderly stop).
    PoweredOff,
}

/// Something happened to a workload or its supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// In this zone.
    pub zone: Zone,
    /// To this workload; empty for events of the supervisor itself.
    pub id: String,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// The workload's first process runs (also after a reboot).
    Started,
    /// It ended.
    Exited(Exit),
    /// The supervisor is gone and all workloads of the zone with it.
    SupervisorLost,
    /// The supervisor can be reached (again). It may hold fewer workloads than before: compare.
    SupervisorBack,
}

/// A command to run inside a running workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The program and its arguments; the path is one inside.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// What it reads.
    #[serde(with = "bytes_base64")]
    pub stdin: Vec<u8>,
    /// The user and group inside.
    pub uid: u32,
    /// The group inside.
    pub gid: u32,
    /// It is killed after this long.
    pub timeout: Duration,
}

impl Exec {
    /// `argv` as root, with an ordinary path, nothing to read and a minute to end.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: vec![("PATH".to_owned(), path.to_owned())],
            stdin: Vec::new(),
            uid: 0,
            gid: 0,
            timeout: Duration::from_secs(60),
        }
    }
}

/// What a command printed and returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output, the first [`crate::EXEC_OUTPUT_MAX`] bytes.
    #[serde(with = "bytes_base64")]
    pub stdout: Vec<u8>,
    /// Its standard error, the first [`crate::EXEC_OUTPUT_MAX`] bytes.
    #[serde(with = "bytes_base64")]
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it returned 0.
    pub fn success(&self) -> bool {
        self.exit == Exit::Code(0)
    }
}
