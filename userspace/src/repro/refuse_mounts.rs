//! Mounts that the kernel refuses, each on a tmpfs in a mount namespace of its own.

use super::Provoked;
use super::use_up_namespaces::enter_user_namespace;
use anyhow::{Context, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::io;

const NONE: Option<&str> = None;

/// A private mount namespace with a fresh tmpfs on /tmp, which becomes the working folder.
pub(super) fn sandbox() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace (CAP_SYS_ADMIN is needed)")?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .context("cannot make mounts private")?;
    tmpfs("/tmp")?;
    std::env::set_current_dir("/tmp").context("cannot enter /tmp")?;
    for dir in ["a", "b", "lower", "upper", "work", "merged"] {
        fs::create_dir(dir).with_context(|| format!("cannot create {dir}"))?;
    }
    Ok(())
}

fn tmpfs(at: &str) -> anyhow::Result<()> {
    mount(Some("diag-repro"), at, Some("tmpfs"), MsFlags::empty(), NONE)
        .with_context(|| format!("cannot mount a tmpfs on {at}"))
}

fn overlay(at: &str, options: &str) -> nix::Result<()> {
    mount(Some("overlay"), at, Some("overlay"), MsFlags::empty(), Some(options))
}

/// The refusal. What it is about stays a moment, because it is looked at through this process.
pub(super) fn refused<T>(result: io::Result<T>, syscall: &'static str) -> anyhow::Result<Provoked> {
    match result {
        Err(error) => {
            std::thread::sleep(super::LINGER);
            Ok(Provoked::new(syscall, error))
        }
        Ok(_) => bail!("{syscall} was not refused"),
    }
}

fn no<T>(result: nix::Result<T>, syscall: &'static str) -> anyhow::Result<Provoked> {
    refused(result.map_err(io::Error::from), syscall)
}

pub(super) fn without_admin(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    // A user namespace's capabilities do not reach the mount namespace it was brought into.
    enter_user_namespace()?;
    if variant == "fsopen" {
        // SAFETY: the name is a terminated string.
        let fd = unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0) };
        return refused(if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) }, "fsopen");
    }
    no(mount(Some("x"), "a", Some("tmpfs"), MsFlags::empty(), NONE), "mount")
}

/// A user namespace with a mount namespace of its own.
fn inside() -> anyhow::Result<()> {
    enter_user_namespace()?;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace in the user namespace")
}

pub(super) fn type_needs_root(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let known = fs::read_to_string("/proc/filesystems").context("cannot read /proc/filesystems")?;
    let disk = known
        .lines()
        .find(|line| !line.starts_with("nodev") && line.trim() != "fuseblk")
        .map(|line| line.trim().to_string());
    let disk = disk.context("this kernel has no disk file system loaded")?;
    inside()?;
    no(mount(Some("/dev/null"), "a", Some(disk.as_str()), MsFlags::empty(), NONE), "mount")
}

pub(super) fn namespace_not_owned(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    inside()?;
    let fstype = if variant == "sysfs" { "sysfs" } else { "proc" };
    no(mount(Some("x"), "a", Some(fstype), MsFlags::empty(), NONE), "mount")
}

pub(super) fn locked_flags(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    tmpfs("a")?;
    let bind = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    mount(NONE, "a", NONE, bind | MsFlags::MS_NODEV, NONE).context("cannot set nodev")?;
    inside()?;
    no(mount(NONE, "a", NONE, bind, NONE), "mount")
}

pub(super) fn foreign_remount(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    tmpfs("a")?;
    inside()?;
    no(mount(NONE, "a", NONE, MsFlags::MS_REMOUNT, Some("size=1m")), "mount")
}

pub(super) fn unknown_type(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    no(mount(Some("x"), "a", Some("nofilesystem"), MsFlags::empty(), NONE), "mount")
}

pub(super) fn unknown_option(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let option = if variant == "value" { "size=many" } else { "nooption=1" };
    no(mount(Some("x"), "a", Some("tmpfs"), MsFlags::empty(), Some(option)), "mount")
}

pub(super) fn missing_path(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let bind = MsFlags::MS_BIND;
    match variant {
        "target" => no(mount(Some("a"), "gone", NONE, bind, NONE), "mount"),
        _ => no(mount(Some("gone"), "a", NONE, bind, NONE), "mount"),
    }
}

pub(super) fn kinds_differ(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    File::create("file").context("cannot create a file")?;
    let (source, target) = if variant == "file-on-folder" { ("file", "a") } else { ("a", "file") };
    no(mount(Some(source), target, NONE, MsFlags::MS_BIND, NONE), "mount")
}

pub(super) fn not_a_point(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    match variant {
        "remount" => no(mount(NONE, "a", NONE, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NONE), "mount"),
        "propagation" => no(mount(NONE, "a", NONE, MsFlags::MS_PRIVATE, NONE), "mount"),
        "move" => no(mount(Some("a"), "b", NONE, MsFlags::MS_MOVE, NONE), "mount"),
        _ => no(umount2("a", MntFlags::empty()), "umount2"),
    }
}

pub(super) fn busy(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    tmpfs("a")?;
    let open = File::create("a/file").context("cannot create a file")?;
    let out = match variant {
        "remount" => no(mount(NONE, "a", NONE, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NONE), "mount"),
        _ => no(umount2("a", MntFlags::empty()), "umount2"),
    };
    drop(open);
    out
}

pub(super) fn busy_point(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    for file in ["file", "new"] {
        File::create(file).context("cannot create a file")?;
    }
    mount(Some("file"), "file", NONE, MsFlags::MS_BIND, NONE).context("cannot bind a file")?;
    match variant {
        "unlink" => refused(fs::remove_file("file"), "unlink"),
        "rmdir" => {
            tmpfs("a")?;
            refused(fs::remove_dir("a"), "rmdir")
        }
        _ => refused(fs::rename("new", "file"), "rename"),
    }
}

