//! What was applied last, kept in a file of the run folder: the kernel's state can be compared
//! with it, but tells nothing about what was cut off on purpose, or tied together.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::compile::Overlay;
use crate::{Error, Fabric, Result};

/// The contents of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The declaration that was applied.
    pub(crate) fabric: Option<Fabric>,
    /// What was asked for beside it.
    #[serde(default, rename = "cuts")]
    pub(crate) overlay: Overlay,
    /// What the host's `ip_forward` was before it was turned on.
    #[serde(default)]
    pub(crate) forwarding_before: Option<String>,
}

impl Record {
    /// The path of the file.
    pub(crate) fn path(run_dir: &Path) -> PathBuf {
        run_dir.join("net-applied.json")
    }

    /// Reads the file; there is nothing in one that is missing or cut short. The kernel holds
    /// the truth, so nothing but cuts and cohorts is lost with it.
    ///
    /// # Errors
    ///
    /// When the file is there but cannot be read.
    pub(crate) fn read(run_dir: &Path) -> Result<Self> {
        let path = Self::path(run_dir);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(|error| failed("read", &path, error))?,
        };
        serde_json::from_slice(&text).or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "the record of the network is unreadable");
            Ok(Self::default())
        })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub(crate) fn write(&self, run_dir: &Path) -> Result<()> {
        let path = Self::path(run_dir);
        let fresh = path.with_extension("json.new");
        let text =
            serde_json::to_vec(self).map_err(|error| failed("encode", &path, error.into()))?;
        fs::write(&fresh, text).map_err(|error| failed("write", &fresh, error))?;
        fs::rename(&fresh, &path).map_err(|error| failed("write", &path, error))
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be removed.
    pub(crate) fn remove(run_dir: &Path) -> Result<()> {
        let path = Self::path(run_dir);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("remove", &path, error))
            }
            _ => Ok(()),
        }
    }
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::kernel(format!("{what} {}", path.display()), error)
}
