//! The way to an object, as the task goes it: every folder on it, the object itself, its mount.

use super::named::{Named, Way};
use crate::capture::sampler::{View, file_system::own, mounts::unescape};
use crate::model::{Failure, MountSeen, ObjectKind, PathObject, Permissions, Task};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, fstat};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// Folders looked at on one way; deeper ones are left out from the front.
const MOST_FOLDERS: usize = 40;

/// What was found, opened without reading (`O_PATH`).
pub(super) struct Reach {
    /// The object, else the nearest thing that is there.
    pub(super) fd: OwnedFd,
    kind: ObjectKind,
    path: String,
    whole: Option<String>,
    folders: Vec<Permissions>,
    mount: Option<MountSeen>,
}

impl Reach {
    /// `None` when the task, its descriptor or its folder can no longer be reached.
    pub(super) fn of(view: &View, failure: &Failure, named: &Named) -> Option<Self> {
        match &named.way {
            Way::Fd(number) => {
                let link = own(view, &failure.task)?.join(format!("fd/{number}"));
                let path = fs::read_link(&link).ok()?.to_string_lossy().into_owned();
                let fd = open(&link, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
                let (kind, mount) = (kind(&fstat(&fd).ok()?), mount_of(view, &fd));
                let whole = path.starts_with('/').then(|| path.clone());
                let parent = whole.as_deref().and_then(|w| Path::new(w).parent()).map(Path::to_path_buf);
                let folder = parent.and_then(|p| at(&view.proc("root"), &p, true, true));
                let folders = folder.and_then(|fd| permissions(&fd, parent_of(&path))).into_iter().collect();
                Some(Self { fd, kind, path, whole, folders, mount })
            }
            Way::Path { dirfd, path } => Self::by_path(view, &failure.task, *dirfd, path, named.follow),
        }
    }

    fn by_path(view: &View, task: &Task, dirfd: Option<i32>, path: &str, follow: bool) -> Option<Self> {
        let start = Start::of(view, task, dirfd, path)?;
        let mut folders = start.folders(Path::new(path));
        let found = start.open(Path::new(path), follow).map(|fd| (fd, None)).or_else(|| {
            let link = follow.then(|| start.open(Path::new(path), false)).flatten();
            link.map(|fd| (fd, Some(ObjectKind::Dangling)))
        });
        let (fd, kind) = match found {
            Some((fd, known)) => {
                let seen = kind(&fstat(&fd).ok()?);
                (fd, known.unwrap_or(seen))
            }
            None => match start.open(parent_of(path), true) {
                Some(fd) if is_folder(&fd) => (fd, ObjectKind::Absent),
                Some(fd) => (fd, ObjectKind::NoWay),
                None => (start.open(Path::new("."), true)?, ObjectKind::NoWay),
            },
        };
        let whole = real_path(&fd);
        // Links on the way lead through folders that the text does not name.
        if let Some(whole) = &whole
            && !matches!(kind, ObjectKind::Absent | ObjectKind::NoWay | ObjectKind::Dangling)
        {
            let real =
                Start { base: view.proc("root"), root: view.proc("root"), how: ResolveFlag::RESOLVE_IN_ROOT };
            folders.extend(real.folders(Path::new(whole)));
        }
        let excess = folders.len().saturating_sub(MOST_FOLDERS);
        folders.drain(..excess);
        let mount = mount_of(view, &fd);
        Some(Self { fd, kind, path: path.to_owned(), whole, folders, mount })
    }

    pub(super) fn object(&self, named: &Named, after_ns: u64) -> PathObject {
        let stat = fstat(&self.fd).ok();
        let node = matches!(self.kind, ObjectKind::Character | ObjectKind::Block);
        let device = stat.filter(|_| node).map(|s| (libc::major(s.st_rdev), libc::minor(s.st_rdev)));
        let gone = matches!(self.kind, ObjectKind::Absent | ObjectKind::NoWay);
        let path = if gone { parent_of(&self.path) } else { Path::new(&self.path) };
        PathObject {
            role: named.role.into(),
            path: self.path.clone(),
            kind: self.kind,
            own: permissions(&self.fd, path),
            folders: self.folders.clone(),
            mount: self.mount.clone(),
            head: None,
            device,
            running: Vec::new(),
            writing: Vec::new(),
            whole: self.whole.clone().filter(|_| !gone),
            after_ns,
        }
    }
}

/// What lies at a path, links followed, as a task sees it: for interpreters.
pub(super) fn there(view: &View, task: &Task, path: &str) -> ObjectKind {
    let Some(start) = Start::of(view, task, None, path) else { return ObjectKind::Other };
    match start.open(Path::new(path), true) {
        Some(fd) => fstat(&fd).map_or(ObjectKind::Other, |stat| kind(&stat)),
        None if start.open(Path::new(path), false).is_some() => ObjectKind::Dangling,
        None if start.open(parent_of(path), true).is_some() => ObjectKind::Absent,
        None => ObjectKind::NoWay,
    }
}

/// Where a path starts, and how far it may lead.
struct Start {
    base: PathBuf,
    root: PathBuf,
    how: ResolveFlag,
}

impl Start {
    fn of(view: &View, task: &Task, dirfd: Option<i32>, path: &str) -> Option<Self> {
        view.pid?;
        let root = view.proc("root");
        let (base, how) = match (path.starts_with('/'), dirfd) {
            (true, _) => (root.clone(), ResolveFlag::RESOLVE_IN_ROOT),
            (false, None) => (own(view, task)?.join("cwd"), ResolveFlag::RESOLVE_BENEATH),
            (false, Some(fd)) => (own(view, task)?.join(format!("fd/{fd}")), ResolveFlag::RESOLVE_BENEATH),
        };
        Some(Self { base, root, how })
    }

