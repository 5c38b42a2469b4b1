//! The file system of a call's object, as the failing task reaches it, with its free blocks and inodes.
//!
//! Nothing is looked up by name where a reference exists: descriptors are opened through `/proc/PID/fd`, paths
//! are resolved by the kernel below the task's own root (openat2(2), RESOLVE_IN_ROOT), and the mount is found by
//! the `mnt_id` of the descriptor so gained.

use super::{View, mounts::unescape, objects::Object};
use crate::model::{Failure, FileKind, FileSystem, OpenFile, Task};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::sys::statvfs::{Statvfs, fstatvfs, statvfs};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// One line of mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    id: String,
    device: String,
    point: String,
    fstype: String,
    source: String,
    options: String,
}

/// A call's object, opened.
struct Found {
    role: &'static str,
    path: String,
    /// The object, or, when it is gone, the root of a mount of its file system.
    fd: OwnedFd,
    kind: Option<FileKind>,
    mount: Mount,
}

/// What the object is and where it lies; `None` when the task or its object can no longer be reached.
pub(super) fn of(view: &View, failure: &Failure, object: &Object, after_ns: u64) -> Option<FileSystem> {
    let found = match object {
        Object::Fd { role, fd } => {
            by_descriptor(view, failure, role, *fd).or_else(|| by_device(view, failure.file()?, role))?
        }
        Object::Path { role, dirfd, path } => {
            let (fd, absent) = resolve(view, &failure.task, *dirfd, path)?;
            let mount = mount_of(view, &fd)?;
            Found { role, path: path.clone(), fd, kind: absent.then_some(FileKind::Absent), mount }
        }
    };
    let stat = fstat(&found.fd).ok()?;
    let counts = fstatvfs(&found.fd).ok()?;
    let mount = found.mount;
    // What is not the object itself says nothing of what the object has.
    let itself = found.kind.is_none().then_some(&stat);
    let mut out = FileSystem {
        role: found.role.into(),
        path: found.path,
        object: found.kind.unwrap_or_else(|| kind(&stat)),
        fstype: Some(mount.fstype.clone()),
        point: Some(mount.point.clone()),
        options: mount.options.clone(),
        source: mount.source.clone(),
        overlay: None,
        upper: None,
        block_size: counts.fragment_size(),
        blocks: counts.blocks(),
        blocks_free: counts.blocks_free(),
        blocks_available: counts.blocks_available(),
        files: counts.files(),
        files_free: counts.files_free(),
        reserved: None,
        needs: needs(failure, itself, &mount.fstype, counts.fragment_size()),
        after_ns,
    };
    let mut device = mount.device.clone();
    if mount.fstype == "overlay" {
        device = below(view, &mount, &counts, &mut out);
    }
    out.reserved = reserved(view, &failure.task, &counts, &out, &device);
    Some(out)
}

