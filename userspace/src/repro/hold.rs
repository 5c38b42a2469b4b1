//! The sandbox's side of a proof: the process that was refused stays as it is until it is told to try again.
//!
//! diag explains a command once that command has ended; so the fault runs in a child that outlives the command, and
//! hears from diag over a socket. When diag goes away, however it does, the socket closes, and the child ends with all
//! it made.

use super::{Provoked, provoke};
use crate::causes::Cause;
use anyhow::{Context, bail};
use nix::unistd::{ForkResult, fork};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The word to do it once more.
pub const AGAIN: &str = "again\n";
/// That it was refused and waits for the word.
pub const READY: &str = "refused, and can be repeated\n";
/// The answers; the second with the error behind it.
pub(super) const DONE: &str = "done";
pub(super) const REFUSED: &str = "refused ";

/// How long a fault waits for the word to repeat its call: return probes on many functions take seconds under emulation.
const PATIENCE: Duration = Duration::from_secs(60);

/// Provokes the fault, and makes the refused call once more when diag says so: by then it looks at it more closely.
pub fn provoke_and_repeat(cause: &Cause, variant: Option<&str>, word: RawFd) -> anyhow::Result<String> {
    // SAFETY: diag made this descriptor for us, and nothing else here knows of it.
    let mut word = unsafe { UnixStream::from_raw_fd(word) };
    word.set_read_timeout(Some(PATIENCE)).context("cannot limit the wait")?;
    let mut provoked = provoke(cause, variant)?;
    let refusal = format!("{}: {}", provoked.syscall, provoked.error);
    if let Some(again) = &mut provoked.again {
        let mut line = String::new();
        // Whatever goes wrong here, the refusal was seen: diag may be gone, or have had enough.
        let told = word.write_all(READY.as_bytes()).is_ok();
        if told && BufReader::new(&word).read_line(&mut line).is_ok() && line == AGAIN {
            let _ = again();
        }
    }
    Ok(refusal)
}

/// Provokes the fault in a child that stays, tells diag the child's number, and returns what the child was refused.
pub fn provoke_and_stay(cause: &Cause, variant: Option<&str>, word: RawFd) -> anyhow::Result<String> {
    // SAFETY: diag made this descriptor for us, and nothing else here knows of it.
    let mut word = unsafe { UnixStream::from_raw_fd(word) };
    let (told, tell) = io::pipe().context("cannot make a pipe")?;
    // SAFETY: this process has one thread, so its copy may do whatever it could.
    match unsafe { fork() }.context("cannot start the process that is to be refused")? {
        ForkResult::Child => {
            drop(told);
            let code = i32::from(stay(cause, variant, word, tell).is_err());
            std::process::exit(code);
        }
        ForkResult::Parent { child } => {
            drop(tell);
            // A line, not all until the end: what that process starts holds its end open too.
            let mut text = String::new();
            let mut told = BufReader::new(told);
            told.read_line(&mut text).context("cannot hear from the process that is to be refused")?;
            let text = text.trim_end();
            match (text.strip_prefix(REFUSED), text.is_empty()) {
                (Some(refusal), _) => {
                    writeln!(word, "{child}").context("cannot tell diag which process was refused")?;
                    Ok(refusal.to_owned())
                }
                (None, true) => bail!("the process that was to be refused ended without a word"),
                (None, false) => bail!("{text}"),
            }
        }
    }
}

fn stay(
    cause: &Cause,
    variant: Option<&str>,
    word: UnixStream,
    mut tell: io::PipeWriter,
) -> anyhow::Result<()> {
    // Now, for the fault may be that nothing can be opened any more.
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let mut provoked = match provoke(cause, variant) {
        Ok(provoked) => provoked,
        Err(error) => {
            writeln!(tell, "{}", format!("{error:#}").replace('\n', " "))?;
            return Err(error);
        }
    };
    // Nobody shall wait for our end because we hold what the command was given to speak to.
    for standard in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: both descriptors are open, and ours.
        unsafe { libc::dup2(null.as_raw_fd(), standard) };
    }
    writeln!(tell, "{REFUSED}{}: {}", provoked.syscall, provoked.error)?;
    drop(tell);
    listen(&mut provoked, &word)
}

fn listen(provoked: &mut Provoked, word: &UnixStream) -> anyhow::Result<()> {
    let mut answers = word;
    for line in BufReader::new(word).lines() {
        if line? != AGAIN.trim_end() {
            continue;
        }
        let answer = match &mut provoked.again {
            Some(again) => again().map_or_else(|error| format!("{REFUSED}{error}"), |()| DONE.into()),
            None => "this fault cannot be repeated".into(),
        };
        writeln!(answers, "{answer}")?;
    }
    Ok(())
}
