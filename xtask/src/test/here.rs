//! Runs test binaries on this machine, the way cargo would, with a deadline.

use super::libtest::{Reader, Tally};
use crate::artifacts::{self, Executable};
use crate::guest::die_with_parent;
use crate::progress::seconds;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// A binary that is not done by then hangs.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Runs one binary; `arguments` and `environment` are on top of what cargo would give.
pub(crate) fn run(test: &Executable, arguments: &[&str], environment: &[(String, String)]) -> Result<Tally> {
    println!("\n     Running {} {} ({})", test.folder, test.target, test.kind);
    let folder = artifacts::workspace().join(&test.folder);
    let mut command = Command::new(&test.path);
    command
        .arg("--show-output")
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("CARGO_MANIFEST_DIR", &folder)
        // A panic says where it was; a call graph of the test harness under each hides the next.
        .env("RUST_BACKTRACE", "0")
        .current_dir(&folder);
    follow(&mut command)
}

/// The examples in the documentation, which only cargo can run.
pub(crate) fn run_doc_tests(packages: &[&str]) -> Result<Tally> {
    println!("\n     Running documentation tests");
    let mut command = artifacts::cargo(&["test", "--quiet", "--doc"]);
    for package in packages {
        command.args(["--package", package]);
    }
    // Warnings of the packages' own code were said by the lints.
    follow(command.stderr(Stdio::null()))
}

fn follow(command: &mut Command) -> Result<Tally> {
    let started = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    die_with_parent(command, Signal::SIGTERM);
    let mut child = command.spawn().context("cannot start a test")?;
    let lines = lines_of(&mut child);
    let mut reader = Reader::default();
    loop {
        match lines.recv_timeout(DEADLINE.saturating_sub(started.elapsed())) {
            Ok(line) => {
                if reader.line(&line) {
                    println!("{line}");
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                println!("killed: not done after {}", seconds(DEADLINE));
                let _ = child.kill();
                break;
            }
        }
    }
    let status = child.wait()?;
    if status.code().is_none() {
        println!("ended with {status}");
    }
    Ok(reader.finish(status.success()))
}

/// A thread reads, so that a deadline can be kept; it ends with the pipe.
fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut bytes = Vec::new();
            // Bytes, because a test may print what is no UTF-8.
            while matches!(reader.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
                let line = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
                if sender.send(line).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_line_of_a_program_is_counted() {
        let script = "echo 'test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured'";
        let tally = follow(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!((tally.passed, tally.failed, tally.ignored), (4, 0, 1));
    }

    #[test]
    fn a_signal_is_a_failure() {
        let tally = follow(Command::new("sh").args(["-c", "kill -9 $$"])).unwrap();
        assert_eq!(tally.failed, 1);
    }
}
