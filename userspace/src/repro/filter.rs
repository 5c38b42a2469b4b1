//! Installs a seccomp filter and runs into it, in a child, as a container's process does.

use super::Provoked;
use anyhow::{Context, bail};
use libc::sock_filter;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::io;

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    // keyctl(KEYCTL_GET_KEYRING_ID, 0): harmless where it is allowed.
    let (errno, argument) = match variant {
        "enosys" => (libc::ENOSYS, None),
        "argument" => (libc::EACCES, Some(11)),
        "stacked" => {
            // Of equally strict answers that of the filter installed last counts.
            install(libc::SYS_keyctl, libc::ENOSYS.unsigned_abs(), None)?;
            (libc::EACCES, None)
        }
        _ => (libc::EPERM, None),
    };
    install(libc::SYS_keyctl, errno.unsigned_abs(), argument)?;
    // SAFETY: this process has one thread, and the child makes plain system calls only.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Child => {
            // SAFETY: no pointer is passed.
            let refused = unsafe { libc::syscall(libc::SYS_keyctl, argument.unwrap_or(0), 0, 0, 0, 0) } == -1;
            let code = if refused { io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 };
            std::thread::sleep(super::LINGER);
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).context("cannot wait for the child")? {
            WaitStatus::Exited(_, code) if code == errno => {
                Ok(Provoked::new("keyctl", io::Error::from_raw_os_error(code)))
            }
            other => bail!("the filter did not refuse: {other:?}"),
        },
    }
}

/// Filters of the greatest length, which allow everything, until the kernel takes no other.
pub(super) fn stack(_: &str) -> anyhow::Result<Provoked> {
    const LONGEST: usize = 4096;
    const MOST: usize = 16;
    let mut program = vec![sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }; LONGEST];
    let filter = libc::sock_fprog { len: LONGEST as libc::c_ushort, filter: program.as_mut_ptr() };
    // SAFETY: numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot promise no new privileges");
    }
    for _ in 0..MOST {
        // SAFETY: the program lives across the call.
        let done =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
        if done != 0 {
            let error = io::Error::last_os_error();
            std::thread::sleep(super::LINGER);
            return Ok(Provoked::new("seccomp", error));
        }
    }
    bail!("{MOST} filters of {LONGEST} instructions were taken")
}

/// Refuses one system call, by its first argument if one is given, and allows the rest.
fn install(nr: libc::c_long, errno: u32, argument: Option<u32>) -> anyhow::Result<()> {
    let op = |code: u16, jt: u8, jf: u8, k: u32| sock_filter { code, jt, jf, k };
    let nr = u32::try_from(nr).context("a system call's number")?;
    let mut program = match argument {
        None => vec![op(0x20, 0, 0, 0), op(0x15, 0, 1, nr)],
        // Load nr, compare, load the lower half of the first argument, compare.
        Some(first) => vec![op(0x20, 0, 0, 0), op(0x15, 0, 3, nr), op(0x20, 0, 0, 16), op(0x15, 0, 1, first)],
    };
    program.push(op(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | errno));
    program.push(op(0x06, 0, 0, libc::SECCOMP_RET_ALLOW));
    let len = libc::c_ushort::try_from(program.len()).context("length of a filter")?;
    let filter = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: both calls take no pointer but that of `filter`, which lives across them.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0
    };
    if !done {
        return Err(io::Error::last_os_error()).context("cannot install a seccomp filter");
    }
    Ok(())
}
