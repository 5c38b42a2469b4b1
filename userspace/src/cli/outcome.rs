//! How a command ends: the exit code is the verdict, stdout the answer, stderr the weather.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this file is where answers leave the program")]

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing to report.
    Nothing,
    /// Something was found and explained.
    Found,
    /// diag could not do its job.
    Failed,
    /// The code of a command that diag ran on the user's behalf.
    Code(i32),
}

impl From<Outcome> for ExitCode {
    fn from(o: Outcome) -> Self {
        match o {
            Outcome::Nothing => Self::from(0),
            Outcome::Found => Self::from(1),
            Outcome::Failed => Self::from(2),
            Outcome::Code(code) => Self::from(u8::try_from(code).unwrap_or(255)),
        }
    }
}

/// The answer.
pub(super) fn answer(text: &str) {
    print!("{text}");
}

/// The answer as one JSON document.
pub(super) fn answer_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// One JSON document per line, for streams.
pub(super) fn stream_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(value)?)?;
    out.flush()?;
    Ok(())
}

/// A remark on how things stand.
pub(super) fn say(text: &str) {
    eprintln!("{text}");
}

/// Why diag failed: the error and what led to it, each said once (many errors quote their source).
pub(super) fn complain(error: &anyhow::Error) {
    eprintln!("diag: {}", sentence(error));
}

fn sentence(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_quotes_is_not_said_twice() {
        let root = std::io::Error::from_raw_os_error(libc::EACCES);
        let quoting = anyhow::Error::from(root).context("cannot open x: Permission denied (os error 13)");
        assert_eq!(sentence(&quoting), "cannot open x: Permission denied (os error 13)");
        let plain = anyhow::anyhow!("no such thing").context("cannot do it");
        assert_eq!(sentence(&plain), "cannot do it: no such thing");
    }
}
