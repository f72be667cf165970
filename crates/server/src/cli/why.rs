//! `skyhold why`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{ask, print};
use crate::control::Question;
use crate::paths::Paths;

/// Why a call was allowed or denied.
#[derive(Args)]
pub(super) struct Why {
    /// The id that the answer carried (`x-amzn-requestid`).
    request_id: String,
}

impl Why {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let answer = ask(paths, &Question::Why { request_id: self.request_id.clone() })?;
        print(answer.as_str().unwrap_or_default());
        Ok(ExitCode::SUCCESS)
    }
}
