//! One path of a call, opened as the caller would, and what lies there.

use super::held::{Held, Row};
use crate::model::{Place, PlaceKind, PlaceMount};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::libc;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Whoever answers for these may not answer at all.
const REMOTE: &[&str] =
    &["fuse", "nfs", "cifs", "smb", "ceph", "9p", "afs", "autofs", "glusterfs", "lustre", "virtiofs"];

/// Mount points shown below a place.
const MOST_BELOW: usize = 8;

pub(super) fn of(
    held: &Held,
    role: &str,
    dirfd: Option<i32>,
    path: &str,
    follow: bool,
    after_ns: u64,
) -> Option<Place> {
    let mut place = Place {
        role: role.into(),
        path: path.into(),
        kind: PlaceKind::Unreachable,
        error: None,
        mount_root: None,
        immutable: false,
        append_only: false,
        mode: 0,
        uid: 0,
        gid: 0,
        links: 0,
        rdev: String::new(),
        mount: None,
        project: None,
        folder: None,
        after_ns,
    };
    // A descriptor is open already: looking at it asks nobody.
    if path.is_empty() {
        let fd = held.descriptor(dirfd?)?;
        if let Ok(name) = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())) {
            place.path = name.to_string_lossy().into_owned();
        }
        describe(held, &fd, &mut place);
        if place.mount.is_none() {
            place.mount = detached(&fd);
        }
        return Some(place);
    }
    let dirfd = dirfd.filter(|fd| *fd != libc::AT_FDCWD);
    let base = match dirfd {
        Some(fd) if !path.starts_with('/') => Some(held.descriptor(fd)?),
        _ => None,
    };
    if let Some(row) = by_words(held, base.as_ref(), path).filter(|row| is_remote(&row.mount.fstype)) {
        place.mount = Some(with_neighbours(held, row));
        return Some(place);
    }
    let opened = open(held, base.as_ref(), path, follow);
    match opened {
        Ok(fd) => {
            describe(held, &fd, &mut place);
            place.folder = parent(path)
                .and_then(|p| open(held, base.as_ref(), p, true).ok())
                .and_then(|fd| stat(&fd))
                .map(|s| (u32::from(s.stx_mode), s.stx_uid));
        }
        Err(error) => {
            place.error = Some(error as i32);
            absent(held, base.as_ref(), path, error, &mut place);
        }
    }
    Some(place)
}

/// Types by the magic number of statfs(2) (linux/magic.h), for mounts that no table shows: detached ones, pipes.
const MAGICS: &[(i64, &str)] = &[
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0102_1994, "tmpfs"),
    (0x6367_7270, "cgroup2"),
    (0x0027_e0eb, "cgroup"),
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x794c_7630, "overlay"),
    (0x9123_683e, "btrfs"),
    (0x6573_5546, "fuse"),
    (0x6969, "nfs"),
    (0x1980_0202, "mqueue"),
    (0x1cd1, "devpts"),
    (0x0102_1997, "9p"),
    (0xff53_4d42, "cifs"),
    (0x534f_434b, "sockfs"),
    (0x5049_5045, "pipefs"),
    (0x0904_1934, "anon_inodefs"),
    (0x7371_7368, "squashfs"),
    (0x8584_58f6, "ramfs"),
    (0x6e73_6673, "nsfs"),
];

fn detached(fd: &OwnedFd) -> Option<PlaceMount> {
    let magic = nix::sys::statfs::fstatfs(fd).ok()?.filesystem_type().0;
    let fstype = MAGICS.iter().find(|row| row.0 == magic as i64)?.1;
    Some(PlaceMount { fstype: fstype.into(), ..PlaceMount::default() })
}

/// The folder that would hold what is not there.
fn absent(held: &Held, base: Option<&OwnedFd>, path: &str, error: Errno, place: &mut Place) {
    let folder = parent(path).and_then(|p| open(held, base, p, true).ok());
    place.kind = match (error, &folder) {
        (Errno::ENOENT, Some(_)) => PlaceKind::Absent,
        (Errno::ENOENT | Errno::ENOTDIR, None) => PlaceKind::NoFolder,
        _ => PlaceKind::Unreachable,
    };
    if let Some(folder) = folder {
        if let Some(stat) = stat(&folder) {
            place.folder = Some((u32::from(stat.stx_mode), stat.stx_uid));
            place.links = u64::from(stat.stx_nlink);
            place.immutable = stat.stx_attributes & libc::STATX_ATTR_IMMUTABLE as u64 != 0;
        }
        place.mount = held.row_of(&folder).map(|row| with_neighbours(held, row));
    }
}

