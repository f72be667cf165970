//! The repository's own tools.

mod codegen;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["codegen"] => codegen::run(false),
        ["codegen", "--check"] => codegen::run(true),
        ["codegen", "--fetch"] => codegen::fetch().and_then(|()| codegen::run(false)),
        _ => bail!("usage: cargo xtask codegen [--check|--fetch]"),
    }
}
