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
    failure: Option<String>,
}

impl Doctor {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let findings = examine();
        let failed = findings.iter().any(|finding| finding.failure.is_some());
        if self.json {
            let list: Vec<_> = findings
                .iter()
                .map(|f| json!({ "feature": f.feature, "ok": f.failure.is_none(), "why": f.failure }))
                .collect();
            print(&serde_json::to_string_pretty(&list)?);
        } else {
            for finding in &findings {
                match &finding.failure {
                    None => print(&format!("ok       {}", finding.feature)),
                    Some(why) => {
                        print(&format!("missing  {}: {why}", finding.feature));
                        print(&format!("         {}", remedy(&finding.feature)));
                    }
                }
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
    let mut findings = vec![Finding {
        feature: "root".to_owned(),
        failure: (!rustix::process::geteuid().is_root())
            .then(|| "instances, load balancers and databases need root for now".to_owned()),
    }];
    for (feature, result) in net::probe() {
        let failure = result.err().map(|error| error.to_string());
        findings.push(Finding { feature: feature.to_owned(), failure });
    }
    for (feature, result) in machine::probe() {
        findings.push(Finding { feature: feature.to_string(), failure: result.err() });
    }
    findings
}

/// The command that mends a missing feature.
fn remedy(feature: &str) -> &'static str {
    match feature {
        "root" => "run: sudo skyhold up (the control plane alone also runs as an ordinary user)",
        name if name.contains("mmdebstrap") => "run: sudo apt-get install mmdebstrap",
        name if name.contains("nf_tables") || name.contains("conntrack") => {
            "run: sudo modprobe nf_tables nf_conntrack nft_nat"
        }
        name if name.contains("overlay") => "run: sudo modprobe overlay",
        name if name.contains("loop") => "run: sudo modprobe loop",
        _ => "this kernel lacks it; use a kernel of a current distribution",
    }
}
