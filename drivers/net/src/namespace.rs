//! Network namespaces held by bind mounts, so that they outlive every process.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::statfs;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::{Error, Result};

const OWN: &str = "/proc/thread-self/ns/net";
/// What `statfs` says of a mounted namespace.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// The calling thread's namespace.
pub(crate) fn current() -> Result<OwnedFd> {
    let opened = File::open(OWN).map(OwnedFd::from);
    opened.map_err(|error| Error::kernel("open the own network namespace", error))
}

/// Moves the calling thread into `namespace`.
pub(crate) fn enter(namespace: &impl AsFd) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| Error::kernel("enter a network namespace", error))
}

/// Moves the calling thread into a new namespace that nothing else holds.
pub(crate) fn leave_for_new() -> Result<()> {
    #[expect(unsafe_code, reason = "rustix has no safe call for the harmless flags alone")]
    // SAFETY: only unsharing the table of file descriptors is unsafe, and NEWNET does not.
    let done = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
    done.map_err(|error| Error::kernel("make a network namespace", error))
}

/// Makes a namespace, mounts it at `path` and leaves the calling thread inside.
pub(crate) fn create(path: &Path) -> Result<OwnedFd> {
    remove(path)?;
    let what = || format!("mount a network namespace at {}", path.display());
    File::create(path).map_err(|error| Error::kernel(what(), error))?;
    leave_for_new()?;
    mount_bind(OWN, path).map_err(|error| Error::kernel(what(), error))?;
    current()
}

/// Whether a namespace is mounted at `path`.
pub(crate) fn exists(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.f_type == NSFS_MAGIC)
}

/// The namespace at `path`, if one is mounted there.
pub(crate) fn open(path: &Path) -> Result<Option<OwnedFd>> {
    if !exists(path) {
        return Ok(None);
    }
    let opened = File::open(path).map(|file| Some(file.into()));
    opened.map_err(|error| Error::kernel(format!("open {}", path.display()), error))
}

/// Lets go of the namespace at `path` and removes the file.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::kernel(format!("remove {}", path.display()), error);
    loop {
        match unmount(path, UnmountFlags::DETACH) {
            Ok(()) | Err(Errno::INTR) => {}
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(error) => return Err(failed(error.into())),
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Sets a value below `/proc/sys/net` of the calling thread's namespace.
pub(crate) fn set(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{name}");
    let write = || File::options().write(true).open(&path)?.write_all(value.as_bytes());
    write().map_err(|error| Error::kernel(format!("set {name} to {value}"), error))
}

/// Sets a value as [`set`] does, where the kernel knows it.
pub(crate) fn set_if_known(name: &str, value: &str) -> Result<()> {
    match set(name, value) {
        Err(Error::Kernel { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(())
        }
        other => other,
    }
}

/// Reads a value below `/proc/sys/net` of the calling thread's namespace.
pub(crate) fn get(name: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/sys/net/{name}"));
    let text = text.map_err(|error| Error::kernel(format!("read {name}"), error))?;
    Ok(text.trim().to_owned())
}
