//! Ranges of user and group ids on the host, one a workload that runs, so that no two share an
//! owner. On disk everything is owned as in the guest; mounts map it (id-mapped mounts).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};

use crate::error::{Doing as _, Error, Result};
use crate::sandbox::plan::ID_RANGE;

/// The first id that is handed out: far above what distributions give people and their
/// subordinate ranges.
const FIRST: u32 = 0x2000_0000;

/// How many ranges there are up to the largest id that fits 31 bits, which some programs expect.
const RANGES: u32 = 24_000;

/// The ranges in use: a link for each, from its number to the key that has it.
#[derive(Debug, Clone)]
pub(crate) struct IdRanges {
    folder: PathBuf,
}

impl IdRanges {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// A range for `key`. The search starts at a place
    /// drawn from the key, so it is short.
    pub(crate) fn allocate(&self, key: &str) -> Result<u32> {
        fs::create_dir_all(&self.folder).doing(|| format!("make {}", self.folder.display()))?;
        for number in numbers(key) {
            if self.claim(number, key)? {
                return Ok(FIRST.saturating_add(number.saturating_mul(ID_RANGE)));
            }
        }
        Err(Error::Refused("no range of user ids is left".to_owned()))
    }

    /// Lets another key have the range that starts at `base`.
    pub(crate) fn release(&self, base: u32) -> Result<()> {
        let number = base.saturating_sub(FIRST) / ID_RANGE;
        remove(&self.folder.join(number.to_string()))
    }

    /// Releases the ranges of all keys that start with `prefix`.
    pub(crate) fn sweep(&self, prefix: &str) -> Result<()> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(()) };
        for entry in entries.flatten() {
            let owner = fs::read_link(entry.path()).unwrap_or_default();
            if owner.to_string_lossy().starts_with(prefix) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// A link is made at once with its content, so two processes never claim one number.
    fn claim(&self, number: u32, key: &str) -> Result<bool> {
        let path = self.folder.join(number.to_string());
        match std::os::unix::fs::symlink(key, &path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error).doing(|| format!("claim {}", path.display())),
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| "release a range of user ids".to_owned())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// All numbers of ranges, from the one that `key` stands for on.
fn numbers(key: &str) -> impl Iterator<Item = u32> {
    let digest = Md5::digest(key);
    let start = digest.iter().take(4).fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
    (0..RANGES).map(move |offset| start.wrapping_add(offset) % RANGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_range_of_its_own_until_released() {
        let folder = tempfile::tempdir().unwrap();
        let ranges = IdRanges::new(folder.path());
        let first = ranges.allocate("zone-a-1").unwrap();
        assert_eq!(first % ID_RANGE, 0);
        assert_ne!(ranges.allocate("zone-a-2").unwrap(), first);
        ranges.release(first).unwrap();
        ranges.allocate("zone-b-1").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        ranges.sweep("zone-a-").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
