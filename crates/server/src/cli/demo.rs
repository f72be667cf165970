//! `skyhold demo`: deploys a blueprint with the AWS CLI, follows it, and proves that it answers.

use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value as Json;

use super::drill;
use super::progress::Progress;
use super::{print, runtime};
use crate::blueprints::{self, Blueprint};
use crate::control::Question;
use crate::credentials::Credentials;
use crate::paths::Paths;

/// Deploys a blueprint and proves that it answers.
#[derive(Args)]
pub(super) struct Demo {
    /// The blueprint.
    #[arg(default_value = "lamp")]
    name: String,
    /// The stack's name.
    #[arg(long, default_value = "lamp")]
    stack: String,
    /// A parameter of the template, as `EnvironmentName=dev`; may be repeated.
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
}

/// How long a deployment may take: images and engines are built the first time.
const DEPLOY_MAX: Duration = Duration::from_secs(30 * 60);
/// How long the page may take to answer once the stack is there.
const ANSWER_MAX: Duration = Duration::from_secs(120);

impl Demo {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let Some(blueprint) = blueprints::find(&self.name) else {
            bail!("no blueprint is called {}; there is: lamp", self.name);
        };
        let credentials = Credentials::read(&paths.credentials())?;
        let aws = Aws { credentials };
        let folder = paths.run().join("demo");
        blueprint.write(&folder)?;
        let progress = Progress::start("uploading the application");
        let bucket = format!("{}-artifacts-{}", self.stack, aws.credentials.account_id);
        aws.upload(&bucket, blueprint, &folder)?;
        progress.say("deploying");
        let started = Instant::now();
        self.deploy(&aws, &bucket, blueprint, &folder, &progress)?;
        let named = aws.output(&self.stack, "Url")?;
        let url = reachable(paths, &named)?;
        progress.say("waiting for the page");
        let page = wait_for(&url)?;
        progress.end();
        print(&format!("{named} answered {page} after {:.1} s", started.elapsed().as_secs_f64()));
        print(&url);
        Ok(ExitCode::SUCCESS)
    }

    /// Creates or updates the stack and follows it to its end.
    fn deploy(
        &self,
        aws: &Aws,
        bucket: &str,
        blueprint: &Blueprint,
        folder: &Path,
        progress: &Progress,
    ) -> Result<()> {
        let known = aws.status(&self.stack);
        let action = if known.is_some() { "update-stack" } else { "create-stack" };
        let template = format!("file://{}", folder.join("template.yaml").display());
        let mut parameters = vec![
            format!("ArtifactBucket={bucket}"),
            format!("ArtifactKey={}", blueprint.archive),
            format!("ImageId={}", blueprint.image),
        ];
        parameters.extend(self.parameters.iter().cloned());
        let parameters: Vec<String> = parameters.iter().filter_map(|p| parameter(p)).collect();
        let mut command = aws.command(&["cloudformation", action, "--stack-name", &self.stack]);
        command.args(["--template-body", &template, "--capabilities", "CAPABILITY_NAMED_IAM"]);
        command.arg("--parameters").args(&parameters);
        let output = command.output()?;
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if why.contains("No updates are to be performed") {
            return Ok(());
        }
        ensure!(output.status.success(), "{why}");
        let started = Instant::now();
        let mut shown = std::collections::HashSet::new();
        loop {
            let status = aws.status(&self.stack).unwrap_or_default();
            for line in aws.events(&self.stack) {
                if shown.insert(line.clone()) {
                    progress.note(&line);
                }
            }
            if status.ends_with("_COMPLETE") && !status.contains("ROLLBACK") {
                return Ok(());
            }
            if !status.ends_with("_IN_PROGRESS") {
                bail!("the deployment ended in {status}; its events say why");
            }
            if started.elapsed() > DEPLOY_MAX {
                bail!("the stack is not there after {} minutes", DEPLOY_MAX.as_secs() / 60);
            }
        }
    }
}

/// `Name=value` as the AWS CLI takes it.
fn parameter(given: &str) -> Option<String> {
    let (name, value) = given.split_once('=')?;
    Some(format!("ParameterKey={name},ParameterValue={value}"))
}

/// The AWS CLI, pointed at the region.
struct Aws {
    credentials: Credentials,
}

