//! Running other programs: their output goes to a log file, and its end is shown when they fail.

use anyhow::{Context, Result, bail};
use std::env;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often something that crosses the network is tried, and the pauses between.
const PAUSES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(15)];

/// Lines of a failed program's output that are repeated to the user.
const TAIL: usize = 20;

/// How often a program with a deadline is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Runs to the end with all output appended to `log`.
pub(crate) fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    run_logged_within(command, log, Duration::MAX)
}

/// The same, and the program is killed when it is not done in time: some hang on a closed network.
pub(crate) fn run_logged_within(command: &mut Command, log: &Path, deadline: Duration) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(log)?;
    writeln!(file, "\n$ {}", display(command))?;
    let start = file.metadata()?.len();
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {}", display(command)))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("`{}` was not done after {} s: {}", display(command), deadline.as_secs(), log.display());
        }
        thread::sleep(POLL);
    };
    if status.success() {
        return Ok(());
    }
    let text = fs::read(log)?;
    let printed = text.get(start as usize..).unwrap_or_default();
    bail!("`{}` ended with {status}\n{}\nall of it: {}", display(command), tail(printed), log.display())
}

/// Runs to the end and returns what it printed on stdout; stderr is part of the error.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", display(command)))?;
    if !output.status.success() {
        bail!("`{}` ended with {}\n{}", display(command), output.status, tail(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Tries `attempt` again after a pause: mirrors and proxies hiccup.
pub(crate) fn with_retries<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for pause in PAUSES {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(_) => thread::sleep(pause),
        }
    }
    attempt().with_context(|| format!("tried {} times", PAUSES.len() + 1))
}

/// The first place on PATH (or among the system folders, which sudo-less users lack) that has this program.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// A command that runs as root: as it is for root, through sudo for anyone else.
pub(crate) fn as_root(program: &str) -> Result<Command> {
    if nix::unistd::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    if find_program("sudo").is_none() {
        bail!("needs root, and there is no sudo here: run it as root");
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    Ok(command)
}

/// The command as one would type it.
pub(crate) fn display(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn tail(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_end_of_the_output_and_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("logs/x.log");
        run_logged(Command::new("sh").args(["-c", "echo before"]), &log).unwrap();
        let error =
            run_logged(Command::new("sh").args(["-c", "echo gone wrong >&2; exit 3"]), &log).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("gone wrong") && text.contains("x.log"), "{text}");
        assert!(!text.contains("before"), "only this command's output: {text}");
    }

    #[test]
    fn what_hangs_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        let outcome = run_logged_within(command.arg("60"), &dir.path().join("l"), Duration::from_millis(100));
        assert!(outcome.unwrap_err().to_string().contains("not done"));
    }

    #[test]
    fn output_is_stdout_only() {
        let text = output_of(Command::new("sh").args(["-c", "echo out; echo err >&2"])).unwrap();
        assert_eq!(text, "out\n");
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-here").is_none());
    }
}
