//! `cargo xtask demo`: the README's first command. A limit is set too low, a container is refused with a lie,
//! and diag tells the truth about a container that is gone.
//!
//! The story is a script, run as it is on this machine's own kernel or, with `--vm`, in a guest.

pub(crate) mod guard;

use crate::artifacts;
use crate::guest::{Guest, die_with_parent};
use crate::initramfs::GuestFile;
use crate::setup::{self, Need};
use crate::shell::find_program;
use crate::vm::{self, Printer};
use anyhow::{Context, Result, bail};
use guard::Guard;
use nix::sys::signal::{SigHandler, Signal, signal};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

const STORY: &str = include_str!("demo/story.sh");
const MOUNT_MAX: &str = "/proc/sys/fs/mount-max";

/// Loading the probes alone takes half a minute under emulation.
const GUEST_DEADLINE: Duration = Duration::from_secs(600);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// In a guest with this kernel (5.10, 6.1, 6.12, newest) instead of on this machine
    #[arg(long, value_name = "KERNEL")]
    vm: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.vm {
        Some(series) => in_guest(series),
        None => here(),
    }
}

fn here() -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        let how = if find_program("sudo").is_some() {
            "sudo -E env \"PATH=$PATH\" cargo xtask demo, or "
        } else {
            ""
        };
        bail!("the demo loads probes and lowers a limit, so it needs root: {how}cargo xtask demo --vm 6.12");
    }
    let cache = setup::ensure(Need::Build)?;
    let diag = artifacts::diag()?;
    let work = tempfile::Builder::new().prefix("diag-demo-").tempdir()?;
    let script = work.path().join("story.sh");
    fs::write(&script, STORY)?;
    stay_for_the_clean_up()?;
    let _restores = Guard::over(Path::new(MOUNT_MAX))?;
    let mut story = Command::new(cache.busybox());
    story
        .arg("sh")
        .arg(&script)
        .env("BUSYBOX", cache.busybox())
        .env("DIAG", &diag.path)
        .env("WORK", work.path())
        .current_dir(work.path());
    // The script cleans up on this signal, also when this program was killed without a chance to do anything.
    die_with_parent(&mut story, Signal::SIGTERM);
    let status = story.status().context("cannot start the story")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)))
}

/// Ctrl-C reaches the script too, which then cleans up; this program waits for it. A handler, because an ignored
/// signal would be ignored by the script as well.
fn stay_for_the_clean_up() -> Result<()> {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the handler does nothing, so it is safe at any instant.
    unsafe { signal(Signal::SIGINT, SigHandler::Handler(nothing)) }?;
    Ok(())
}

fn in_guest(series: &str) -> Result<ExitCode> {
    let series = [series.to_owned()];
    let cache = setup::ensure(Need::Guests(&series))?;
    let scratch = cache.scratch()?;
    let diag = artifacts::stripped(&artifacts::diag()?.path, scratch.path())?;
    let script = scratch.path().join("story.sh");
    fs::write(&script, STORY)?;
    let kernel = vm::kernels_of(&cache, &series)?.remove(0);
    eprintln!("booting Linux {} under emulation", kernel.release);
    let mut guest = Guest::new(kernel);
    guest.deadline = GUEST_DEADLINE;
    guest.files = vec![GuestFile::executable(diag, "/bin/diag"), GuestFile::executable(script, "/story.sh")];
    guest.environment = [("BUSYBOX", "/bin/busybox"), ("DIAG", "/bin/diag"), ("WORK", "/var/lib/demo")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let mut printer = Printer::new(None);
    let argv = ["sh", "/story.sh"].map(str::to_owned);
    let outcome = guest.run(&cache, &argv, &mut |stream, bytes| printer.print(stream, bytes))?;
    Ok(ExitCode::from(u8::try_from(outcome.code).unwrap_or(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_is_a_script_that_parses() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("story.sh");
        fs::write(&script, STORY).unwrap();
        assert!(Command::new("sh").arg("-n").arg(&script).status().unwrap().success());
    }
}