/// Through the task's own descriptor, if it is still the one that failed.
fn by_descriptor(view: &View, failure: &Failure, role: &'static str, number: i32) -> Option<Found> {
    let link = own(view, &failure.task)?.join(format!("fd/{number}"));
    let path = fs::read_link(&link).ok()?.to_string_lossy().into_owned();
    writable(&link.parent()?.parent()?.join(format!("fdinfo/{number}")))?;
    let fd = open(&link, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    if let Some(then) = failure.file()
        && PLAIN_NUMBERS.contains(&then.magic)
        && fstat(&fd).ok()?.st_ino != then.inode
    {
        return None;
    }
    let mount = mount_of(view, &fd)?;
    Some(Found { role, path, fd, kind: None, mount })
}

/// `TMPFS_MAGIC`, `EXT4_SUPER_MAGIC` (linux/magic.h): there stat(2) shows the inode's number as the kernel has it,
/// which others translate.
const PLAIN_NUMBERS: &[u64] = &[0x0102_1994, 0xef53];

/// The descriptor is closed, but the probe saw which file system it was on: any mount of that will do.
fn by_device(view: &View, file: &OpenFile, role: &'static str) -> Option<Found> {
    for (root, table) in [
        (view.proc("root"), view.proc("mountinfo")),
        (view.root.join("/"), view.root.join("proc/self/mountinfo")),
    ] {
        let table = fs::read_to_string(table).unwrap_or_default();
        for mount in table.lines().filter_map(parse).filter(|mount| mount.device == file.device) {
            let at = root.join(mount.point.strip_prefix('/').unwrap_or(&mount.point));
            let Ok(fd) = open(&at, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) else { continue };
            // Another mount may lie on top.
            let device = fstat(&fd).map(|s| format!("{}:{}", libc::major(s.st_dev), libc::minor(s.st_dev)));
            if device.is_ok_and(|device| device == file.device) {
                return Some(Found { role, path: file.name.clone(), fd, kind: Some(file.kind), mount });
            }
        }
    }
    None
}

/// A tmpfs or a pool of huge pages that is full, among the mounts the task sees: the fullest is not told apart.
pub(super) fn full_tmpfs(view: &View, after_ns: u64) -> Option<FileSystem> {
    let table = fs::read_to_string(view.proc("mountinfo")).ok()?;
    let kinds = ["tmpfs", "hugetlbfs"];
    table.lines().filter_map(parse).filter(|mount| kinds.contains(&mount.fstype.as_str())).find_map(|mount| {
        let counts = statvfs(&view.proc("root").join(mount.point.trim_start_matches('/'))).ok()?;
        (counts.blocks() > 0 && counts.blocks_free() == 0).then(|| FileSystem {
            role: "mount".into(),
            path: mount.point.clone(),
            object: FileKind::Folder,
            fstype: Some(mount.fstype),
            point: Some(mount.point),
            options: mount.options,
            source: mount.source,
            overlay: None,
            upper: None,
            block_size: counts.fragment_size(),
            blocks: counts.blocks(),
            blocks_free: 0,
            blocks_available: 0,
            files: counts.files(),
            files_free: counts.files_free(),
            reserved: Some(0),
            needs: 1,
            after_ns,
        })
    })
}

/// The task's own folder in `/proc`, if it is still that task: pids are used again.
pub(super) fn own(view: &View, task: &Task) -> Option<PathBuf> {
    let dir = view.root.join(format!("proc/{}", task.pid));
    let stat = fs::read_to_string(dir.join("stat")).ok()?;
    // Field 22, counted behind the command's name, which may hold anything (proc_pid_stat(5)).
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??.unsigned_abs();
    let started = ticks.saturating_mul(1_000_000_000 / per_second.max(1));
    let same = task.start_ns == 0 || started.abs_diff(task.start_ns) <= 2_000_000_000 / per_second.max(1);
    // A zombie's descriptors are closed; another thread may still run.
    let thread = dir.join(format!("task/{}", task.tid));
    same.then(|| if thread.join("fd").exists() { thread } else { dir })
}

/// A descriptor opened for reading alone cannot be the one that was written to: the number was used again.
fn writable(fdinfo: &Path) -> Option<()> {
    let flags = open_flags(&fs::read_to_string(fdinfo).ok()?)?;
    (flags & libc::O_ACCMODE != libc::O_RDONLY).then_some(())
}

/// How a descriptor was opened (open(2)), from its fdinfo (proc_pid_fdinfo(5)).
pub(super) fn open_flags(fdinfo: &str) -> Option<i32> {
    let flags = fdinfo.lines().find_map(|line| line.strip_prefix("flags:"))?;
    i32::from_str_radix(flags.trim(), 8).ok()
}

/// Whether what it was opened for includes writing; a mere place in the tree (O_PATH) is opened for nothing.
pub(super) fn is_for_writing(fdinfo: &str) -> bool {
    open_flags(fdinfo).is_some_and(|f| f & libc::O_ACCMODE != libc::O_RDONLY && f & libc::O_PATH == 0)
}

/// Opens a path as the task would, or the folder that would have held it.
pub(super) fn resolve(view: &View, task: &Task, dirfd: Option<i32>, path: &str) -> Option<(OwnedFd, bool)> {
    let (base, how) = match (path.starts_with('/'), dirfd) {
        (true, _) => (view.proc("root"), ResolveFlag::RESOLVE_IN_ROOT),
        (false, None) => (own(view, task)?.join("cwd"), ResolveFlag::RESOLVE_BENEATH),
        (false, Some(fd)) => (own(view, task)?.join(format!("fd/{fd}")), ResolveFlag::RESOLVE_BENEATH),
    };
    view.pid?;
    let at = |base: &Path, path: &Path, how: ResolveFlag| {
        let folder = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let base = open(base, folder, Mode::empty()).ok()?;
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(how);
        openat2(&base, path, how).ok()
    };
    let found = |path: &Path| {
        at(&base, path, how).or_else(|| {
            // Out of the folder by `..` or a link: the same from the task's root.
            let whole = fs::read_link(&base).ok()?.join(path);
            at(&view.proc("root"), &whole, ResolveFlag::RESOLVE_IN_ROOT)
        })
    };
    let path = Path::new(path);
    if let Some(fd) = found(path) {
        return Some((fd, false));
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    found(parent).map(|fd| (fd, true))
}

fn kind(stat: &FileStat) -> FileKind {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => FileKind::Regular,
        SFlag::S_IFDIR => FileKind::Folder,
        _ => FileKind::Other,
    }
}

fn mount_of(view: &View, fd: &OwnedFd) -> Option<Mount> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let table = fs::read_to_string(view.proc("mountinfo")).ok()?;
    table.lines().filter_map(parse).find(|m| m.id == id)
}

fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.split(' ');
    Some(Mount {
        id: (*left.first()?).to_string(),
        device: (*left.get(2)?).to_string(),
        point: unescape(left.get(4)?),
        fstype: right.next()?.to_string(),
        source: unescape(right.next()?),
        options: unescape(right.next()?),
    })
}

/// Blocks the call needs at least. A write that got nowhere lacked the first one. fallocate(2) gives back what
/// it got before it fails on tmpfs (`shmem_fallocate()`), and overlay removes the half of a copy (`ovl_copy_up_one()`),
/// so there the whole must be held against what is free.
fn needs(failure: &Failure, object: Option<&FileStat>, fstype: &str, block: u64) -> u64 {
    let (Some((name, _)), Some(stat)) = (failure.syscall(), object) else { return 1 };
    let has = stat.st_blocks.unsigned_abs() * 512;
    let bytes = match name {
        "fallocate" => failure.number_arg("size").unwrap_or(0).saturating_sub(has),
        _ if fstype != "overlay" => 0,
        // A regular file below an overlay is copied before it is opened for writing.
        "open" | "openat" | "openat2" | "truncate" | "link" | "linkat" | "rename" | "renameat" => has,
        _ => 0,
    };
    bytes.div_ceil(block.max(1)).max(1)
}

/// What lies below an overlay. statfs(2) of an overlay is that of its upper folder's file system
/// (`ovl_statfs()`, fs/overlayfs/super.c), so the counts are right already; type and options are taken from
/// the upper folder if it can be found and has those very counts. Returns its device.
fn below(view: &View, overlay: &Mount, counts: &Statvfs, out: &mut FileSystem) -> String {
    out.overlay = Some(overlay.point.clone());
    (out.fstype, out.point) = (None, None);
    (out.options, out.source) = (String::new(), String::new());
    let upper = overlay.options.split(',').find_map(|o| o.strip_prefix("upperdir="));
    let Some(upper) = upper.map(unescape) else { return String::new() };
    out.upper = Some(upper.clone());
    let same = |other: &Statvfs| {
        (other.blocks(), other.files(), other.fragment_size())
            == (counts.blocks(), counts.files(), counts.fragment_size())
    };
    // The option is in the words of whoever mounted it: usually an engine in the namespace diag is in.
    for (root, table) in [
        (PathBuf::from("/"), PathBuf::from("/proc/self/mountinfo")),
        (view.proc("root"), view.proc("mountinfo")),
    ] {
        // In relative words it may be what the task's working folder still is; the counts must agree.
        let full = match upper.strip_prefix('/') {
            Some(rest) => root.join(rest),
            None => view.proc("cwd").join(&upper),
        };
        if !statvfs(&full).is_ok_and(|s| same(&s)) {
            continue;
        }
        let Ok(fd) = open(&full, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) else { continue };
        let id = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap_or_default();
        let id = id.lines().find_map(|l| l.strip_prefix("mnt_id:")).unwrap_or_default().trim().to_string();
        let table = fs::read_to_string(table).unwrap_or_default();
        if let Some(m) = table.lines().filter_map(parse).find(|m| m.id == id) {
            (out.fstype, out.point) = (Some(m.fstype), Some(m.point));
            (out.options, out.source) = (m.options, m.source);
            return m.device;
        }
    }
    String::new()
}

