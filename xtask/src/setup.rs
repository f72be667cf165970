//! What the host must have: Debian packages, and the AWS clients in a Python environment of
//! Skyhold's own.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::shell;

/// Debian packages by the program that shows they are there.
const PACKAGES: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("newuidmap", "uidmap"),
    ("ip", "iproute2"),
    ("curl", "curl"),
    ("ssh", "openssh-client"),
    ("python3", "python3"),
];

/// Python packages of the client tests and the demo.
const PYTHON_PACKAGES: &[&str] = &[
    "awscli==1.46.2",
    "boto3==1.44.5",
    "botocore==1.44.5",
    "pytest==8.4.2",
    "pytest-xdist==3.8.0",
];

/// Installs what is missing. Needs root only when a Debian package is missing.
///
/// # Errors
///
/// When an installation fails, or a package is missing and the user is not root.
pub(crate) fn run() -> Result<()> {
    install_packages()?;
    install_python()
}

/// The folder of the programs of the Python environment.
pub(crate) fn python_bin() -> PathBuf {
    shell::cache_dir().join("python").join("bin")
}

fn install_packages() -> Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(program, _)| !is_on_path(program)).map(|(_, p)| *p).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_on_path("apt-get") {
        bail!("this host lacks {missing:?}; install them with its own package manager");
    }
    if shell::output("id", &["-u"])? != "0" {
        bail!("this host lacks packages; run: sudo apt-get install {}", missing.join(" "));
    }
    shell::run("apt-get", &["update", "-qq"])?;
    let mut install = shell::command("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing);
    shell::check(&mut install)
}

fn install_python() -> Result<()> {
    let environment = shell::cache_dir().join("python");
    let stamp = environment.join("installed");
    let wanted = PYTHON_PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(&environment)?;
    let path = environment.to_string_lossy().into_owned();
    if shell::run("python3", &["-m", "venv", "--clear", &path]).is_err() {
        shell::run("apt-get", &["install", "-y", "-qq", "python3-venv"])?;
        shell::run("python3", &["-m", "venv", "--clear", &path])?;
    }
    let pip = python_bin().join("pip").to_string_lossy().into_owned();
    let mut arguments = vec!["install", "--quiet"];
    arguments.extend(PYTHON_PACKAGES);
    shell::run(&pip, &arguments)?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}

fn is_on_path(program: &str) -> bool {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders.iter().any(|folder| std::path::Path::new(folder).join(program).exists())
        || shell::output("sh", &["-c", &format!("command -v {program}")]).is_ok()
}
