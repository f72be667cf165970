//! Running the host's programs, each shown before it runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // As cargo says at run time: checkouts may share a target folder, and with it this binary.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let manifest = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    manifest.parent().unwrap_or(Path::new(".")).to_owned()
}

/// A program to be run at the root of the checkout.
#[expect(clippy::disallowed_methods, reason = "xtask is the place where scripts live")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs `program` with `arguments`; its output goes to ours.
///
/// # Errors
///
/// When it cannot be started or fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = command(program);
    command.args(arguments);
    check(&mut command)
}

/// Runs a prepared command; its output goes to ours.
///
/// # Errors
///
/// When it cannot be started or fails.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    ensure!(status.success(), "{} ended with {status}", shown(command));
    Ok(())
}

/// What `program` prints, without the end of its last line.
///
/// # Errors
///
/// When it cannot be started, fails, or prints what is no text.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = command(program);
    command.args(arguments);
    let output = command.output().with_context(|| format!("cannot run {}", shown(&command)))?;
    ensure!(output.status.success(), "{} ended with {}", shown(&command), output.status);
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// Where the build puts its binaries.
pub(crate) fn target_dir() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    set.unwrap_or_else(|| root().join("target"))
}

/// Where things that outlive a checkout are kept: `$XDG_CACHE_HOME/skyhold`.
pub(crate) fn cache_dir() -> PathBuf {
    let (cache, home) = (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"));
    let base =
        cache.map(PathBuf::from).or_else(|| home.map(|home| Path::new(&home).join(".cache")));
    base.unwrap_or_else(|| PathBuf::from("/var/cache")).join("skyhold")
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
