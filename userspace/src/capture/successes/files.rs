//! Names, contents, settings and descriptors, in a folder of the deed's own.

use super::told::{Told, close, own_tid, text};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const HERE: usize = libc::AT_FDCWD as usize;
const FILE: usize = 0o644;
const DIRECTORY: usize = 0o755;
const NEW: usize = (libc::O_CREAT | libc::O_RDWR) as usize;

/// A folder that goes with the deed.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn make() -> Option<Self> {
        let path = Self::of(own_tid());
        fs::create_dir(&path).ok().map(|()| Self(path))
    }

    fn of(tid: i64) -> PathBuf {
        std::env::temp_dir().join(format!("diag-succeed-{tid}"))
    }

    /// What a deed left that its alarm ended.
    pub(super) fn sweep(tid: i64) {
        let path = Self::of(tid);
        if path.exists() {
            let _ = fs::remove_dir_all(path);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn at(&self, name: &str) -> CString {
        path(&self.0.join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn at(text: &CString) -> usize {
    text.as_ptr() as usize
}

pub(super) fn names(told: &mut Told) {
    let Some(place) = Place::make() else { return };
    let [file, other, folder, link] = ["file", "other", "folder", "link"].map(|name| place.at(name));
    close(told.call("openat", &[HERE, at(&file), NEW, FILE]));
    close(told.call("openat", &[HERE, at(&file), libc::O_RDONLY as usize, 0]));
    close(told.call("openat", &[HERE, at(&file), libc::O_RDWR as usize, 0]));
    close(told.call("openat", &[HERE, at(&file), (libc::O_WRONLY | libc::O_TRUNC) as usize, 0]));
    close(told.call("open", &[at(&file), libc::O_RDWR as usize, 0]));
    close(told.call("creat", &[at(&other), FILE]));
    told.call("unlink", &[at(&other)]);
    told.call("mkdir", &[at(&folder), DIRECTORY]);
    close(told.call("openat", &[HERE, at(&folder), (libc::O_RDONLY | libc::O_DIRECTORY) as usize, 0]));
    told.call("rmdir", &[at(&folder)]);
    told.call("mkdirat", &[HERE, at(&folder), DIRECTORY]);
    told.call("symlink", &[at(&file), at(&link)]);
    close(told.call("openat", &[HERE, at(&link), libc::O_RDONLY as usize, 0]));
    told.call("unlinkat", &[HERE, at(&link), 0]);
    told.call("symlinkat", &[at(&file), HERE, at(&link)]);
    told.call("link", &[at(&file), at(&other)]);
    told.call("unlink", &[at(&other)]);
    told.call("linkat", &[HERE, at(&file), HERE, at(&other), 0]);
    told.call("rename", &[at(&other), at(&link)]);
    // makedev(1, 3): the null device.
    for (name, kind, device) in [("fifo", libc::S_IFIFO, 0), ("null", libc::S_IFCHR, 0x103)] {
        let (first, second) = (place.at(name), place.at(&format!("{name}-at")));
        told.call("mknod", &[at(&first), kind as usize | FILE, device]);
        told.call("mknodat", &[HERE, at(&second), kind as usize | FILE, device]);
    }
}

pub(super) fn contents(told: &mut Told) {
    let Some(place) = Place::make() else { return };
    let file = place.at("file");
    let Some(fd) = told.call("openat", &[HERE, at(&file), NEW, FILE]) else { return };
    told.call("write", &[fd, c"text".as_ptr() as usize, 4]);
    told.call("fallocate", &[fd, 0, 0, 4096]);
    told.call("truncate", &[at(&file), 2]);
    let (user, group) = (1, 1);
    for call in ["chown", "lchown"] {
        told.call(call, &[at(&file), user, group]);
    }
    told.call("fchown", &[fd, user, group]);
    told.call("fchownat", &[HERE, at(&file), user, group, 0]);
    told.call("chmod", &[at(&file), 0o600]);
    told.call("fchmod", &[fd, 0o640]);
    told.call("fchmodat", &[HERE, at(&file), 0o644]);
    for name in ["user.diag", "trusted.diag"].map(text) {
        for call in ["setxattr", "lsetxattr"] {
            told.call(call, &[at(&file), at(&name), c"x".as_ptr() as usize, 1, 0]);
        }
    }
    close(Some(fd));
}

/// Settings: read, and written back as they are where they are this process's own.
pub(super) fn settings(told: &mut Told) {
    for name in
        ["/proc/sys/kernel/pid_max", "/proc/1/status", "/proc/self/status", "/sys/kernel/mm"].map(text)
    {
        close(told.call("openat", &[HERE, at(&name), libc::O_RDONLY as usize, 0]));
    }
    // Names and sizes of IPC belong to its namespace.
    told.call("unshare", &[(libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as usize]);
    for file in ["/proc/self/oom_score_adj", "/proc/sys/kernel/msgmni", "/proc/sys/kernel/shm_rmid_forced"] {
        rewrite(told, Path::new(file));
    }
}

/// Writes back what the file holds.
fn rewrite(told: &mut Told, file: &Path) {
    let Ok(value) = fs::read(file) else { return };
    put(told, file, &value);
}

fn put(told: &mut Told, file: &Path, value: &[u8]) {
    let name = path(file);
    let fd = told.call("openat", &[HERE, at(&name), libc::O_RDWR as usize, 0]);
    if let Some(fd) = fd {
        told.call("write", &[fd, value.as_ptr() as usize, value.len()]);
    }
    close(fd);
}

pub(super) fn devices(told: &mut Told) {
    for name in ["/dev/null", "/dev/zero", "/dev/ptmx"].map(text) {
        let flags = (libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) as usize;
        close(told.call("openat", &[HERE, at(&name), flags, 0]));
    }
}

/// A cgroup below diag's own: made, written to, entered, left, removed.
pub(super) fn cgroup(told: &mut Told) {
    let Some(own) = own_cgroup() else { return };
    let place = own.join(format!("diag-succeed-{}", own_tid()));
    let name = path(&place);
    if told.call("mkdir", &[at(&name), DIRECTORY]).is_none() {
        return;
    }
    if let Ok(controllers) = fs::read_to_string(place.join("cgroup.controllers")) {
        for controller in controllers.split_whitespace() {
            put(told, &place.join("cgroup.subtree_control"), format!("+{controller}").as_bytes());
            put(told, &place.join("cgroup.subtree_control"), format!("-{controller}").as_bytes());
        }
    }
    let files = fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
    for file in files.filter(|file| is_setting(file)) {
        rewrite(told, &file);
    }
    into_cgroup(told, &name);
    put(told, &place.join("cgroup.procs"), b"0");
    put(told, &own.join("cgroup.procs"), b"0");
    let (below, mode) = (place.join("below"), DIRECTORY);
    told.call("mkdirat", &[HERE, at(&path(&below)), mode]);
    told.call("rmdir", &[at(&path(&below))]);
    told.call("rmdir", &[at(&name)]);
}

/// Limits and weights: what is read there may be written there.
fn is_setting(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let limit = ["max", "high", "low", "min", "weight", "cpus", "mems", "partition"];
    !name.starts_with("cgroup.") && limit.iter().any(|word| name.ends_with(&format!(".{word}")))
}

fn own_cgroup() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let root = if root.join("cgroup.controllers").exists() { root.into() } else { root.join("unified") };
    Some(root.join(path))
}

/// A task that begins in a cgroup: `struct clone_args` (clone(2)).
fn into_cgroup(told: &mut Told, place: &CString) {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let folder = told.call("openat", &[HERE, at(place), (libc::O_PATH | libc::O_DIRECTORY) as usize, 0]);
    if let Some(fd) = folder {
        let arguments = [CLONE_INTO_CGROUP, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0, 0, 0, fd as u64];
        let child = told.call("clone3", &[arguments.as_ptr() as usize, size_of_val(&arguments)]);
        super::told::reap(child);
    }
    close(folder);
}

pub(super) fn descriptors(told: &mut Told) {
    let mut ends = [0i32; 2];
    for (call, flags) in [("pipe", 0), ("pipe2", libc::O_CLOEXEC as usize)] {
        if told.call(call, &[ends.as_mut_ptr() as usize, flags]).is_none() {
            return;
        }
    }
    let fd = ends[0] as usize;
    let pages = [8, 16, 4].map(|pages| pages * 4096);
    for size in pages {
        told.call("fcntl", &[fd, libc::F_SETPIPE_SZ as usize, size]);
    }
    close(told.call("fcntl", &[fd, libc::F_DUPFD_CLOEXEC as usize, 100]));
    close(told.call("dup", &[fd]));
    close(told.call("dup2", &[fd, 200]));
    close(told.call("dup3", &[fd, 201, 0]));
    close(told.call("eventfd2", &[0, 0]));
    close(told.call("memfd_create", &[c"diag".as_ptr() as usize, 0]));
}

pub(super) fn watches(told: &mut Told) {
    let Some(place) = Place::make() else { return };
    let folder = path(place.path());
    close(told.call("inotify_init", &[]));
    let inotify = told.call("inotify_init1", &[0]);
    if let Some(fd) = inotify {
        told.call("inotify_add_watch", &[fd, at(&folder), libc::IN_CREATE as usize]);
    }
    let fanotify = told.call("fanotify_init", &[0, 0]);
    if let Some(fd) = fanotify {
        let (add, open) = (libc::FAN_MARK_ADD as usize, libc::FAN_OPEN as usize);
        told.call("fanotify_mark", &[fd, add, open, HERE, at(&folder)]);
    }
    let epoll = told.call("epoll_create1", &[0]);
    if let (Some(epoll), Some(watched)) = (epoll, inotify) {
        let event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        let add = libc::EPOLL_CTL_ADD as usize;
        told.call("epoll_ctl", &[epoll, add, watched, &raw const event as usize]);
    }
    [inotify, fanotify, epoll].into_iter().for_each(close);
}