    /// Out of the folder by `..` or a link, the same is looked up from the task's root.
    fn open(&self, path: &Path, follow: bool) -> Option<OwnedFd> {
        let beneath = self.how == ResolveFlag::RESOLVE_BENEATH;
        at(&self.base, path, follow, !beneath).or_else(|| {
            let whole = beneath.then(|| fs::read_link(&self.base).ok()).flatten()?.join(path);
            at(&self.root, &whole, follow, true)
        })
    }

    /// The folders of a path's text: where it starts, and each part but the last.
    fn folders(&self, path: &Path) -> Vec<Permissions> {
        let mut so_far = PathBuf::new();
        let mut out: Vec<Permissions> = Vec::new();
        let mut parts: Vec<Component<'_>> = path.components().collect();
        parts.pop();
        if !path.has_root() {
            out.extend(self.open(Path::new("."), true).and_then(|fd| permissions(&fd, Path::new("."))));
        }
        for part in parts {
            so_far.push(part);
            let Some(fd) = self.open(&so_far, true) else { break };
            out.extend(permissions(&fd, &so_far));
        }
        out
    }
}

fn at(base: &Path, path: &Path, follow: bool, in_root: bool) -> Option<OwnedFd> {
    let base = open(base, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let mut flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    flags.set(OFlag::O_NOFOLLOW, !follow);
    let how = if in_root { ResolveFlag::RESOLVE_IN_ROOT } else { ResolveFlag::RESOLVE_BENEATH };
    openat2(&base, path, OpenHow::new().flags(flags).resolve(how)).ok()
}

fn parent_of(path: &str) -> &Path {
    Path::new(path).parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_folder(fd: &OwnedFd) -> bool {
    fstat(fd).is_ok_and(|stat| kind(&stat) == ObjectKind::Folder)
}

/// As the kernel names it from the root of its mount namespace.
fn real_path(fd: &OwnedFd) -> Option<String> {
    let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    let text = link.to_str()?.to_owned();
    (text.starts_with('/') && !text.ends_with(" (deleted)")).then_some(text)
}

fn kind(stat: &FileStat) -> ObjectKind {
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => ObjectKind::Regular,
        libc::S_IFDIR => ObjectKind::Folder,
        libc::S_IFCHR => ObjectKind::Character,
        libc::S_IFBLK => ObjectKind::Block,
        libc::S_IFIFO => ObjectKind::Fifo,
        libc::S_IFSOCK => ObjectKind::Socket,
        _ => ObjectKind::Other,
    }
}

fn permissions(fd: &OwnedFd, path: &Path) -> Option<Permissions> {
    let stat = fstat(fd).ok()?;
    let (attributes, mask) = attributes(fd).unwrap_or((0, 0));
    let attribute = |bit: u64| (mask & bit != 0).then_some(attributes & bit != 0);
    Some(Permissions {
        path: path.display().to_string(),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        acl: has_acl(fd),
        immutable: attribute(STATX_ATTR_IMMUTABLE),
        append_only: attribute(STATX_ATTR_APPEND),
    })
}

/// include/uapi/linux/stat.h.
const STATX_ATTR_IMMUTABLE: u64 = 0x10;
const STATX_ATTR_APPEND: u64 = 0x20;

/// The attributes of a file and which of them its file system tells (statx(2)).
fn attributes(fd: &OwnedFd) -> Option<(u64, u64)> {
    // SAFETY: a statx of zeroes is valid.
    let mut out: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: an empty path with AT_EMPTY_PATH, and a buffer that lives through the call.
    let done = unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, 0, &raw mut out) };
    (done == 0).then_some((out.stx_attributes, out.stx_attributes_mask))
}

