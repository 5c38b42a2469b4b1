//! Mounts, in a mount namespace of the deed's own from which nothing spreads.

use super::files::Place;
use super::told::{Told, close, text};
use std::ffi::CString;

const HERE: usize = libc::AT_FDCWD as usize;
/// include/uapi/linux/mount.h
const FSCONFIG_SET_STRING: usize = 1;
const FSCONFIG_CMD_CREATE: usize = 6;
const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
const OPEN_TREE_CLONE: usize = 1;
const AT_RECURSIVE: usize = 0x8000;
const MOUNT_ATTR_RDONLY: u64 = 1;

fn at(text: &CString) -> usize {
    text.as_ptr() as usize
}

/// From here on every mount is this process's alone.
fn apart(told: &mut Told) -> Option<Place> {
    told.call("unshare", &[libc::CLONE_NEWNS as usize])?;
    let private = (libc::MS_REC | libc::MS_PRIVATE) as usize;
    told.call("mount", &[0, c"/".as_ptr() as usize, 0, private, 0])?;
    Place::make()
}

pub(super) fn mounts(told: &mut Told) {
    let Some(place) = apart(told) else { return };
    let [first, second] = ["first", "second"].map(|name| place.at(name));
    for folder in [&first, &second] {
        told.call("mkdir", &[at(folder), 0o755]);
    }
    let tmpfs = text("tmpfs");
    told.call("mount", &[at(&tmpfs), at(&first), at(&tmpfs), 0, c"size=64k".as_ptr() as usize]);
    told.call("mount", &[at(&first), at(&second), 0, libc::MS_BIND as usize, 0]);
    let remount = (libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY) as usize;
    told.call("mount", &[0, at(&second), 0, remount, 0]);
    told.call("umount2", &[at(&second), 0]);
    told.call("mount", &[at(&first), at(&second), 0, (libc::MS_BIND | libc::MS_REC) as usize, 0]);
    told.call("umount2", &[at(&second), libc::MNT_DETACH as usize]);
    told.call("mount", &[0, at(&first), 0, libc::MS_REMOUNT as usize, c"size=128k".as_ptr() as usize]);
    for kind in ["proc", "sysfs", "mqueue", "devpts", "cgroup2"].map(text) {
        if told.call("mount", &[at(&kind), at(&second), at(&kind), 0, 0]).is_some() {
            told.call("umount2", &[at(&second), 0]);
        }
    }
    new_api(told, &first, &second);
    told.call("umount2", &[at(&first), 0]);
}

fn new_api(told: &mut Told, from: &CString, to: &CString) {
    let empty = text("");
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as usize;
    let tree = told.call("open_tree", &[HERE, at(from), flags]);
    if let Some(tree) = tree {
        // struct mount_attr: to set, to clear, propagation, user namespace.
        let attributes = [MOUNT_ATTR_RDONLY, 0, 0, 0];
        let size = size_of_val(&attributes);
        let flags = libc::AT_EMPTY_PATH as usize | AT_RECURSIVE;
        told.call("mount_setattr", &[tree, at(&empty), flags, attributes.as_ptr() as usize, size]);
        if told.call("move_mount", &[tree, at(&empty), HERE, at(to), MOVE_MOUNT_F_EMPTY_PATH]).is_some() {
            told.call("umount2", &[at(to), 0]);
        }
    }
    close(tree);
    let context = told.call("fsopen", &[c"tmpfs".as_ptr() as usize, 0]);
    if let Some(context) = context {
        let (key, value) = (text("size"), text("64k"));
        told.call("fsconfig", &[context, FSCONFIG_SET_STRING, at(&key), at(&value), 0]);
        made(told, context, to);
    }
    close(context);
    close(told.call("fspick", &[HERE, at(from), 0]));
}

/// The super block, the mount, and its place.
fn made(told: &mut Told, context: usize, to: &CString) {
    told.call("fsconfig", &[context, FSCONFIG_CMD_CREATE, 0, 0, 0]);
    let mount = told.call("fsmount", &[context, 0, 0]);
    if let Some(mount) = mount
        && told
            .call("move_mount", &[mount, c"".as_ptr() as usize, HERE, at(to), MOVE_MOUNT_F_EMPTY_PATH])
            .is_some()
    {
        told.call("umount2", &[at(to), 0]);
    }
    close(mount);
}

/// An overlay of folders on a tmpfs, by both interfaces; asking for it must not load the module.
pub(super) fn overlay(told: &mut Told) {
    if !std::fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.contains("\toverlay")) {
        return;
    }
    let Some(place) = apart(told) else { return };
    let base = super::files::path(place.path());
    let tmpfs = text("tmpfs");
    if told.call("mount", &[at(&tmpfs), at(&base), at(&tmpfs), 0, 0]).is_none() {
        return;
    }
    for name in ["lower", "upper", "work", "all"] {
        told.call("mkdir", &[at(&place.at(name)), 0o755]);
    }
    let folder = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let options = ["lower", "upper", "work"].map(|name| (format!("{name}dir"), folder(name)));
    let joined = options.each_ref().map(|(key, value)| format!("{key}={value}")).join(",");
    let (overlay, all, joined) = (text("overlay"), place.at("all"), text(&joined));
    if told.call("mount", &[at(&overlay), at(&all), at(&overlay), 0, at(&joined)]).is_some() {
        told.call("umount2", &[at(&all), 0]);
    }
    let context = told.call("fsopen", &[at(&overlay), 0]);
    if let Some(context) = context {
        for (key, value) in options.each_ref().map(|(key, value)| (text(key), text(value))) {
            told.call("fsconfig", &[context, FSCONFIG_SET_STRING, at(&key), at(&value), 0]);
        }
        made(told, context, &all);
    }
    close(context);
    told.call("umount2", &[at(&base), libc::MNT_DETACH as usize]);
}

/// Another root, for this process alone.
pub(super) fn roots(told: &mut Told) {
    let Some(place) = apart(told) else { return };
    let (base, tmpfs) = (super::files::path(place.path()), text("tmpfs"));
    if told.call("mount", &[at(&tmpfs), at(&base), at(&tmpfs), 0, 0]).is_some() {
        let old = place.at("old");
        told.call("mkdir", &[at(&old), 0o755]);
        told.call("pivot_root", &[at(&base), at(&old)]);
        told.call("chroot", &[c"/old".as_ptr() as usize]);
    }
}
