//! `cargo xtask codegen`: AWS's API models to compact extracts and to the services' `api` crates.
//!
//! `--fetch` gets the pinned `botocore` package and writes `models/`; without it the crates are
//! written from the extracts that are committed. `--check` writes nothing and fails when a file
//! differs from what would be written.

mod api;
mod fetch;
mod model;
mod names;
mod render;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Writes the `api` crates from the extracts, or with `check` tells whether they are current.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = crate::shell::root();
    let mut stale = Vec::new();
    for service in api::services(&root)? {
        for (path, text) in api::generate(&root, &service)? {
            write_or_compare(&path, text.as_bytes(), check, &mut stale)?;
        }
    }
    let embedded = root.join("models/embedded.inc");
    write_or_compare(&embedded, fetch::embedded(&root)?.as_bytes(), check, &mut stale)?;
    if stale.is_empty() {
        return Ok(());
    }
    bail!("run `cargo xtask codegen`; these files differ from the models: {stale:?}")
}

/// Gets the pinned `botocore` package and writes its extract to `models/`.
pub(crate) fn fetch() -> Result<()> {
    fetch::fetch(&crate::shell::root())
}

fn write_or_compare(
    path: &Path,
    bytes: &[u8],
    check: bool,
    stale: &mut Vec<PathBuf>,
) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if check {
        stale.push(path.to_owned());
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
