//! What the supervisor tells the launcher and hears from it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Exec, Exit, Output, WorkloadSpec};

/// The first argument that makes this executable a launcher.
pub(crate) const LAUNCHER: &str = "machine-init";

/// The widths of a workload's user and group id range.
pub(crate) const ID_RANGE: u32 = 65_536;

/// A job for a launcher. Its descriptors are: 0 the status socket on which this arrives, 1 where
/// the workload's output goes (a terminal for sandboxes), 2 a program's control socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Start a workload.
    Launch(Box<Plan>),
    /// Run a command in one that runs.
    Enter(Enter),
    /// Copy what was written to a root volume.
    CopyUpper(CopyUpper),
    /// Try one of the host's features, using an empty folder.
    Try(HostFeature, PathBuf),
}

/// A feature of the host's kernel that sandboxes need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HostFeature {
    UserNamespaces,
    IdMappedMounts,
    Overlay,
    LoopDevices,
    Seccomp,
    PidNamespaces,
}

/// Which disk's upper layer to copy, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopyUpper {
    /// The disk's file.
    pub(crate) disk: PathBuf,
    /// An empty folder to mount on.
    pub(crate) scratch: PathBuf,
    /// An existing folder for the copies.
    pub(crate) layer: PathBuf,
}

/// How to start a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// What to start.
    pub(crate) spec: WorkloadSpec,
    /// The host's user and group id of the workload's root.
    pub(crate) id_base: u32,
    /// An empty folder to mount on.
    pub(crate) scratch: PathBuf,
    /// The `cgroup.procs` files of the workload's groups.
    pub(crate) cgroup_procs: Vec<PathBuf>,
    /// What the workload sees as `/sys/fs/cgroup`.
    pub(crate) cgroup_view: CgroupView,
}

/// The cgroup hierarchy that a workload's own init may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CgroupView {
    /// The unified hierarchy.
    Unified,
    /// systemd's own hierarchy of version 1.
    NamedSystemd,
    /// None.
    Nothing,
}

/// How to run a command inside a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Enter {
    /// The workload's first process.
    pub(crate) pid: u32,
    /// The `cgroup.procs` files of the workload's groups.
    pub(crate) cgroup_procs: Vec<PathBuf>,
    /// The command.
    pub(crate) command: Exec,
}

/// What a launcher, or what it became, reports. The end of the stream after [`Report::Pid`]
/// without a failure means that the workload's own program runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The workload's first process, as the host numbers it.
    Pid(u32),
    /// A step failed; nothing runs.
    Failed(String),
    /// A process without an init of its own runs.
    Started,
    /// It ended.
    Exited(Exit),
    /// What a command printed and returned.
    Output(Output),
}
