//! Root trees out of Debian packages, with `mmdebstrap` and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Doing as _, Error, Result};

pub(super) const BOOTSTRAP: &str = include_str!("assets/bootstrap.sh");

/// The most of a failed command's output that an error carries.
const OUTPUT_TAIL: usize = 2000;

/// How much of a Debian system a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Packages are only unpacked: no maintainer script runs.
    Extract,
    /// A small system that runs, `apt` included.
    Minbase,
}

/// Unpacks `packages` of the Debian release `suite`, with what they depend on, into `dir`, which
/// must not exist yet. No maintainer script runs; `bin`, `sbin` and `lib` link to `usr` as in an
/// installed system. Downloads are kept in `cache` for the next time. Takes seconds to a minute
/// and blocks: call it from a blocking thread.
///
/// # Errors
///
/// [`Error::HostLacks`] without `mmdebstrap`, [`Error::Command`] with the end of its output.
pub fn mmdebstrap_extract(packages: &[&str], suite: &str, dir: &Path, cache: &Path) -> Result<()> {
    bootstrap(Variant::Extract, packages, suite, dir, cache)
}

/// Builds a tree in a folder beside `dir` and moves it there when it is complete.
pub(crate) fn bootstrap(
    variant: Variant,
    packages: &[&str],
    suite: &str,
    dir: &Path,
    cache: &Path,
) -> Result<()> {
    require("mmdebstrap", "mmdebstrap")?;
    let mirror = mirror(Path::new("/etc/apt")).ok_or_else(no_mirror)?;
    let work = beside(dir, "building");
    remove_tree(&work)?;
    fs::create_dir_all(&work).doing(|| format!("create {}", work.display()))?;
    fs::create_dir_all(cache).doing(|| format!("create {}", cache.display()))?;
    let cache = fs::canonicalize(cache).doing(|| format!("find {}", cache.display()))?;
    let _lock = lock(&cache.join("lock"))?;
    let variant = match variant {
        Variant::Extract => "extract",
        Variant::Minbase => "minbase",
    };
    let mut command = in_own_mounts(BOOTSTRAP);
    command.args([variant, suite, &packages.join(",")]).arg(&work).arg(cache).arg(mirror);
    run(command, "mmdebstrap")?;
    fs::rename(work.join("upper"), dir).doing(|| format!("move the tree to {}", dir.display()))?;
    remove_tree(&work)
}

/// Waits for, and holds until dropped, the lock that a file stands for.
pub(crate) fn lock(path: &Path) -> Result<fs::File> {
    let file = fs::File::create(path).doing(|| format!("create {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).doing(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// The mirror that the host's own `apt` uses for Debian: nobody else is asked for packages.
fn mirror(apt: &Path) -> Option<String> {
    let mut files = vec![apt.join("sources.list")];
    let listed = fs::read_dir(apt.join("sources.list.d")).into_iter().flatten().flatten();
    files.extend(listed.map(|entry| entry.path()));
    files.sort();
    files.iter().find_map(|file| mirror_in(&fs::read_to_string(file).ok()?))
}

/// The first mirror of Debian in a file of `apt`, of the old kind (`deb URI suite …`) or the new
/// (`URIs: URI …`).
fn mirror_in(sources: &str) -> Option<String> {
    let is_debian = |word: &&str| {
        let place = word.trim_end_matches('/');
        word.contains("://") && place.ends_with("/debian")
    };
    let line_of_uris = |line: &&str| {
        line.starts_with("deb ") || line.starts_with("deb [") || line.starts_with("URIs:")
    };
    let mut words = sources.lines().filter(line_of_uris).flat_map(str::split_whitespace);
    words.find(is_debian).map(|word| word.trim_end_matches('/').to_owned())
}

fn no_mirror() -> Error {
    let what = "a Debian mirror in its apt sources (/etc/apt/sources.list, \
                /etc/apt/sources.list.d): name one whose address ends in /debian";
    Error::HostLacks(what.to_owned())
}

/// `sh -c script` in a private mount namespace: whatever it mounts ends with it.
pub(crate) fn in_own_mounts(script: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "a driver runs the image builder's tools")]
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "skyhold-image"]);
    command.env_clear();
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs([("LC_ALL", "C"), ("DEBIAN_FRONTEND", "noninteractive")]);
    command
}

/// Runs a command to its end and returns its standard output.
pub(crate) fn run(mut command: Command, name: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().doing(|| format!("run {name}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let mut from = text.len().saturating_sub(OUTPUT_TAIL);
    while !text.is_char_boundary(from) {
        from = from.saturating_add(1);
    }
    let tail = text.get(from..).unwrap_or_default().trim().to_owned();
    Err(Error::Command { command: name.to_owned(), output: tail })
}

/// Fails with the package's name when a program is on no usual path.
pub(crate) fn require(program: &str, package: &str) -> Result<()> {
    let found = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|dir| Path::new(dir).join(program).exists());
    if found {
        return Ok(());
    }
    Err(Error::HostLacks(format!("`{program}`: run `apt-get install {package}`")))
}

/// A sibling of `dir` for work that is not complete.
pub(crate) fn beside(dir: &Path, what: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{name}.{what}"))
}

/// Deletes a folder and all in it; one that is not there is no error.
pub(crate) fn remove_tree(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("delete {}", dir.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_that_the_hosts_apt_uses() {
        let check = |sources: &str, expected: Option<&str>| {
            assert_eq!(mirror_in(sources).as_deref(), expected, "{sources}");
        };
        check(
            "Types: deb\nURIs: http://mirror.test/debian\nSuites: s\n",
            Some("http://mirror.test/debian"),
        );
        check(
            "deb [arch=amd64] https://m.test/pub/debian/ s main\n",
            Some("https://m.test/pub/debian"),
        );
        check("# deb http://old.test/debian s main\n", None);
        check(
            "URIs: http://m.test/debian-security http://m.test/debian\n",
            Some("http://m.test/debian"),
        );
        check("deb https://packages.test/other s main\n", None);
        let apt = tempfile::tempdir().unwrap();
        assert_eq!(mirror(apt.path()), None);
        fs::create_dir(apt.path().join("sources.list.d")).unwrap();
        let file = apt.path().join("sources.list.d/site.sources");
        fs::write(file, "URIs: http://site.test/debian\n").unwrap();
        assert_eq!(mirror(apt.path()).as_deref(), Some("http://site.test/debian"));
    }
}
