//! `cargo xtask demo`: from a clone to the address of a running LAMP stack.

use anyhow::Result;

use crate::{ci, setup, shell};

/// Installs, builds, starts the region and deploys the blueprint.
///
/// # Errors
///
/// The first step that fails; each says what to do.
pub(crate) fn run() -> Result<()> {
    setup::run()?;
    shell::run("cargo", &["build", "--release", "--package", "server"])?;
    let skyhold = shell::target_dir().join("release").join("skyhold");
    shell::run(&skyhold.to_string_lossy(), &["prepare"])?;
    let mut up = shell::command(&skyhold);
    up.args(["up", "--detach"]);
    shell::check(&mut up)?;
    let mut demo = shell::command(&skyhold);
    demo.args(["demo", "lamp"]).env("PATH", ci::path_with_python());
    shell::check(&mut demo)
}
