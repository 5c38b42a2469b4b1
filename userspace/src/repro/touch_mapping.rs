//! Touches a mapped page that cannot be had, in a child.

use super::Provoked;
use anyhow::{Context, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

/// Larger than the tmpfs.
const SIZE: usize = 1 << 20;

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace (CAP_SYS_ADMIN is needed)")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    let size = if variant == "truncated" { "size=4m" } else { "size=64k" };
    mount(Some("diag-repro"), "/tmp", Some("tmpfs"), MsFlags::empty(), Some(size))
        .context("cannot mount a tmpfs on /tmp")?;
    let file = OpenOptions::new().read(true).write(true).create_new(true).open("/tmp/mapped");
    let file = file.context("cannot create a file")?;
    file.set_len(SIZE as u64).context("cannot make it larger")?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Child => {
            let code = i32::from(touch(&file, variant == "truncated").is_err());
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).context("cannot wait for the child")? {
            WaitStatus::Signaled(_, Signal::SIGBUS, _) => {
                // The mount namespace, with the full tmpfs in it, is this process's too.
                std::thread::sleep(super::LINGER);
                Ok(Provoked::new("touching a page", io::Error::other("bus error (SIGBUS)")))
            }
            other => bail!("every page could be had: {other:?}"),
        },
    }
}

fn touch(file: &File, truncated: bool) -> io::Result<()> {
    // SAFETY: a mapping of its own, written within its length; the signal's default action is what is wanted.
    unsafe {
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let at = libc::mmap(std::ptr::null_mut(), SIZE, prot, libc::MAP_SHARED, file.as_raw_fd(), 0);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        if truncated {
            file.set_len(0)?;
        }
        for page in (0..SIZE).step_by(4096) {
            at.cast::<u8>().add(page).write_volatile(1);
        }
    }
    Ok(())
}
