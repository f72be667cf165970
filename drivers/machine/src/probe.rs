//! What this host can do for workloads. Each feature is tried for real, nothing is concluded from
//! versions or configuration.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::error::{Doing as _, Result, chain};
use crate::images::{remove_tree, require};
use crate::sandbox::cgroup::Hierarchies;
use crate::sandbox::launch;
use crate::sandbox::plan::{HostFeature, Job};
use crate::spec::Limits;

/// Something that workloads or images need of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// User namespaces with 65,536 ids.
    UserNamespaces,
    /// The other namespaces of a sandbox.
    Namespaces,
    /// Mounts that show files as owned by other ids, on the file system of temporary files.
    IdMappedMounts,
    /// Overlay file systems.
    Overlay,
    /// Files as disks.
    LoopDevices,
    /// Limits of processor, memory and processes, by control groups of version 1 or 2.
    ControlGroups,
    /// Filters of system calls.
    Seccomp,
    /// `mkfs.ext4`, for volumes.
    Ext4Tools,
    /// `mmdebstrap`, for images and engines.
    Mmdebstrap,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserNamespaces => "user namespaces",
            Self::Namespaces => "pid, mount, network, ipc, uts and cgroup namespaces",
            Self::IdMappedMounts => "id-mapped mounts",
            Self::Overlay => "overlay file systems",
            Self::LoopDevices => "loop devices",
            Self::ControlGroups => "control group limits",
            Self::Seccomp => "seccomp filters",
            Self::Ext4Tools => "mkfs.ext4",
            Self::Mmdebstrap => "mmdebstrap",
        })
    }
}

/// Tries every feature; each takes some milliseconds. The failures' texts say what was refused.
/// This executable's `main` must call [`crate::init_main`].
pub fn probe() -> Vec<(Feature, std::result::Result<(), String>)> {
    probe_with(Path::new(launch::OWN_EXECUTABLE))
}

/// [`probe`] with another executable that calls [`crate::init_main`].
pub fn probe_with(executable: &Path) -> Vec<(Feature, std::result::Result<(), String>)> {
    let kernel = |feature| attempt(executable, feature);
    let text = |outcome: Result<()>| outcome.map_err(|error| chain(&error));
    vec![
        (Feature::UserNamespaces, text(kernel(HostFeature::UserNamespaces))),
        (Feature::Namespaces, text(kernel(HostFeature::PidNamespaces))),
        (Feature::IdMappedMounts, text(kernel(HostFeature::IdMappedMounts))),
        (Feature::Overlay, text(kernel(HostFeature::Overlay))),
        (Feature::LoopDevices, text(kernel(HostFeature::LoopDevices))),
        (Feature::ControlGroups, text(try_limits())),
        (Feature::Seccomp, text(kernel(HostFeature::Seccomp))),
        (Feature::Ext4Tools, text(require("mkfs.ext4", "e2fsprogs"))),
        (Feature::Mmdebstrap, text(require("mmdebstrap", "mmdebstrap"))),
    ]
}

fn attempt(executable: &Path, feature: HostFeature) -> Result<()> {
    // On a real disk where there is one: what is tried here is used in data folders.
    let folder = Path::new("/var/tmp").join(format!("skyhold-probe-{}", std::process::id()));
    remove_tree(&folder)?;
    fs::create_dir(&folder).doing(|| format!("make {}", folder.display()))?;
    let outcome = launch::run_to_end(executable, &Job::Try(feature, folder.clone()));
    remove_tree(&folder)?;
    outcome
}

fn try_limits() -> Result<()> {
    let limits = Limits { cpus: Some(1.0), memory_bytes: Some(64 << 20), pids_max: Some(64) };
    let name = format!("skyhold-probe-{}", std::process::id());
    Hierarchies::detect()?.create(&name, &limits, 0)?.remove()
}
