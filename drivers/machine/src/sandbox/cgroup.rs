//! Control groups, version 1 and 2, whichever each controller is on.
//!
//! A workload has one group in the unified hierarchy where there is one (it freezes and kills all
//! processes at once and is what the workload's own init may divide), and one group in each
//! version 1 hierarchy that a limit needs. Without a unified hierarchy the version 1 freezer
//! stands in: freeze, kill, thaw.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Doing as _, Error, Result};
use crate::spec::Limits;

use super::loops::pause;
use super::plan::CgroupView;
use super::syscall;

/// The period over which processor time is shared out.
const PERIOD_US: u64 = 100_000;

/// How long the kernel may take to let go of an emptied group.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
const REMOVE_STEP: Duration = Duration::from_millis(2);

/// The host's hierarchies, and this process's place in each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hierarchies {
    /// The root of version 2.
    pub(crate) unified: Option<PathBuf>,
    /// Version 1: the folder of this process's own group, by controller.
    pub(crate) first: BTreeMap<String, PathBuf>,
}

/// A workload's groups.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    unified: Option<PathBuf>,
    first: BTreeMap<String, PathBuf>,
}

impl Hierarchies {
    /// Reads what is mounted.
    pub(crate) fn detect() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").doing(|| "read mounts".to_owned())?;
        let own = fs::read_to_string("/proc/self/cgroup").doing(|| "read cgroups".to_owned())?;
        Ok(Self::from_text(&mounts, &own))
    }

    fn from_text(mounts: &str, own: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, path, kind, options, ..] = fields.as_slice() else { continue };
            match *kind {
                "cgroup2" => {
                    found.unified.get_or_insert_with(|| PathBuf::from(path));
                }
                "cgroup" => {
                    for name in options.split(',') {
                        let place = own_place(own, name).unwrap_or("/");
                        let folder = Path::new(path).join(place.trim_start_matches('/'));
                        found.first.entry(name.to_owned()).or_insert(folder);
                    }
                }
                _ => {}
            }
        }
        found.first.retain(|name, _| is_controller(name));
        found
    }

    /// What a workload's own init gets to see.
    pub(crate) fn view(&self) -> CgroupView {
        match (&self.unified, self.first.contains_key("name=systemd")) {
            (Some(_), _) => CgroupView::Unified,
            (None, true) => CgroupView::NamedSystemd,
            (None, false) => CgroupView::Nothing,
        }
    }

    /// Makes a workload's groups, sets its limits, and gives it what it may divide itself.
    pub(crate) fn create(&self, name: &str, limits: &Limits, id_base: u32) -> Result<Group> {
        let mut group = Group { unified: None, first: BTreeMap::new() };
        let outcome = self.fill(&mut group, name, limits, id_base);
        if let Err(error) = outcome {
            // The first failure is the one to tell.
            let _ = group.remove();
            return Err(error);
        }
        Ok(group)
    }

    fn fill(&self, group: &mut Group, name: &str, limits: &Limits, id_base: u32) -> Result<()> {
        if let Some(root) = &self.unified {
            enable_controllers(root);
            let folder = root.join(name);
            make(&folder)?;
            delegate(&folder, id_base)?;
            group.unified = Some(folder);
        }
        let mut wanted = Vec::new();
        if limits.cpus.is_some() {
            wanted.push("cpu");
        }
        if limits.memory_bytes.is_some() {
            wanted.push("memory");
        }
        if limits.pids_max.is_some() {
            wanted.push("pids");
        }
        if self.unified.is_none() {
            wanted.extend(["freezer", "name=systemd"]);
        }
        for controller in wanted {
            let Some(parent) = self.first.get(controller) else {
                self.require_unified(controller)?;
                continue;
            };
            let folder = parent.join(name);
            make(&folder)?;
            if controller == "name=systemd" {
                delegate(&folder, id_base)?;
            }
            group.first.insert(controller.to_owned(), folder);
        }
        group.limit(limits)
    }

    fn require_unified(&self, controller: &str) -> Result<()> {
        let known = self
            .unified
            .as_ref()
            .and_then(|root| fs::read_to_string(root.join("cgroup.controllers")).ok())
            .is_some_and(|names| names.split_whitespace().any(|name| name == controller));
        if known || matches!(controller, "freezer" | "name=systemd") {
            return Ok(());
        }
        Err(Error::HostLacks(format!("the cgroup controller `{controller}`")))
    }

    /// Kills and removes every group whose name starts with `prefix`: leftovers of a supervisor
    /// that was killed.
    pub(crate) fn sweep(&self, prefix: &str) -> Result<()> {
        let mut names = std::collections::BTreeSet::new();
        for parent in self.first.values().chain(&self.unified) {
            let Ok(entries) = fs::read_dir(parent) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with(prefix) && entry.path().is_dir() {
                    names.insert(name);
                }
            }
        }
        for name in names {
            let existing = |parent: &PathBuf| Some(parent.join(&name)).filter(|dir| dir.is_dir());
            let group = Group {
                unified: self.unified.as_ref().and_then(existing),
                first: self
                    .first
                    .iter()
                    .filter_map(|(key, parent)| Some((key.clone(), existing(parent)?)))
                    .collect(),
            };
            group.kill()?;
            group.remove()?;
        }
        Ok(())
    }
}

