//! Programs that cannot be started: the interpreter, the format, the mount, the arguments, a busy file.

use super::Provoked;
use anyhow::{Context, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::ffi::CString;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;

pub(super) fn without_interpreter(variant: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let content = match variant {
        "elf" => elf(native(), Some("/lib/ld-of-another-system.so.1")),
        "carriage-return" => b"#!/bin/sh\r\necho hello\r\n".to_vec(),
        _ => b"#!/usr/bin/interpreter-of-another-image\n".to_vec(),
    };
    start(&program(&dir, "program", &content)?, &[])
}

pub(super) fn not_there(variant: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let path = dir.join("program");
    if variant == "dangling" {
        std::os::unix::fs::symlink("not-copied-into-the-image", &path)?;
    }
    start(&path, &[])
}

pub(super) fn of_no_format(variant: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let content = match variant {
        "text" => b"echo hello\n".to_vec(),
        "empty" => Vec::new(),
        _ => elf(if native() == 62 { 183 } else { 62 }, None),
    };
    start(&program(&dir, "program", &content)?, &[])
}

pub(super) fn on_noexec(_: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    own_tmpfs(&dir, MsFlags::MS_NOEXEC)?;
    start(&program(&dir, "program", b"#!/bin/sh\n")?, &[])
}

/// A tmpfs with flags of its own, in a mount namespace of its own.
pub(super) fn own_tmpfs(at: &Path, flags: MsFlags) -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    mount(Some("none"), at, Some("tmpfs"), flags, none).context("cannot mount a tmpfs")
}

pub(super) fn too_many_arguments(variant: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let path = program(&dir, "program", b"#!/bin/sh\n")?;
    let arguments = match variant {
        "all" => {
            let stack = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
            // SAFETY: a limit of this process alone, which is thrown away.
            if unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const stack) } != 0 {
                return Err(io::Error::last_os_error()).context("cannot lower RLIMIT_STACK");
            }
            vec!["x".repeat(100_000); 4]
        }
        _ => vec!["x".repeat(140_000)],
    };
    start(&path, &arguments)
}

pub(super) fn its_own_interpreter(_: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let line = format!("#!{}\n", dir.join("program").display());
    let path = program(&dir, "program", line.as_bytes())?;
    start(&path, &[])
}

pub(super) fn busy(variant: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let path = program(&dir, "program", &runnable(WAITS))?;
    if variant == "writing" {
        let _open = OpenOptions::new().write(true).open(&path)?;
        return start(&path, &[]);
    }
    let mut child = std::process::Command::new(&path).spawn().context("cannot start the program")?;
    let result = OpenOptions::new().write(true).open(&path);
    std::thread::sleep(super::LINGER);
    let killed = child.kill();
    let _ = child.wait();
    match result {
        Err(error) => Ok(Provoked::new("openat", error)),
        Ok(_) => bail!("the program was not running any more: {killed:?}"),
    }
}

pub(super) fn without_its_user(variant: &str) -> anyhow::Result<Provoked> {
    let dir = folder()?;
    let flags = if variant == "nosuid" { MsFlags::MS_NOSUID } else { MsFlags::empty() };
    // Nobody else sees this mount, or a set-user-ID program would lie about for everybody.
    own_tmpfs(&dir, flags)?;
    let path = program(&dir, "program", &runnable(ENDS))?;
    // Of "group" the user stays nobody's, the group is root's.
    let mode = if variant == "group" { 0o2755 } else { 0o4755 };
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    let mut command = std::process::Command::new(&path);
    command.uid(super::privileges::USER).gid(super::privileges::USER);
    if variant != "nosuid" {
        let promise = || match super::privileges::promise() {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        // SAFETY: one prctl(2) between fork and execve.
        unsafe { command.pre_exec(promise) };
    }
    let ended = command.status().context("cannot start the program")?;
    if !ended.success() {
        bail!("the program ended with {ended}");
    }
    Ok(Provoked::new("execve", io::Error::other("its set-user-ID bit had no effect")))
}

/// A program that wants CAP_NET_RAW, by a process that can never have it.
pub(super) fn beyond_its_bounds(_: &str) -> anyhow::Result<Provoked> {
    const NET_RAW: u32 = 13;
    let dir = folder()?;
    own_tmpfs(&dir, MsFlags::empty())?;
    let file = program(&dir, "program", &runnable(ENDS))?;
    // struct vfs_cap_data, version 2 with the effective bit: permitted and inheritable, low words first.
    let attribute = [0x0200_0001_u32, 1 << NET_RAW, 0, 0, 0];
    let path = CString::new(file.as_os_str().as_encoded_bytes())?;
    // SAFETY: strings that end in NUL, and a buffer with its length; then numbers only.
    let done = unsafe {
        libc::setxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            attribute.as_ptr().cast(),
            size_of_val(&attribute),
            0,
        ) | libc::prctl(libc::PR_CAPBSET_DROP, NET_RAW, 0, 0, 0)
    };
    if done != 0 {
        return Err(io::Error::last_os_error())
            .context("cannot give the program a capability and drop it here");
    }
    start(&file, &[])
}

