//! A first process for workloads that are no init: it reaps orphans and passes signals on, pid_namespaces(7).
//!
//! It is no program: the container's first process forks the workload and stays, a copy of the engine that does
//! nothing but what is written here.

use std::ffi::c_int;

use nix::errno::Errno;

use super::{Failure, refused};
use crate::steps::Step;
use crate::sys;

/// Step "fork workload below init". Returns in the workload only; the first process stays here until it has ended.
pub(crate) fn stay_above_workload() -> Result<(), Failure<'static>> {
    // Blocked before the fork, so that none is lost between it and the wait.
    let all = every_signal();
    // SAFETY: the set is initialised.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut()) };
    // SAFETY: both processes keep to signal-safe calls; the parent never returns.
    let pid = unsafe { sys::clone_child() };
    match pid.map_err(refused(Step::ForkWorkload, "clone", c""))? {
        0 => {
            sys::default_signals();
            Ok(())
        }
        workload => {
            // Standard streams and the report pipe are the workload's; the report must end when it is executed.
            // SAFETY: no owner of these descriptors is used or dropped in this process any more.
            let _ = unsafe { sys::close_range(0, u32::MAX) };
            be_init(workload, &all)
        }
    }
}

fn be_init(workload: i32, all: &libc::sigset_t) -> ! {
    loop {
        // SAFETY: the set is initialised, and nobody wants the details.
        match unsafe { libc::sigwaitinfo(all, std::ptr::null_mut()) } {
            libc::SIGCHLD => reap(workload),
            signal if signal > 0 => {
                // SAFETY: integers only. ESRCH: it has just ended, which SIGCHLD tells.
                unsafe { libc::kill(workload, signal) };
            }
            // EINTR: a stop and its continuation.
            _ => {}
        }
    }
}

/// Collect everybody who has ended; end with the workload, whose code becomes this process's, as a shell has it.
fn reap(workload: i32) {
    loop {
        let mut status: c_int = 0;
        // SAFETY: status is a c_int to write to.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid == workload {
            sys::exit_now(match libc::WIFEXITED(status) {
                true => libc::WEXITSTATUS(status),
                false => 128 + libc::WTERMSIG(status),
            });
        }
        if pid == 0 || (pid < 0 && Errno::last() != Errno::EINTR) {
            return;
        }
    }
}

fn every_signal() -> libc::sigset_t {
    // SAFETY: sigfillset initialises the set.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}
