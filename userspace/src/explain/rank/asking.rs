//! Answers that programs collect in passing: no failure, whatever the errno is called.

use crate::model::{Errno, Failure};

/// Errnos that ordinary programs collect by asking whether something is there.
const PROBING: &[Errno] = &[
    Errno::ENOENT,
    Errno::EEXIST,
    Errno(libc::ENOTTY),
    Errno(libc::ESRCH),
    Errno(libc::ENODATA),
    Errno(libc::ECHILD),
];

/// The calls they ask with: on their own these are probing, not failing.
const ASKING: &[&str] = &[
    "access",
    "faccessat",
    "faccessat2",
    "open",
    "openat",
    "openat2",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "readlink",
    "readlinkat",
    "ioctl",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "mkdir",
    "unlink",
    "unlinkat",
    "rmdir",
    "kill",
    "wait4",
    "waitid",
    "connect",
];

/// Calls whose refusal is their answer, each with the errno that says it.
const ANSWERS: &[(&[&str], Errno)] = &[
    // Not a symbolic link: realpath(3) asks so of every part of a path (readlink(2)).
    (&["readlink", "readlinkat"], Errno::EINVAL),
    // Nothing is mounted there: how engines make sure of it before they remove a folder (fs/namespace.c `path_umount`).
    (&["umount", "umount2"], Errno::EINVAL),
    // A pipe or a socket: whether a descriptor can be positioned (lseek(2)).
    (&["lseek"], Errno(libc::ESPIPE)),
    // A file system without such attributes (listxattr(2)): ls(1), cp(1) and tar(1) ask each file.
    (
        &["getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"],
        Errno(libc::EOPNOTSUPP),
    ),
];

/// Whether this is how one learns what is there.
pub(super) fn only_asked(syscall: &str, errno: Errno) -> bool {
    let answers = |(calls, answer): &(&[&str], Errno)| calls.contains(&syscall) && *answer == errno;
    PROBING.contains(&errno) && ASKING.contains(&syscall) || ANSWERS.iter().any(answers)
}

/// Whether the refusal tells what kind of file it is, and the caller has a way for each: Go's runtime gives every file that it
/// opens to epoll (internal/poll `FD.Init`), libuv does to find out (`uv__io_check_fd`); engines ask with
/// RESOLVE_NO_XDEV whether something is mounted there (openat2(2)).
pub(super) fn learns_the_kind(failure: &Failure) -> bool {
    let asked = [("epoll_ctl", Errno::EPERM), ("openat2", Errno(libc::EXDEV))];
    failure.syscall().is_some_and(|call| asked.contains(&call))
}

/// Calls that wait: that nothing was there yet (EAGAIN), that time passed (ETIMEDOUT), or that a signal came in between
/// (EINTR) is how Go's runtime and every event loop live.
const WAITING: &[&str] = &[
    "read",
    "readv",
    "pread64",
    "preadv",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "accept",
    "accept4",
    "futex",
    "msgrcv",
    "mq_timedreceive",
    "semop",
    "semtimedop",
    "rt_sigtimedwait",
    "flock",
    "fcntl",
    "splice",
    "tee",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
];

/// Whether this is how one learns that there is nothing yet.
pub(super) fn only_waited(syscall: &str, errno: Errno) -> bool {
    WAITING.contains(&syscall) && [Errno::EAGAIN, Errno(libc::ETIMEDOUT), Errno(libc::EINTR)].contains(&errno)
}

/// Sockets of helpers that libraries ask in each program, and do without: the name service cache (nscd/nscd-client.h
/// `_PATH_NSCDSOCKET`) and other name services, the system's log (`_PATH_LOG`), the message bus, systemd.
const HELPERS: &[&str] = &[
    "/run/nscd/",
    "/run/systemd/",
    "/run/dbus/",
    "/run/avahi-daemon/",
    "/run/samba/winbindd/",
    "/var/lib/sss/pipes/",
    "/dev/log",
];

pub(super) fn asks_a_helper(failure: &Failure) -> bool {
    let absent = failure.syscall().is_some_and(|(call, errno)| call == "connect" && errno == Errno::ENOENT);
    absent
        && failure.socket_file().is_some_and(|path| {
            let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
            HELPERS.iter().any(|helper| path.starts_with(helper))
        })
}

/// bash looks for a terminal of its own at each start, without waiting (jobs.c `initialize_job_control()`).
pub(super) fn looks_for_a_terminal(failure: &Failure) -> bool {
    let waits = failure.number_arg("flags").is_none_or(|flags| flags & libc::O_NONBLOCK as u64 == 0);
    let absent = failure.syscall().is_some_and(|(_, errno)| errno == Errno(libc::ENXIO));
    absent && !waits && failure.text_arg("pathname") == Some("/dev/tty")
}

/// Engines cover paths that containers shall not see with /dev/null, and bind those that they shall not write to onto
/// themselves: a path that is not there needs neither, and a folder gets a tmpfs instead of the device (runc,
/// libcontainer/rootfs_linux.go `maskPath` and `readonlyPath`; crun does the same).
pub(super) fn is_masking(failure: &Failure) -> bool {
    let missed = failure.syscall().is_some_and(|(call, errno)| {
        call == "mount" && [Errno::ENOENT, Errno(libc::ENOTDIR)].contains(&errno)
    });
    let source = failure.text_arg("source");
    missed && (source == Some("/dev/null") || source.is_some() && source == failure.text_arg("target"))
}