/// Free blocks this task may not use. ext4 keeps a share for root, and a pool for itself that nobody gets
/// (`ext4_has_free_clusters()`, fs/ext4/balloc.c); statfs(2) takes both from `f_bavail`.
fn reserved(view: &View, task: &Task, counts: &Statvfs, fs_: &FileSystem, device: &str) -> Option<u64> {
    let kept = counts.blocks_free().saturating_sub(counts.blocks_available());
    let is_ext4 = fs_.fstype.as_deref().is_some_and(|t| t.starts_with("ext"));
    if kept == 0 || !is_ext4 {
        return Some(kept);
    }
    // A task that writes through an overlay does so with the rights of who mounted it.
    if fs_.overlay.is_some() {
        return None;
    }
    if !is_privileged(view, task, &fs_.options)? {
        return Some(kept);
    }
    let name = fs::read_link(view.root.join(format!("sys/dev/block/{device}"))).ok()?;
    let pool = view.root.join(format!("sys/fs/ext4/{}/reserved_clusters", name.file_name()?.to_str()?));
    fs::read_to_string(pool).ok()?.trim().parse().ok()
}

/// Whether a task may use ext4's reserve: `capable(CAP_SYS_RESOURCE)` or the file system's `resuid`, 0 if not
/// named, or its `resgid`, nobody's if not named. A capability counts in the first user namespace alone, where
/// diag is.
fn is_privileged(view: &View, task: &Task, options: &str) -> Option<bool> {
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    let dir = own(view, task)?;
    let status = fs::read_to_string(dir.join("status")).ok()?;
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    let fsuid: u64 = field("Uid:")?.split_whitespace().nth(3)?.parse().ok()?;
    let caps = u64::from_str_radix(field("CapEff:")?, 16).ok()?;
    let option = |name: &str| options.split(',').find_map(|o| o.strip_prefix(name));
    let resuid: u64 = option("resuid=").map_or(Some(0), |v| v.parse().ok())?;
    let user_ns = |pid: &Path| fs::read_link(pid.join("ns/user")).ok();
    let first = user_ns(&dir)? == user_ns(&view.root.join("proc/self"))?;
    if fsuid == resuid || (first && caps & CAP_SYS_RESOURCE != 0) {
        return Some(true);
    }
    let Some(resgid) = option("resgid=").filter(|gid| *gid != "0") else { return Some(false) };
    let fsgid = field("Gid:")?.split_whitespace().nth(3)?;
    Some(fsgid == resgid || field("Groups:")?.split_whitespace().any(|gid| gid == resgid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_with_optional_fields_and_escapes() {
        let line = "29 26 0:26 / /a\\040b rw,relatime shared:3 master:1 - overlay none rw,upperdir=/u\\040v,workdir=/w";
        let m = parse(line).unwrap();
        assert_eq!((m.id.as_str(), m.device.as_str(), m.point.as_str()), ("29", "0:26", "/a b"));
        assert_eq!((m.fstype.as_str(), m.options.as_str()), ("overlay", "rw,upperdir=/u v,workdir=/w"));
    }

    #[test]
    fn a_descriptor_for_reading_is_not_the_one_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("3");
        fs::write(&file, "pos:\t0\nflags:\t0100000\nmnt_id:\t25\n").unwrap();
        assert_eq!(writable(&file), None);
        fs::write(&file, "pos:\t0\nflags:\t0100001\nmnt_id:\t25\n").unwrap();
        assert_eq!(writable(&file), Some(()));
    }
}
