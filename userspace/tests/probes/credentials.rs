//! What a task may do, as it was when its call was refused.

use crate::scene::{Child, Seen, c, collect_until, mount, skip, watch};
use diag::capture::errno_watch::{ErrnoWatch, Scope};
use diag::model::{Credentials, Errno, FIRST_USER_NAMESPACE};

const CAP_SYS_ADMIN: u32 = 21;
const CAP_NET_RAW: u32 = 13;
const NOBODY: u32 = 65_534;

/// The credentials of a child that prepares itself and is then refused a mount. The folder is looked for before
/// anybody is asked for a capability (fs/namespace.c `do_mount`).
fn of_child(watch: &mut ErrnoWatch, prepare: impl FnOnce() -> bool, errno: Errno) -> Option<Credentials> {
    let target = if errno == Errno::ENOENT { "/no/such/target" } else { "/proc" };
    let (target, fstype) = (c(target), c("tmpfs"));
    let child = Child::start(|_| match prepare() {
        false => 77,
        true if mount(&target, &target, &fstype, 0, &c("")) == errno.0 => 0,
        true => 1,
    });
    let pid = child.pid;
    match child.end() {
        0 => {}
        77 => return None,
        code => panic!("the child did not fail as it should: {code}"),
    }
    let mut seen = Seen::default();
    collect_until(watch, &mut seen, "the mount", |seen, _| !seen.of(pid, "mount", errno).is_empty());
    let failure = seen.of(pid, "mount", errno)[0];
    println!("{:?}", failure.task.credentials);
    Some(failure.task.credentials.expect("the self check agreed, so there are credentials"))
}

#[test]
fn root_and_its_capabilities() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let own = u64::from_str_radix(line.trim(), 16).unwrap();
    let seen = of_child(&mut watch, || true, Errno::ENOENT).unwrap();
    assert_eq!((seen.euid, seen.capabilities), (0, own));
    assert_eq!((seen.userns_level, seen.user_ns), (0, FIRST_USER_NAMESPACE));
    assert!(seen.capable(CAP_SYS_ADMIN));
    assert_eq!(seen.no_new_privs, Some(false));
    assert_eq!(seen.owners.mnt.and_then(|owner| seen.may(CAP_SYS_ADMIN, owner)), Some(true));
    for owner in [seen.owners.mnt, seen.owners.net, seen.owners.uts, seen.owners.ipc] {
        assert!(owner.is_some(), "{seen:?}");
    }
}

#[test]
fn a_user_without_any() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let prepare = || {
        // SAFETY: plain system calls that change this process only; it keeps its real user id.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && libc::setresuid(0, NOBODY, NOBODY) == 0
        }
    };
    let seen = of_child(&mut watch, prepare, Errno::EPERM).unwrap();
    assert_eq!((seen.euid, seen.capabilities), (NOBODY, 0));
    assert!(seen.in_first_namespace());
    assert_eq!(seen.no_new_privs, Some(true));
    assert_eq!(seen.owners.mnt.and_then(|owner| seen.may(CAP_SYS_ADMIN, owner)), Some(false));
}

#[test]
fn all_capabilities_in_a_namespace_that_does_not_own_the_mounts() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    // SAFETY: a plain system call that changes this process only.
    let prepare = || unsafe { libc::unshare(libc::CLONE_NEWUSER) == 0 };
    let Some(seen) = of_child(&mut watch, prepare, Errno::EPERM) else {
        return skip("this machine lets nobody make a user namespace");
    };
    assert_eq!(seen.userns_level, 1);
    assert_ne!(seen.user_ns, FIRST_USER_NAMESPACE);
    assert!(seen.has(CAP_SYS_ADMIN) && seen.has(CAP_NET_RAW) && !seen.capable(CAP_SYS_ADMIN));
    assert_eq!(seen.owners.mnt, Some(FIRST_USER_NAMESPACE));
    assert_eq!(seen.owners.mnt.and_then(|owner| seen.may(CAP_SYS_ADMIN, owner)), Some(false));
    assert_eq!(seen.may(CAP_SYS_ADMIN, seen.user_ns), Some(true));
}
