//! Writes the folder of a service, so that every service starts with the same files.

use std::fs;

use anyhow::{Result, ensure};

use crate::shell;

/// Writes `services/NAME`.
///
/// # Errors
///
/// When there is no model of that name or the folder exists.
pub(crate) fn run(name: &str) -> Result<()> {
    let root = shell::root();
    ensure!(
        root.join("models").join(format!("{name}.json.zst")).exists(),
        "models/ has no {name}; names are those of boto3's clients"
    );
    let folder = root.join("services").join(name);
    ensure!(!folder.exists(), "services/{name} exists");
    fs::create_dir_all(folder.join("src"))?;
    fs::create_dir_all(folder.join("tests"))?;
    let ident = name.replace('-', "_");
    fs::write(folder.join("Cargo.toml"), manifest(name))?;
    fs::write(folder.join("README.md"), README.replace("NAME", name))?;
    let lib = LIB.replace("IDENT", &ident).replace("NAME", name);
    fs::write(folder.join("src").join("lib.rs"), lib)?;
    fs::write(folder.join("src").join("access.rs"), ACCESS.replace("NAME", name))?;
    fs::write(folder.join("src").join("error.rs"), ERROR.replace("NAME", name))?;
    fs::write(folder.join("src").join("store.rs"), STORE.replace("NAME", name))?;
    println!("services/{name} is written. Add `.operation(…)` lines to its lib.rs, run");
    println!("`cargo xtask codegen`, and name it in crates/server/src/registry.rs and Cargo.toml.");
    Ok(())
}

fn manifest(name: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\ndescription = \"{name}, an AWS service.\"\n\
         version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
         license.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n\n\
         [dependencies]\nbase.workspace = true\nkernel.workspace = true\nprotocol.workspace = true\n\
         serde.workspace = true\nstore.workspace = true\nthiserror.workspace = true\n\
         {name}-api = {{ path = \"api\" }}\n\n[dev-dependencies]\ntestkit.workspace = true\n\
         tokio.workspace = true\n"
    )
}

const README: &str = "# NAME\n\n## Follows\n\n## Real\n\n## Missing\n\n## Differs\n\n## Limits\n";

const LIB: &str = "\
//! NAME, after its API Reference.

mod access;
mod error;
mod store;

use kernel::Service;

/// The service's table.
pub fn service() -> Service {
    Service::new(IDENT_api::SERVICE).access(access::RULES)
}
";

const ACCESS: &str = "\
//! What each operation of NAME is authorized on.
//!
//! AWS: Service Authorization Reference.

use kernel::Access;

pub(crate) const RULES: &[Access] = &[];
";

const ERROR: &str = "\
//! The errors of NAME, one variant a documented code.
";

const STORE: &str = "\
//! The tables of NAME.
";
