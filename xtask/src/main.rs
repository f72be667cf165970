//! The repository's own tools: `cargo xtask COMMAND`.
#![expect(clippy::print_stdout, reason = "its commands answer on stdout")]

mod ci;
mod codegen;
mod coverage;
mod demo;
mod new_service;
mod setup;
mod shell;
mod tidy;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND
  setup               install what the build, the tests and the demo need from this host
  codegen [--check|--fetch]
                      generate the api crates from models/; compare only; fetch the models anew
  tidy                check the layout rules that a machine can check
  coverage [--check]  write docs/coverage.md from the services' tables; compare only
  new-service NAME    write the folder of a service
  demo                setup, build, start Skyhold, deploy the LAMP blueprint, print its address
  test                setup, then every test
  bench [NAME]        the load benches, on a release build
  ci                  what continuous integration runs: format, clippy, tidy, generated code, test";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["setup"] => setup::run(),
        ["codegen"] => codegen::run(false),
        ["codegen", "--check"] => codegen::run(true),
        ["codegen", "--fetch"] => codegen::fetch().and_then(|()| codegen::run(false)),
        ["tidy"] => tidy::run(),
        ["coverage"] => coverage::run(false),
        ["coverage", "--check"] => coverage::run(true),
        ["new-service", name] => new_service::run(name),
        ["demo"] => demo::run(),
        ["test"] => ci::test(),
        ["bench"] => ci::bench(None),
        ["bench", name] => ci::bench(Some(name)),
        ["ci"] => ci::run(),
        _ => bail!("{USAGE}"),
    }
}
