//! What was wrong with a mount, or with the file system of a path: looked at again while the caller still lives.
//!
//! The paths of the call are resolved as the caller would, on handles that are opened before anything else, so that
//! they stay good when it ends. Network and FUSE file systems are never entered: a server that hangs would
//! hang diag.

mod adds;
mod device;
mod files;
mod held;
mod overlay;
mod place;
mod rights;
mod said;
mod users;

use super::{Look, Sampled};
use crate::model::{Errno, Fact, Failure, Mounting, Place, PlaceKind};
use held::Held;

/// The mount family. What it fails with is nearly always about mounts.
const FAMILY: &[&str] = &[
    "mount",
    "umount2",
    "umount",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "open_tree",
    "open_tree_attr",
    "mount_setattr",
    "pivot_root",
];

/// A path of a call: the names of its arguments.
struct Argument {
    /// The folder's descriptor, where there is one.
    dirfd: Option<&'static str>,
    path: &'static str,
    /// Whether the call follows a symbolic link at the end.
    follow: bool,
}

const fn at(dirfd: &'static str, path: &'static str, follow: bool) -> Argument {
    Argument { dirfd: Some(dirfd), path, follow }
}

const fn by(path: &'static str, follow: bool) -> Argument {
    Argument { dirfd: None, path, follow }
}

/// The paths of each call (names as in `capture::syscall_args`).
const PATHS: &[(&[&str], &[Argument])] = &[
    (&["mount"], &[by("target", true), by("source", true)]),
    (&["umount2", "umount"], &[by("target", true)]),
    (&["move_mount"], &[at("from_dirfd", "from_pathname", false), at("to_dirfd", "to_pathname", true)]),
    (&["pivot_root"], &[by("new_root", true), by("put_old", true)]),
    (&["open_tree", "open_tree_attr", "fspick", "mount_setattr"], &[at("dirfd", "pathname", true)]),
    (
        &["open", "creat", "truncate", "chmod", "chown", "statfs", "access", "swapon", "chdir", "chroot"],
        &[by("pathname", true), by("path", true)],
    ),
    (
        &[
            "openat",
            "openat2",
            "fchmodat",
            "fchmodat2",
            "fchownat",
            "utimensat",
            "faccessat",
            "faccessat2",
            "statx",
            "newfstatat",
            "name_to_handle_at",
        ],
        &[at("dirfd", "pathname", true)],
    ),
    (&["mkdir", "mknod", "unlink", "rmdir", "lchown", "lstat", "stat", "readlink"], &[by("pathname", false)]),
    (&["mkdirat", "mknodat", "unlinkat"], &[at("dirfd", "pathname", false)]),
    (&["symlink"], &[by("linkpath", false)]),
    (&["symlinkat"], &[at("newdirfd", "linkpath", false)]),
    (&["rename", "link"], &[by("oldpath", false), by("newpath", false)]),
    (
        &["renameat", "renameat2", "linkat"],
        &[at("olddirfd", "oldpath", false), at("newdirfd", "newpath", false)],
    ),
    (&["setxattr", "getxattr"], &[by("path", true)]),
    (&["lsetxattr", "lgetxattr"], &[by("path", false)]),
    (&["execve"], &[by("pathname", true)]),
];

/// Calls that name a file by descriptor alone.
const FDS: &[(&[&str], &[&str])] = &[
    (
        &[
            "write",
            "pwrite64",
            "writev",
            "pwritev",
            "read",
            "pread64",
            "fsync",
            "fdatasync",
            "syncfs",
            "fallocate",
            "ftruncate",
            "fsetxattr",
        ],
        &["fd"],
    ),
    (&["copy_file_range", "splice"], &["fd_in", "fd_out"]),
    (&["sendfile", "sendfile64"], &["out_fd"]),
    (&["mmap"], &["fd"]),
];

/// ioctl(2) that shares blocks, whose argument is the source's descriptor: FICLONE (linux/fs.h).
const FICLONE: u64 = 0x4004_9409;

/// Errnos of ordinary file calls that file systems and mounts have a part in. ENOENT and EEXIST are how programs ask.
const FILES: &[i32] = &[
    libc::EROFS,
    libc::EXDEV,
    libc::EBUSY,
    libc::ELOOP,
    libc::ENAMETOOLONG,
    libc::ENOTCONN,
    libc::ESTALE,
    libc::EMLINK,
    libc::EDQUOT,
    libc::EOPNOTSUPP,
    libc::EPERM,
    libc::EACCES,
    libc::EIO,
    libc::EFBIG,
    libc::EUCLEAN,
    libc::EHOSTDOWN,
    libc::ECONNABORTED,
    libc::ENODEV,
];

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let family = FAMILY.contains(&look.call);
    let opens_directly = look.errno == Errno::EINVAL && look.call.starts_with("open") && !family;
    // A quota of a project may say it too.
    let full = look.errno == Errno::ENOSPC && !family && super::objects::of(failure).is_some();
    let swap = look.call == "swapon";
    if !(family || opens_directly || full || swap || FILES.contains(&look.errno.0)) {
        return;
    }
    let Some(held) = Held::of(look, failure) else { return };
    let mut places = places(&held, look, failure);
    files::look(&held, look, failure, &mut places, out);
    if look.errno == Errno::EACCES {
        places.extend(link(&held, look, failure));
    }
    if swap || matches!(look.errno.0, libc::EIO | libc::EUCLEAN | libc::EBADMSG) && !family {
        let said = said::lines(failure.time.mono_ns);
        out.facts.push(Fact::Mounting(Mounting {
            said,
            after_ns: look.after(failure),
            ..Mounting::default()
        }));
    }
    if look.errno == Errno::ENOSPC && family {
        adds::count(&held, failure);
    }
    if family {
        mounting(&held, look, failure, &places, out);
    }
    let worth = |p: &Place| p.kind != PlaceKind::Unreachable || p.mount.is_some() || p.error.is_some();
    out.facts.extend(places.into_iter().filter(worth).map(Fact::Place));
}

