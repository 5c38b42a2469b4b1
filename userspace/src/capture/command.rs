//! A command that waits at the starting line until everything watches it.
//!
//! fork(2) by hand because `std::process::Command` returns only after exec, and by then the first system
//! calls are over. Between fork and exec the child makes async-signal-safe calls only (signal-safety(7)).

use super::hearing::{self, Ends, Hearing};
use crate::model::Ended;
use nix::{
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::{ForkResult, Pid, fork, pipe2},
};
use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::fd::{AsRawFd, OwnedFd},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A forked child that has not executed its command yet.
#[derive(Debug)]
pub struct Waiting {
    pub pid: u32,
    gate: OwnedFd,
    stderr: OwnedFd,
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    pub pid: u32,
    hearing: Hearing,
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{0:?} is no command: no such file in PATH")]
    NotFound(OsString),
    #[error("a word of the command holds a NUL byte")]
    Nul,
    #[error("cannot start the command: {0}")]
    Fork(#[from] nix::Error),
}

impl Waiting {
    /// Forks. With `stdout_to_stderr` the command's own output leaves our stdout alone.
    pub fn prepare(words: &[OsString], stdout_to_stderr: bool) -> Result<Self, CommandError> {
        let name = words.first().ok_or_else(|| CommandError::NotFound(OsString::new()))?;
        let path = look_up(name).ok_or_else(|| CommandError::NotFound(name.clone()))?;
        let c = |s: &OsStr| CString::new(s.as_bytes()).map_err(|_| CommandError::Nul);
        let path = c(path.as_os_str())?;
        let argv: Vec<CString> = words.iter().map(|w| c(w)).collect::<Result<_, _>>()?;
        let mut pointers: Vec<*const libc::c_char> = argv.iter().map(|a| a.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let (wait, gate) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let Ends { ours, commands } = hearing::ends()?;
        // SAFETY: the child only makes async-signal-safe calls (read, dup2, execv, _exit) on memory that
        // was prepared before the fork.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child.as_raw() as u32, gate, stderr: ours }),
            ForkResult::Child => {
                drop(gate);
                child(&wait, &path, &pointers, stdout_to_stderr, &commands)
            }
        }
    }

    /// Lets it go.
    pub fn release(self) -> Running {
        // One byte means go; if the child is gone already, waiting for it tells.
        let _ = nix::unistd::write(&self.gate, b"g");
        Running { pid: self.pid, hearing: Hearing::start(self.stderr) }
    }
}

/// The child's side: wait for the word, then become the command. A closed gate without a word means that
/// diag died or gave up, and nothing must be run.
fn child(
    wait: &OwnedFd,
    path: &CString,
    argv: &[*const libc::c_char],
    stdout_to_stderr: bool,
    stderr: &OwnedFd,
) -> ! {
    let mut word = [0u8; 1];
    let go = matches!(nix::unistd::read(wait, &mut word), Ok(1));
    // In this order: what the command prints is not what it complains of.
    if go
        && (!stdout_to_stderr || becomes(libc::STDERR_FILENO, libc::STDOUT_FILENO))
        && becomes(stderr.as_raw_fd(), libc::STDERR_FILENO)
    {
        // SAFETY: `path` and `argv` are NUL-terminated and live; execv returns only on failure.
        unsafe { libc::execv(path.as_ptr(), argv.as_ptr()) };
    }
    let code = if io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT) { 127 } else { 126 };
    // SAFETY: _exit is async-signal-safe and runs no destructor of the parent's.
    unsafe { libc::_exit(code) }
}

fn becomes(from: i32, to: i32) -> bool {
    // SAFETY: dup2 on the process's own descriptors.
    unsafe { libc::dup2(from, to) >= 0 }
}

impl Running {
    /// How it ended, if it did. Never blocks.
    pub fn ended(&self) -> io::Result<Option<Ended>> {
        match waitpid(Pid::from_raw(self.pid as i32), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Ok(Some(Ended::Code(code))),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Ended::Signal(signal as i32))),
            Ok(_) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// What it said on stderr, the last of it.
    pub fn said(self) -> String {
        self.hearing.end()
    }

    /// Passes a signal on, as a shell would.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let _ = nix::sys::signal::kill(Pid::from_raw(self.pid as i32), signal);
    }
}

/// As execvp(3) looks: a name with a slash is itself, else the first executable file in PATH.
fn look_up(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Path::new(name).exists().then(|| name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(running: &Running) -> Ended {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            if let Some(ended) = running.ended().unwrap() {
                return ended;
            }
            assert!(std::time::Instant::now() < deadline, "the command did not end");
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_runs_only_when_released() {
        let waiting = Waiting::prepare(&["sh".into(), "-c".into(), "exit 7".into()], false).unwrap();
        assert_eq!(wait(&waiting.release()), Ended::Code(7));
        // A gate that closes without a word runs nothing.
        let dropped = Waiting::prepare(&["sh".into(), "-c".into(), "exit 7".into()], false).unwrap();
        let Waiting { pid, gate, stderr } = dropped;
        let running = Running { pid, hearing: Hearing::start(stderr) };
        drop(gate);
        assert_ne!(wait(&running), Ended::Code(7));
    }

    #[test]
    fn a_name_that_does_not_exist_is_said_before_anything_starts() {
        let err = Waiting::prepare(&["no-such-command-here".into()], false).unwrap_err();
        assert!(err.to_string().contains("no-such-command-here"), "{err}");
    }

    #[test]
    fn what_it_says_on_stderr_is_heard() {
        let waiting =
            Waiting::prepare(&["sh".into(), "-c".into(), "echo no >&2; exit 3".into()], false).unwrap();
        let running = waiting.release();
        assert_eq!(wait(&running), Ended::Code(3));
        assert_eq!(running.said(), "no\n");
    }
}
