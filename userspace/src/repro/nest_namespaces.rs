//! Nests user or pid namespaces in each other until the kernel refuses one more.

use super::Provoked;
use super::use_up_namespaces::enter_user_namespace;
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::io;

/// More than any kernel allows.
const MOST: usize = 40;

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    if variant == "pid" {
        return pids(0);
    }
    for _ in 0..MOST {
        // The id maps of each level are written, or the next one would be refused for them.
        if let Err(error) = enter_user_namespace() {
            let errno = error.downcast_ref::<Errno>().copied();
            return match errno {
                Some(Errno::ENOSPC) => Ok(Provoked::new("unshare", Errno::ENOSPC.into())),
                _ => Err(error),
            };
        }
    }
    bail!("{MOST} user namespaces in each other were allowed")
}

/// Only a child is in the new pid namespace, so each level is a process.
fn pids(depth: usize) -> anyhow::Result<Provoked> {
    match unshare(CloneFlags::CLONE_NEWPID) {
        Err(Errno::ENOSPC) => return Ok(Provoked::new("unshare", Errno::ENOSPC.into())),
        done => done.context("cannot make a pid namespace (CAP_SYS_ADMIN is needed)")?,
    }
    if depth == MOST {
        bail!("{MOST} pid namespaces in each other were allowed");
    }
    // SAFETY: this process has one thread.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Child => {
            let code = match pids(depth + 1) {
                Ok(provoked) => provoked.error.raw_os_error().unwrap_or(1),
                Err(_) => 1,
            };
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).context("cannot wait for the child")? {
            WaitStatus::Exited(_, libc::ENOSPC) => {
                Ok(Provoked::new("unshare", io::Error::from_raw_os_error(libc::ENOSPC)))
            }
            other => bail!("nesting ended otherwise: {other:?}"),
        },
    }
}
