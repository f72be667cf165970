//! `skyhold reset`.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::paths::Paths;
use crate::start;

/// Deletes all state.
#[derive(Args)]
pub(super) struct Reset {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Reset {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let folder = paths.data.display();
        if !paths.data.exists() {
            super::print(&format!("{folder} holds no region"));
            return Ok(ExitCode::SUCCESS);
        }
        if !self.yes {
            let mut out = std::io::stderr();
            write!(out, "Delete the region in {folder} with everything in it? Type yes: ")?;
            out.flush()?;
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            if line.trim() != "yes" {
                super::print("nothing was deleted");
                return Ok(ExitCode::FAILURE);
            }
        }
        start::down(paths)?;
        std::fs::remove_dir_all(&paths.data).with_context(|| format!("cannot delete {folder}"))?;
        super::print(&format!("{folder} is gone"));
        Ok(ExitCode::SUCCESS)
    }
}