pub(super) fn unmovable(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    tmpfs("a")?;
    match variant {
        "into-itself" => {
            fs::create_dir("a/in").context("cannot create a folder")?;
            no(mount(Some("/tmp/a"), "/tmp/a/in", NONE, MsFlags::MS_MOVE, NONE), "mount")
        }
        "unbindable" => {
            mount(NONE, "a", NONE, MsFlags::MS_UNBINDABLE, NONE).context("cannot make it unbindable")?;
            no(mount(Some("a"), "b", NONE, MsFlags::MS_BIND, NONE), "mount")
        }
        _ => {
            mount(NONE, "/tmp", NONE, MsFlags::MS_SHARED, NONE).context("cannot make it shared")?;
            no(mount(Some("a"), "b", NONE, MsFlags::MS_MOVE, NONE), "mount")
        }
    }
}

pub(super) fn pivot(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    if variant == "busy" {
        return no(nix::unistd::pivot_root("/", "/"), "pivot_root");
    }
    tmpfs("a")?;
    fs::create_dir("a/old").context("cannot create a folder")?;
    mount(NONE, "/tmp", NONE, MsFlags::MS_SHARED, NONE).context("cannot make it shared")?;
    no(nix::unistd::pivot_root("/tmp/a", "/tmp/a/old"), "pivot_root")
}

const WHOLE: &str = "lowerdir=lower,upperdir=upper,workdir=work";

pub(super) fn overlay_depth(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    overlay("a", "lowerdir=lower:upper").context("cannot mount an overlay")?;
    overlay("b", "lowerdir=a:upper").context("cannot mount an overlay on an overlay")?;
    no(overlay("merged", "lowerdir=b:upper"), "mount")
}

pub(super) fn overlay_layers(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let names: Vec<String> = (0..501).map(|n| n.to_string()).collect();
    for name in &names {
        fs::create_dir(name).context("cannot create a folder")?;
    }
    no(overlay("merged", &format!("lowerdir={}", names.join(":"))), "mount")
}

pub(super) fn overlay_cut(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let names: Vec<String> = (0..60).map(|n| format!("/tmp/{}{n}", "long-".repeat(20))).collect();
    for name in &names {
        fs::create_dir(name).context("cannot create a folder")?;
    }
    no(overlay("merged", &format!("lowerdir={}", names.join(":"))), "mount")
}

pub(super) fn overlay_unsupported(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    overlay("merged", WHOLE).context("cannot mount an overlay")?;
    for dir in ["merged/upper", "merged/work"] {
        fs::create_dir(dir).context("cannot create a folder")?;
    }
    no(overlay("a", "lowerdir=lower,upperdir=merged/upper,workdir=merged/work"), "mount")
}

pub(super) fn overlay_read_only(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    tmpfs("a")?;
    for dir in ["a/upper", "a/work"] {
        fs::create_dir(dir).context("cannot create a folder")?;
    }
    mount(NONE, "a", NONE, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NONE)
        .context("cannot make it read-only")?;
    no(overlay("merged", "lowerdir=lower,upperdir=a/upper,workdir=a/work"), "mount")
}

pub(super) fn overlay_volatile(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    overlay("merged", &format!("{WHOLE},volatile")).context("cannot mount a volatile overlay")?;
    nix::mount::umount("merged").context("cannot unmount it")?;
    no(overlay("merged", &format!("{WHOLE},volatile")), "mount")
}

/// A tmpfs that holds 256 KiB in four files, or has no limit at all.
pub(super) fn remount_tmpfs(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let options = if variant == "retroactive" { "size=0" } else { "size=1m,nr_inodes=16" };
    mount(Some("diag-repro"), "a", Some("tmpfs"), MsFlags::empty(), Some(options))
        .context("cannot mount a tmpfs")?;
    for file in 0..4 {
        fs::write(format!("a/{file}"), [0; 65_536]).context("cannot fill it")?;
    }
    let smaller = match variant {
        "inodes" => "nr_inodes=2",
        "retroactive" => "size=1m",
        _ => "size=64k",
    };
    no(mount(NONE, "a", NONE, MsFlags::MS_REMOUNT, Some(smaller)), "mount")
}

pub(super) fn overlay_in_use(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    overlay("merged", &format!("{WHOLE},index=on")).context("cannot mount an overlay with an index")?;
    no(overlay("a", "lowerdir=lower,upperdir=upper,workdir=b,index=on"), "mount")
}

pub(super) fn overlay_elsewhere(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let work = if variant == "nested" { "upper/work" } else { "a/work" };
    if variant != "nested" {
        tmpfs("a")?;
    }
    fs::create_dir(work).context("cannot create a folder")?;
    no(overlay("merged", &format!("lowerdir=lower,upperdir=upper,workdir={work}")), "mount")
}

pub(super) fn overlay_missing(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let options = if variant == "work" {
        "lowerdir=lower,upperdir=upper,workdir=gone"
    } else {
        "lowerdir=gone,upperdir=upper,workdir=work"
    };
    no(overlay("merged", options), "mount")
}

pub(super) fn overlay_incomplete(variant: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    let options =
        if variant == "workdir" { "lowerdir=lower,upperdir=upper" } else { "upperdir=upper,workdir=work" };
    no(overlay("merged", options), "mount")
}

pub(super) fn overlay_overlap(_: &str) -> anyhow::Result<Provoked> {
    sandbox()?;
    fs::create_dir("lower/in").context("cannot create a folder")?;
    no(overlay("merged", "lowerdir=lower/in:lower"), "mount")
}
