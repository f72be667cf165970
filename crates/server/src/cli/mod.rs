//! The command line: a contract that tests and users rely on.

mod clock;
mod demo;
mod doctor;
mod drill;
mod env;
mod ledger;
mod prepare;
mod progress;
mod reset;
mod status;
mod trust;
mod up;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::control::{self, Question};
use crate::paths::Paths;
use crate::{programs, start};

/// An AWS region of your own.
#[derive(Parser)]
#[command(name = "skyhold", version, about, disable_help_subcommand = true)]
struct Cli {
    /// The folder that holds the region.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the region.
    Up(up::Up),
    /// Stop the region and everything it started; state stays.
    Down,
    /// Print the variables that point AWS clients at the region, for `eval`.
    Env,
    /// Tell how clients come to trust the region's certificates.
    Trust,
    /// Show zones, workloads, services and resource use.
    Status(status::Status),
    /// Show what this host can and cannot do, and the command that mends it.
    Doctor(doctor::Doctor),
    /// Deploy a blueprint and prove that it answers.
    Demo(demo::Demo),
    /// Break something and measure how the region heals.
    Drill(drill::Drill),
    /// Show or move the region's clock.
    Clock(clock::ClockCommand),
    /// Show which operations and members are real.
    Ledger(ledger::Ledger),
    /// Show why a call was allowed or denied.
    Why(why::Why),
    /// Build images and engines now rather than when they are first used.
    Prepare,
    /// Delete all state, after asking.
    Reset(reset::Reset),
    /// The supervisor of one zone; started by `up`.
    #[command(hide = true)]
    Zone(programs::ZoneArguments),
    /// A part of the data plane; started by a zone.
    #[command(hide = true)]
    Program(programs::ProgramArguments),
}

/// How long the operator's questions may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Reads the command line and runs it.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let data_dir = cli
        .data_dir
        .or_else(|| std::env::var_os("SKYHOLD_DATA_DIR").map(PathBuf::from))
        .unwrap_or_else(Paths::default_data);
    let data_dir = std::path::absolute(&data_dir).unwrap_or(data_dir);
    // Names on the host are made of it: the same folder must always be written the same way.
    let data_dir: PathBuf = data_dir.components().collect();
    let paths = Paths::new(&data_dir);
    match run(cli.command, &paths) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("skyhold: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, paths: &Paths) -> Result<ExitCode> {
    match command {
        Command::Up(up) => up.run(paths),
        Command::Down => start::down(paths),
        Command::Env => env::run(paths),
        Command::Trust => trust::run(paths),
        Command::Status(status) => status.run(paths),
        Command::Doctor(doctor) => doctor.run(paths),
        Command::Demo(demo) => demo.run(paths),
        Command::Drill(drill) => drill.run(paths),
        Command::Clock(clock) => clock.run(paths),
        Command::Ledger(ledger) => ledger.run(),
        Command::Why(why) => why.run(paths),
        Command::Prepare => prepare::run(),
        Command::Reset(reset) => reset.run(paths),
        Command::Zone(zone) => programs::zone(&zone, paths),
        Command::Program(program) => programs::program(&program),
    }
}

/// Prints what a command was asked for; the one place that writes to stdout.
#[expect(clippy::print_stdout, reason = "a command's answer goes to stdout")]
fn print(text: &str) {
    println!("{text}");
}

/// Asks the running region.
fn ask(paths: &Paths, question: &Question) -> Result<serde_json::Value> {
    runtime()?.block_on(control::ask(&paths.control(), question, ANSWER_MAX))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