impl Group {
    /// The files that a process joins all groups through.
    pub(crate) fn procs(&self) -> Vec<PathBuf> {
        self.folders().map(|folder| folder.join("cgroup.procs")).collect()
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.unified.iter().chain(self.first.values())
    }

    fn limit(&self, limits: &Limits) -> Result<()> {
        if let Some(cpus) = limits.cpus {
            let quota = processor_quota_us(cpus);
            self.set("cpu", "cpu.cfs_period_us", "cpu.max", |version| match version {
                Version::First => PERIOD_US.to_string(),
                Version::Unified => format!("{quota} {PERIOD_US}"),
            })?;
            if let Some(folder) = self.first.get("cpu") {
                write(&folder.join("cpu.cfs_quota_us"), &quota.to_string())?;
            }
        }
        if let Some(bytes) = limits.memory_bytes {
            self.set("memory", "memory.limit_in_bytes", "memory.max", |_| bytes.to_string())?;
            // Swap is no memory that was asked for. Kernels without swap accounting lack the file.
            let swap = match self.first.get("memory") {
                Some(folder) => (folder.join("memory.memsw.limit_in_bytes"), bytes.to_string()),
                None => {
                    let unified = self.unified.clone().unwrap_or_default();
                    (unified.join("memory.swap.max"), "0".to_owned())
                }
            };
            if swap.0.exists() {
                write(&swap.0, &swap.1)?;
            }
        }
        if let Some(pids) = limits.pids_max {
            self.set("pids", "pids.max", "pids.max", |_| pids.to_string())?;
        }
        Ok(())
    }

    fn set(
        &self,
        controller: &str,
        first: &str,
        unified: &str,
        value: impl Fn(Version) -> String,
    ) -> Result<()> {
        match (self.first.get(controller), &self.unified) {
            (Some(folder), _) => write(&folder.join(first), &value(Version::First)),
            (None, Some(folder)) => write(&folder.join(unified), &value(Version::Unified)),
            (None, None) => Err(Error::HostLacks(format!("the cgroup controller `{controller}`"))),
        }
    }

    /// Holds all processes still, or lets them go.
    pub(crate) fn set_frozen(&self, frozen: bool) -> Result<()> {
        if let Some(folder) = &self.unified {
            return write(&folder.join("cgroup.freeze"), if frozen { "1" } else { "0" });
        }
        match self.first.get("freezer") {
            Some(folder) => {
                write(&folder.join("freezer.state"), if frozen { "FROZEN" } else { "THAWED" })
            }
            None => Err(Error::HostLacks("a cgroup freezer".to_owned())),
        }
    }

    /// Kills all processes, none of which can escape by forking meanwhile.
    pub(crate) fn kill(&self) -> Result<()> {
        if let Some(folder) = &self.unified {
            let file = folder.join("cgroup.kill");
            if file.exists() {
                return write(&file, "1");
            }
        }
        // A group that a removal cut short left in some hierarchies only cannot be held still.
        let freezes = self.unified.is_some() || self.first.contains_key("freezer");
        if freezes {
            self.set_frozen(true)?;
        }
        for folder in self.folders() {
            kill_tree(folder);
        }
        if freezes { self.set_frozen(false) } else { Ok(()) }
    }

