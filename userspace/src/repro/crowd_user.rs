//! Becomes a user that nobody else is, with a low RLIMIT_NPROC, and forks until that is refused.

use super::Provoked;
use anyhow::{Context, bail};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use std::io;

const ROOM: u64 = 3;
/// An id far from what distributions and user namespaces hand out, and from the overflow id 65534.
const NOBODY_ELSE: u32 = 2_000_999_111;

pub(super) fn provoke(_: &str) -> anyhow::Result<Provoked> {
    setrlimit(Resource::RLIMIT_NPROC, ROOM, ROOM).context("cannot lower RLIMIT_NPROC")?;
    let (uid, gid) = (Uid::from_raw(NOBODY_ELSE), Gid::from_raw(NOBODY_ELSE));
    setresgid(gid, gid, gid).context("cannot change the group")?;
    // Takes the capabilities that are exempt from the limit along (capabilities(7)).
    setresuid(uid, uid, uid).context("cannot change the user (CAP_SETUID is needed)")?;
    let mut children = Vec::new();
    let mut refused = None;
    for _ in 0..=ROOM {
        // SAFETY: the child makes no call but pause.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: waits for a signal; the first one ends this process.
                unsafe { libc::pause() };
            },
            -1 => {
                refused = Some(io::Error::last_os_error());
                break;
            }
            pid => children.push(pid),
        }
    }
    for pid in children {
        // SAFETY: a child of ours that nobody has waited for, so the number is still its.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
    match refused {
        Some(error) => Ok(Provoked { error, syscall: "clone" }),
        None => bail!("RLIMIT_NPROC = {ROOM} did not refuse process {}", ROOM + 1),
    }
}
