//! Ranges of user and group ids on the host, one a root file system, so that no two workloads
//! share an owner.

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

/// The ranges of one data folder.
#[derive(Debug, Clone)]
pub(crate) struct IdRanges {
    folder: PathBuf,
}

impl IdRanges {
    /// The ranges noted in the folder of volumes, because volumes and workloads without one draw
    /// from the same numbers.
    pub(crate) fn new(volumes: &Path) -> Self {
        Self { folder: volumes.join(".id-ranges") }
    }

    /// The range of `key`, the same each time until it is released. The search starts at a place
    /// drawn from folder and key, so that two data folders on one host hardly ever meet.
    pub(crate) fn allocate(&self, key: &str) -> Result<u32> {
        fs::create_dir_all(&self.folder).doing(|| format!("make {}", self.folder.display()))?;
        let digest = Md5::digest(format!("{}\n{key}", self.folder.display()));
        let start = digest.iter().take(4).fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
        for offset in 0..RANGES {
            let number = start.wrapping_add(offset) % RANGES;
            if self.claim(number, key)? {
                return Ok(FIRST.saturating_add(number.saturating_mul(ID_RANGE)));
            }
        }
        Err(Error::Refused("no range of user ids is left".to_owned()))
    }

    /// Lets another key have the range.
    pub(crate) fn release(&self, base: u32) -> Result<()> {
        let number = base.saturating_sub(FIRST) / ID_RANGE;
        match fs::remove_file(self.folder.join(number.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).doing(|| "release a range of user ids".to_owned())
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A link is made at once with its content, so two processes never claim one number.
    fn claim(&self, number: u32, key: &str) -> Result<bool> {
        let path = self.folder.join(number.to_string());
        match std::os::unix::fs::symlink(key, &path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(fs::read_link(&path).is_ok_and(|owner| owner == Path::new(key)))
            }
            Err(error) => Err(error).doing(|| format!("claim {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_range_of_its_own_until_released() {
        let folder = tempfile::tempdir().unwrap();
        let ranges = IdRanges::new(folder.path());
        let first = ranges.allocate("vol-1").unwrap();
        assert_eq!(first % ID_RANGE, 0);
        assert_eq!(ranges.allocate("vol-1").unwrap(), first);
        assert_ne!(ranges.allocate("vol-2").unwrap(), first);
        ranges.release(first).unwrap();
        assert!(
            !folder
                .path()
                .join(".id-ranges")
                .join(((first - FIRST) / ID_RANGE).to_string())
                .is_symlink()
        );
    }
}