/// A temporary folder that everybody may enter.
pub(super) fn folder() -> anyhow::Result<std::path::PathBuf> {
    let dir = std::env::temp_dir().join(format!("diag-fault-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
    Ok(dir)
}

fn program(dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<std::path::PathBuf> {
    let path = dir.join(name);
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Starts it in place of this process, which goes on only where that fails.
fn start(path: &Path, arguments: &[String]) -> anyhow::Result<Provoked> {
    let text = |text: &str| CString::new(text).context("a NUL in an argument");
    let program = text(&path.display().to_string())?;
    let arguments: Vec<CString> = arguments.iter().map(|a| text(a)).collect::<anyhow::Result<_>>()?;
    let mut pointers: Vec<*const libc::c_char> =
        std::iter::once(&program).chain(&arguments).map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let environment = [std::ptr::null::<libc::c_char>()];
    // SAFETY: arrays of strings that end in NULL and live through the call; on success nothing of this process is left.
    unsafe { libc::execve(program.as_ptr(), pointers.as_ptr(), environment.as_ptr()) };
    let error = io::Error::last_os_error();
    std::thread::sleep(super::LINGER);
    if let Some(dir) = path.parent() {
        clear(dir);
    }
    Ok(Provoked::new("execve", error))
}

/// Takes the fault's folder away, and a tmpfs of its own before: what cannot be done would be one more failure to explain.
fn clear(dir: &Path) {
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
    if device(dir) != dir.parent().and_then(device) {
        let _ = umount2(dir, MntFlags::MNT_DETACH);
    }
    let _ = fs::remove_dir_all(dir);
}

/// `EM_X86_64` or `EM_AARCH64` (elf.h).
fn native() -> u16 {
    if cfg!(target_arch = "aarch64") { 183 } else { 62 }
}

/// The smallest ELF file that gets as far as its interpreter, or its machine.
fn elf(machine: u16, interpreter: Option<&str>) -> Vec<u8> {
    let mut out = vec![0_u8; 4096];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &2_u16.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(20, &1_u32.to_le_bytes());
    put(24, &0x40_0000_u64.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(52, &64_u16.to_le_bytes());
    put(54, &56_u16.to_le_bytes());
    put(56, &1_u16.to_le_bytes());
    let path = interpreter.unwrap_or("/");
    let length = path.len() as u64 + 1;
    put(64, &(if interpreter.is_some() { 3_u32 } else { 1 }).to_le_bytes());
    put(68, &5_u32.to_le_bytes());
    put(72, &512_u64.to_le_bytes());
    put(96, &length.to_le_bytes());
    put(104, &length.to_le_bytes());
    put(112, &1_u64.to_le_bytes());
    put(512, path.as_bytes());
    out
}

/// exit(0), and pause(2) or its like until a signal comes, in machine code.
#[cfg(not(target_arch = "aarch64"))]
const ENDS: &[u8] = &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
#[cfg(not(target_arch = "aarch64"))]
const WAITS: &[u8] = &[0xb8, 34, 0, 0, 0, 0x0f, 0x05];
#[cfg(target_arch = "aarch64")]
const ENDS: &[u8] = &[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4];
#[cfg(target_arch = "aarch64")]
const WAITS: &[u8] = &[
    0, 0, 0x80, 0xd2, 1, 0, 0x80, 0xd2, 2, 0, 0x80, 0xd2, 3, 0, 0x80, 0xd2, 0x28, 9, 0x80, 0xd2, 1, 0, 0,
    0xd4,
];

/// The smallest program that runs. Faults do not copy this very program: it is large, and every page of the copy passes
/// through functions that are traced meanwhile, for minutes on an emulated processor.
fn runnable(code: &[u8]) -> Vec<u8> {
    const AT: u64 = 0x40_0000;
    let mut out = elf(native(), None);
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(24, &(AT + 512).to_le_bytes());
    // The whole file is one segment: offset, address (twice), size in the file, size in memory, alignment.
    for (place, value) in [0, AT, AT, 4096, 4096, 4096].into_iter().enumerate() {
        put(72 + place * 8, &value.to_le_bytes());
    }
    put(512, code);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_programs_run() {
        // Another test's fork may hold the file open for writing until it executes something.
        let started = |path: &Path| loop {
            match std::process::Command::new(path).spawn() {
                Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => std::thread::yield_now(),
                child => return child.unwrap(),
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let ends = program(dir.path(), "ends", &runnable(ENDS)).unwrap();
        assert!(started(&ends).wait().unwrap().success());
        let waits = program(dir.path(), "waits", &runnable(WAITS)).unwrap();
        let mut child = started(&waits);
        assert_eq!(child.try_wait().unwrap(), None);
        let busy = OpenOptions::new().write(true).open(&waits).unwrap_err();
        assert_eq!(busy.raw_os_error(), Some(libc::ETXTBSY));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
