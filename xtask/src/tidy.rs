//! The layout rules that a machine can check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::Value as Json;

use crate::shell;

/// Files to this many lines, not counting their tests.
const FILE_LINES_MAX: usize = 600;

/// Checks every rule and prints each breach.
///
/// # Errors
///
/// When a rule is broken.
pub(crate) fn run() -> Result<()> {
    let mut breaches = Vec::new();
    let sources = rust_sources(&shell::root())?;
    for path in &sources {
        check_source(path, &mut breaches)?;
    }
    check_manifests(&mut breaches)?;
    check_layers(&mut breaches)?;
    check_services(&mut breaches)?;
    for breach in &breaches {
        eprintln!("tidy: {breach}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the layout rules", breaches.len());
    }
    println!("tidy: {} source files, no breach", sources.len());
    Ok(())
}

/// Every module of the workspace's crates that a person writes. A blueprint's list of files is an
/// expression that a module includes, not a module.
fn rust_sources(root: &Path) -> Result<Vec<PathBuf>> {
    let list = shell::output("git", &["ls-files", "-co", "--exclude-standard", "*.rs"])?;
    let generated = |path: &str| path.starts_with("services/") && path.contains("/api/");
    let written = |path: &&str| !generated(path) && !path.starts_with("blueprints/");
    Ok(list.lines().filter(written).map(|path| root.join(path)).collect())
}

fn shown(path: &Path) -> String {
    path.strip_prefix(shell::root()).unwrap_or(path).display().to_string()
}

fn check_source(path: &Path, breaches: &mut Vec<String>) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(path)?;
    let name = shown(path);
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().count();
    let is_test = name.contains("/tests/");
    if lines > FILE_LINES_MAX && !is_test {
        breaches.push(format!("{name}: {lines} lines, the most is {FILE_LINES_MAX}"));
    }
    if !text.trim_start().starts_with("//!") && !text.trim_start().starts_with("#![") {
        breaches.push(format!("{name}: a module opens with `//!`, what it holds"));
    }
    for (number, line) in text.lines().enumerate() {
        // Strings are not broken for their width: formatting leaves them alone, too.
        let is_string = line.contains('"') || line.ends_with('\\');
        if line.chars().count() > 100 && !line.contains("http") && !is_string {
            breaches.push(format!("{name}:{}: a line to 100 columns", number + 1));
        }
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let vague = ["utils", "util", "helpers", "helper", "common", "misc", "manager", "provider"];
    if vague.contains(&stem) {
        breaches.push(format!("{name}: name what the file holds"));
    }
    Ok(())
}

/// Every crate inherits the workspace's lints, and its versions stand in the root manifest alone.
fn check_manifests(breaches: &mut Vec<String>) -> Result<()> {
    let list = shell::output("git", &["ls-files", "-co", "--exclude-standard", "*/Cargo.toml"])?;
    for path in list.lines() {
        let full = shell::root().join(path);
        if !full.exists() {
            continue;
        }
        let text = fs::read_to_string(full)?;
        if !text.contains("[lints]\nworkspace = true") {
            breaches.push(format!("{path} does not inherit the workspace's lints"));
        }
        let tables = text.split("dependencies]").skip(1);
        let lines = tables.flat_map(|table| table.lines().take_while(|l| !l.starts_with('[')));
        for line in lines.filter(|line| line.contains('=')) {
            if !line.contains("workspace = true") && !line.contains("path = ") {
                breaches
                    .push(format!("{path}: the version of `{line}` belongs in the root manifest"));
            }
        }
    }
    Ok(())
}

/// Which layers a crate of each layer may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("policy", &["base"]),
    ("protocol", &["base"]),
    ("store", &["base"]),
    ("driver", &["base", "driver"]),
    ("kernel", &["base", "policy", "protocol", "store"]),
    ("api", &["base", "protocol"]),
    ("nodes", &["base", "store", "kernel", "driver", "api"]),
    ("service", &["base", "policy", "protocol", "store", "kernel", "driver", "api", "nodes"]),
    ("gateway", &["base", "policy", "protocol", "store", "kernel"]),
    (
        "testkit",
        &["base", "policy", "protocol", "store", "kernel", "gateway", "driver", "api", "service"],
    ),
    (
        "node-testkit",
        &["base", "policy", "protocol", "store", "kernel", "driver", "api", "nodes", "testkit"],
    ),
];

