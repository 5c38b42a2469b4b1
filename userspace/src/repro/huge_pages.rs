//! Maps more huge pages than there are: of the machine's pool, or of a hugetlbfs with a size.

use super::{Provoked, result};
use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

/// Of the size that every x86-64 has.
const PAGE: usize = 2 << 20;

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    let text = fs::read_to_string("/proc/sys/vm/nr_hugepages").context("this kernel has no huge pages")?;
    let pages: usize = text.trim().parse().context("vm.nr_hugepages is no number")?;
    if variant == "pool" {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        return Provoked::by("mmap", move || map((pages + 1) * PAGE, flags, -1));
    }
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace (CAP_SYS_ADMIN is needed)")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    let (options, pages) =
        if variant == "mount-size" { ("pagesize=2M,size=2M", 1) } else { ("pagesize=2M", pages) };
    mount(Some("diag-repro"), "/tmp", Some("hugetlbfs"), MsFlags::empty(), Some(options))
        .context("cannot mount a hugetlbfs on /tmp")?;
    let file = File::options().read(true).write(true).create_new(true).open("/tmp/mapped");
    let file = file.context("cannot create a file")?;
    Provoked::by("mmap", move || map((pages + 1) * PAGE, libc::MAP_SHARED, file.as_raw_fd()))
}

fn map(length: usize, flags: i32, fd: i32) -> std::io::Result<()> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address that the kernel chooses; nothing points to it.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, fd, 0) };
    result(if at == libc::MAP_FAILED { -1 } else { 0 })
}
