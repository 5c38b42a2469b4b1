//! Files that may not be opened, removed or written to, by their mode, their mount, or what they are.

use super::privileges::become_user;
use super::programs::{folder, own_tmpfs};
use super::{Provoked, use_up_namespaces::enter_user_namespace};
use anyhow::{Context, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{ForkResult, fork};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

pub(super) fn by_mode(variant: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let file = dir.join("file");
    fs::write(&file, "x")?;
    let mode = if variant == "search" { 0o700 } else { 0o755 };
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    fs::set_permissions(&dir, Permissions::from_mode(mode))?;
    become_user()?;
    match variant {
        "execute" => {
            use std::os::unix::process::CommandExt;
            told(Err(std::process::Command::new(&file).exec()), "execve")
        }
        "create" => told(File::create(dir.join("new")).map(drop), "openat"),
        _ => told(File::open(&file).map(drop), "openat"),
    }
}

pub(super) fn device_node(_: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    own_tmpfs(&dir, MsFlags::MS_NODEV)?;
    let node = dir.join("null");
    mknod(&node, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3))
        .context("cannot make a node")?;
    told(File::open(&node).map(drop), "openat")
}

pub(super) fn sysctl(variant: &str) -> anyhow::Result<Provoked> {
    if variant == "user" {
        become_user()?;
    } else {
        become_user().ok();
        enter_user_namespace()?;
    }
    told(OpenOptions::new().write(true).open("/proc/sys/kernel/threads-max").map(drop), "openat")
}

pub(super) fn sysctl_value(variant: &str) -> anyhow::Result<Provoked> {
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
    let (file, word) = match variant {
        "range" => ("/proc/sys/net/ipv4/tcp_syn_retries", "9999"),
        _ => ("/proc/sys/net/ipv4/ip_forward", "yes"),
    };
    let mut file =
        OpenOptions::new().write(true).open(file).with_context(|| format!("cannot open {file}"))?;
    let result = file.write_all(word.as_bytes());
    let told = told(result, "write");
    drop(file);
    told
}

pub(super) fn hidden(_: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS).context("cannot make namespaces")?;
    // The first child of a new pid namespace is its init, which root owns.
    // SAFETY: this process has one thread.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Child => {
            let none = None::<&str>;
            let _ = mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none);
            let mounted = mount(Some("proc"), &dir, Some("proc"), MsFlags::empty(), Some("hidepid=1"));
            // SAFETY: as above.
            let code = match (mounted, unsafe { fork() }) {
                (Ok(()), Ok(ForkResult::Child)) => look_into(&dir.join("1/status")),
                (Ok(()), Ok(ForkResult::Parent { child })) => match nix::sys::wait::waitpid(child, None) {
                    Ok(nix::sys::wait::WaitStatus::Exited(_, code)) => code,
                    _ => 0,
                },
                _ => 0,
            };
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => match nix::sys::wait::waitpid(child, None).context("cannot wait")? {
            nix::sys::wait::WaitStatus::Exited(_, code) if code != 0 => {
                Ok(Provoked::new("openat", io::Error::from_raw_os_error(code)))
            }
            other => bail!("nothing was hidden: {other:?}"),
        },
    }
}

fn look_into(path: &std::path::Path) -> i32 {
    if become_user().is_err() {
        return 0;
    }
    let code = File::open(path).err().and_then(|e| e.raw_os_error()).unwrap_or(0);
    std::thread::sleep(super::LINGER);
    code
}

pub(super) fn sticky(variant: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let file = dir.join("file");
    fs::write(&file, "x")?;
    fs::set_permissions(&dir, Permissions::from_mode(0o1777))?;
    become_user()?;
    match variant {
        "rename" => told(fs::rename(&file, dir.join("other")), "rename"),
        _ => told(fs::remove_file(&file), "unlink"),
    }
}

pub(super) fn profile(_: &str) -> anyhow::Result<Provoked> {
    let files = ["/proc/self/attr/apparmor/exec", "/proc/self/attr/exec"];
    let file = files.iter().find_map(|file| OpenOptions::new().write(true).open(file).ok());
    let mut file = file.context("this kernel has no AppArmor")?;
    let result = file.write_all(b"exec no-such-profile");
    let told = told(result, "write");
    drop(file);
    told
}

fn told(result: io::Result<()>, syscall: &'static str) -> anyhow::Result<Provoked> {
    match result {
        Err(error) => {
            std::thread::sleep(super::LINGER);
            Ok(Provoked::new(syscall, error))
        }
        Ok(()) => bail!("{syscall} was not refused"),
    }
}
