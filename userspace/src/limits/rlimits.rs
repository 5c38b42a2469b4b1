//! Resource limits of processes and users (getrlimit(2)), and the number of mappings.

use super::{Ceiling, Limit, Usage, owners};
use crate::model::KnobKind;

/// What `ulimit` shows as unlimited.
const UNLIMITED: u64 = u64::MAX;

const fn rlimit(
    id: &'static str,
    title: &'static str,
    line: &'static str,
    unit: &'static str,
    default: u64,
    usage: Usage,
    see: &'static str,
) -> Limit {
    Limit {
        id,
        title,
        kind: KnobKind::Rlimit,
        ceiling: Ceiling::Rlimit(line),
        unit,
        counted_per: "process",
        usage,
        default,
        since: "2.2",
        see,
    }
}

/// One more than the highest descriptor number. `alloc_fd()` (fs/file.c) compares the lowest free number, so that
/// is what counts as usage: all below it are in use.
pub static NOFILE: Limit = rlimit(
    "RLIMIT_NOFILE",
    "file descriptor numbers of a process",
    "Max open files",
    "descriptors",
    1024,
    Usage::Read(owners::descriptors),
    "getrlimit(2); fs/file.c, alloc_fd()",
);

/// Memory that may not be swapped. Nobody with CAP_IPC_LOCK in the first user namespace is held against it.
pub static MEMLOCK: Limit = rlimit(
    "RLIMIT_MEMLOCK",
    "locked memory of a process",
    "Max locked memory",
    "bytes",
    // MLOCK_LIMIT (include/uapi/linux/resource.h); 64 KiB up to 5.15.
    8 << 20,
    Usage::Read(owners::locked),
    "getrlimit(2); mm/mlock.c, do_mlock(); io_uring/rsrc.c, __io_account_mem()",
);

/// Address space, mapped or merely reserved.
pub static AS: Limit = rlimit(
    "RLIMIT_AS",
    "address space of a process",
    "Max address space",
    "bytes",
    UNLIMITED,
    Usage::Read(owners::address_space),
    "getrlimit(2); mm/mmap.c, may_expand_vm()",
);

/// Private writable memory, since 4.7 that of mmap(2) too.
pub static DATA: Limit = rlimit(
    "RLIMIT_DATA",
    "private writable memory of a process",
    "Max data size",
    "bytes",
    UNLIMITED,
    Usage::Read(owners::data),
    "getrlimit(2); mm/mmap.c, may_expand_vm()",
);

/// The stack, of which arguments and environment of a new program may take a quarter.
pub static STACK: Limit = rlimit(
    "RLIMIT_STACK",
    "stack of a process, and four times what arguments and environment may take",
    "Max stack size",
    "bytes",
    8 << 20,
    Usage::Hidden,
    "getrlimit(2), execve(2); fs/exec.c, bprm_stack_limits()",
);

/// Where a file may end that this process writes. The process gets SIGXFSZ first.
pub static FSIZE: Limit = rlimit(
    "RLIMIT_FSIZE",
    "size of a file that a process writes",
    "Max file size",
    "bytes",
    UNLIMITED,
    Usage::Hidden,
    "getrlimit(2); fs/read_write.c, generic_write_check_limits(); fs/attr.c, inode_newsize_ok()",
);

/// Signals that wait for their receivers, timers included.
pub static SIGPENDING: Limit = Limit {
    counted_per: "real user, and user namespace since 5.14",
    since: "2.6.8",
    ..rlimit(
        "RLIMIT_SIGPENDING",
        "queued signals and timers of one user",
        "Max pending signals",
        "signals",
        // As RLIMIT_NPROC of the first process.
        0,
        Usage::Read(owners::signals),
        "getrlimit(2), timer_create(2); kernel/signal.c, __sigqueue_alloc()",
    )
};

/// POSIX message queues, with what the kernel itself needs for each message.
pub static MSGQUEUE: Limit = Limit {
    counted_per: "real user, and user namespace since 5.14",
    since: "2.6.8",
    ..rlimit(
        "RLIMIT_MSGQUEUE",
        "bytes in POSIX message queues of one user",
        "Max msgqueue size",
        "bytes",
        819_200,
        Usage::Hidden,
        "getrlimit(2), mq_overview(7); ipc/mqueue.c, mqueue_get_inode()",
    )
};

/// Mappings of one process: every mmap(2) that does not merge with its neighbour, every piece that mprotect(2) and
/// munmap(2) cut off.
pub static MAX_MAP_COUNT: Limit = Limit {
    id: "vm.max_map_count",
    title: "memory mappings of a process",
    kind: KnobKind::Sysctl,
    ceiling: Ceiling::Sysctl("vm/max_map_count"),
    unit: "mappings",
    counted_per: "process",
    usage: Usage::Read(owners::mappings),
    default: 65_530,
    since: "2.6",
    see: "Documentation/admin-guide/sysctl/vm.rst, max_map_count; mm/mmap.c, do_mmap()",
};
