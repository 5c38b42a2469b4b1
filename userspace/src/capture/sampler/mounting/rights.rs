//! What the caller may mount: its capabilities, and which user namespaces own the namespaces it is in.

use super::held::Held;
use crate::limits::read::Root;
use crate::model::Mounting;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

const CAP_SYS_ADMIN: u64 = 1 << 21;

/// `NS_GET_USERNS` (ioctl_ns(2)): the user namespace that owns a namespace.
const NS_GET_USERNS: libc::c_ulong = 0xb701;

/// Types that show a namespace, and mount only where the caller's user namespace owns that
/// (`proc_init_fs_context()`, `sysfs_init_fs_context()`, `mqueue_init_fs_context()`, `cgroup_init_fs_context()`).
const SHOWS: &[(&str, &str)] =
    &[("proc", "pid"), ("sysfs", "net"), ("mqueue", "ipc"), ("cgroup", "cgroup"), ("cgroup2", "cgroup")];

pub(super) fn look(held: &Held, root: &Root, fstype: Option<&str>, fact: &mut Mounting) {
    let own = user_ns(held, "user");
    let first = fs::metadata(root.join("proc/self/ns/user")).map(|m| m.ino()).ok();
    if held.is_own() {
        let caps = held.status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        fact.admin =
            caps.and_then(|c| u64::from_str_radix(c.trim(), 16).ok()).map(|c| c & CAP_SYS_ADMIN != 0);
        fact.first_user_ns = own.zip(first).map(|(own, first)| own == first);
        fact.owns_mounts = own.zip(owner(held, "mnt")).map(|(own, owner)| own == owner);
        let shows = SHOWS.iter().find(|row| Some(row.0) == fstype).map(|row| row.1);
        fact.shows = shows.and_then(|ns| Some((ns.to_string(), own? == owner(held, ns)?)));
    }
    if let Some(fstype) = fstype {
        // Of `fuse.sshfs` the part before the dot is the type (`get_fs_type()`, fs/filesystems.c).
        let name = fstype.split('.').next().unwrap_or(fstype);
        let table = fs::read_to_string(root.join("proc/filesystems")).ok();
        let row =
            table.as_ref().map(|t| t.lines().find(|line| line.split_whitespace().next_back() == Some(name)));
        fact.registered = row.map(|row| row.is_some());
        fact.needs_device = row.flatten().map(|row| !row.starts_with("nodev"));
    }
    fact.masked = masked(held, fstype);
    let top = held.row_by_name("/");
    fact.root_type = top.map(|row| row.mount.fstype.clone());
}

/// Mounts on top of a /proc or /sys: what an engine masks.
fn masked(held: &Held, fstype: Option<&str>) -> Vec<String> {
    let (Some(kind), true) = (fstype, matches!(fstype, Some("proc" | "sysfs"))) else { return Vec::new() };
    let table = held.table();
    let visible = table.iter().filter(|row| row.mount.fstype == kind && row.root == "/");
    let over = visible
        .flat_map(|row| table.iter().filter(move |child| child.parent == row.id && child.id != row.id));
    // An empty folder made for mounting (binfmt_misc below /proc/sys/fs) hides nothing.
    let harmless = |point: &str| {
        point.ends_with("/sys/fs/binfmt_misc")
            || (kind == "sysfs" && point.contains("/fs/") || point.contains("/kernel/"))
    };
    over.map(|row| row.mount.point.clone()).filter(|point| !harmless(point)).take(8).collect()
}

fn user_ns(held: &Held, name: &str) -> Option<u64> {
    fs::metadata(held.proc.join("ns").join(name)).map(|m| m.ino()).ok()
}

/// The inode of the user namespace that owns the task's namespace of this type.
fn owner(held: &Held, name: &str) -> Option<u64> {
    // The pid namespace that a new proc shows is that of the caller itself (`task_active_pid_ns()`).
    let ns = File::open(held.proc.join("ns").join(name)).ok()?;
    // SAFETY: the descriptor is open; the request takes no argument and returns a new descriptor or -1.
    let raw = unsafe { libc::ioctl(ns.as_raw_fd(), NS_GET_USERNS as _) };
    if raw < 0 {
        return None;
    }
    // SAFETY: the kernel just made it, and nobody else knows it.
    let user = File::from(unsafe { OwnedFd::from_raw_fd(raw) });
    user.metadata().map(|m| m.ino()).ok()
}
