//! Puts a kernel setting back, whatever happens to the program that changed it.
//!
//! A second process holds the read end of a pipe. When the pipe closes (the guard is dropped, the program panics,
//! is interrupted, or is killed with no chance to do anything), that process writes the old value and ends.

use anyhow::{Context, Result};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::env;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The verb under which this program runs as the second process.
pub(crate) const VERB: &str = "restore-when-closed";

/// While it lives, the setting may be changed; after it, the setting is as it was.
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn over(setting: &Path) -> Result<Self> {
        let value =
            fs::read_to_string(setting).with_context(|| format!("cannot read {}", setting.display()))?;
        let mut command = Command::new(env::current_exe()?);
        command.arg(VERB).arg(setting).arg(value.trim()).stdin(Stdio::piped()).stdout(Stdio::null());
        // SAFETY: setsid is async-signal-safe; it takes the process out of reach of the terminal's signals.
        unsafe {
            command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?));
        }
        Ok(Self(command.spawn().context("cannot start the guard of the setting")?))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[derive(clap::Args)]
pub(crate) struct Options {
    setting: PathBuf,
    value: String,
}

/// The second process: waits for the pipe to close, then writes.
pub(crate) fn run(options: &Options) -> Result<()> {
    for kind in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { signal(kind, SigHandler::SigIgn) }?;
    }
    let _ = io::stdin().read(&mut [0]);
    let now = fs::read_to_string(&options.setting)?;
    if now.trim() != options.value {
        fs::write(&options.setting, &options.value)?;
    }
    Ok(())
}
