//! `skyhold status`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::Value as Json;

use super::{ask, print};
use crate::control::Question;
use crate::paths::Paths;

/// How the region is.
#[derive(Args)]
pub(super) struct Status {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let answer = ask(paths, &Question::Status)?;
        if self.json {
            print(&serde_json::to_string_pretty(&answer)?);
            return Ok(ExitCode::SUCCESS);
        }
        let text = |key: &str| answer.get(key).and_then(Json::as_str).unwrap_or("?").to_owned();
        print(&format!("region    {} at {}", text("region"), text("endpoint")));
        print(&format!("account   {}", text("account")));
        print(&format!("clock     {}", text("now")));
        let memory = answer.get("rss_mib").and_then(Json::as_u64).unwrap_or(0);
        print(&format!("memory    {memory} MiB resident"));
        for zone in answer.get("zones").and_then(Json::as_array).into_iter().flatten() {
            let (name, state) = (zone["zone"].as_str(), zone["state"].as_str());
            let running = zone["workloads"].as_array().map_or(0, Vec::len);
            print(&format!(
                "zone      {} {}, {running} workloads",
                name.unwrap_or("?"),
                state.unwrap_or("?")
            ));
        }
        let services = answer.get("services").and_then(Json::as_object);
        let list = |(name, count): (&String, &Json)| format!("{name} ({count})");
        let services: Vec<String> = services.into_iter().flatten().map(list).collect();
        print(&format!("services  {}", services.join(", ")));
        Ok(ExitCode::SUCCESS)
    }
}
