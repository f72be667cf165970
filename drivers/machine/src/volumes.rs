//! Root and data volumes: sparse files with an ext4 file system, of a size that holds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom as RustixSeek;

use crate::error::{Doing as _, Error, Result};
use crate::images::{require, run};
use crate::sandbox::plan::{CopyUpper, Job};
use crate::sandbox::{launch, loops};

/// The file in a volume's folder that is its disk.
pub(crate) const DISK_FILE: &str = "disk.img";

const TEMPLATES: &str = ".templates";

/// How much is copied at once where a file holds data.
const COPY_CHUNK: usize = 1 << 20;

/// The volumes of a data folder.
#[derive(Debug, Clone)]
pub struct Volumes {
    folder: PathBuf,
    launcher: PathBuf,
}

impl Volumes {
    /// The volumes in `folder`. Nothing is read or made yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), launcher: PathBuf::from(launch::OWN_EXECUTABLE) }
    }

    /// Uses another executable than this one to start launchers: one whose `main` calls
    /// [`crate::init_main`].
    #[must_use]
    pub fn with_launcher(mut self, executable: PathBuf) -> Self {
        self.launcher = executable;
        self
    }

    /// The folder of a volume, for [`crate::Upper::Volume`] and [`crate::Bind::source`].
    pub fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// Makes an empty volume; one that exists already is returned as it is. Blocks: a copy of a
    /// template, some ten milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for an id that is no plain name, [`Error::HostLacks`] without
    /// `mkfs.ext4`, and the system's errors.
    pub fn create(&self, id: &str, size_bytes: u64) -> Result<PathBuf> {
        require_name(id)?;
        let path = self.path(id);
        if path.join(DISK_FILE).exists() {
            return Ok(path);
        }
        let template = self.template(size_bytes)?;
        self.place_disk(&template, &path)?;
        Ok(path)
    }

    /// Makes a volume with the content of another one's disk, which must not be in use.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] while `from` is in use, and the system's errors.
    pub fn copy(&self, from: &str, id: &str) -> Result<PathBuf> {
        require_name(id)?;
        let source = self.path(from).join(DISK_FILE);
        self.require_unused(from)?;
        let path = self.path(id);
        if path.join(DISK_FILE).exists() {
            return Ok(path);
        }
        self.place_disk(&source, &path)?;
        Ok(path)
    }

    /// Deletes a volume; one that does not exist is no error.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when a workload keeps using it.
    pub fn delete(&self, id: &str) -> Result<()> {
        require_name(id)?;
        let path = self.path(id);
        let disk = path.join(DISK_FILE);
        if disk.exists() {
            loops::wait_unused(&disk)?;
        }
        crate::images::remove_tree(&path)
    }

    /// The ids of all volumes.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.doing(|| "list volumes".to_owned())?,
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Deletes every volume that `is_known` does not know; returns what was deleted.
    ///
    /// # Errors
    ///
    /// The first that cannot be deleted.
    pub fn sweep(&self, is_known: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let orphans: Vec<String> = self.list()?.into_iter().filter(|id| !is_known(id)).collect();
        for id in &orphans {
            self.delete(id)?;
        }
        Ok(orphans)
    }

    /// Copies what a machine wrote to its root volume into `layer`, an image's. The volume must not
    /// be in use.
    pub(crate) fn copy_upper(&self, id: &str, layer: &Path) -> Result<()> {
        self.require_unused(id)?;
        let scratch = tempfile_folder(&self.folder)?;
        let job = CopyUpper {
            disk: self.path(id).join(DISK_FILE),
            scratch: scratch.clone(),
            layer: layer.to_path_buf(),
        };
        let outcome = launch::run_to_end(&self.launcher, &Job::CopyUpper(job));
        crate::images::remove_tree(&scratch)?;
        outcome
    }

    fn require_unused(&self, id: &str) -> Result<()> {
        let disk = self.path(id).join(DISK_FILE);
        if loops::in_use(&disk).doing(|| format!("find volume {id}"))? {
            return Err(Error::Refused(format!("volume {id} is in use")));
        }
        Ok(())
    }

    /// Puts a copy of a disk in a volume's folder: complete, or not at all.
    fn place_disk(&self, from: &Path, volume: &Path) -> Result<()> {
        fs::create_dir_all(volume).doing(|| format!("make {}", volume.display()))?;
        let partial = volume.join(".partial");
        copy_sparse(from, &partial)?;
        fs::rename(&partial, volume.join(DISK_FILE)).doing(|| "place the disk".to_owned())
    }

    /// A file system of a size, made once.
    fn template(&self, size_bytes: u64) -> Result<PathBuf> {
        let folder = self.folder.join(TEMPLATES);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .doing(|| format!("make {}", folder.display()))?;
        let path = folder.join(format!("ext4-{size_bytes}.img"));
        if path.exists() {
            return Ok(path);
        }
        require("mkfs.ext4", "e2fsprogs")?;
        let _lock = crate::images::lock(&folder.join("lock"))?;
        if path.exists() {
            return Ok(path);
        }
        let partial = folder.join(format!(".ext4-{size_bytes}.partial"));
        let file = File::create(&partial).doing(|| format!("create {}", partial.display()))?;
        file.set_len(size_bytes).doing(|| "size the disk".to_owned())?;
        let path_text = std::env::var_os("PATH").unwrap_or_default();
        #[expect(clippy::disallowed_methods, reason = "a driver makes file systems")]
        let mut command = std::process::Command::new("mkfs.ext4");
        command.env("PATH", with_system_folders(path_text));
        command.args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"]);
        command.arg(&partial);
        run(command, "mkfs.ext4")?;
        fs::rename(&partial, &path).doing(|| "place the template".to_owned())?;
        Ok(path)
    }
}

