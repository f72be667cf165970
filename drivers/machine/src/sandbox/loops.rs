//! Loop devices: a file as a disk. They are freed by the kernel when their file system goes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Doing as _, Error, Result};

use super::syscall::{loop_number, loop_structure};

const LOOP_CONFIGURE: u32 = 0x4c0a;
const LOOP_GET_STATUS64: u32 = 0x4c05;
const LOOP_CTL_GET_FREE: u32 = 0x4c82;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// How often a free device may be snatched by another process before we give up.
const ATTEMPTS: u32 = 64;

/// How long the kernel may take to let go of a disk whose workload has ended. It unmounts in the
/// background and must write what is dirty first.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);
const RELEASE_STEP: Duration = Duration::from_millis(2);

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

impl Info {
    const EMPTY: Self = Self {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: 0,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
}

/// A file as a disk, while this is held or the disk is mounted.
pub(crate) struct LoopDevice {
    /// The device's path.
    pub(crate) path: PathBuf,
    /// Keeps the device until it is mounted.
    _device: File,
}

/// Makes `file` a disk. Waits until an earlier use of the same file has ended, because two
/// devices on one file would destroy the file system.
pub(crate) fn attach(file: &Path) -> Result<LoopDevice> {
    wait_unused(file)?;
    let backing = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .doing(|| format!("open {}", file.display()))?;
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")
        .doing(|| "open /dev/loop-control".to_owned())?;
    let mut failure = io::Error::from_raw_os_error(libc::EBUSY);
    for _ in 0..ATTEMPTS {
        let number = loop_number(control.as_fd(), LOOP_CTL_GET_FREE, 0)
            .doing(|| "find a free loop device".to_owned())?;
        match configure(&backing, number) {
            Ok(device) => return Ok(device),
            Err(error) => failure = error,
        }
        if failure.raw_os_error() != Some(libc::EBUSY) {
            break;
        }
    }
    Err(failure).doing(|| format!("make {} a disk", file.display()))
}

fn configure(backing: &File, number: u64) -> io::Result<LoopDevice> {
    use std::os::fd::AsRawFd as _;
    let path = device_node(number)?;
    let device = OpenOptions::new().read(true).write(true).open(&path)?;
    let info = Info { flags: LO_FLAGS_AUTOCLEAR, ..Info::EMPTY };
    let fd = u32::try_from(backing.as_raw_fd()).unwrap_or(u32::MAX);
    let mut config = Config { fd, block_size: 0, info, reserved: [0; 8] };
    loop_structure(device.as_fd(), LOOP_CONFIGURE, &mut config)?;
    Ok(LoopDevice { path, _device: device })
}

/// The device's node; made where no devtmpfs does it (in containers).
fn device_node(number: u64) -> io::Result<PathBuf> {
    let path = PathBuf::from(format!("/dev/loop{number}"));
    if !path.exists() {
        let device = rustix::fs::makedev(7, u32::try_from(number).unwrap_or(u32::MAX));
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::BlockDevice;
        match rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, device) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(path)
}

/// Whether a loop device still stands for `file`.
pub(crate) fn in_use(file: &Path) -> io::Result<bool> {
    let wanted = fs::metadata(file)?;
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        let name = entry.file_name();
        let is_loop = name.to_string_lossy().starts_with("loop");
        if !is_loop || !entry.path().join("loop/backing_file").exists() {
            continue;
        }
        let Ok(device) = File::open(Path::new("/dev").join(&name)) else { continue };
        let mut info = Info::EMPTY;
        let known = loop_structure(device.as_fd(), LOOP_GET_STATUS64, &mut info).is_ok();
        // Only the inode is compared, and the path's end: the kernel encodes `lo_device` in a way
        // of its own. A false match merely waits.
        if known && info.inode == wanted.ino() && same_path(&entry.path(), file) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn same_path(block: &Path, file: &Path) -> bool {
    let Ok(shown) = fs::read_to_string(block.join("loop/backing_file")) else { return false };
    let shown = shown.trim_end().trim_end_matches(" (deleted)");
    file.file_name().is_some_and(|name| Path::new(shown).file_name() == Some(name))
}

/// Waits until no loop device stands for `file`. The kernel tells nobody when it frees one, so
/// this has to look again and again.
pub(crate) fn wait_unused(file: &Path) -> Result<()> {
    let mut waited = Duration::ZERO;
    while in_use(file).doing(|| format!("look for users of {}", file.display()))? {
        if waited >= RELEASE_TIMEOUT {
            return Err(Error::TimedOut(format!("{} is still in use", file.display())));
        }
        pause(RELEASE_STEP);
        waited = waited.saturating_add(RELEASE_STEP);
    }
    Ok(())
}

/// Lets other processes run for a moment, for states that the kernel does not announce.
pub(crate) fn pause(step: Duration) {
    let step = rustix::time::Timespec { tv_sec: 0, tv_nsec: i64::from(step.subsec_nanos()) };
    // A poll of nothing that is interrupted early only means one look more.
    let _ = rustix::event::poll(&mut [], Some(&step));
}
