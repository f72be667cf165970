//! `skyhold trust`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use super::print;
use crate::paths::Paths;

/// Tells how clients come to trust the region's certificates: the gateway's, and those that ACM
/// issues.
pub(super) fn run(paths: &Paths) -> Result<ExitCode> {
    let root = paths.keys().join("ca.pem");
    if !root.exists() {
        Err(std::io::Error::from(std::io::ErrorKind::NotFound))
            .context("the region has no authority yet; `skyhold up` makes it")?;
    }
    let root = root.display();
    print(&format!("The region's root certificate is {root}"));
    print(&format!("  curl             curl --cacert {root} https://..."));
    print(&format!("  aws CLI, boto3   export AWS_CA_BUNDLE={root}"));
    print(&format!("  this machine     cp {root} /usr/local/share/ca-certificates/skyhold.crt"));
    print("                   && update-ca-certificates");
    Ok(ExitCode::SUCCESS)
}
