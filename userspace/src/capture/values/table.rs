//! The recipes: for each family of system calls, the kernel values that its refusals are about.
//!
//! A name that begins with `~` is only an operand; all others become readings of their own. Members are looked up
//! by name and type, variables by name; where kernels differ a value stands twice, and the one that this kernel has
//! is read. Names of variables are those of the kernel's source (the file is named beside each).

use super::Place::{AroundInode, Caller, Chosen, Later, Task, Variable};
use super::{Add, Place, Set, Step, Then};
use crate::capture::btf::Want::{Int, Pointer, Sized, StructArray};
use libc::{
    EACCES, EAGAIN, EBADF, EDQUOT, EINVAL, ELOOP, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC, EPERM,
    ETOOMANYREFS, EXDEV,
};

pub(super) const CRED: Step = ("task_struct", "cred", Pointer("cred"));
pub(super) const USER: Step = ("cred", "user", Pointer("user_struct"));
pub(super) const SIGNAL: Step = ("task_struct", "signal", Pointer("signal_struct"));
pub(super) const MM: Step = ("task_struct", "mm", Pointer("mm_struct"));
pub(super) const NSPROXY: Step = ("task_struct", "nsproxy", Pointer("nsproxy"));

pub(super) type Named = (&'static str, Place);

/// The task's effective capabilities, which the kernel asked before it said no.
pub(super) const CAPS: Named = ("CapEff", Task(&[CRED, ("cred", "cap_effective", Sized(8))], &[]));
/// The Landlock domain of the task: the first word of its credentials' blob, where Landlock's part of the blob begins
/// at 0, which the second value says (security/landlock/cred.h `landlock_cred()`).
pub(super) const DOMAIN: Named = (
    "~landlock domain",
    Task(&[CRED, ("cred", "security", Sized(8)), ("landlock_cred_security", "domain", Sized(8))], &[]),
);
pub(super) const BLOB: Named =
    ("~landlock blob", Variable("landlock_blob_sizes", Some(("lsm_blob_sizes", "lbs_cred", Int(4))), 4));
pub(super) const FSUID: Named = ("fsuid", Task(&[CRED, ("cred", "fsuid.val", Int(4))], &[]));

/// The soft limit; `struct rlimit` is two words, numbers are those of include/uapi/asm-generic/resource.h.
pub(super) const fn rlimit(add: &'static [Add]) -> Place {
    Task(&[SIGNAL, ("signal_struct", "rlim", StructArray("rlimit"))], add)
}

/// The soft limit with this number.
macro_rules! soft {
    ($number:literal) => {
        rlimit(&[Add::Bytes($number * 16), Add::Member(("rlimit", "rlim_cur", Int(8)))])
    };
}

pub(super) use soft;

pub(super) const NOFILE: Named = ("~nofile", soft!(7));
pub(super) const MEMLOCK: Named = ("~memlock", soft!(8));

pub(super) const fn variable(name: &'static str, bytes: u8) -> Place {
    Variable(name, None, bytes)
}

/// fs/file_table.c. The counter is per processor; its common part is what the kernel compares first.
const FILES: Named = ("~files", Variable("nr_files", Some(("percpu_counter", "count", Int(8))), 8));
const FILE_MAX: Named =
    ("~file-max", Variable("files_stat", Some(("files_stat_struct", "max_files", Int(8))), 8));

pub(super) const TOTAL_VM: Named = ("~total_vm", Task(&[MM, ("mm_struct", "total_vm", Int(8))], &[]));
/// Pages that rings, maps and sockets of the user hold (`user_struct.locked_vm`).
pub(super) const USER_LOCKED: Named =
    ("~user_locked", Task(&[CRED, USER, ("user_struct", "locked_vm.counter", Int(8))], &[]));

/// fs/pipe.c.
const PIPE_BUFS: Named =
    ("~pipe_bufs", Task(&[CRED, USER, ("user_struct", "pipe_bufs.counter", Int(8))], &[]));
const PIPE_HARD: Named = ("fs.pipe-user-pages-hard", variable("pipe_user_pages_hard", 8));
const PIPE_SOFT: Named = ("fs.pipe-user-pages-soft", variable("pipe_user_pages_soft", 8));

/// The file behind the first argument: `struct shmem_inode_info` (include/linux/shmem_fs.h).
pub(super) const SEALS: Named =
    ("file seals", AroundInode(0, "shmem_inode_info", "vfs_inode", ("shmem_inode_info", "seals", Int(4))));

/// Descriptors, watches, keys, sockets.
pub(super) const OBJECTS: &[Set] = &[
    Set {
        calls: &["open", "openat", "creat"],
        errnos: &[ENFILE, EMFILE, ENOSPC, EACCES, EPERM],
        then: Then::Nothing,
        values: &[
            FILES,
            FILE_MAX,
            CAPS,
            FSUID,
            NOFILE,
            // fs/devpts/inode.c
            ("~ptys", variable("pty_count", 4)),
            ("kernel.pty.max", variable("pty_limit", 4)),
            ("kernel.pty.reserve", variable("pty_reserve", 4)),
            // fs/namei.c
            ("fs.protected_symlinks", variable("sysctl_protected_symlinks", 4)),
            ("fs.protected_fifos", variable("sysctl_protected_fifos", 4)),
            ("fs.protected_regular", variable("sysctl_protected_regular", 4)),
            // kernel/printk/printk.c, for /dev/kmsg
            ("kernel.dmesg_restrict", variable("dmesg_restrict", 4)),
            DOMAIN,
            BLOB,
        ],
    },
    Set {
        calls: &[
            "pipe",
            "pipe2",
            "fcntl",
            "dup",
            "dup2",
            "dup3",
            "socket",
            "socketpair",
            "accept",
            "accept4",
            "epoll_create",
            "epoll_create1",
            "eventfd",
            "eventfd2",
            "timerfd_create",
            "signalfd",
            "signalfd4",
            "memfd_create",
            "pidfd_open",
            "poll",
            "ppoll",
            "memfd_secret",
        ],
        errnos: &[ENFILE, EMFILE, EPERM, EBADF, EINVAL, EACCES],
        then: Then::Nothing,
        values: &[
            FILES,
            FILE_MAX,
            CAPS,
            NOFILE,
            PIPE_BUFS,
            PIPE_HARD,
            PIPE_SOFT,
            ("fs.pipe-max-size", variable("pipe_max_size", 4)),
            SEALS,
            // Of the pid namespace, since 6.3.
            (
                "vm.memfd_noexec",
                Task(
                    &[
                        NSPROXY,
                        ("nsproxy", "pid_ns_for_children", Pointer("pid_namespace")),
                        ("pid_namespace", "memfd_noexec_scope", Int(4)),
                    ],
                    &[],
                ),
            ),
        ],
    },
    Set {
        calls: &["openat2"],
        errnos: &[ENFILE, EMFILE, EACCES, EPERM, EXDEV, ELOOP],
        then: Then::Nothing,
        values: &[
            FILES,
            FILE_MAX,
            CAPS,
            FSUID,
            NOFILE,
            ("fs.protected_symlinks", variable("sysctl_protected_symlinks", 4)),
            ("fs.protected_fifos", variable("sysctl_protected_fifos", 4)),
            ("fs.protected_regular", variable("sysctl_protected_regular", 4)),
            // struct open_how { flags, mode, resolve }
            ("open_how.resolve", Caller(2, 16, 8)),
            DOMAIN,
            BLOB,
        ],
    },
    // What Landlock has a say in, beside opening (security/landlock/fs.c, task.c).
    Set {
        calls: &[
            "rename",
            "renameat",
            "renameat2",
            "mkdir",
            "mkdirat",
            "rmdir",
            "unlink",
            "unlinkat",
            "symlink",
            "symlinkat",
            "mknod",
            "mknodat",
            "truncate",
            "execve",
            "execveat",
            "mount",
            "umount2",
            "move_mount",
            "pivot_root",
            "ptrace",
        ],
        errnos: &[EACCES, EXDEV, EPERM],
        then: Then::Nothing,
        values: &[CAPS, DOMAIN, BLOB],
    },
    // The first word of the mask is that of the first 64 nodes.
    Set {
        calls: &["set_mempolicy"],
        errnos: &[EINVAL],
        then: Then::Nothing,
        values: &[("nodemask", Caller(1, 0, 8))],
    },
    Set {
        calls: &["mbind"],
        errnos: &[EINVAL],
        then: Then::Nothing,
        values: &[("nodemask", Caller(3, 0, 8))],
    },
    Set {
        calls: &["mount_setattr"],
        errnos: &[EINVAL, EPERM],
        then: Then::Nothing,
        // struct mount_attr { attr_set, … }
        values: &[("mount_attr.attr_set", Caller(3, 0, 8))],
    },
    Set {
        calls: &["sendmsg", "sendmmsg"],
        errnos: &[ETOOMANYREFS, ENOBUFS],
        then: Then::Nothing,
        values: &[
            NOFILE,
            CAPS,
            MEMLOCK,
            USER_LOCKED,
            ("~in_flight", Task(&[CRED, USER, ("user_struct", "unix_inflight", Int(8))], &[])),
        ],
    },
    Set {
        calls: &["prlimit64"],
        errnos: &[EPERM, EINVAL],
        then: Then::Nothing,
        values: &[
            CAPS,
            ("fs.nr_open", variable("sysctl_nr_open", 4)),
            ("~now_soft", Chosen(RLIMITS, 0, 1, 16, 8)),
            ("~now_hard", Chosen(RLIMITS, 8, 1, 16, 8)),
            ("~new_soft", Caller(2, 0, 8)),
            ("~new_hard", Caller(2, 8, 8)),
        ],
    },
    Set {
        calls: &["setrlimit"],
        errnos: &[EPERM, EINVAL],
        then: Then::Nothing,
        values: &[
            CAPS,
            ("fs.nr_open", variable("sysctl_nr_open", 4)),
            ("~now_soft", Chosen(RLIMITS, 0, 0, 16, 8)),
            ("~now_hard", Chosen(RLIMITS, 8, 0, 16, 8)),
            ("~new_soft", Caller(1, 0, 8)),
            ("~new_hard", Caller(1, 8, 8)),
        ],
    },
    Set {
        calls: &["epoll_ctl"],
        errnos: &[ENOSPC],
        then: Then::Nothing,
        values: &[
            ("~epoll_watches", Task(&[CRED, USER, ("user_struct", "epoll_watches.count", Int(8))], &[])),
            ("~epoll_watches", Task(&[CRED, USER, ("user_struct", "epoll_watches.counter", Int(8))], &[])),
            // fs/eventpoll.c
            ("~max_user_watches", variable("max_user_watches", 8)),
        ],
    },
    Set {
        calls: &["inotify_init", "inotify_init1"],
        errnos: &[EMFILE, ENFILE],
        then: Then::Count("UCOUNT_INOTIFY_INSTANCES"),
        values: &[NOFILE, FILES, FILE_MAX, CAPS],
    },
    Set {
        calls: &["inotify_add_watch"],
        errnos: &[ENOSPC],
        then: Then::Count("UCOUNT_INOTIFY_WATCHES"),
        values: &[],
    },
    Set {
        calls: &["fanotify_init"],
        errnos: &[EMFILE, ENFILE, EPERM],
        then: Then::Count("UCOUNT_FANOTIFY_GROUPS"),
        values: &[
            NOFILE,
            FILES,
            FILE_MAX,
            CAPS,
            // Up to 5.12.
            ("~listeners", Task(&[CRED, USER, ("user_struct", "fanotify_listeners.counter", Int(4))], &[])),
        ],
    },
    Set {
        calls: &["fanotify_mark"],
        errnos: &[ENOSPC],
        then: Then::Count("UCOUNT_FANOTIFY_MARKS"),
        values: &[],
    },
    Set {
        calls: &["add_key", "request_key", "keyctl"],
        errnos: &[EDQUOT],
        then: Then::Keys,
        values: &[
            FSUID,
            // security/keys/key.c
            ("kernel.keys.maxkeys", variable("key_quota_maxkeys", 4)),
            ("kernel.keys.maxbytes", variable("key_quota_maxbytes", 4)),
            ("kernel.keys.root_maxkeys", variable("key_quota_root_maxkeys", 4)),
            ("kernel.keys.root_maxbytes", variable("key_quota_root_maxbytes", 4)),
            ("~", Later),
            ("~", Later),
            ("~", Later),
            ("~", Later),
            ("~", Later),
            ("~", Later),
            ("~", Later),
            ("~", Later),
            // The last three belong together: the tree's root, and what the stage finds in it.
            ("~key_users", Variable("key_user_tree", None, 8)),
            ("~keys", Later),
            ("~key_bytes", Later),
        ],
    },
    // struct sockaddr_in6: family, port, flow, 16 bytes of address, scope.
    Set {
        calls: &["bind", "connect"],
        errnos: &[EINVAL],
        then: Then::Nothing,
        values: &[("sin6_scope_id", Caller(1, 24, 4))],
    },
    Set {
        calls: &["sendto"],
        errnos: &[EINVAL],
        then: Then::Nothing,
        values: &[("sin6_scope_id", Caller(4, 24, 4))],
    },
    Set {
        calls: &["io_setup"],
        errnos: &[EAGAIN, ENOMEM],
        then: Then::Nothing,
        // fs/aio.c
        values: &[("~aio_nr", variable("aio_nr", 8)), ("~aio_max_nr", variable("aio_max_nr", 8))],
    },
];

const RLIMITS: &[Step] = &[SIGNAL, ("signal_struct", "rlim", StructArray("rlimit"))];
