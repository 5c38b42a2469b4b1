//! Lowers a limit of inotify in a user namespace of its own, and watches more.

use super::use_up_namespaces::enter_user_namespace;
use super::{LINGER, Provoked};
use anyhow::{Context, bail};
use std::{fs, io, thread};

fn lower(file: &str) -> anyhow::Result<()> {
    enter_user_namespace()?;
    let path = format!("/proc/sys/user/{file}");
    fs::write(&path, "1").with_context(|| format!("cannot write {path}"))
}

fn refused(result: i32, syscall: &'static str) -> anyhow::Result<Provoked> {
    let error = io::Error::last_os_error();
    if result >= 0 {
        bail!("{syscall} was not refused");
    }
    thread::sleep(LINGER);
    Ok(Provoked { error, syscall })
}

pub(super) fn instances(variant: &str) -> anyhow::Result<Provoked> {
    lower("max_inotify_instances")?;
    if variant == "ancestor" {
        // The limit stays one level up, where the file inside does not show it.
        enter_user_namespace()?;
    }
    // SAFETY: no arguments but flags; the descriptors go with the process.
    unsafe {
        libc::inotify_init1(0);
        refused(libc::inotify_init1(0), "inotify_init1")
    }
}

pub(super) fn watches(_: &str) -> anyhow::Result<Provoked> {
    lower("max_inotify_watches")?;
    // SAFETY: constant paths; the descriptors go with the process.
    unsafe {
        let fd = libc::inotify_init1(0);
        libc::inotify_add_watch(fd, c"/".as_ptr(), libc::IN_CREATE);
        refused(libc::inotify_add_watch(fd, c"/proc".as_ptr(), libc::IN_CREATE), "inotify_add_watch")
    }
}
