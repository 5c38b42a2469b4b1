//! Where the process stands in the kernel's other hierarchies: parent, cgroup, session, keyring, host name, working
//! directory.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, sethostname, setsid, write};

use super::{Failure, refused};
use crate::steps::Step;
use crate::sys;

/// Step "die with the engine": PR_SET_PDEATHSIG, prctl(2). The parent may have died before the call took
/// effect; then nobody reads the report pipe any more, which poll(2) tells as POLLERR.
pub(crate) fn die_with_engine(report: BorrowedFd<'_>) -> Result<(), Failure<'static>> {
    sys::die_with_parent().map_err(refused(Step::DieWithEngine, "prctl", c"PR_SET_PDEATHSIG"))?;
    let mut pipe = [PollFd::new(report, PollFlags::empty())];
    let abandoned = poll(&mut pipe, PollTimeout::ZERO).is_ok()
        && pipe[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR));
    if abandoned {
        sys::exit_now(125);
    }
    Ok(())
}

/// Step "become mapped root": user and group 0 of the new user namespace, which the machine knows by another number. Files
/// that the container makes are its root's from here on.
pub(crate) fn become_mapped_root() -> Result<(), Failure<'static>> {
    sys::set_groups(&[]).map_err(refused(Step::MappedRoot, "setgroups", c""))?;
    sys::set_gid(0).map_err(refused(Step::MappedRoot, "setgid", c"0"))?;
    sys::set_uid(0).map_err(refused(Step::MappedRoot, "setuid", c"0"))
}

/// Step "join cgroup": `0` stands for the writing process, so no pid has to be known (cgroups(7)).
pub(crate) fn join_cgroups(procs: &[(OwnedFd, CString)]) -> Result<(), Failure<'_>> {
    for (file, path) in procs {
        write(file.as_fd(), b"0").map_err(refused(Step::JoinCgroup, "write", path))?;
    }
    Ok(())
}

/// Step "unshare cgroup namespace". Not among the clone flags: the namespace is rooted at the groups that the
/// *calling* process is in at that moment (kernel: copy_cgroup_ns), which must already be the container's.
pub(crate) fn unshare_cgroup_namespace() -> Result<(), Failure<'static>> {
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(refused(Step::UnshareCgroups, "unshare", c"CLONE_NEWCGROUP"))
}

/// Step "start new session".
pub(crate) fn start_new_session() -> Result<(), Failure<'static>> {
    setsid().map(drop).map_err(refused(Step::NewSession, "setsid", c""))
}

/// Step "join new session keyring". A kernel without keys has nothing to share.
pub(crate) fn join_new_keyring() -> Result<(), Failure<'static>> {
    match sys::join_new_session_keyring() {
        Ok(()) | Err(Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(refused(Step::NewKeyring, "keyctl", c"KEYCTL_JOIN_SESSION_KEYRING")(errno)),
    }
}

/// Step "set hostname".
pub(crate) fn set_hostname(name: &CStr) -> Result<(), Failure<'_>> {
    sethostname(OsStr::from_bytes(name.to_bytes())).map_err(refused(Step::SetHostname, "sethostname", name))
}

/// Step "enter working directory", after the pivot.
pub(crate) fn enter_working_dir(dir: &CStr) -> Result<(), Failure<'_>> {
    chdir(dir).map_err(refused(Step::EnterWorkingDir, "chdir", dir))
}

/// Step "join namespaces": all of the target's at once through its pidfd, setns(2), kernel ≥ 5.8. Also moves
/// root and working directory to the root of its mount namespace.
pub(crate) fn join_namespaces(target: &OwnedFd, flags: CloneFlags) -> Result<(), Failure<'static>> {
    nix::sched::setns(target.as_fd(), flags).map_err(refused(
        Step::JoinNamespaces,
        "setns",
        c"the container's first process",
    ))
}

/// The number of the caller's mount namespace: inode of /proc/self/ns/mnt, 0 where that cannot be read.
pub(crate) fn mount_namespace() -> u64 {
    nix::sys::stat::stat(c"/proc/self/ns/mnt").map_or(0, |found| found.st_ino)
}

/// Step "close inherited descriptors": 0, 1 and 2 stay, and the report pipe as descriptor 3, which closes
/// itself at execve(2). Returns the number of the report pipe.
pub(crate) fn close_descriptors(report: &OwnedFd) -> Result<i32, Failure<'static>> {
    const REPORT: i32 = 3;
    if report.as_raw_fd() != REPORT {
        // SAFETY: plain descriptor duplication; whatever was open as 3 is the engine's and is closed in this
        // process only, which never drops the value that owns it.
        let ret = unsafe { libc::dup3(report.as_raw_fd(), REPORT, libc::O_CLOEXEC) };
        Errno::result(ret).map_err(refused(Step::CloseDescriptors, "dup3", c"3"))?;
    }
    // SAFETY: this process ends in execve(2) or _exit(2) and drops no owner of a closed descriptor.
    unsafe { sys::close_range(REPORT as u32 + 1, u32::MAX) }.map_err(refused(
        Step::CloseDescriptors,
        "close_range",
        c"4",
    ))?;
    Ok(REPORT)
}
