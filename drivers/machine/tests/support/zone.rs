//! For the driver's tests: a zone supervisor, a launcher, and a built-in program that echoes.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    machine::init_main();
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|argument| argument.to_str()) {
        Some("zone") => zone(args),
        Some("echo") => echo(),
        Some(_) | None => ExitCode::FAILURE,
    }
}

fn zone(args: impl Iterator<Item = OsString>) -> ExitCode {
    match machine::zone::ZoneOptions::from_args(args) {
        Ok(options) => machine::zone::run(options),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Answers with its process id, its capabilities and the message.
fn echo() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    let served = runtime.block_on(async {
        let mut control = machine::program::Control::inherit()?;
        while let Some(call) = control.receive().await? {
            let mut answer = format!("{} ", std::process::id()).into_bytes();
            answer.extend_from_slice(&call.message);
            control.answer(call, &answer).await?;
        }
        std::io::Result::Ok(())
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
