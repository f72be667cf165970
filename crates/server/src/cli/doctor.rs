//! `skyhold doctor`: tries each host feature and says how to mend what is missing.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::print;
use crate::paths::Paths;

/// What this host can and cannot do.
#[derive(Args)]
pub(super) struct Doctor {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// One feature of the host.
struct Finding {
    feature: String,
    outcome: Outcome,
}

/// What trying it showed.
enum Outcome {
    Works,
    Missing(String),
    /// Only root can try it.
    Untried,
}

impl Outcome {
    fn of(failure: Option<String>) -> Self {
        failure.map_or(Self::Works, Self::Missing)
    }

    fn why(&self) -> Option<&str> {
        match self {
            Self::Works => None,
            Self::Missing(why) => Some(why),
            Self::Untried => Some("only root can try it"),
        }
    }
}

impl Doctor {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let findings = examine();
        let failed = findings.iter().any(|finding| finding.outcome.why().is_some());
        if self.json {
            let list: Vec<_> = findings
                .iter()
                .map(|f| json!({ "feature": f.feature, "ok": f.outcome.why().is_none(), "why": f.outcome.why() }))
                .collect();
            print(&serde_json::to_string_pretty(&list)?);
        } else {
            for finding in &findings {
                match &finding.outcome {
                    Outcome::Works => print(&format!("ok       {}", finding.feature)),
                    Outcome::Untried => print(&format!("untried  {}", finding.feature)),
                    Outcome::Missing(why) => {
                        print(&format!("missing  {}: {why}", finding.feature));
                        print(&format!("         {}", remedy(&finding.feature)));
                    }
                }
            }
            if findings.iter().any(|finding| matches!(finding.outcome, Outcome::Untried)) {
                print("         only root can try these; run: sudo skyhold doctor");
            }
            print(&format!("data     {}", paths.data.display()));
            print(
                "names    the region's DNS answers on 198.18.0.3 while it has networks; to ask it:",
            );
            print("         resolvectl dns lo 198.18.0.3 && resolvectl domain lo '~amazonaws.com'");
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn examine() -> Vec<Finding> {
    let root = rustix::process::geteuid().is_root();
    let without = "instances, networks, load balancers, databases and caches need it";
    let mut findings = vec![Finding {
        feature: "root".to_owned(),
        outcome: Outcome::of((!root).then(|| without.to_owned())),
    }];
    for (feature, result) in net::probe() {
        let failure = result.err().map(|error| error.to_string());
        let outcome = if root { Outcome::of(failure) } else { Outcome::Untried };
        findings.push(Finding { feature: feature.to_owned(), outcome });
    }
    for (feature, result) in machine::probe() {
        let tool = matches!(feature, machine::Feature::Ext4Tools | machine::Feature::Mmdebstrap);
        let tried = root || tool || result.is_ok();
        let outcome = if tried { Outcome::of(result.err()) } else { Outcome::Untried };
        findings.push(Finding { feature: feature.to_string(), outcome });
    }
    findings
}

/// The command that mends a missing feature.
fn remedy(feature: &str) -> &'static str {
    match feature {
        "root" => "run: sudo skyhold up (as an ordinary user the other services run)",
        name if name.contains("mmdebstrap") => "run: sudo apt-get install mmdebstrap",
        name if name.contains("nf_tables") || name.contains("conntrack") => {
            "run: sudo modprobe nf_tables nf_conntrack nft_nat"
        }
        name if name.contains("overlay") => "run: sudo modprobe overlay",
        name if name.contains("mkfs") => "run: sudo apt-get install e2fsprogs",
        name if name.contains("loop") => "run: sudo modprobe loop",
        _ => "this kernel lacks it; use a kernel of a current distribution",
    }
}
