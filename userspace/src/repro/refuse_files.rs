//! File operations that mounts and file systems refuse, on a tmpfs in a mount namespace of its own.

use super::Provoked;
use super::own_limits::lower;
use super::refuse_mounts::{refused, sandbox};
use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sys::resource::Resource;
use nix::unistd::{Gid, Uid, chown};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};

const NONE: Option<&str> = None;

pub(super) fn read_only(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    match variant {
        "overlay" => mount(Some("overlay"), "a", Some("overlay"), MsFlags::empty(), Some("lowerdir=lower:b"))
            .context("cannot mount an overlay")?,
        "file-system" => {
            mount(Some("x"), "a", Some("tmpfs"), MsFlags::MS_RDONLY, NONE).context("cannot mount a tmpfs")?
        }
        _ => {
            mount(Some("a"), "a", NONE, MsFlags::MS_BIND, NONE).context("cannot bind a folder")?;
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(NONE, "a", NONE, flags, NONE).context("cannot make it read-only")?;
        }
    }
    refused(fs::create_dir("a/new"), "mkdir")
}

pub(super) fn across(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    File::create("file").context("cannot create a file")?;
    match variant {
        "overlay" => {
            fs::create_dir("lower/folder").context("cannot create a folder")?;
            let options = "lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=off";
            mount(Some("overlay"), "merged", Some("overlay"), MsFlags::empty(), Some(options))
                .context("cannot mount an overlay")?;
            return refused(fs::rename("merged/folder", "merged/other"), "rename");
        }
        "bind" => mount(Some("a"), "b", NONE, MsFlags::MS_BIND, NONE).context("cannot bind a folder")?,
        _ => mount(Some("x"), "b", Some("tmpfs"), MsFlags::empty(), NONE).context("cannot mount a tmpfs")?,
    }
    if variant == "link" {
        return refused(fs::hard_link("file", "b/file"), "linkat");
    }
    refused(fs::rename("file", "b/file"), "rename")
}

pub(super) fn links(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    if variant == "nofollow" {
        symlink("a", "link").context("cannot make a link")?;
        return refused(OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open("link"), "openat");
    }
    symlink("circle", "circle").context("cannot make a link")?;
    refused(File::open("circle"), "openat")
}

pub(super) fn too_long(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let path = if variant == "path" { "./".repeat(2048) } else { "n".repeat(256) };
    refused(File::open(path), "openat")
}

pub(super) fn too_large(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let mut file = File::create("file").context("cannot create a file")?;
    // SAFETY: SIG_IGN is no function; without it the signal would end this process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    lower(Resource::RLIMIT_FSIZE, 4096)?;
    if variant == "ftruncate" {
        return refused(file.set_len(8192), "ftruncate");
    }
    file.write_all(&[0; 4096]).context("cannot write up to the limit")?;
    refused(file.write(&[0]), "write")
}

/// A file of somebody else's in a folder that is sticky and writable for all.
pub(super) fn protected(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let (somebody, group) = (Uid::from_raw(65_533), Gid::from_raw(65_533));
    File::create("a/file").context("cannot create a file")?;
    chown("a/file", Some(somebody), Some(group)).context("cannot give it away (CAP_CHOWN is needed)")?;
    fs::set_permissions("a/file", Permissions::from_mode(0o666)).context("cannot open it for all")?;
    // Owned by a third, for the folder's owner may leave files of his to others.
    chown("a", Some(Uid::from_raw(65_532)), None).context("cannot give the folder away")?;
    fs::set_permissions("a", Permissions::from_mode(0o1777)).context("cannot make it sticky")?;
    refused(OpenOptions::new().write(true).create(true).truncate(false).open("a/file"), "openat")
}

pub(super) fn unsupported(variant: &str) -> anyhow::Result<Provoked> {
    /// linux/fs.h.
    const FICLONE: libc::c_ulong = 0x4004_9409;
    sandbox()?;
    if variant == "clone" {
        fs::write("from", "x").context("cannot create a file")?;
        let from = File::open("from").context("cannot open it")?;
        let to = File::create("to").context("cannot create a file")?;
        // SAFETY: two descriptors that are open.
        let rc = unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()) };
        return refused(if rc < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }, "ioctl");
    }
    let (path, name, value) = (c"/proc/self/status", c"user.diag", b"1");
    // SAFETY: both strings are terminated, and the value's length is given.
    let rc = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), 1, 0) };
    refused(if rc < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }, "setxattr")
}

