//! Namespaces, ids and scheduling that the kernel refuses by rule: each is one call, by a process that has put itself in
//! the state that the rule is about. Nothing but this process, and children that it waits for, is touched.

use super::use_up_namespaces::enter_user_namespace;
use super::{LINGER, Provoked};
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

/// A user and group that exist nowhere.
const NOBODY: u32 = 61_234;
const SIGCHLD: u64 = 17;

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    match variant {
        "new-net" => {
            become_nobody()?;
            refused("unshare", unshare(CloneFlags::CLONE_NEWNET))
        }
        "enter-net" => {
            let other = File::open("/proc/1/ns/net").or_else(|_| File::open("/proc/self/ns/net"))?;
            become_nobody()?;
            setns(&other, libc::CLONE_NEWNET)
        }
        "unmapped" => {
            unshare(CloneFlags::CLONE_NEWUSER).context("cannot make a user namespace")?;
            refused("unshare", unshare(CloneFlags::CLONE_NEWUSER))
        }
        "chrooted" => {
            // SAFETY: a path that ends with NUL.
            Errno::result(unsafe { libc::chroot(c"/proc".as_ptr()) })
                .context("cannot change the root folder")?;
            refused("unshare", unshare(CloneFlags::CLONE_NEWUSER))
        }
        "threads" => with_thread(|| refused("unshare", unshare(CloneFlags::CLONE_NEWUSER))),
        "own-user" => setns(&File::open("/proc/self/ns/user")?, libc::CLONE_NEWUSER),
        "other-type" => setns(&File::open("/proc/self/ns/net")?, libc::CLONE_NEWUTS),
        "mount-and-root" => clone((libc::CLONE_NEWNS | libc::CLONE_FS) as u64 | SIGCHLD),
        "second-pid" => {
            unshare(CloneFlags::CLONE_NEWPID).context("cannot make a pid namespace")?;
            refused("unshare", unshare(CloneFlags::CLONE_NEWPID))
        }
        "first-ended" => {
            unshare(CloneFlags::CLONE_NEWPID).context("cannot make a pid namespace")?;
            end_first_child()?;
            let outcome = clone(SIGCHLD);
            std::thread::sleep(LINGER);
            outcome
        }
        "in-use" => taken_pid(),
        "clone3" => newer_struct(),
        _ => ids(variant),
    }
}

/// Maps of ids, what they do not hold, and scheduling.
fn ids(variant: &str) -> anyhow::Result<Provoked> {
    match variant {
        "empty-range" => {
            unshare(CloneFlags::CLONE_NEWUSER).context("cannot make a user namespace")?;
            wrote("/proc/self/uid_map", "0 0 0")
        }
        "twice" => {
            enter_user_namespace()?;
            wrote("/proc/self/uid_map", "0 0 1")
        }
        "range" => {
            become_nobody()?;
            unshare(CloneFlags::CLONE_NEWUSER).context("cannot make a user namespace")?;
            wrote("/proc/self/uid_map", "0 100000 65536")
        }
        "chown" => {
            let folder = std::env::temp_dir().join(format!("diag-repro-{}", std::process::id()));
            fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            enter_user_namespace()?;
            let path = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes())?;
            // SAFETY: a path that ends with NUL; the user stays.
            let outcome = Errno::result(unsafe { libc::chown(path.as_ptr(), u32::MAX, 42) });
            std::thread::sleep(LINGER);
            fs::remove_dir(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            refused("chown", outcome)
        }
        "denied" => {
            enter_user_namespace()?;
            // SAFETY: no group is read.
            refused("setgroups", Errno::result(unsafe { libc::setgroups(0, std::ptr::null()) }))
        }
        "fifo" => {
            become_nobody()?;
            let parameter = libc::sched_param { sched_priority: 10 };
            // SAFETY: the parameter lives through the call.
            let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
            refused("sched_setscheduler", Errno::result(done))
        }
        "absent" => {
            // SAFETY: a set of bits, all zero being the empty one; the last processor it can name is there nowhere.
            let done = unsafe {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(libc::CPU_SETSIZE as usize - 1, &mut set);
                libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
            };
            refused("sched_setaffinity", Errno::result(done))
        }
        other => bail!("no such variant: {other}"),
    }
}

