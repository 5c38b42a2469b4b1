//! Processes that stay behind, also when the caller ends.
//!
//! The supervisor of a detached container is a copy of the calling program that never executes another one.
//! glibc keeps its allocator usable in a forked child even when the parent has threads (fork(2), pthread_atfork),
//! so ordinary code may run there; what it must not do is take locks of the standard library that another
//! thread may have held: it prints nothing, reads no environment, starts no thread.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, fork, pipe2, setsid};

use super::output::above_standard;
use crate::error::StepError;
use crate::steps::Step;
use crate::sys;

/// Run `work` in a process of its own that outlives the caller, forked twice, so that it is nobody's child. It gets the writing end of the pipe whose
/// reading end is returned, and keeps open besides it only the descriptors in `keep`.
pub(crate) fn spawn(keep: &[RawFd], work: impl FnOnce(OwnedFd)) -> Result<OwnedFd, StepError> {
    let failed =
        |syscall: &'static str| move |errno| StepError::here(Step::ForkSupervisor, syscall, "", errno);
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(failed("pipe2"))?;
    let write = above_standard(write.as_fd())?;
    // SAFETY: see the module's documentation: the child keeps to what survives a fork of a threaded program.
    match unsafe { fork() }.map_err(failed("clone"))? {
        ForkResult::Parent { child } => {
            drop(write);
            loop {
                match waitpid(child, None) {
                    Err(Errno::EINTR) => {}
                    // ECHILD: the caller ignores SIGCHLD, so the kernel has reaped it already.
                    Ok(_) | Err(Errno::ECHILD) => return Ok(read),
                    Err(errno) => return Err(failed("wait4")(errno)),
                }
            }
        }
        ForkResult::Child => {
            drop(read);
            become_daemon(keep, write, work)
        }
    }
}

/// Children that [`leave_to_child`] has left their work to.
static LEFT: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Run `work` in a child that nobody waits for; it keeps open only the descriptors in `keep`. The caller is most often
/// about to end, and to be forked twice, as [`spawn`] does it, is to wait for a turn on a processor. A caller that stays
/// has the child reaped when it leaves work the next time.
pub(crate) fn leave_to_child(keep: &[RawFd], work: impl FnOnce()) -> Result<(), Errno> {
    // SAFETY: as in `spawn`.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            // Not to be waited for: a thread may have held it when a supervisor, which is a copy, was forked.
            if let Ok(mut left) = LEFT.try_lock() {
                left.push(child);
                left.retain(|pid| {
                    matches!(waitpid(*pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
                });
            }
            Ok(())
        }
        ForkResult::Child => {
            // Cannot fail for a freshly forked process, which leads no group.
            let _ = setsid();
            settle(keep);
            let outcome = catch_unwind(AssertUnwindSafe(work));
            sys::exit_now(if outcome.is_ok() { 0 } else { 101 })
        }
    }
}

/// The first child: leave the session, fork the one that stays, end.
fn become_daemon(keep: &[RawFd], write: OwnedFd, work: impl FnOnce(OwnedFd)) -> ! {
    // Cannot fail for a freshly forked process, which leads no group.
    let _ = setsid();
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            settle(&[keep, &[write.as_raw_fd()]].concat());
            // A panic must not unwind into the caller's frames, of which this process has a copy.
            let outcome = catch_unwind(AssertUnwindSafe(|| work(write)));
            sys::exit_now(if outcome.is_ok() { 0 } else { 101 })
        }
        // On failure the pipe ends without a word, which the caller reports.
        _ => sys::exit_now(0),
    }
}

/// Hold on to nothing of the caller's: signal handlers, working directory, descriptors, terminal.
fn settle(keep: &[RawFd]) {
    sys::default_signals();
    sys::ignore_broken_pipes();
    // The working directory would keep a file system busy; that of a daemon is the root.
    let _ = chdir("/");
    let mut kept = keep.to_vec();
    kept.retain(|fd| *fd > 2);
    kept.sort_unstable();
    let mut from = 3;
    for fd in kept.iter().map(|fd| *fd as u32).chain([u32::MAX]) {
        if fd > from {
            // SAFETY: the owners of these descriptors are the caller's values, which this copy never drops:
            // it ends in _exit(2).
            let _ = unsafe { sys::close_range(from, fd - 1) };
        }
        from = fd.saturating_add(1);
    }
    if let Ok(null) = OpenOptions::new().read(true).write(true).open(Path::new("/dev/null")) {
        for standard in 0..=2 {
            // SAFETY: replaces the copies of the caller's standard streams.
            unsafe { libc::dup2(null.as_raw_fd(), standard) };
        }
    }
}