/// An access list beyond the mode (acl(5)); descriptors opened with `O_PATH` have no fgetxattr(2).
fn has_acl(fd: &OwnedFd) -> bool {
    let Ok(path) = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())) else { return false };
    // SAFETY: both strings end in NUL; without a buffer only the size is asked for.
    unsafe { libc::getxattr(path.as_ptr(), c"system.posix_acl_access".as_ptr(), std::ptr::null_mut(), 0) > 0 }
}

/// The mount of a descriptor by the task's table (proc_pid_mountinfo(5)).
fn mount_of(view: &View, fd: &OwnedFd) -> Option<MountSeen> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let table = fs::read_to_string(view.proc("mountinfo")).ok()?;
    table.lines().find_map(|line| mount_line(line, id))
}

fn mount_line(line: &str, id: &str) -> Option<MountSeen> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    (left.first() == Some(&id)).then_some(())?;
    Some(MountSeen {
        point: unescape(left.get(4)?),
        flags: (*left.get(5)?).to_owned(),
        fstype: (*right.first()?).to_owned(),
        options: unescape(right.get(2)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_with_its_own_flags_and_its_file_system_s() {
        let line = "40 26 0:31 / /data rw,nosuid,noexec shared:3 - tmpfs none rw,size=64k";
        let seen = mount_line(line, "40").unwrap();
        assert_eq!((seen.point.as_str(), seen.flags.as_str()), ("/data", "rw,nosuid,noexec"));
        assert_eq!((seen.fstype.as_str(), seen.options.as_str()), ("tmpfs", "rw,size=64k"));
        assert_eq!(mount_line(line, "4"), None);
    }

    #[test]
    fn folders_of_a_path_and_what_lies_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("a/link")).unwrap();
        let root = dir.path().to_path_buf();
        let start = Start { base: root.clone(), root, how: ResolveFlag::RESOLVE_IN_ROOT };
        let folders: Vec<String> = start.folders(Path::new("/a/b/c")).into_iter().map(|p| p.path).collect();
        assert_eq!(folders, ["/", "/a", "/a/b"]);
        assert!(start.open(Path::new("/a/link"), true).is_none());
        assert!(start.open(Path::new("/a/link"), false).is_some());
    }
}
