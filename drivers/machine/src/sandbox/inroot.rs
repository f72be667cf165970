//! Paths inside a root that its own workload may have prepared: links must not lead out of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat2};

/// What stands at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Folder,
    File,
}

/// A root tree, and the host's id of its root user, who owns what is made in it.
pub(super) struct InRoot<'a> {
    pub(super) root: BorrowedFd<'a>,
    pub(super) owner: u32,
}

impl InRoot<'_> {
    /// Opens `path` (as a place, not for reading) and makes what is missing of it.
    pub(super) fn place(&self, path: &Path, target: Target) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone_to_owned()?;
        let names: Vec<_> = path
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => Some(name),
                Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
                Component::ParentDir => None,
            })
            .collect();
        let mut sofar = std::path::PathBuf::new();
        for (index, name) in names.iter().enumerate() {
            sofar.push(name);
            let last = index.saturating_add(1) == names.len();
            let wanted = if last { target } else { Target::Folder };
            at = match self.open(&sofar, wanted) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.make(at.as_fd(), Path::new(name), wanted)?;
                    self.open(&sofar, wanted)?
                }
                other => other?,
            };
        }
        Ok(at)
    }

    fn open(&self, path: &Path, target: Target) -> io::Result<OwnedFd> {
        let folder = match target {
            Target::Folder => OFlags::DIRECTORY,
            Target::File => OFlags::empty(),
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC | folder;
        Ok(openat2(self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
    }

    fn make(&self, parent: BorrowedFd<'_>, name: &Path, target: Target) -> io::Result<()> {
        match target {
            Target::Folder => mkdirat(parent, name, Mode::from_raw_mode(0o755))?,
            Target::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                openat2(
                    parent,
                    name,
                    flags,
                    Mode::from_raw_mode(0o644),
                    ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH,
                )?;
            }
        }
        let (uid, gid) = (Uid::from_raw(self.owner), Gid::from_raw(self.owner));
        Ok(chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}
