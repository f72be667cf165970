//! The binary `skyhold`.

mod blueprints;
mod cli;
mod control;
mod credentials;
mod drivers;
mod paths;
mod programs;
mod random;
mod registry;
mod start;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A sandbox's first process is this binary started anew; it must run before any thread is made.
    if machine::is_init() {
        machine::init_main();
    }
    cli::main()
}
