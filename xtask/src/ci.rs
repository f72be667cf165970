//! What continuous integration runs, and the tests and benches on their own.

use anyhow::Result;

use crate::{codegen, coverage, setup, shell, tidy};

/// Everything that must hold before a change lands.
///
/// # Errors
///
/// The first step that fails.
pub(crate) fn run() -> Result<()> {
    shell::run("cargo", &["fmt", "--all", "--check"])?;
    tidy::run()?;
    codegen::run(true)?;
    shell::run(
        "cargo",
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
    )?;
    coverage::run(true)?;
    test()
}

/// Every test: the crates', then the clients'.
///
/// # Errors
///
/// When one fails.
pub(crate) fn test() -> Result<()> {
    setup::run()?;
    shell::run("cargo", &["build", "--quiet", "--package", "server"])?;
    let skyhold = shell::target_dir().join("debug").join("skyhold");
    shell::run(&skyhold.to_string_lossy(), &["prepare"])?;
    match shell::output("cargo", &["nextest", "--version"]) {
        Ok(_) => shell::run("cargo", &["nextest", "run", "--workspace", "--no-fail-fast"])?,
        Err(_) => shell::run("cargo", &["test", "--workspace", "--quiet", "--no-fail-fast"])?,
    }
    let pytest = setup::python_bin().join("pytest").to_string_lossy().into_owned();
    let arguments = ["-q", "--no-header", "-p", "no:cacheprovider"];
    let mut clients = shell::command(&pytest);
    clients.args(arguments).args(["tests", "--ignore", "tests/scenarios"]);
    let mut scenarios = shell::command("unshare");
    // Scenarios build networks: they get namespaces of their own, in which the host is not seen.
    scenarios.args(["--net", "--mount", &pytest]).args(arguments).arg("tests/scenarios");
    for mut tests in [clients, scenarios] {
        tests.env("SKYHOLD_BIN", &skyhold).env("PATH", path_with_python());
        shell::check(&mut tests)?;
    }
    Ok(())
}

/// The load benches.
///
/// # Errors
///
/// When the build or a bench fails.
pub(crate) fn bench(name: Option<&str>) -> Result<()> {
    setup::run()?;
    shell::run("cargo", &["build", "--quiet", "--release", "--package", "server"])?;
    let skyhold = shell::target_dir().join("release").join("skyhold");
    shell::run(&skyhold.to_string_lossy(), &["prepare"])?;
    let mut bench = shell::command("unshare");
    bench.args(["--net", "--mount"]).arg(setup::python_bin().join("python"));
    // Losing primaries takes long and says whether a limit was missed: it is not one of the rest.
    match name {
        Some("failover") => bench.arg("benches/failover.py"),
        Some(_) | None => bench.arg("benches/run.py").args(name),
    };
    bench.env("SKYHOLD_BIN", &skyhold);
    bench.env("PATH", path_with_python());
    shell::check(&mut bench)
}

/// The search path with Skyhold's own Python environment in front.
pub(crate) fn path_with_python() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(setup::python_bin()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path.clone())
}
