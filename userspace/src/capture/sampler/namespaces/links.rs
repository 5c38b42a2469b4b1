//! Namespaces by their links in `/proc/PID/ns`, and how they hang together (ioctl_nsfs(2)).

use super::Notes;
use crate::capture::sampler::Look;
use crate::model::Failure;
use std::fs;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const NS_GET_USERNS: libc::Ioctl = 0xb701_u32 as libc::Ioctl;
const NS_GET_PARENT: libc::Ioctl = 0xb702_u32 as libc::Ioctl;

/// The first user namespace is 33 levels above the last.
const LEVELS: usize = 34;

/// Links whose inode is told, as `/proc/PID/ns` has them.
const LINKS: &[&str] = &["user", "pid", "pid_for_children", "time", "time_for_children"];

/// The caller's namespaces, where children go, and whether it has another root than its mount namespace.
pub(super) fn of_caller(look: &Look<'_>, pid: u32, tid: u32, notes: &mut Notes) {
    for name in LINKS {
        let file = format!("/proc/{tid}/ns/{name}");
        if let Some(inode) = inode(&look.root.join(&file)) {
            notes.add(&format!("ns/{name}"), "caller", inode.to_string(), &file);
        }
    }
    let file = format!("/proc/{pid}/root");
    if let Ok(root) = fs::read_link(look.root.join(&file)) {
        notes.add("root folder", "caller", root.display().to_string(), &file);
    }
    let value = |name: &str| notes.found.iter().find(|s| s.name == name).map(|s| s.value.clone());
    let (own, children) = (value("ns/pid"), value("ns/pid_for_children"));
    if let (Some(own), Some(children)) = (own, children)
        && own != children
    {
        let state = if has_init(look, &children) { "lives" } else { "gone" };
        notes.add("pid 1 of pid_for_children", &format!("pid:[{children}]"), state, "/proc/*/ns/pid");
    }
}

/// The number behind `time:[4026531834]`.
pub(super) fn inode(link: &Path) -> Option<u64> {
    fs::read_link(link).ok()?.to_str()?.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// Whether a living process has number 1 in the pid namespace with this inode.
fn has_init(look: &Look<'_>, namespace: &str) -> bool {
    let wanted = format!("pid:[{namespace}]");
    fs::read_dir(look.root.join("proc")).into_iter().flatten().flatten().any(|entry| {
        let at = entry.path();
        if !fs::read_link(at.join("ns/pid")).is_ok_and(|link| link.to_str() == Some(&wanted)) {
            return false;
        }
        let status = fs::read_to_string(at.join("status")).unwrap_or_default();
        let first =
            status.lines().any(|l| l.starts_with("NSpid:") && l.split_whitespace().next_back() == Some("1"));
        let ended = status.lines().any(|l| l.starts_with("State:\tZ") || l.starts_with("State:\tX"));
        first && !ended
    })
}

/// The namespace that was to be entered: type, owner, and where it lies from the caller.
pub(super) fn target(look: &Look<'_>, failure: &Failure, notes: &mut Notes) {
    let Some(fd) = failure.number_arg("fd").map(|raw| raw as u32 as i32).filter(|fd| *fd >= 0) else {
        return;
    };
    let file = format!("/proc/{}/fd/{fd}", failure.task.tid);
    let Ok(link) = fs::read_link(look.root.join(&file)) else { return };
    let link = link.display().to_string();
    notes.add("target", "setns", &link, &file);
    let Some((kind, _)) = link.split_once(":[") else { return };
    let Ok(opened) = File::open(look.root.join(&file)) else { return };
    if let Some(owner) = step(opened.as_raw_fd(), NS_GET_USERNS).as_ref().and_then(number) {
        notes.add("owner of target", &link, owner.to_string(), "NS_GET_USERNS");
    }
    if kind != "pid" && kind != "user" {
        return;
    }
    let own = match kind {
        "pid" => "ns/pid",
        _ => "ns/user",
    };
    let Some(own) = notes.found.iter().find(|s| s.name == own).and_then(|s| s.value.parse().ok()) else {
        return;
    };
    let below = is_below(opened.into(), own);
    notes.add("target is the caller's or below it", &link, if below { "yes" } else { "no" }, "NS_GET_PARENT");
}

fn is_below(from: OwnedFd, own: u64) -> bool {
    let mut at = from;
    for _ in 0..LEVELS {
        if number(&at) == Some(own) {
            return true;
        }
        match step(at.as_raw_fd(), NS_GET_PARENT) {
            Some(up) => at = up,
            None => return false,
        }
    }
    false
}

fn step(fd: RawFd, request: libc::Ioctl) -> Option<OwnedFd> {
    // SAFETY: these requests take no argument and return a descriptor of ours.
    unsafe {
        let fd = libc::ioctl(fd, request);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
    }
}

fn number(fd: &OwnedFd) -> Option<u64> {
    File::from(fd.try_clone().ok()?).metadata().ok().map(|m| m.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_namespace_is_its_own() {
        let Ok(ours) = File::open("/proc/self/ns/pid") else { return };
        let own = ours.metadata().unwrap().ino();
        assert!(is_below(ours.into(), own));
        assert_eq!(inode(Path::new("/proc/self/ns/pid")), Some(own));
    }
}
