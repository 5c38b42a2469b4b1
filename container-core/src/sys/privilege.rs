//! capget(2), capset(2), prctl(2) and seccomp(2) in the forms the engine needs. Signal-safe, as all of `sys`.

use std::ffi::c_long;

use libc::sock_filter;
use nix::errno::Errno;

use super::check;

/// _LINUX_CAPABILITY_VERSION_3: two 32-bit halves a set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    /// 0 is the caller.
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The caller's permitted capabilities, bit N for number N.
pub(crate) fn permitted_capabilities() -> Result<u64, Errno> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: version 3 takes exactly two halves.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    Ok(u64::from(halves[1].permitted) << 32 | u64::from(halves[0].permitted))
}

/// Make `set` the effective and permitted capabilities; none is inheritable, so that execve(2) by a user other than
/// root ends with none.
pub(crate) fn set_capabilities(set: u64) -> Result<(), Errno> {
    let half = |bits: u64| Half { effective: bits as u32, permitted: bits as u32, inheritable: 0 };
    let mut header = Header { version: VERSION, pid: 0 };
    let halves = [half(set), half(set >> 32)];
    // SAFETY: version 3 takes exactly two halves, which are only read.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) }).map(drop)
}

/// Take from the bounding set everything that is not in `keep`. Ends at the first number the kernel does not know.
pub(crate) fn bound_capabilities(keep: u64) -> Result<(), Errno> {
    for number in (0..64u64).filter(|number| keep >> number & 1 == 0) {
        // SAFETY: integers only.
        match check(c_long::from(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) })) {
            Ok(_) => {}
            Err(Errno::EINVAL) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// PR_SET_KEEPCAPS: setuid(2) away from 0 leaves the permitted set alone.
pub(crate) fn keep_capabilities(keep: bool) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(c_long::from(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(keep), 0, 0, 0) }))
        .map(drop)
}

// The three changes of credentials are made by the kernel's calls, not by glibc's functions: those make all threads of
// the program change, for which they take a lock that another thread may have held when this process was cloned
// (nptl(7)).

/// setgroups(2) of this thread.
pub(crate) fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: pointer and length describe the slice; gid_t is u32.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Whether setgroups(2) is closed in the caller's user namespace, user_namespaces(7): /proc/self/setgroups.
pub(crate) fn groups_are_closed() -> bool {
    let mut word = [0u8; 4];
    // SAFETY: a terminated path; the kernel writes at most the length given, and the descriptor is closed again.
    let length = unsafe {
        let fd = libc::open(c"/proc/self/setgroups".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let length = libc::read(fd, word.as_mut_ptr().cast(), word.len());
        libc::close(fd);
        length
    };
    length == 4 && word == *b"deny"
}

/// setgid(2) of this thread: all four group ids.
pub(crate) fn set_gid(gid: u32) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setgid, gid) }).map(drop)
}

/// setuid(2) of this thread: all four user ids.
pub(crate) fn set_uid(uid: u32) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setuid, uid) }).map(drop)
}

/// PR_SET_NO_NEW_PRIVS.
pub(crate) fn no_new_privileges() -> Result<(), Errno> {
    // SAFETY: integers only.
    check(c_long::from(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })).map(drop)
}

/// PR_SET_DUMPABLE 0, until execve(2): nobody without CAP_SYS_PTRACE on the host opens /proc/PID/exe of this process,
/// which is the engine's own program (CVE-2019-5736).
pub(crate) fn hide_from_inspection() {
    // SAFETY: integers only; 0 is a valid value, so it cannot fail.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}

/// seccomp(SECCOMP_SET_MODE_FILTER).
pub(crate) fn load_seccomp_filter(program: &[sock_filter]) -> Result<(), Errno> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program is as long as it says; the kernel copies and does not change it.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
        .map(drop)
}
