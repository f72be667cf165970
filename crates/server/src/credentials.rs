//! Secrets in the data folder: the sealing key and the first account's access keys.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use base::Random;
use serde::{Deserialize, Serialize};

/// The first account's keys, written to a file that only its owner can read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The account.
    pub(crate) account_id: String,
    /// The region.
    pub(crate) region: String,
    /// Where the region listens.
    pub(crate) endpoint_url: String,
    /// The administrator's key.
    pub(crate) access_key_id: String,
    /// Its secret.
    pub(crate) secret_access_key: String,
    /// The root user's key.
    pub(crate) root_access_key_id: String,
    /// Its secret.
    pub(crate) root_secret_access_key: String,
}

/// Makes `folder` readable by its owner alone.
pub(crate) fn private_folder(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// The sealing key in `keys`, made at the first start.
pub(crate) fn sealing_key(keys: &Path, random: &dyn Random) -> Result<[u8; 32]> {
    private_folder(keys)?;
    let path = keys.join("session.key");
    if let Ok(bytes) = fs::read(&path) {
        return bytes.try_into().map_err(|_| anyhow::anyhow!("{} is damaged", path.display()));
    }
    let mut key = [0; 32];
    random.fill(&mut key);
    write_private(&path, &key)?;
    Ok(key)
}

/// Writes `bytes` so that after a crash the file holds all of them or was not there.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

impl Credentials {
    /// Reads them.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "no region was started here yet ({} is missing); run: skyhold up",
                path.display()
            )
        })?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes them.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_private(path, serde_json::to_string_pretty(self)?.as_bytes())
    }
}
