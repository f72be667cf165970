//! The blueprints that the binary carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A template and the application it deploys.
pub(crate) struct Blueprint {
    /// Its name.
    pub(crate) name: &'static str,
    /// The key of the application's archive in the artefact bucket.
    pub(crate) archive: &'static str,
    /// The public parameter of the image that has what the application needs.
    pub(crate) image: &'static str,
    /// Its files, by path.
    files: &'static [(&'static str, &'static str)],
}

const LAMP: Blueprint = Blueprint {
    name: "lamp",
    archive: "app.tar.gz",
    image: "/aws/service/skyhold/lamp/latest/amd64",
    files: include!("../../../blueprints/lamp/files.rs"),
};

/// The blueprint called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Blueprint> {
    [&LAMP].into_iter().find(|blueprint| blueprint.name == name)
}

impl Blueprint {
    /// Writes the files below `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        for (path, text) in self.files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, text)?;
        }
        Ok(())
    }

    /// Packs the application's folder, `app/`; gives the archive.
    #[expect(clippy::disallowed_methods, reason = "tar is on every host that runs the demo")]
    pub(crate) fn pack(&self, folder: &Path) -> Result<PathBuf> {
        let archive = folder.join(self.archive);
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(&archive).arg("-C").arg(folder.join("app")).arg(".");
        let status = tar.status().context("cannot run tar")?;
        ensure!(status.success(), "tar ended with {status}");
        Ok(archive)
    }
}
