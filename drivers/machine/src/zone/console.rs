//! The last output of a workload: in memory, and in a file that outlives the supervisor.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::CONSOLE_MAX;

/// The file is rewritten when it has grown to this.
const FILE_MAX: u64 = 4 * CONSOLE_MAX as u64;

/// A bounded record of output.
pub(super) struct Console {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    last: VecDeque<u8>,
    file: Option<File>,
    file_bytes: u64,
}

impl Console {
    /// Goes on with what the file at `path` holds.
    pub(super) fn open(path: PathBuf) -> Self {
        let last: VecDeque<u8> = read(&path, CONSOLE_MAX).into();
        let inner = Inner { last, file: None, file_bytes: FILE_MAX };
        Self { path, inner: Mutex::new(inner) }
    }

    /// Adds output. A disk that refuses it only loses the copy on disk.
    pub(super) fn write(&self, bytes: &[u8]) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last.extend(bytes);
        let excess = inner.last.len().saturating_sub(CONSOLE_MAX);
        inner.last.drain(..excess);
        if inner.store(&self.path, bytes).is_err() {
            inner.file = None;
            inner.file_bytes = FILE_MAX;
        }
    }

    /// The last `max_bytes`.
    pub(super) fn tail(&self, max_bytes: usize) -> Vec<u8> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = inner.last.len().saturating_sub(max_bytes);
        inner.last.iter().skip(skip).copied().collect()
    }
}

impl Inner {
    fn store(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let grown = self.file_bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if grown > FILE_MAX {
            let (front, back) = self.last.as_slices();
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
            file.write_all(front)?;
            file.write_all(back)?;
            self.file_bytes = u64::try_from(self.last.len()).unwrap_or(u64::MAX);
            self.file = Some(file);
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
            self.file_bytes = grown;
        }
        Ok(())
    }
}

/// The end of the console of a workload that no supervisor knows any more.
pub(super) fn read(path: &Path, max_bytes: usize) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(max_bytes);
    bytes.get(from..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_output_is_kept_in_memory_and_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console");
        let console = Console::open(path.clone());
        for number in 0..200_000 {
            console.write(format!("line {number}\n").as_bytes());
        }
        let tail = console.tail(CONSOLE_MAX);
        assert_eq!(tail.len(), CONSOLE_MAX);
        assert!(tail.ends_with(b"line 199999\n"));
        assert!(fs::metadata(&path).unwrap().len() <= FILE_MAX);
        assert_eq!(Console::open(path).tail(12), b"line 199999\n");
    }
}
