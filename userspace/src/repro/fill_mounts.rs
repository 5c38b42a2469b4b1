//! Fills a private mount namespace up to `fs.mount-max`, then asks for one more mount.
//!
//! The sysctl stays as it is: the namespace is this process's own, so nobody else comes near the limit.
//! 100 000 mounts are not made one by one: trees of mounts are doubled by recursive binds.

use super::Provoked;
use anyhow::{Context, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Room left for plain mounts before the refusal: they are the successes the failing call is held against.
const PLAIN: u64 = 4;
/// The count in mountinfo leaves out mounts that this process's root cannot reach.
const MOST_EXTRA: usize = 4096;

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    let max = limit()?;
    let base = enter_private_namespace()?;
    let trees = fill(&base, max)?;
    tracing::debug!(trees, max, mounts = count()?, "namespace filled");
    let seed = base.join("seed");
    let (syscall, mount): (_, fn(&Path, &Path) -> io::Result<()>) = match variant {
        "move_mount" => ("move_mount", attach),
        _ => ("mount", |from, to| bind(from, to, MsFlags::empty())),
    };
    for i in 0..MOST_EXTRA {
        let target = fresh(&base, &format!("last-{i}"))?;
        if let Err(error) = mount(&seed, &target) {
            let again: super::Again = Box::new(move || mount(&seed, &target));
            return Ok(Provoked { again: Some(again), ..Provoked::new(syscall, error) });
        }
    }
    bail!("{MOST_EXTRA} mounts beyond fs.mount-max = {max} were still allowed")
}

fn limit() -> anyhow::Result<u64> {
    let path = "/proc/sys/fs/mount-max";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    text.trim().parse().with_context(|| format!("{path} holds no number"))
}

/// A mount namespace nothing propagates out of, with a tmpfs to build in.
fn enter_private_namespace() -> anyhow::Result<PathBuf> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace (CAP_SYS_ADMIN is needed)")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    // Any folder serves as mount point: what it hides is hidden from this process alone.
    let base = PathBuf::from("/tmp");
    mount(Some("diag-repro"), &base, Some("tmpfs"), MsFlags::empty(), Some("size=1m"))
        .context("cannot mount a tmpfs on /tmp")?;
    for dir in ["seed", "seed/a", "seed/b"] {
        fs::create_dir(base.join(dir)).with_context(|| format!("cannot create {dir}"))?;
    }
    Ok(base)
}

/// Builds trees of 1, 3, 7, 15 … mounts, then copies the largest that still fits until `PLAIN` are left.
fn fill(base: &Path, max: u64) -> anyhow::Result<usize> {
    let mut trees: Vec<(PathBuf, u64)> = Vec::new();
    let mut used = count()?;
    let room = |used: u64| max.saturating_sub(used + PLAIN);
    loop {
        let size = trees.last().map_or(1, |(_, below)| 1 + 2 * below);
        if size > room(used) {
            break;
        }
        let root = fresh(base, &format!("tree-{}", trees.len()))?;
        refuse_nothing(bind(&base.join("seed"), &root, MsFlags::empty()), &root)?;
        if let Some((below, _)) = trees.last() {
            for child in ["a", "b"] {
                refuse_nothing(bind(below, &root.join(child), MsFlags::MS_REC), &root)?;
            }
        }
        used += size;
        trees.push((root, size));
    }
    let mut copies = 0;
    while let Some((tree, size)) = trees.iter().rev().find(|(_, size)| *size <= room(used)) {
        let target = fresh(base, &format!("copy-{copies}"))?;
        refuse_nothing(bind(tree, &target, MsFlags::MS_REC), &target)?;
        used += size;
        copies += 1;
    }
    Ok(trees.len())
}

fn refuse_nothing(done: io::Result<()>, at: &Path) -> anyhow::Result<()> {
    done.with_context(|| format!("filling the namespace failed at {}", at.display()))
}

fn fresh(base: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = base.join(name);
    fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

fn count() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    Ok(text.lines().count() as u64)
}

fn bind(from: &Path, to: &Path, more: MsFlags) -> io::Result<()> {
    let none = None::<&str>;
    Ok(mount(Some(from), to, none, MsFlags::MS_BIND | more, none)?)
}

/// The same by the new mount API: open_tree(2) and move_mount(2).
fn attach(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (c_path(from)?, c_path(to)?);
    // SAFETY: both paths are NUL-terminated and outlive the calls; a new descriptor is owned right away.
    let tree = unsafe {
        let fd = libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC,
        );
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd as i32)
    };
    // SAFETY: the empty path and `to` are NUL-terminated and outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
