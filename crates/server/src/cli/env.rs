//! `skyhold env`.

use std::process::ExitCode;

use anyhow::Result;

use super::print;
use crate::credentials::Credentials;
use crate::paths::Paths;

/// Prints the variables of the first account's administrator.
pub(super) fn run(paths: &Paths) -> Result<ExitCode> {
    let c = Credentials::read(&paths.credentials())?;
    for (name, value) in [
        ("AWS_ENDPOINT_URL", &c.endpoint_url),
        ("AWS_ACCESS_KEY_ID", &c.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &c.secret_access_key),
        ("AWS_DEFAULT_REGION", &c.region),
    ] {
        print(&format!("export {name}={value}"));
    }
    print("unset AWS_SESSION_TOKEN AWS_PROFILE");
    Ok(ExitCode::SUCCESS)
}
