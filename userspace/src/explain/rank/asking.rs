//! Answers that programs collect in passing: no failure, whatever the errno is called.

use crate::model::Errno;

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

/// Whether this is how one learns what is there.
pub(super) fn only_asked(syscall: &str, errno: Errno) -> bool {
    PROBING.contains(&errno) && ASKING.contains(&syscall)
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