fn layer_of(manifest_path: &str, name: &str) -> String {
    if manifest_path.contains("/drivers/") {
        return "driver".to_owned();
    }
    if manifest_path.contains("/services/") {
        return if manifest_path.contains("/api/") { "api" } else { "service" }.to_owned();
    }
    name.to_owned()
}

fn check_layers(breaches: &mut Vec<String>) -> Result<()> {
    let text = shell::output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Json = serde_json::from_str(&text)?;
    let list = |json: &Json, key: &str| json.get(key).and_then(Json::as_array).cloned();
    let packages = list(&metadata, "packages").unwrap_or_default();
    let text_of = |json: &Json, key: &str| {
        json.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    let layers: BTreeMap<String, String> = packages
        .iter()
        .map(|p| {
            let name = text_of(p, "name");
            let layer = layer_of(&text_of(p, "manifest_path"), &name);
            (name, layer)
        })
        .collect();
    for package in &packages {
        let name = text_of(package, "name");
        let Some(layer) = layers.get(&name) else { continue };
        let Some((_, allowed)) = LAYERS.iter().find(|(l, _)| l == layer) else { continue };
        for dependency in list(package, "dependencies").unwrap_or_default() {
            let wanted = text_of(&dependency, "name");
            if dependency.get("kind").is_some_and(|kind| !kind.is_null()) {
                continue;
            }
            let Some(target) = layers.get(&wanted) else { continue };
            if !allowed.contains(&target.as_str()) {
                breaches.push(format!("{name} ({layer}) may not depend on {wanted} ({target})"));
            }
        }
    }
    Ok(())
}

fn check_services(breaches: &mut Vec<String>) -> Result<()> {
    let root = shell::root();
    let mut folders = BTreeSet::new();
    for entry in fs::read_dir(root.join("services"))? {
        folders.insert(entry?.path());
    }
    let registry = fs::read_to_string(root.join("crates/server/src/registry.rs"))?;
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let readme = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        for section in ["## Follows", "## Real", "## Missing", "## Differs", "## Limits"] {
            if !readme.contains(section) {
                breaches.push(format!("services/{name}/README.md lacks the section {section}"));
            }
        }
        for file in ["src/access.rs", "src/error.rs", "src/lib.rs", "src/store.rs"] {
            if !folder.join(file).exists() {
                breaches.push(format!("services/{name} lacks {file}"));
            }
        }
        if !registry.contains(&format!("{name}::service")) {
            breaches.push(format!("services/{name} is not in the registry"));
        }
        check_operations(&name, breaches)?;
    }
    Ok(())
}

/// Every operation has an `AWS:` line. A large table may be spread over several files.
fn check_operations(name: &str, breaches: &mut Vec<String>) -> Result<()> {
    let table = regex::Regex::new(r"\.operation\(\s*(?:[a-z_0-9]+::)+([a-z_0-9]+)\s*,?\s*\)")?;
    let mut code = String::new();
    let list = shell::output(
        "git",
        &["ls-files", "-co", "--exclude-standard", &format!("services/{name}/src")],
    )?;
    for path in list.lines() {
        code.push_str(&fs::read_to_string(shell::root().join(path)).unwrap_or_default());
    }
    for found in table.captures_iter(&code) {
        let operation = found.get(1).map_or("", |name| name.as_str());
        let aws = format!("AWS: {}", upper_camel(operation)).to_lowercase();
        if !code.to_lowercase().contains(&aws) {
            breaches.push(format!("services/{name}: {operation} lacks its `AWS:` line"));
        }
    }
    Ok(())
}

fn upper_camel(snake: &str) -> String {
    snake
        .split('_')
        .flat_map(|word| {
            let mut chars = word.chars();
            chars.next().map(|c| c.to_uppercase().chain(chars).collect::<String>())
        })
        .collect()
}