impl Aws {
    #[expect(clippy::disallowed_methods, reason = "the demo shows the region to the real client")]
    fn command(&self, arguments: &[&str]) -> Command {
        let c = &self.credentials;
        let mut command = Command::new("aws");
        command.args(arguments).args(["--output", "json"]);
        command.env("AWS_ENDPOINT_URL", &c.endpoint_url);
        command.env("AWS_ACCESS_KEY_ID", &c.access_key_id);
        command.env("AWS_SECRET_ACCESS_KEY", &c.secret_access_key);
        command.env("AWS_DEFAULT_REGION", &c.region);
        command.env("AWS_PAGER", "").env_remove("AWS_SESSION_TOKEN").env_remove("AWS_PROFILE");
        command
    }

    fn output_of(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments)
            .output()
            .context("the AWS CLI is not installed; run: pip install awscli (or cargo xtask setup)")
    }

    fn run(&self, arguments: &[&str]) -> Result<Json> {
        let output = self.output_of(arguments)?;
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(output.status.success(), "aws {}: {why}", arguments.join(" "));
        if output.stdout.is_empty() {
            return Ok(Json::Null);
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn upload(&self, bucket: &str, blueprint: &Blueprint, folder: &Path) -> Result<()> {
        let made = self.output_of(&["s3api", "head-bucket", "--bucket", bucket])?;
        if !made.status.success() {
            let region = self.credentials.region.clone();
            let location = format!("LocationConstraint={region}");
            self.run(&[
                "s3api",
                "create-bucket",
                "--bucket",
                bucket,
                "--create-bucket-configuration",
                &location,
            ])?;
        }
        let archive = blueprint.pack(folder)?;
        let archive = archive.to_string_lossy().into_owned();
        let put = ["s3api", "put-object", "--bucket", bucket, "--key", blueprint.archive, "--body"];
        self.run(&[put.as_slice(), &[archive.as_str()]].concat()).map(|_| ())
    }

    /// The stack's status, if there is one.
    fn status(&self, stack: &str) -> Option<String> {
        let answer =
            self.run(&["cloudformation", "describe-stacks", "--stack-name", stack]).ok()?;
        answer.pointer("/Stacks/0/StackStatus").and_then(Json::as_str).map(str::to_owned)
    }

    /// The stack's events, oldest first, a line each; none while there is no stack.
    fn events(&self, stack: &str) -> Vec<String> {
        let arguments = ["cloudformation", "describe-stack-events", "--stack-name", stack];
        let Ok(answer) = self.run(&arguments) else { return Vec::new() };
        let events =
            answer.get("StackEvents").and_then(Json::as_array).cloned().unwrap_or_default();
        let line = |event: &Json| {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let (status, id) = (text("ResourceStatus"), text("LogicalResourceId"));
            format!("{status:<20} {id} {}", text("ResourceStatusReason")).trim_end().to_owned()
        };
        events.iter().rev().map(line).collect()
    }

    fn output(&self, stack: &str, name: &str) -> Result<String> {
        let answer = self.run(&["cloudformation", "describe-stacks", "--stack-name", stack])?;
        let outputs = answer
            .pointer("/Stacks/0/Outputs")
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default();
        let found = outputs.iter().find(|output| output["OutputKey"] == name);
        let value = found.and_then(|output| output["OutputValue"].as_str());
        Ok(value.with_context(|| format!("the stack has no output {name}"))?.to_owned())
    }
}

/// The address behind a name that only the region's DNS knows.
fn reachable(paths: &Paths, url: &str) -> Result<String> {
    let rest = url.strip_prefix("http://").context("the page has no http:// address")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let name = host.split(':').next().unwrap_or(host);
    let answer = super::ask(paths, &Question::Resolve { name: name.to_owned() })?;
    let address = answer.as_array().and_then(|list| list.first()).and_then(Json::as_str);
    let address = address.with_context(|| format!("the region does not know {name}"))?;
    Ok(format!("http://{address}/{path}"))
}

/// Waits until `url` answers 200; gives the status.
fn wait_for(url: &str) -> Result<u16> {
    let rest = url.strip_prefix("http://").context("the page has no http:// address")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let path = format!("/{path}");
    let started = Instant::now();
    runtime()?.block_on(async {
        let mut last = None;
        while started.elapsed() < ANSWER_MAX {
            match drill::get(&host, &path).await {
                Ok(200) => return Ok(200),
                Ok(status) => last = Some(format!("status {status}")),
                Err(error) => last = Some(error.to_string()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("{url} does not answer: {}", last.unwrap_or_default())
    })
}
