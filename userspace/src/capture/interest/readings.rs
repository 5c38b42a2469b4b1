//! What the probe reads beside the record when a call of interest fails: data, no code.

use diag_abi::{
    ROW_ADDRESS_FIFTH, ROW_ADDRESS_MESSAGE, ROW_ADDRESS_SECOND, ROW_ANONYMOUS_MOUNTS, ROW_EXEC, ROW_FD,
    ROW_FLAGS_ARG, ROW_FLAGS_STRUCT, ROW_MEMORY, ROW_OPTION, ROW_PINNED, ROW_QUEUES, ROW_SIGNALS,
    ROW_SIGNALS_TO, ROW_SOCKET, ROW_SOCKET_FD, ROW_TASKS,
};

/// Calls that read the mount count of the task's mount namespace.
pub(super) const MOUNT_FAMILY: &[&str] = &[
    "mount",
    "umount2",
    "umount",
    "open_tree",
    "open_tree_attr",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "pivot_root",
    "clone",
    "clone3",
    "unshare",
];

/// What is read about limits when one of these is refused.
pub(super) const LIMIT_READINGS: &[(&[&str], u32)] = &[
    (&["clone"], ROW_TASKS | ROW_FLAGS_ARG),
    (&["clone3"], ROW_TASKS | ROW_FLAGS_STRUCT),
    (&["fork", "vfork"], ROW_TASKS),
    (&["unshare"], ROW_FLAGS_ARG),
    (&["execve", "execveat"], ROW_EXEC),
    (&["fsmount", "open_tree"], ROW_ANONYMOUS_MOUNTS),
    (&["socket", "socketpair"], ROW_SOCKET),
    (&["bind", "connect"], ROW_SOCKET | ROW_SOCKET_FD | ROW_ADDRESS_SECOND),
    (&["listen", "accept", "accept4", "recvfrom", "recvmsg", "getsockopt"], ROW_SOCKET | ROW_SOCKET_FD),
    (&["sendto"], ROW_SOCKET | ROW_SOCKET_FD | ROW_ADDRESS_FIFTH),
    (&["sendmsg", "sendmmsg"], ROW_SOCKET | ROW_SOCKET_FD | ROW_ADDRESS_MESSAGE),
    (&["setsockopt"], ROW_SOCKET | ROW_SOCKET_FD | ROW_OPTION),
    (
        &["mmap", "mmap2", "munmap", "mprotect", "mremap", "mlock", "mlock2", "mlockall", "madvise", "shmat"],
        ROW_MEMORY,
    ),
    // Before 5.11 maps and programs count too (kernel/bpf/syscall.c `bpf_charge_memlock`).
    (&["io_uring_setup", "io_uring_register", "bpf"], ROW_PINNED),
    (&["timer_create"], ROW_SIGNALS),
    (&["rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill"], ROW_SIGNALS_TO),
    (&["mq_open"], ROW_QUEUES),
    (
        &[
            "write",
            "pwrite64",
            "writev",
            "pwritev",
            "pwritev2",
            "read",
            "pread64",
            "fallocate",
            "ftruncate",
            "sendfile",
            "fsync",
            "fdatasync",
            "fchmod",
            "fchown",
            "fsetxattr",
            "ioctl",
            "flock",
            "fcntl",
            "setns",
        ],
        ROW_FD,
    ),
];
