//! The system calls that neither std nor nix offers, one wrapper each, and nothing else.
//!
//! All of them are plain traps into the kernel: no allocation, no lock, so they may be used between clone(2)
//! and execve(2) even when the calling program has other threads.

mod bpf;
mod descriptors;
mod mounts;
mod privilege;

use std::ffi::c_long;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

pub(crate) use bpf::{Instruction, attach_device_program, load_device_program};
pub(crate) use descriptors::{receive_descriptor, send_descriptor};
pub(crate) use mounts::{make_tree_read_only, map_tree, move_mount, open_tree_clone};
pub(crate) use privilege::{
    bound_capabilities, groups_are_closed, hide_from_inspection, keep_capabilities, load_seccomp_filter,
    no_new_privileges, permitted_capabilities, set_capabilities, set_gid, set_groups, set_uid,
};

/// clone(2) flags above 32 bits: libc declares them as `c_int`, where they are cut off to zero.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A new time namespace, time_namespaces(7), kernel ≥ 5.6. In clone(2) this bit belongs to the exit signal, so only
/// clone3(2) knows it.
pub(crate) const CLONE_NEWTIME: u64 = 0x80;

fn check(ret: c_long) -> Result<c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}

/// What clone returns in each of the two processes.
pub(crate) enum Cloned {
    /// This is the new process.
    Child,
    /// This is the caller: the new process's id and, if the kernel gave one, its pidfd.
    Parent(i32, Option<OwnedFd>),
}

/// clone3(2): a child in new namespaces, optionally born inside a cgroup v2 (kernel ≥ 5.7), with its pidfd.
/// Falls back to clone(2) where clone3 does not exist or is hidden by a seccomp filter (ENOSYS).
/// The second value is true when the child really was born in that cgroup.
///
/// # Safety
/// The child is a copy of the calling thread alone. Until it calls execve(2) or _exit(2) it may only use what
/// signal-safety(7) allows: another thread may have held the allocator's lock at the time of the copy.
pub(crate) unsafe fn clone_process(
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<(Cloned, bool), Errno> {
    let mut pidfd: libc::c_int = -1;
    let mut args: libc::clone_args = zeroed_clone_args();
    args.flags = namespaces | CLONE_CLEAR_SIGHAND | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd.as_raw_fd() as u64;
    }
    // SAFETY: args is a valid clone_args of the size passed; no CLONE_VM, so the child has its own stack.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    match check(ret) {
        Ok(0) => Ok((Cloned::Child, cgroup.is_some())),
        Ok(pid) => Ok((Cloned::Parent(pid as i32, adopt(pidfd)), cgroup.is_some())),
        Err(Errno::ENOSYS) => {
            // SAFETY: the caller's promise covers this clone as well.
            unsafe { clone_without_clone3(namespaces) }.map(|cloned| (cloned, false))
        }
        Err(errno) => Err(errno),
    }
}

/// clone(2) with the same flags, but without CLONE_INTO_CGROUP, CLONE_CLEAR_SIGHAND and CLONE_NEWTIME, which it lacks.
unsafe fn clone_without_clone3(namespaces: u64) -> Result<Cloned, Errno> {
    let mut pidfd: libc::c_int = -1;
    let flags = (namespaces & !CLONE_NEWTIME) | libc::CLONE_PIDFD as u64 | libc::SIGCHLD as u64;
    // SAFETY: no CLONE_VM and a null stack mean "a copy of mine"; parent_tid receives the pidfd.
    let ret = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, &raw mut pidfd, 0usize, 0usize) };
    match check(ret)? {
        0 => Ok(Cloned::Child),
        pid => Ok(Cloned::Parent(pid as i32, adopt(pidfd))),
    }
}

/// clone(2) of a plain child, as fork(2).
///
/// # Safety
/// As [`clone_process`].
pub(crate) unsafe fn clone_child() -> Result<i32, Errno> {
    // SAFETY: no CLONE_VM, so a null stack is right; the other pointers are unused without their flags.
    check(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0usize, 0usize, 0usize, 0usize) })
        .map(|pid| pid as i32)
}

/// clone(2) of a sibling: the new process is a child of the caller's parent (CLONE_PARENT). Used by `exec`,
/// whose middle process joins the namespaces and leaves.
///
/// # Safety
/// As [`clone_process`].
pub(crate) unsafe fn clone_sibling() -> Result<i32, Errno> {
    let flags = libc::CLONE_PARENT as u64 | libc::SIGCHLD as u64;
    // SAFETY: no CLONE_VM, so a null stack is right; the other pointers are unused without their flags.
    check(unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) })
        .map(|pid| pid as i32)
}

fn zeroed_clone_args() -> libc::clone_args {
    // SAFETY: clone_args is a struct of integers, for which all zeroes is a valid value (and the documented
    // way to leave a field unused).
    unsafe { std::mem::zeroed() }
}

fn adopt(fd: libc::c_int) -> Option<OwnedFd> {
    // SAFETY: the kernel has just created this descriptor for us; nobody else owns it.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// pidfd_open(2).
pub(crate) fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: two integers, no memory.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// How a process ended, as waitid(2) tells it. nix's wrapper knows no real-time signals.
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
}

/// waitid(2) on a pidfd of our own child: waits for its end and reaps it.
pub(crate) fn wait_pidfd(pidfd: BorrowedFd<'_>) -> Result<Ended, Errno> {
    // SAFETY: siginfo_t is plain data that the kernel fills; the fields read are those of a SIGCHLD.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        check(c_long::from(libc::waitid(
            libc::P_PIDFD,
            pidfd.as_raw_fd() as libc::id_t,
            &raw mut info,
            libc::WEXITED,
        )))?;
        Ok(match info.si_code {
            libc::CLD_EXITED => Ended::Code(info.si_status()),
            _ => Ended::Signal(info.si_status()),
        })
    }
}

/// pidfd_send_signal(2).
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // SAFETY: integers and a null siginfo, which stands for "as kill(2) would fill it".
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, 0usize, 0) })
        .map(drop)
}

/// close_range(2): close every descriptor from `first` to `last`, both included. Kernel ≥ 5.9.
///
/// # Safety
/// No Rust value that owns one of these descriptors may be used or dropped afterwards.
pub(crate) unsafe fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: integers only; ownership is the caller's promise.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL): a new anonymous session keyring.
pub(crate) fn join_new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0usize) }).map(drop)
}

/// prctl(PR_SET_PDEATHSIG, SIGKILL).
pub(crate) fn die_with_parent() -> Result<(), Errno> {
    // SAFETY: integers only.
    check(c_long::from(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })).map(drop)
}

/// _exit(2): leave without running destructors or exit handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns; that it skips clean-up is its purpose in a forked child.
    unsafe { libc::_exit(code) }
}

/// Every signal back to its default action, none blocked: what execve(2) alone does not do for ignored
/// signals (the Rust runtime ignores SIGPIPE, and an ignored signal stays ignored across execve).
pub(crate) fn default_signals() {
    // Those two nobody can change: the kernel would refuse it.
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: SIG_DFL installs no handler; glibc refuses its own two signals, harmlessly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Writing to a pipe that nobody reads is an error to handle (EPIPE), not a reason to die.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
