//! `docs/coverage.md`: which operations of which services are real, read from the binary's own
//! registry.

use anyhow::{Result, ensure};

use crate::shell;

/// Writes the page, or compares it.
///
/// # Errors
///
/// When the binary cannot be built, or with `check` when the page is not what it would be.
pub(crate) fn run(check: bool) -> Result<()> {
    shell::run("cargo", &["build", "--quiet", "--package", "server"])?;
    let skyhold = shell::target_dir().join("debug").join("skyhold");
    let page = shell::output(&skyhold.to_string_lossy(), &["ledger", "--markdown"])?;
    let page = format!("{page}\n");
    let path = shell::root().join("docs").join("coverage.md");
    if check {
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        ensure!(kept == page, "docs/coverage.md is out of date; run: cargo xtask coverage");
        return Ok(());
    }
    std::fs::create_dir_all(shell::root().join("docs"))?;
    std::fs::write(path, page)?;
    Ok(())
}
