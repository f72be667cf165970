//! What the host must have: Debian packages, and the AWS clients in a Python environment of
//! Skyhold's own.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell;

/// Debian packages, each by the program or file that shows it is there.
const PACKAGES: &[(&str, &str)] = &[
    // Images and engines are unpacked from Debian's packages, whose signatures are checked.
    ("mmdebstrap", "mmdebstrap"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    ("newuidmap", "uidmap"),
    // Root volumes are file systems in files.
    ("mkfs.ext4", "e2fsprogs"),
    // Tests look at the fabric, and log in to instances, with programs that are not ours.
    ("ip", "iproute2"),
    ("curl", "curl"),
    ("ssh", "openssh-client"),
    ("nft", "nftables"),
    // HTTP/2 with many streams on one connection.
    ("h2load", "nghttp2-client"),
    ("python3", "python3"),
];

/// Python packages of the client tests and the demo: AWS's clients, and those of databases.
const PYTHON_PACKAGES: &[&str] = &[
    "PyMySQL==1.1.2",
    "awscli==1.46.2",
    "boto3==1.44.5",
    "botocore==1.44.5",
    "pg8000==1.31.5",
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
        PACKAGES.iter().filter(|(sign, _)| !is_there(sign)).map(|(_, p)| *p).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_there("apt-get") {
        bail!("this host lacks {missing:?}; install them with its own package manager");
    }
    install(&missing)
}

fn install(packages: &[&str]) -> Result<()> {
    if shell::output("id", &["-u"])? != "0" {
        bail!("this host lacks packages; run: sudo apt-get install {}", packages.join(" "));
    }
    shell::run("apt-get", &["update", "-qq"])?;
    let mut install = shell::command("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    shell::check(&mut install)
}

fn install_python() -> Result<()> {
    let environment = shell::cache_dir().join("python");
    std::fs::create_dir_all(shell::cache_dir())?;
    // Two checkouts share the environment: one makes it while the other waits.
    let lock = std::fs::File::create(shell::cache_dir().join("python.lock"))?;
    lock.lock()?;
    let stamp = environment.join("installed");
    let wanted = PYTHON_PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(&environment)?;
    let path = environment.to_string_lossy().into_owned();
    // Debian's own Python makes environments only with a package of its own.
    if shell::run("python3", &["-m", "venv", "--clear", &path]).is_err() {
        install(&["python3-venv"])?;
        shell::run("python3", &["-m", "venv", "--clear", &path])?;
    }
    let pip = python_bin().join("pip").to_string_lossy().into_owned();
    let mut arguments = vec!["install", "--quiet"];
    arguments.extend(PYTHON_PACKAGES);
    shell::run(&pip, &arguments)?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}

/// Whether the host has a program, or a file given by its whole path.
fn is_there(sign: &str) -> bool {
    if sign.starts_with('/') {
        return Path::new(sign).exists();
    }
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = usual.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    folders.any(|folder| folder.join(sign).exists())
}
