//! `skyhold prepare`: builds images and engines now rather than when they are first used.

use std::process::ExitCode;

use anyhow::Result;
use engine::{Engine, EngineKind, Engines};
use machine::{ImageRecipe, Images};

use super::progress::Progress;
use super::runtime;
use crate::paths::Paths;

/// What the LAMP blueprint runs on; other engines are made when they are first asked for.
const ENGINES: &[(EngineKind, &str)] =
    &[(EngineKind::MariaDb, "10.11"), (EngineKind::PostgreSql, "15"), (EngineKind::Valkey, "8.1")];

/// Builds what is missing; it takes minutes the first time and nothing later.
pub(super) fn run() -> Result<ExitCode> {
    let progress = Progress::start("building images and engines that are missing");
    let images = Images::new(Paths::cache().join("images"));
    let engines = Engines::new(Paths::cache().join("engines"));
    runtime()?.block_on(async {
        for recipe in [ImageRecipe::Debian12, ImageRecipe::Debian12Lamp] {
            progress.say(&format!("image {}", recipe.name()));
            images.ensure(recipe).await?;
        }
        for (kind, version) in ENGINES {
            progress.say(&format!("engine {kind:?} {version}"));
            let root =
                engines.ensure(&Engine { kind: *kind, version: (*version).to_owned() }).await?;
            engines.template(&root).await?;
        }
        anyhow::Ok(())
    })?;
    progress.end();
    Ok(ExitCode::SUCCESS)
}
