//! `diag service`: `diag watch` as a systemd service, before the engines, with the least rights that work.

mod unit;

use super::{Global, outcome, outcome::Outcome};
use anyhow::{Context, bail};
use clap::Subcommand;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "diag-watch.service";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
    /// Where systemd looks for units of the machine's administrator.
    #[arg(long, global = true, value_name = "FOLDER", default_value = "/etc/systemd/system")]
    units: PathBuf,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// Write the unit, and start it now and at every boot.
    Install,
    /// Whether it is installed and runs.
    Status,
    /// Stop it and remove the unit; the journal stays.
    Remove,
    /// Print the unit, and do nothing.
    Show,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Outcome> {
    let file = args.units.join(NAME);
    match args.what {
        What::Show => {
            outcome::answer(&text(global)?);
            Ok(Outcome::Nothing)
        }
        What::Install => install(&file, global),
        What::Status => status(&file),
        What::Remove => remove(&file),
    }
}

fn text(global: &Global) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    // A service that vanishes with a build folder or a download is no service; but that is for the user to know.
    Ok(unit::text(&program, &global.journal, &global.root))
}

fn install(file: &Path, global: &Global) -> anyhow::Result<Outcome> {
    let text = text(global)?;
    // The unit may write there and nowhere else, and a folder that is missing when it starts is not made writable.
    if let Some(folder) = global.journal.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let part = file.with_extension("service.part");
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, file))
        .with_context(|| format!("cannot write {}", file.display()))?;
    outcome::say(&format!("written: {}", file.display()));
    if !is_booted() {
        bail!(
            "{} is in place, but systemd does not run this machine, so it was not started; elsewhere: \
             systemctl enable --now {NAME}",
            file.display()
        );
    }
    systemctl(&["daemon-reload"])?;
    // Restarted, so that an upgraded program takes over; what the old one acknowledged is in the journal.
    systemctl(&["enable", NAME])?;
    systemctl(&["restart", NAME])?;
    outcome::answer(&format!("{NAME} runs, and will at every boot; see: diag service status\n"));
    Ok(Outcome::Nothing)
}

fn status(file: &Path) -> anyhow::Result<Outcome> {
    if !file.exists() {
        outcome::answer(&format!("not installed: there is no {}; diag service install\n", file.display()));
        return Ok(Outcome::Found);
    }
    if !is_booted() {
        outcome::answer(&format!("installed as {}; systemd does not run this machine\n", file.display()));
        return Ok(Outcome::Found);
    }
    let fields = "--property=ActiveState,SubState,MainPID,NRestarts,ActiveEnterTimestamp,MemoryCurrent";
    let output =
        Command::new("systemctl").args(["show", NAME, fields]).output().context("cannot run systemctl")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    outcome::answer(&said);
    let runs = said.lines().any(|line| line == "ActiveState=active");
    Ok(if runs { Outcome::Nothing } else { Outcome::Found })
}

fn remove(file: &Path) -> anyhow::Result<Outcome> {
    if !file.exists() {
        outcome::answer(&format!("nothing to remove: there is no {}\n", file.display()));
        return Ok(Outcome::Nothing);
    }
    if is_booted() {
        systemctl(&["disable", "--now", NAME])?;
    }
    std::fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    if is_booted() {
        systemctl(&["daemon-reload"])?;
    }
    outcome::answer(&format!("removed: {}; the journal stays\n", file.display()));
    Ok(Outcome::Nothing)
}

/// sd_booted(3).
fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn systemctl(words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("systemctl").args(words).output().context("cannot run systemctl")?;
    if !output.status.success() {
        bail!("systemctl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
