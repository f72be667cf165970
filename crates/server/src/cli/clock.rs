//! `skyhold clock`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::{ask, print};
use crate::control::Question;
use crate::paths::Paths;

/// The region's clock.
#[derive(Args)]
pub(super) struct ClockCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show it.
    Show,
    /// Move it forward, as by 90s, 15m, 36h or 180d.
    Advance { duration: String },
    /// Let it stand.
    Freeze,
    /// Let it run on.
    Resume,
}

impl ClockCommand {
    pub(super) fn run(&self, paths: &Paths) -> Result<ExitCode> {
        let question = match &self.action {
            Action::Show => Question::ClockShow,
            Action::Advance { duration } => Question::ClockAdvance { ms: parse(duration)? },
            Action::Freeze => Question::ClockFreeze,
            Action::Resume => Question::ClockResume,
        };
        let answer = ask(paths, &question)?;
        print(answer.as_str().unwrap_or_default());
        Ok(ExitCode::SUCCESS)
    }
}

/// The milliseconds of `180d`, `36h`, `15m`, `90s` or `500ms`.
fn parse(text: &str) -> Result<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 =
        number.parse().with_context(|| format!("{text} is no duration; try 90s or 180d"))?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => bail!("{unit} is no unit of time; use ms, s, m, h or d"),
    };
    number.checked_mul(unit_ms).with_context(|| format!("{text} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, want) in [("180d", 180 * 86_400_000), ("90s", 90_000), ("5", 5000), ("1ms", 1)] {
            assert_eq!(parse(text).unwrap(), want, "{text}");
        }
        for text in ["", "d", "5w", "99999999999999999d", "-5s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