/// What a call that must fail came to; the process stays for a while, because its state is what is looked at.
fn refused<T>(syscall: &'static str, outcome: nix::Result<T>) -> anyhow::Result<Provoked> {
    let Err(errno) = outcome else { bail!("{syscall} was not refused") };
    std::thread::sleep(LINGER);
    Ok(Provoked::new(syscall, errno.into()))
}

fn become_nobody() -> anyhow::Result<()> {
    // SAFETY: changes the ids of this process, which may be thrown away.
    Errno::result(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) }).context("cannot change the group")?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }).context("cannot change the user")?;
    // After a change of ids /proc/self belongs to root, until the process says that it has no secrets (prctl(2)).
    // SAFETY: only integers are passed.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) })
        .context("cannot own /proc/self")?;
    Ok(())
}

fn setns(target: &File, kind: libc::c_int) -> anyhow::Result<Provoked> {
    // SAFETY: a descriptor of ours.
    refused("setns", Errno::result(unsafe { libc::setns(target.as_raw_fd(), kind) }))
}

fn wrote(file: &str, text: &str) -> anyhow::Result<Provoked> {
    let Err(error) = fs::write(file, text) else { bail!("{file} took {text:?}") };
    std::thread::sleep(LINGER);
    Ok(Provoked::new("write", error))
}

fn clone(flags: u64) -> anyhow::Result<Provoked> {
    // SAFETY: without CLONE_VM this is a fork; a child ends at once.
    let made = unsafe { libc::syscall(libc::SYS_clone, flags, 0_u64, 0_u64, 0_u64, 0_u64) };
    if made == 0 {
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(0) }
    }
    refused("clone", Errno::result(made))
}

fn with_thread(then: impl FnOnce() -> anyhow::Result<Provoked>) -> anyhow::Result<Provoked> {
    let (end, waits) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || waits.recv().ok());
    let outcome = then();
    drop(end);
    let _ = thread.join();
    outcome
}

fn end_first_child() -> anyhow::Result<()> {
    // SAFETY: the child ends at once.
    let child = match unsafe { libc::fork() } {
        // SAFETY: as above.
        0 => unsafe { libc::_exit(0) },
        child => nix::unistd::Pid::from_raw(child),
    };
    nix::sys::wait::waitpid(child, None).context("cannot wait for the first child")?;
    Ok(())
}

/// Writes offsets for the time namespace of this process's children.
pub(super) fn time_offsets(variant: &str) -> anyhow::Result<Provoked> {
    const CLONE_NEWTIME: i32 = 0x80;
    const FILE: &str = "/proc/self/timens_offsets";
    let text = match variant {
        "range" => "boottime 9223372037 0",
        "form" => "realtime 1 0",
        _ => "monotonic 1 0",
    };
    if variant == "first" {
        return wrote(FILE, text);
    }
    // SAFETY: a flag only.
    Errno::result(unsafe { libc::unshare(CLONE_NEWTIME) }).context("cannot make a time namespace")?;
    if variant != "entered" {
        return wrote(FILE, text);
    }
    // SAFETY: the child waits for its end and does nothing else.
    let child = match unsafe { libc::fork() } {
        // SAFETY: as above.
        0 => unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            loop {
                libc::pause();
            }
        },
        child => nix::unistd::Pid::from_raw(child),
    };
    let outcome = wrote(FILE, text);
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).context("cannot end the child")?;
    nix::sys::wait::waitpid(child, None).context("cannot wait for the child")?;
    outcome
}

/// `struct clone_args` (linux/sched.h), as 64-bit words.
fn clone3(args: &mut [u64]) -> anyhow::Result<Provoked> {
    const EXIT_SIGNAL: usize = 4;
    args[EXIT_SIGNAL] = SIGCHLD;
    // SAFETY: the structure has the size given; a child ends at once.
    let made = unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(args)) };
    if made == 0 {
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(0) }
    }
    refused("clone3", Errno::result(made))
}

fn taken_pid() -> anyhow::Result<Provoked> {
    const SET_TID: usize = 8;
    let own = std::process::id() as i32;
    let mut args = [0_u64; 11];
    args[SET_TID] = (&raw const own) as u64;
    args[SET_TID + 1] = 1;
    clone3(&mut args)
}

fn newer_struct() -> anyhow::Result<Provoked> {
    let mut args = [0_u64; 32];
    args[31] = 1;
    clone3(&mut args)
}
