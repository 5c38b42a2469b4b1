//! Asks for what needs a capability, a promise or a layer that is not there.

use super::{Provoked, refuse_mounts, use_up_namespaces::enter_user_namespace};
use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::io;

/// `nobody` of most systems.
pub(super) const USER: u32 = 65_534;

pub(super) fn lack(variant: &str) -> anyhow::Result<Provoked> {
    let (capability, syscall): (u32, &'static str) = match variant {
        "setuid" => (7, "setuid"),
        "hostname" => (21, "sethostname"),
        "module" => (16, "delete_module"),
        "user-namespace" => (25, "clock_settime"),
        _ => (18, "chroot"),
    };
    if variant == "user-namespace" {
        enter_user_namespace()?;
    } else {
        drop_capability(capability)?;
    }
    // SAFETY: strings are static and end in NUL, the time is valid; where the call succeeds nothing but this process,
    // which is thrown away, is another.
    let result = unsafe {
        match syscall {
            "setuid" => libc::syscall(libc::SYS_setuid, USER),
            "sethostname" => {
                nix::sched::unshare(nix::sched::CloneFlags::empty()).ok();
                libc::syscall(libc::SYS_sethostname, c"".as_ptr(), 0)
            }
            "delete_module" => libc::syscall(libc::SYS_delete_module, c"no_such_module".as_ptr(), 0),
            "clock_settime" => {
                let mut now: libc::timespec = std::mem::zeroed();
                libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
                libc::syscall(libc::SYS_clock_settime, libc::CLOCK_REALTIME, &raw const now)
            }
            _ => libc::syscall(libc::SYS_chroot, c"/".as_ptr()),
        }
    };
    refused(result, syscall)
}

pub(super) fn sandbox(variant: &str) -> anyhow::Result<Provoked> {
    become_user()?;
    if variant == "landlock" {
        let ruleset = ruleset()?;
        // SAFETY: plain numbers.
        return refused(
            unsafe { libc::syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) },
            "landlock_restrict_self",
        );
    }
    let mut allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: &raw mut allow };
    // SAFETY: the program lives through the call.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    refused(result, "seccomp")
}

pub(super) fn layers(_: &str) -> anyhow::Result<Provoked> {
    let ruleset = ruleset()?;
    promise()?;
    for _ in 0..64 {
        // SAFETY: plain numbers.
        let result = unsafe { libc::syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) };
        if result != 0 {
            return refused(result, "landlock_restrict_self");
        }
    }
    bail!("64 layers of Landlock were not refused")
}

pub(super) fn outside(variant: &str) -> anyhow::Result<Provoked> {
    /// `LANDLOCK_ACCESS_FS_EXECUTE`: any domain about files forbids to move them to other folders.
    const EXECUTE: u64 = 1;
    let moves = variant == "rename";
    if moves {
        refuse_mounts::sandbox()?;
        std::fs::File::create("a/file").context("cannot create a file")?;
    }
    let ruleset = handling(if moves { EXECUTE } else { READ_FILE })?;
    promise()?;
    // SAFETY: plain numbers; the domain ends with this process.
    if unsafe { libc::syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot restrict this process");
    }
    if moves {
        return refuse_mounts::refused(std::fs::rename("a/file", "b/file"), "rename");
    }
    match std::fs::File::open("/proc/self/status") {
        Err(error) => {
            std::thread::sleep(super::LINGER);
            Ok(Provoked::new("openat", error))
        }
        Ok(_) => bail!("Landlock did not refuse"),
    }
}

const LANDLOCK_CREATE_RULESET: libc::c_long = 444;
const LANDLOCK_RESTRICT_SELF: libc::c_long = 446;

/// `LANDLOCK_ACCESS_FS_READ_FILE`.
const READ_FILE: u64 = 1 << 2;

/// A ruleset that handles reading of files, and allows none.
fn ruleset() -> anyhow::Result<libc::c_long> {
    handling(READ_FILE)
}

fn handling(access: u64) -> anyhow::Result<libc::c_long> {
    let attribute = [access];
    // SAFETY: the attribute lives through the call.
    let fd = unsafe { libc::syscall(LANDLOCK_CREATE_RULESET, attribute.as_ptr(), 8, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error()).context("this kernel has no Landlock");
    }
    Ok(fd)
}

pub(super) fn promise() -> anyhow::Result<()> {
    // SAFETY: plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot set no_new_privs");
    }
    Ok(())
}

/// Becomes an unprivileged user for good.
pub(super) fn become_user() -> anyhow::Result<()> {
    let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
    setgroups(&[]).context("cannot drop groups")?;
    setresgid(gid, gid, gid).context("cannot change the group")?;
    setresuid(uid, uid, uid).context("cannot change the user")?;
    // SAFETY: plain numbers; so that /proc/self stays this user's.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
    Ok(())
}

/// Takes one capability out of all sets of this process (capget(2), version 3).
fn drop_capability(capability: u32) -> anyhow::Result<()> {
    let header = [0x2008_0522_u32, 0];
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: a header and two sets of three words, as version 3 has them.
    unsafe {
        if libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error()).context("cannot read capabilities");
        }
        for set in &mut sets[capability as usize / 32] {
            *set &= !(1 << (capability % 32));
        }
        if libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) != 0 {
            return Err(io::Error::last_os_error()).context("cannot drop a capability");
        }
    }
    Ok(())
}

fn refused(result: libc::c_long, syscall: &'static str) -> anyhow::Result<Provoked> {
    let error = io::Error::last_os_error();
    if result >= 0 {
        bail!("{syscall} was not refused");
    }
    std::thread::sleep(super::LINGER);
    Ok(Provoked::new(syscall, error))
}