pub(super) fn attribute(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    File::create("file").context("cannot create a file")?;
    nix::unistd::mkfifo("pipe", nix::sys::stat::Mode::S_IRWXU).context("cannot make a pipe")?;
    let value = vec![0_u8; 70_000];
    let name = if variant == "name" { format!("user.{}", "a".repeat(300)) } else { "user.diag".into() };
    let name = std::ffi::CString::new(name).context("a name")?;
    let (path, size) = match variant {
        "kind" => (c"pipe", 1),
        "name" => (c"file", 1),
        _ => (c"file", value.len()),
    };
    // SAFETY: both strings are terminated, and the value's length is given.
    let rc = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), size, 0) };
    refused(if rc < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }, "setxattr")
}

/// What is no disk, mounted as one.
pub(super) fn no_device(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let known = fs::read_to_string("/proc/filesystems").context("cannot read /proc/filesystems")?;
    let disk = known.lines().find(|line| !line.starts_with("nodev")).map(|line| line.trim().to_string());
    let disk = disk.context("this kernel has no disk file system loaded")?;
    refused(
        mount(Some("/tmp/b"), "a", Some(disk.as_str()), MsFlags::empty(), NONE).map_err(std::io::Error::from),
        "mount",
    )
}

/// Names in file systems whose files the kernel makes.
pub(super) fn kernel_made(variant: &str) -> anyhow::Result<Provoked> {
    match variant {
        "create" => refused(
            OpenOptions::new().write(true).create(true).truncate(false).open("/sys/kernel/new"),
            "openat",
        ),
        "unlink" => refused(fs::remove_file("/proc/self/status"), "unlink"),
        _ => refused(fs::create_dir("/proc/new"), "mkdir"),
    }
}

/// A file that has no blocks to swap to.
pub(super) fn swap(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    fs::write("file", [0; 65_536]).context("cannot create a file")?;
    // SAFETY: a constant path.
    let rc = unsafe { libc::swapon(c"file".as_ptr(), 0) };
    refused(if rc < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }, "swapon")
}

/// A lock that is held through another descriptor, which counts as another owner.
pub(super) fn locked(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open("file");
    let (first, second) = (open().context("cannot create a file")?, open().context("cannot open it again")?);
    // SAFETY: an all-zero flock is a valid value of a struct of integers: the whole file, from its beginning.
    let mut record: libc::flock = unsafe { std::mem::zeroed() };
    record.l_type = libc::F_WRLCK as libc::c_short;
    let lock = |file: &File| {
        // SAFETY: the descriptor is open, and the structure outlives the call.
        let rc = unsafe {
            match variant {
                "record" => libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const record),
                "lease" => libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK),
                _ => libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB),
            }
        };
        if rc < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    if variant != "lease" {
        lock(&first).context("cannot lock a new file")?;
    }
    refused(lock(&second), if variant == "flock" { "flock" } else { "fcntl" })
}

/// A mapping that the descriptor, the file or its mount does not allow.
pub(super) fn mapped(variant: &str) -> anyhow::Result<Provoked> {
    const PAGE: usize = 4096;
    sandbox()?;
    if variant == "noexec" {
        mount(Some("x"), "a", Some("tmpfs"), MsFlags::MS_NOEXEC, NONE).context("cannot mount a tmpfs")?;
    }
    let path = "a/file";
    fs::write(path, [0; PAGE]).context("cannot create a file")?;
    let mut how = OpenOptions::new();
    let file = match variant {
        "write-only" => how.write(true).open(path),
        "folder" => how.read(true).open("a"),
        _ => how.read(true).open(path),
    };
    let file = file.with_context(|| format!("cannot open {path}"))?;
    let map = |protection: i32, flags: i32| {
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, flags, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED { Err(std::io::Error::last_os_error()) } else { Ok(at) }
    };
    let (added, flags) = match variant {
        "protect" => (libc::PROT_WRITE, libc::MAP_SHARED),
        "noexec" => (libc::PROT_EXEC, libc::MAP_PRIVATE),
        "read-only" => return refused(map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED), "mmap"),
        _ => return refused(map(libc::PROT_READ, libc::MAP_SHARED), "mmap"),
    };
    let at = map(libc::PROT_READ, flags).context("cannot map a file")?;
    // SAFETY: the page mapped above, which nothing uses.
    let rc = unsafe { libc::mprotect(at, PAGE, libc::PROT_READ | added) };
    refused(if rc < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }, "mprotect")
}

pub(super) fn full_device(_: &str) -> anyhow::Result<Provoked> {
    let mut full = OpenOptions::new().write(true).open("/dev/full").context("cannot open /dev/full")?;
    refused(full.write(b"x"), "write")
}