fn places(held: &Held, look: &Look<'_>, failure: &Failure) -> Vec<Place> {
    let mut out = Vec::new();
    let row = PATHS.iter().find(|row| row.0.contains(&look.call));
    for argument in row.map_or(&[][..], |row| row.1) {
        let dirfd = argument.dirfd.and_then(|name| failure.number_arg(name)).map(|raw| raw as u32 as i32);
        // The empty string of AT_EMPTY_PATH lies where nobody has looked yet, mostly.
        let empty = failure.number_arg("flags").is_some_and(|f| f & libc::AT_EMPTY_PATH as u64 != 0);
        let Some(path) = failure.text_arg(argument.path).or(empty.then_some("")) else { continue };
        let is_name = look.call == "mount" && argument.path == "source" && !is_path(failure, path);
        if path.ends_with('…') || is_name || (path.is_empty() && dirfd.is_none()) {
            continue;
        }
        out.extend(place::of(held, argument.path, dirfd, path, argument.follow, look.after(failure)));
    }
    let clone = look.call == "ioctl" && failure.number_arg("op") == Some(FICLONE);
    let cloned: &[&str] = if clone { &["fd", "argp"] } else { &[] };
    for name in FDS.iter().filter(|row| row.0.contains(&look.call)).flat_map(|row| row.1).chain(cloned) {
        let fd = failure.number_arg(name).map(|raw| raw as u32 as i32).filter(|fd| *fd >= 0);
        out.extend(fd.and_then(|fd| place::of(held, name, Some(fd), "", true, look.after(failure))));
    }
    if let Some(path) = failure.socket_file() {
        out.extend(place::of(held, "addr", None, path, look.call != "bind", look.after(failure)));
    }
    if look.call == "pivot_root" {
        out.extend(place::of(held, "root", None, "/", true, look.after(failure)));
    }
    out
}

/// The symbolic link at the end of a path that was followed.
fn link(held: &Held, look: &Look<'_>, failure: &Failure) -> Option<Place> {
    let row = PATHS.iter().find(|row| row.0.contains(&look.call))?;
    let argument = row.1.iter().find(|a| a.follow)?;
    let path = failure.text_arg(argument.path).filter(|p| !p.is_empty() && !p.ends_with('…'))?;
    let dirfd = argument.dirfd.and_then(|name| failure.number_arg(name)).map(|raw| raw as u32 as i32);
    place::of(held, "link", dirfd, path, false, look.after(failure)).filter(|p| p.kind == PlaceKind::Link)
}

/// The source of mount(2) is a path for binds and moves, and for file systems on devices; others take any word.
fn is_path(failure: &Failure, source: &str) -> bool {
    let flags = failure.number_arg("flags").unwrap_or(0);
    flags & (libc::MS_BIND | libc::MS_MOVE) != 0 || source.starts_with('/')
}

fn mounting(held: &Held, look: &Look<'_>, failure: &Failure, places: &[Place], out: &mut Sampled) {
    let fstype = failure.text_arg("fstype").or_else(|| failure.text_arg("fsname"));
    let mut fact = Mounting { after_ns: look.after(failure), ..Mounting::default() };
    rights::look(held, look.root, fstype, &mut fact);
    fact.said = said::lines(failure.time.mono_ns);
    let flags = failure.number_arg("flags").unwrap_or(0);
    let new = look.call == "mount" && flags & (libc::MS_BIND | libc::MS_MOVE | libc::MS_REMOUNT) == 0;
    if new && let Some(source) = places.iter().find(|p| p.role == "source") {
        fact.device = device::of(held, look.root, source);
    }
    let busy = look.errno == Errno::EBUSY;
    let is_target = |p: &&Place| matches!(p.role.as_str(), "target" | "pathname");
    if busy && let Some(target) = places.iter().find(is_target) {
        users::look(held, look.root, target, &mut fact);
    }
    if fstype == Some("overlay")
        && look.call == "mount"
        && let Some(data) = failure.text_arg("data")
    {
        out.facts.push(Fact::Overlay(overlay::of(held, data, look.after(failure))));
    }
    out.facts.push(Fact::Mounting(fact));
}
