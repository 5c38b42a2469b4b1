//! What is checked without running a program: format, lints, the house rules.

use crate::artifacts;
use crate::tidy;
use anyhow::{Result, bail};
use std::process::Command;

/// The name of a rule and the way to check it.
type Rule = (&'static str, fn() -> Result<()>);

pub(crate) const RULES: [Rule; 3] = [("format", format), ("house rules", house), ("lints", lints)];

/// Every tracked file by itself, because cargo fmt does not see modules that a macro declares.
fn format() -> Result<()> {
    let tracked =
        Command::new("git").args(["ls-files", "*.rs"]).current_dir(artifacts::workspace()).output()?;
    let files = String::from_utf8(tracked.stdout)?;
    let mut command = Command::new("rustfmt");
    command.args(["--edition", "2024", "--check", "--quiet"]).args(files.lines());
    let status = command.current_dir(artifacts::workspace()).status()?;
    if !status.success() {
        bail!("see rustfmt --edition 2024 FILE");
    }
    Ok(())
}

fn house() -> Result<()> {
    let complaints = tidy::complaints(&artifacts::workspace())?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} complaints; see cargo xtask tidy", complaints.len());
    }
    Ok(())
}

/// The probes are left out: they compile for the BPF target only. What is built only when asked for is looked at, too.
fn lints() -> Result<()> {
    let words = ["clippy", "--keep-going", "--workspace", "--exclude", "diag-probes", "--all-targets"];
    let mut command = artifacts::cargo(&words);
    command.args(["--features", "diag/docker-api"]);
    artifacts::quietly("cargo clippy", command.args(["--", "-D", "warnings"])).map(drop)
}