fn parent(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some(("", _)) => Some("/"),
        Some((parent, _)) => Some(parent),
        None => (!path.is_empty()).then_some("."),
    }
}

fn by_words<'a>(held: &'a Held, base: Option<&OwnedFd>, path: &str) -> Option<&'a Row> {
    match base {
        Some(fd) => held.row_of(fd),
        None => held.row_by_name(&held.absolute(path)?),
    }
}

fn is_remote(fstype: &str) -> bool {
    REMOTE.iter().any(|t| fstype.starts_with(t)) && fstype != "fusectl"
}

fn open(held: &Held, base: Option<&OwnedFd>, path: &str, follow: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    if !follow {
        flags |= OFlag::O_NOFOLLOW;
    }
    let at = |base: &OwnedFd, path: &Path, resolve: ResolveFlag| {
        openat2(base, path, OpenHow::new().flags(flags).resolve(resolve))
    };
    if path.starts_with('/') {
        return at(held.root(), Path::new(path), ResolveFlag::RESOLVE_IN_ROOT);
    }
    let base = base.or(held.cwd()).ok_or(Errno::ESRCH)?;
    match at(base, Path::new(path), ResolveFlag::RESOLVE_BENEATH) {
        // Out of the folder by `..` or a link: the same from the task's root.
        Err(Errno::EXDEV) => {
            let whole = std::fs::read_link(format!("/proc/self/fd/{}", base.as_raw_fd()))
                .map_err(|_| Errno::EXDEV)?;
            at(held.root(), &whole.join(path), ResolveFlag::RESOLVE_IN_ROOT)
        }
        other => other,
    }
}

fn describe(held: &Held, fd: &OwnedFd, place: &mut Place) {
    place.mount = held.row_of(fd).map(|row| with_neighbours(held, row));
    let Some(stat) = stat(fd) else { return };
    place.kind = match u32::from(stat.stx_mode) & libc::S_IFMT {
        libc::S_IFDIR => PlaceKind::Folder,
        libc::S_IFREG => PlaceKind::File,
        libc::S_IFLNK => PlaceKind::Link,
        libc::S_IFBLK => PlaceKind::BlockDevice,
        libc::S_IFCHR => PlaceKind::CharDevice,
        _ => PlaceKind::Other,
    };
    place.mode = u32::from(stat.stx_mode) & 0o7777;
    (place.uid, place.gid, place.links) = (stat.stx_uid, stat.stx_gid, u64::from(stat.stx_nlink));
    let has = |bit: libc::c_int| {
        (stat.stx_attributes_mask & bit as u64 != 0).then_some(stat.stx_attributes & bit as u64 != 0)
    };
    place.mount_root = has(libc::STATX_ATTR_MOUNT_ROOT);
    place.immutable = has(libc::STATX_ATTR_IMMUTABLE) == Some(true);
    place.append_only = has(libc::STATX_ATTR_APPEND) == Some(true);
    if matches!(place.kind, PlaceKind::BlockDevice | PlaceKind::CharDevice) {
        place.rdev = format!("{}:{}", stat.stx_rdev_major, stat.stx_rdev_minor);
    }
}

/// statx(2) of what the handle is on, without asking a server.
fn stat(fd: &OwnedFd) -> Option<libc::statx> {
    // SAFETY: an all-zero statx is a valid value of a struct of integers.
    let mut buf: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, the path is a terminated empty string and the buffer outlives the call.
    let rc = unsafe {
        libc::statx(
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC,
            libc::STATX_BASIC_STATS,
            &mut buf,
        )
    };
    (rc == 0).then_some(buf)
}

fn with_neighbours(held: &Held, row: &Row) -> PlaceMount {
    let table = held.table();
    let parent = table.iter().find(|other| other.id == row.parent && other.id != row.id);
    let children = table.iter().filter(|other| other.parent == row.id && other.id != row.id);
    PlaceMount {
        parent_propagation: parent.map(|p| p.mount.propagation.clone()),
        below: children.map(|c| c.mount.point.clone()).take(MOST_BELOW).collect(),
        ..row.mount.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_path() {
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("/a/"), Some("/"));
        assert_eq!(parent("a"), Some("."));
        assert_eq!(parent("a/b/"), Some("a"));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn servers_are_not_asked() {
        assert!(is_remote("fuse.sshfs") && is_remote("nfs4") && !is_remote("ext4") && !is_remote("fusectl"));
    }
}
