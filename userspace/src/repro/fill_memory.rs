//! Touches more memory than a cgroup of its own may hold, until the OOM killer comes.

use super::{Provoked, hierarchy};
use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the cgroup may hold, and what is touched.
const LIMIT: usize = 16 << 20;
const WANTED: usize = 4 * LIMIT;

/// Removed when the process in it has ended.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // The kernel lets go of the dead a moment after it has told of them.
        for _ in 0..50 {
            match fs::remove_dir(&self.0) {
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(super::LINGER / 10),
                _ => return,
            }
        }
    }
}

pub(super) fn provoke(_: &str) -> anyhow::Result<Provoked> {
    let place = hierarchy::of("memory")?;
    let folder = Folder(place.top.join(format!("diag-repro-{}", std::process::id())));
    fs::create_dir(&folder.0).with_context(|| format!("cannot make {}", folder.0.display()))?;
    let (limit, swap) = match place.v1 {
        true => ("memory.limit_in_bytes", ("memory.swappiness", "0")),
        false => ("memory.max", ("memory.swap.max", "0")),
    };
    put(&folder.0.join(limit), &LIMIT.to_string())?;
    if folder.0.join(swap.0).exists() {
        // What can be swapped out is not killed for.
        put(&folder.0.join(swap.0), swap.1)?;
    }
    // SAFETY: this process has one thread.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Child => {
            let code = match put(&folder.0.join("cgroup.procs"), "0") {
                Ok(()) => i32::from(touch()),
                Err(_) => 2,
            };
            // SAFETY: ends the child without running the parent's exit handlers, and without removing its folder.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).context("cannot wait for the child")? {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => {
                Ok(Provoked::new("touching memory", io::Error::other("killed (SIGKILL)")))
            }
            other => bail!("{WANTED} bytes in a cgroup that may hold {LIMIT} ended otherwise: {other:?}"),
        },
    }
}

/// Writes to every page of a mapping of its own.
fn touch() -> u8 {
    let mut sum = 0_u8;
    let mut memory = vec![0_u8; WANTED];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
        sum = sum.wrapping_add(std::hint::black_box(page)[0]);
    }
    sum
}

fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {text} to {}", file.display()))
}