    /// Removes the emptied groups. The kernel takes a moment to count the dead out.
    pub(crate) fn remove(&self) -> Result<()> {
        for folder in self.folders() {
            let mut waited = Duration::ZERO;
            loop {
                match remove_tree(folder) {
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    Err(error) if waited >= REMOVE_TIMEOUT => {
                        return Err(error).doing(|| format!("remove {}", folder.display()));
                    }
                    Err(_) => pause(REMOVE_STEP),
                }
                waited = waited.saturating_add(REMOVE_STEP);
            }
        }
        Ok(())
    }
}

/// Which version of control groups a controller is on.
#[derive(Clone, Copy)]
enum Version {
    First,
    Unified,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range that the kernel takes"
)]
fn processor_quota_us(cpus: f64) -> u64 {
    // The kernel refuses less than a millisecond a period.
    (cpus * 100_000.0).clamp(1_000.0, 1e9) as u64
}

fn is_controller(option: &str) -> bool {
    matches!(option, "cpu" | "memory" | "pids" | "freezer" | "name=systemd")
}

/// The path of this process's group in the hierarchy that holds `name`.
fn own_place<'a>(own: &'a str, name: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let controllers = fields.nth(1)?;
        let path = fields.next()?;
        controllers.split(',').any(|controller| controller == name).then_some(path)
    })
}

/// Lets groups under the root use the controllers that limits need. Fails where they are not the
/// unified hierarchy's (version 1 has them then) or are enabled already.
fn enable_controllers(root: &Path) {
    for controller in ["cpu", "memory", "pids"] {
        let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir(folder).doing(|| format!("make the cgroup {}", folder.display()))
}

/// Lets the workload's own init make groups below, but not change the limits.
fn delegate(folder: &Path, id_base: u32) -> Result<()> {
    let files = ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"];
    for name in files {
        let path = if name.is_empty() { folder.to_path_buf() } else { folder.join(name) };
        if path.exists() {
            std::os::unix::fs::chown(&path, Some(id_base), Some(id_base))
                .doing(|| format!("hand over {}", path.display()))?;
        }
    }
    Ok(())
}

fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).doing(|| format!("write {value} to {}", path.display()))
}

fn kill_tree(folder: &Path) {
    let pids = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|line| line.parse().ok()) {
        // It may have ended meanwhile.
        let _ = syscall::kill(pid, libc::SIGKILL);
    }
    for child in children(folder) {
        kill_tree(&child);
    }
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    for child in children(folder) {
        remove_tree(&child)?;
    }
    fs::remove_dir(folder)
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_a_group_that_is_left_in_one_hierarchy_only() {
        let host = tempfile::tempdir().unwrap();
        let place = |name: &str| host.path().join(name);
        for name in ["memory", "freezer", "memory/skyhold-1-i-a", "memory/skyhold-2-i-b"] {
            fs::create_dir(place(name)).unwrap();
        }
        let first = ["memory", "freezer"].map(|name| (name.to_owned(), place(name)));
        let found = Hierarchies { unified: None, first: first.into() };
        found.sweep("skyhold-1-").unwrap();
        assert!(!place("memory/skyhold-1-i-a").exists());
        assert!(place("memory/skyhold-2-i-b").exists());
    }

    #[test]
    fn controllers_are_found_on_both_versions() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu,cpuacct 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let own = "4:memory:/jobs/7\n1:cpu,cpuacct:/\n0::/\n";
        let found = Hierarchies::from_text(mounts, own);
        assert_eq!(found.unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(found.first["memory"], Path::new("/sys/fs/cgroup/memory/jobs/7"));
        assert_eq!(found.first["cpu"], Path::new("/sys/fs/cgroup/cpu/"));
        assert_eq!(found.view(), CgroupView::Unified);
        let pure = Hierarchies::from_text("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "0::/a\n");
        assert_eq!(pure.first.len(), 0);
    }

    #[test]
    fn processor_shares_become_quotas() {
        assert_eq!(processor_quota_us(2.0), 200_000);
        assert_eq!(processor_quota_us(0.25), 25_000);
        assert_eq!(processor_quota_us(0.0), 1_000);
    }
}
