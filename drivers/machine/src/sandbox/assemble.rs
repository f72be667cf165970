//! Mounts a workload's root in a mount namespace of the launcher's own.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, mkdirat, mknodat, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, mount_change,
    move_mount, open_tree,
};

use crate::error::{Doing as _, Result};
use crate::spec::{Access, Bind, Root, Upper};
use crate::volumes::DISK_FILE;

use super::init::{guest_map, id_map, writable_map};
use super::inroot::{InRoot, Target};
use super::loops;
use super::plan::{CopyUpper, Plan};
use super::syscall;

const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;

/// `/run` and `/dev/shm` hold at most this when the workload's memory is not limited.
const MEMORY_FOLDER_BYTES: u64 = 256 << 20;

/// The device nodes that every program expects: name, major, minor.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Mounts everything and makes the root the working folder, which the clone inherits.
pub(super) fn root(plan: &Plan, root: &Root, terminal: Option<&Path>) -> Result<()> {
    leave_host_mounts()?;
    let assembly = Assembly::begin(plan)?;
    assembly.overlay(root)?;
    let tree = open(
        assembly.scratch.join("root"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .doing(|| "open the root".to_owned())?;
    let inside = InRoot { root: tree.as_fd(), owner: plan.id_base };
    assembly.kernel_folders(&inside)?;
    assembly.devices(&inside, terminal)?;
    for (index, bind) in root.binds.iter().enumerate() {
        assembly.bind(&inside, index, bind)?;
    }
    rustix::process::fchdir(&tree).doing(|| "enter the root".to_owned())
}

struct Assembly<'a> {
    plan: &'a Plan,
    scratch: &'a Path,
    id_map: OwnedFd,
}

impl<'a> Assembly<'a> {
    fn begin(plan: &'a Plan) -> Result<Self> {
        let scratch = plan.scratch.as_path();
        mount("tmpfs", scratch, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, c"mode=0755")
            .doing(|| format!("mount a scratch folder on {}", scratch.display()))?;
        for name in ["root", "volume"] {
            make_folder(&scratch.join(name))?;
        }
        Ok(Self { plan, scratch, id_map: id_map(&guest_map(plan.id_base))? })
    }

    /// The layers, mapped to the workload's ids, below; the volume or memory above.
    fn overlay(&self, root: &Root) -> Result<()> {
        let mut lower = Vec::new();
        for (index, layer) in root.layers.iter().enumerate() {
            let name = format!("l{index}");
            let target = self.scratch.join(&name);
            make_folder(&target)?;
            let tree = clone_tree(layer)?;
            self.map(&tree, READ_ONLY | NO_DEVICES, layer)?;
            attach(&tree, &open_place(&target)?, layer)?;
            lower.push(name);
        }
        self.upper(&root.upper)?;
        rustix::process::chdir(self.scratch).doing(|| "enter the scratch folder".to_owned())?;
        let options = format!(
            "lowerdir={},upperdir=above/upper,workdir=above/work,redirect_dir=on",
            lower.join(":")
        );
        let options = std::ffi::CString::new(options)
            .map_err(|error| io::Error::other(error.to_string()))
            .doing(|| "name the layers".to_owned())?;
        mount("overlay", "root", "overlay", MountFlags::NODEV, options.as_c_str())
            .doing(|| "mount the root's layers".to_owned())
    }

    /// Makes `above` show the folder that holds `upper` and `work`. Owners on disk are as in the
    /// guest, so a volume can be copied, and started from under any range of the host's ids.
    fn upper(&self, upper: &Upper) -> Result<()> {
        let place = self.scratch.join("volume");
        let folder = match upper {
            Upper::Volume(volume) if volume.join(DISK_FILE).exists() => {
                mount_disk(&volume.join(DISK_FILE), &place)?;
                place
            }
            Upper::Volume(volume) => volume.clone(),
            Upper::Memory { size_bytes } => {
                let data = std::ffi::CString::new(format!("mode=0755,size={size_bytes}"))
                    .map_err(|error| io::Error::other(error.to_string()))
                    .doing(|| "size the root".to_owned())?;
                mount("tmpfs", &place, "tmpfs", MountFlags::NODEV, data.as_c_str())
                    .doing(|| "mount memory for the root".to_owned())?;
                place
            }
        };
        for name in ["upper", "work"] {
            let folder = folder.join(name);
            if !folder.exists() {
                make_folder(&folder)?;
            }
        }
        let tree = clone_tree(&folder)?;
        let ids = id_map(&writable_map(self.plan.id_base))?;
        syscall::set_mount(tree.as_fd(), NO_DEVICES, Some(ids.as_fd()))
            .doing(|| "map the owners of the volume (id-mapped mount)".to_owned())?;
        let above = self.scratch.join("above");
        make_folder(&above)?;
        attach(&tree, &open_place(&above)?, &above)
    }

    /// `/sys`, read-only for good: mounts of the launcher are locked for the workload.
    fn kernel_folders(&self, inside: &InRoot<'_>) -> Result<()> {
        let safe = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let sys = new_mount(
            "sysfs",
            &[],
            safe | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY,
        )?;
        self.put(inside, &sys, "/sys", Target::Folder)?;
        let id = self.plan.id_base.to_string();
        let size = self.memory_folder_bytes().to_string();
        let memory = |mode: &'static str| {
            new_mount("tmpfs", &[("uid", &id), ("gid", &id), ("mode", mode), ("size", &size)], safe)
        };
        self.put(inside, &memory("0755")?, "/run", Target::Folder)?;
        let devices = new_mount(
            "tmpfs",
            &[("uid", &id), ("gid", &id), ("mode", "0755"), ("size", "256k")],
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
        )?;
        self.put(inside, &devices, "/dev", Target::Folder)?;
        self.put(inside, &memory("1777")?, "/dev/shm", Target::Folder)
    }

    fn memory_folder_bytes(&self) -> u64 {
        self.plan.spec.limits.memory_bytes.map_or(MEMORY_FOLDER_BYTES, |bytes| bytes / 2)
    }

    fn devices(&self, inside: &InRoot<'_>, terminal: Option<&Path>) -> Result<()> {
        let folder =
            inside.place(Path::new("/dev"), Target::Folder).doing(|| "open /dev".to_owned())?;
        let make = || -> io::Result<()> {
            let owner = Some(Uid::from_raw(self.plan.id_base));
            let group = Some(Gid::from_raw(self.plan.id_base));
            for (name, major, minor) in NODES {
                let device = rustix::fs::makedev(major, minor);
                let mode = Mode::from_raw_mode(0o666);
                mknodat(&folder, name, FileType::CharacterDevice, mode, device)?;
                // The umask took bits from the mode.
                rustix::fs::chmodat(&folder, name, mode, AtFlags::empty())?;
                chownat(&folder, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            for (name, target) in LINKS {
                rustix::fs::symlinkat(target, &folder, name)?;
                chownat(&folder, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            for name in ["pts", "mqueue"] {
                mkdirat(&folder, name, Mode::from_raw_mode(0o755))?;
                chownat(&folder, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Ok(())
        };
        make().doing(|| "make device nodes".to_owned())?;
        if let Some(terminal) = terminal {
            let tree = clone_tree(terminal)?;
            self.put(inside, &tree, "/dev/console", Target::File)?;
        }
        Ok(())
    }

    fn bind(&self, inside: &InRoot<'_>, index: usize, bind: &Bind) -> Result<()> {
        let source = &bind.source;
        let disk = source.join(DISK_FILE);
        let (tree, target) = if disk.exists() {
            let place = self.scratch.join(format!("b{index}"));
            make_folder(&place)?;
            mount_disk(&disk, &place)?;
            (clone_tree(&place)?, Target::Folder)
        } else {
            let metadata = fs::metadata(source).doing(|| format!("find {}", source.display()))?;
            let target = if metadata.is_dir() { Target::Folder } else { Target::File };
            (clone_tree(source)?, target)
        };
        let access = match bind.access {
            Access::ReadOnly => READ_ONLY,
            Access::ReadWrite => 0,
        };
        self.map(&tree, access | NO_DEVICES | libc::MOUNT_ATTR_NOSUID, source)?;
        let place = inside
            .place(&bind.target, target)
            .doing(|| format!("make {}", bind.target.display()))?;
        attach(&tree, &place, &bind.target)
    }

    fn map(&self, tree: &OwnedFd, attributes: u64, what: &Path) -> Result<()> {
        syscall::set_mount(tree.as_fd(), attributes, Some(self.id_map.as_fd()))
            .doing(|| format!("map the owners of {} (id-mapped mount)", what.display()))
    }

    fn put(&self, inside: &InRoot<'_>, tree: &OwnedFd, path: &str, target: Target) -> Result<()> {
        let place = inside.place(Path::new(path), target).doing(|| format!("make {path}"))?;
        attach(tree, &place, Path::new(path))
    }
}

/// Mounts a volume's disk.
pub(crate) fn mount_disk(disk: &Path, target: &Path) -> Result<()> {
    let device = loops::attach(disk)?;
    mount(&device.path, target, "ext4", MountFlags::NODEV | MountFlags::NOATIME, None)
        .doing(|| format!("mount {}", disk.display()))
}

/// A new file system, mounted nowhere yet.
pub(super) fn new_mount(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd> {
    let make = || -> io::Result<OwnedFd> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (name, value) in options {
            fsconfig_set_string(&context, *name, *value)?;
        }
        fsconfig_create(&context)?;
        Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
    };
    make().doing(|| format!("make a {kind} file system"))
}

/// A copy of the mount at `path`, mounted nowhere yet.
pub(super) fn clone_tree(path: &Path) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, flags).doing(|| format!("open {}", path.display()))
}

/// Mounts a tree on a place.
pub(super) fn attach(tree: &OwnedFd, place: &OwnedFd, name: &Path) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags).doing(|| format!("mount on {}", name.display()))
}

fn open_place(path: &Path) -> Result<OwnedFd> {
    open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {}", path.display()))
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir(path).doing(|| format!("make {}", path.display()))
}

/// Copies a root volume's upper layer, with its whiteouts and attributes; becomes `cp` for it.
pub(super) fn copy_upper(request: &CopyUpper) -> Result<()> {
    leave_host_mounts()?;
    mount_disk(&request.disk, &request.scratch)?;
    let from = request.scratch.join("upper").join(".");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let argv =
        ["cp", "-a", "--preserve=all", &text(&from), &text(&request.layer)].map(str::to_owned);
    Err(syscall::exec("/bin/cp", &argv, &[])).doing(|| "execute /bin/cp".to_owned())
}

pub(super) fn leave_host_mounts() -> Result<()> {
    syscall::unshare(libc::CLONE_NEWNS).doing(|| "leave the host's mounts".to_owned())?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing(|| "make mounts private".to_owned())
}