/// A new empty folder, to mount on.
fn tempfile_folder(parent: &Path) -> Result<PathBuf> {
    for number in 0_u32..1000 {
        let path = parent.join(format!(".mount-{number}"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.doing(|| format!("make {}", path.display())).map(|()| path),
        }
    }
    Err(Error::Refused("too many snapshots at once".to_owned()))
}

fn with_system_folders(mut path: std::ffi::OsString) -> std::ffi::OsString {
    path.push(":/usr/sbin:/sbin");
    path
}

fn require_name(id: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
        return Err(Error::Refused(format!("not a volume's name: {id:?}")));
    }
    Ok(())
}

/// Copies a file without filling its holes, sharing blocks where the file system can.
fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> io::Result<()> {
        let mut source = File::open(from)?;
        let target = OpenOptions::new().write(true).create(true).truncate(true).open(to)?;
        if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
            return Ok(());
        }
        let size = source.seek(SeekFrom::End(0))?;
        target.set_len(size)?;
        let mut chunk = vec![0; COPY_CHUNK];
        let mut at = 0;
        while at < size {
            let data = match rustix::fs::seek(&source, RustixSeek::Data(at)) {
                Ok(data) => data,
                Err(rustix::io::Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            };
            let hole = rustix::fs::seek(&source, RustixSeek::Hole(data))?;
            at = data;
            while at < hole {
                let left = usize::try_from(hole.saturating_sub(at)).unwrap_or(COPY_CHUNK);
                let part = chunk.get_mut(..left.min(COPY_CHUNK)).unwrap_or_default();
                let count = source.read_at(part, at)?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                target.write_all_at(part.get(..count).unwrap_or_default(), at)?;
                at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            }
        }
        Ok(())
    };
    copy().doing(|| format!("copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_volume_is_sparse_and_goes_when_it_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(folder.path());
        let path = volumes.create("vol-1", 8 << 30).unwrap();
        let disk = fs::metadata(path.join(DISK_FILE)).unwrap();
        assert_eq!(disk.len(), 8 << 30);
        assert!(disk.blocks() * 512 < 200 << 20, "{} blocks", disk.blocks());
        assert_eq!(volumes.create("vol-1", 8 << 30).unwrap(), path);
        volumes.create("vol-2", 8 << 30).unwrap();
        let copy = volumes.copy("vol-1", "vol-3").unwrap().join(DISK_FILE);
        assert!(fs::metadata(copy).unwrap().blocks() <= disk.blocks());
        assert_eq!(volumes.sweep(|id| id == "vol-2").unwrap(), ["vol-1", "vol-3"]);
        assert_eq!(volumes.list().unwrap(), ["vol-2"]);
        assert!(matches!(volumes.create("../x", 1), Err(Error::Refused(_))));
    }
}
