//! Lowers a limit of inotify in a user namespace of its own, and watches more.

use super::use_up_namespaces::enter_user_namespace;
use super::{Provoked, result};
use anyhow::Context;
use std::fs;

fn lower(file: &str) -> anyhow::Result<()> {
    enter_user_namespace()?;
    let path = format!("/proc/sys/user/{file}");
    fs::write(&path, "1").with_context(|| format!("cannot write {path}"))
}

pub(super) fn instances(variant: &str) -> anyhow::Result<Provoked> {
    lower("max_inotify_instances")?;
    if variant == "ancestor" {
        // The limit stays one level up, where the file inside does not show it.
        enter_user_namespace()?;
    }
    // SAFETY: no arguments but flags; the descriptors go with the process.
    let make = || result(i64::from(unsafe { libc::inotify_init1(0) }));
    make().context("the first instance was refused")?;
    Provoked::by("inotify_init1", make)
}

pub(super) fn watches(_: &str) -> anyhow::Result<Provoked> {
    lower("max_inotify_watches")?;
    // SAFETY: constant paths; the descriptors go with the process.
    unsafe {
        let fd = libc::inotify_init1(0);
        libc::inotify_add_watch(fd, c"/".as_ptr(), libc::IN_CREATE);
        Provoked::by("inotify_add_watch", move || {
            result(i64::from(libc::inotify_add_watch(fd, c"/proc".as_ptr(), libc::IN_CREATE)))
        })
    }
}
