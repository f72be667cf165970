//! Which operations each service serves, and the `api` crate that follows from them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use regex::Regex;

use super::fetch::SERVICES;
use super::model::Model;
use super::{names, render};

static ROW: LazyLock<Regex> = LazyLock::new(|| {
    // A table's row stands on a line of its own, or names the file of its function.
    Regex::new(
        r"(?m)(?:^\s*\.operation\(\s*|\.operation\(\s*(?:[a-z0-9_]+::)+)([a-z0-9_]+)\s*,?\s*\)",
    )
    .expect("a constant pattern compiles")
});

/// The services that have a table of operations.
pub(super) fn services(root: &Path) -> Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("services"))? {
        let folder = entry?.path();
        let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if SERVICES.contains(&name.as_str()) && !rows(&folder)?.is_empty() {
            found.insert(name);
        }
    }
    Ok(found.into_iter().collect())
}

/// The functions that a service's table lists. A service of EC2's size has a table a family.
fn rows(service: &Path) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    let mut folders = vec![service.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)?;
                let found = ROW.captures_iter(&text).filter_map(|row| row.get(1));
                rows.extend(found.map(|row| row.as_str().to_owned()));
            }
        }
    }
    Ok(rows)
}

/// The files of a service's `api` crate.
pub(super) fn generate(root: &Path, service: &str) -> Result<Vec<(PathBuf, String)>> {
    let model = Model::read(root, service)?;
    let folder = root.join("services").join(service);
    let operations = operations(&model, &folder, service)?;
    let api = folder.join("api");
    let library = render::library(&model, service, &operations)
        .with_context(|| format!("generating {service}"))?;
    Ok(vec![
        (api.join("Cargo.toml"), render::manifest(service)),
        (api.join("src/lib.rs"), rustfmt(&library)?),
    ])
}

/// The operations of the table, by AWS's name.
fn operations(model: &Model, folder: &Path, service: &str) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for row in rows(folder)? {
        let mut known = model.operations.keys();
        let name = known.find(|name| names::snake(name) == row.trim_end_matches('_'));
        names.insert(
            name.cloned().with_context(|| format!("{service} has no operation for `{row}`"))?,
        );
    }
    Ok(names)
}

fn rustfmt(text: &str) -> Result<String> {
    use std::io::Write as _;
    use std::process::Stdio;

    #[expect(clippy::disallowed_methods, reason = "a build tool runs programs")]
    let mut child = std::process::Command::new("rustfmt")
        .args(["--edition", "2024", "--config", "max_width=100,use_small_heuristics=Max"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("running rustfmt")?;
    let mut input = child.stdin.take().context("rustfmt has an input")?;
    // Formatting starts when the whole input was read, so writing first cannot dead-lock.
    input.write_all(text.as_bytes())?;
    drop(input);
    let done = child.wait_with_output()?;
    if !done.status.success() {
        bail!("rustfmt refused the generated text");
    }
    Ok(String::from_utf8(done.stdout)?)
}
