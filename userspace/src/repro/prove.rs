//! diag's side of a proof: the way out that the finding tells is gone where the failure happened, and the refused call
//! is made once more.
//!
//! What is done is what the report says, word for word: a remedy that does not help shows here.

mod way;

use super::hold::{AGAIN, DONE, REFUSED};
use crate::model::{Finding, Trial};
use anyhow::{Context, bail};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use way::Way;

/// The repeated call may take its time in an emulated machine, but no more than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// The process that was refused, and the word to it.
#[derive(Debug)]
pub struct Holder {
    pid: u32,
    reader: BufReader<UnixStream>,
}

impl Holder {
    /// Takes over from a fault that was started with the other end.
    pub fn of(word: UnixStream) -> anyhow::Result<Self> {
        word.set_read_timeout(Some(PATIENCE)).context("cannot limit the wait")?;
        let mut reader = BufReader::new(word);
        let mut line = String::new();
        reader.read_line(&mut line).context("cannot hear from the fault")?;
        let pid = line.trim().parse().ok();
        let pid = pid.context("the fault did not come about, so there is nothing to prove")?;
        Ok(Self { pid, reader })
    }

    fn again(&mut self) -> anyhow::Result<Option<String>> {
        self.reader.get_mut().write_all(AGAIN.as_bytes()).context("the process that was refused is gone")?;
        let mut line = String::new();
        self.reader.read_line(&mut line).context("no answer of the process that was refused")?;
        match (line.trim_end(), line.trim_end().strip_prefix(REFUSED)) {
            (DONE, _) => Ok(None),
            (_, Some(error)) => Ok(Some(error.to_owned())),
            ("", _) => bail!("the process that was refused ended before it could try again"),
            (other, _) => bail!("{other}"),
        }
    }

    /// Goes the way out and tries again. `machine`: also where the way is one of the whole machine.
    pub fn prove(mut self, finding: &Finding, machine: bool) -> anyhow::Result<Trial> {
        let mut ways = finding.remedy.iter().filter_map(|r| Some((r, Way::of(&r.command)?)));
        let Some((remedy, way)) = ways.next() else {
            let told = finding.remedy.first().map_or("none", |r| r.command.as_str());
            bail!("the way out of {} is none that diag can go itself: {told}", finding.cause);
        };
        let before = self.again()?.context(
            "the call succeeds without any change by now: what was used up is free again, so nothing can be proven",
        )?;
        // Until everything is as it was, only SIGKILL ends us.
        let calm = Calm::keep()?;
        let (done, undo) = way.go(self.pid, machine)?;
        let after = self.again();
        undo.map_or(Ok(()), way::Undo::run)?;
        drop(calm);
        Ok(Trial {
            cause: finding.cause.clone(),
            command: remedy.command.clone(),
            done,
            before,
            after: after?,
        })
    }
}

/// Signals by which people and service managers end programs, held back.
struct Calm(SigSet);

impl Calm {
    fn keep() -> anyhow::Result<Self> {
        let mut held = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
            held.add(signal);
        }
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held), Some(&mut before))
            .context("cannot hold signals back")?;
        Ok(Self(before))
    }
}

impl Drop for Calm {
    fn drop(&mut self) {
        // It was right before, so it is right now.
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.0), None);
    }
}
