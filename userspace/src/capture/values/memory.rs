//! The recipes of memory, and of what privileges are asked for.

use super::Place::{Caller, Task, Variable};
use super::table::{
    BLOB, CAPS, CRED, DOMAIN, FSUID, MEMLOCK, MM, NOFILE, Named, SEALS, SIGNAL, TOTAL_VM, USER, USER_LOCKED,
    rlimit, soft, variable,
};
use super::{Add, Set, Then};
use crate::capture::btf::Want::{Int, Sized};
use crate::capture::sampler::perf_ring::{OF_PROCESS, OF_USER};
use libc::{EACCES, EAGAIN, EBUSY, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EXDEV};

/// mm/util.c, mm/page_alloc.c, mm/swapfile.c: what `__vm_enough_memory()` compares.
pub(super) const COMMITTED: Named =
    ("~committed", Variable("vm_committed_as", Some(("percpu_counter", "count", Int(8))), 8));
pub(super) const RAM: Named = ("~ram", variable("_totalram_pages", 8));
pub(super) const SWAP: Named = ("~swap", variable("total_swap_pages", 8));
pub(super) const OVERCOMMIT: Named = ("vm.overcommit_memory", variable("sysctl_overcommit_memory", 4));
pub(super) const RATIO: Named = ("vm.overcommit_ratio", variable("sysctl_overcommit_ratio", 4));
pub(super) const KBYTES: Named = ("vm.overcommit_kbytes", variable("sysctl_overcommit_kbytes", 8));
const DATA_VM: Named = ("~data_vm", Task(&[MM, ("mm_struct", "data_vm", Int(8))], &[]));
const MAPS: Named = ("~maps", Task(&[MM, ("mm_struct", "map_count", Int(4))], &[]));
/// mm/mmap.c, mm/util.c
const MOST_MAPS: Named = ("~max_map_count", variable("sysctl_max_map_count", 4));
/// security/min_addr.c
const MIN_ADDR: Named = ("vm.mmap_min_addr", variable("dac_mmap_min_addr", 8));
/// Bits of include/linux/mm_types.h (before 6.17 sched/coredump.h); a word up to 6.17, then a bitmap of 64 bits.
const MM_FLAGS: Named = ("mm flags", Task(&[MM, ("mm_struct", "flags", Sized(8))], &[]));
/// kernel/bpf/core.c; counted in pages before 5.18 or so, in bytes since.
const JIT_LIMIT: Named = ("~jit_limit", variable("bpf_jit_limit", 8));
const JIT_USED: Named = ("~jit_used", variable("bpf_jit_current", 8));

/// What every change of a mapping is held against, and what else some are.
macro_rules! of_mappings {
    [$($more:expr),+ $(,)?] => {
        &[
            MAPS,
            MOST_MAPS,
            TOTAL_VM,
            DATA_VM,
            CAPS,
            MIN_ADDR,
            COMMITTED,
            RAM,
            SWAP,
            OVERCOMMIT,
            RATIO,
            KBYTES,
            MEMLOCK,
            MM_FLAGS,
            $($more),+
        ]
    };
}

pub(super) const SETS: &[Set] = &[
    Set {
        calls: &["mmap", "munmap", "madvise"],
        errnos: &[ENOMEM, EAGAIN, EPERM, EACCES],
        then: Then::Nothing,
        values: of_mappings![
            // kernel/events/core.c `perf_mmap()`
            (OF_USER, USER_LOCKED.1),
            (OF_PROCESS, Task(&[MM, ("mm_struct", "pinned_vm.counter", Int(8))], &[])),
        ],
    },
    Set {
        calls: &["mremap", "mprotect", "pkey_mprotect"],
        errnos: &[ENOMEM, EAGAIN, EPERM, EACCES],
        then: Then::Nothing,
        values: of_mappings![
            // mremap(2) of locked memory: mm/mlock.c `mlock_future_ok()`
            ("~locked_vm", Task(&[MM, ("mm_struct", "locked_vm", Int(8))], &[])),
        ],
    },
    Set {
        calls: &["clone", "clone3", "fork", "vfork"],
        errnos: &[ENOMEM],
        then: Then::Nothing,
        values: &[COMMITTED, RAM, SWAP, OVERCOMMIT, RATIO, KBYTES, TOTAL_VM, DATA_VM, CAPS],
    },
    Set {
        calls: &["io_uring_setup", "io_uring_register", "io_uring_enter"],
        errnos: &[EPERM, ENOMEM],
        then: Then::Nothing,
        values: &[
            // io_uring/io_uring.c
            ("kernel.io_uring_disabled", variable("sysctl_io_uring_disabled", 4)),
            ("kernel.io_uring_group", variable("sysctl_io_uring_group", 4)),
            CAPS,
            MEMLOCK,
            USER_LOCKED,
            // struct iovec: the length of the first buffer that is to be registered.
            ("~buffer", Caller(2, 8, 8)),
        ],
    },
    Set {
        calls: &["bpf"],
        errnos: &[EPERM, libc::ENOTSUP, 524],
        then: Then::Nothing,
        values: &[
            // kernel/bpf/syscall.c
            ("kernel.unprivileged_bpf_disabled", variable("sysctl_unprivileged_bpf_disabled", 4)),
            CAPS,
            MEMLOCK,
            // Only where maps are charged to the user: `struct bpf_map_memory` went with that in 5.11.
            (
                "~charged",
                Task(
                    &[CRED, USER, ("user_struct", "locked_vm.counter", Int(8))],
                    &[Add::Elements("bpf_map_memory", 0)],
                ),
            ),
            // union bpf_attr: map_type or prog_type, key_size, value_size, max_entries
            ("~type", Caller(1, 0, 4)),
            ("~key_size", Caller(1, 4, 4)),
            ("~value_size", Caller(1, 8, 4)),
            ("~max_entries", Caller(1, 12, 4)),
            JIT_USED,
            JIT_LIMIT,
        ],
    },
    Set {
        calls: &["seccomp", "prctl", "setsockopt"],
        errnos: &[524, ENOMEM, EPERM, ENOBUFS, EACCES, EINVAL],
        then: Then::Nothing,
        values: &[JIT_USED, JIT_LIMIT, CAPS, MEMLOCK, USER_LOCKED],
    },
    Set {
        calls: &["perf_event_open"],
        errnos: &[EACCES, EPERM, EMFILE],
        then: Then::Nothing,
        values: &[
            // kernel/events/core.c
            ("kernel.perf_event_paranoid", variable("sysctl_perf_event_paranoid", 4)),
            CAPS,
            ("perf event type", Caller(0, 0, 4)),
            // The bit fields of struct perf_event_attr.
            ("perf event bits", Caller(0, 40, 8)),
            NOFILE,
        ],
    },
    Set {
        calls: &["userfaultfd"],
        errnos: &[EPERM, EMFILE, ENFILE],
        then: Then::Nothing,
        // fs/userfaultfd.c
        values: &[
            ("vm.unprivileged_userfaultfd", variable("sysctl_unprivileged_userfaultfd", 4)),
            CAPS,
            NOFILE,
        ],
    },
    Set {
        calls: &["syslog"],
        errnos: &[EPERM],
        then: Then::Nothing,
        values: &[("kernel.dmesg_restrict", variable("dmesg_restrict", 4)), CAPS],
    },
    Set {
        calls: &["link", "linkat"],
        errnos: &[EPERM, EACCES, EXDEV],
        then: Then::Nothing,
        values: &[
            ("fs.protected_hardlinks", variable("sysctl_protected_hardlinks", 4)),
            CAPS,
            FSUID,
            DOMAIN,
            BLOB,
        ],
    },
    Set {
        calls: &["write", "pwrite64", "writev", "ftruncate", "fallocate", "pwritev", "pwritev2"],
        errnos: &[EACCES, EPERM],
        then: Then::Nothing,
        values: &[
            CAPS,
            SEALS,
            ("oom_score_adj_min", Task(&[SIGNAL, ("signal_struct", "oom_score_adj_min", Int(2))], &[])),
            // The first bytes of what was to be written.
            ("~written", Caller(1, 0, 8)),
        ],
    },
    Set {
        calls: &["sched_setscheduler", "sched_setattr", "sched_setparam", "setpriority", "ioprio_set"],
        errnos: &[EPERM, EACCES, EBUSY],
        then: Then::Nothing,
        values: &[
            CAPS,
            ("~nice", soft!(13)),
            ("~rtprio", soft!(14)),
            // struct sched_param of sched_setscheduler, struct sched_attr of sched_setattr.
            ("~param", Caller(2, 0, 4)),
            ("sched_attr policy", Caller(1, 4, 4)),
            ("~attr_nice", Caller(1, 16, 4)),
            ("~attr_priority", Caller(1, 20, 4)),
            ("sched_attr runtime", Caller(1, 24, 8)),
            ("sched_attr deadline", Caller(1, 32, 8)),
            ("sched_attr period", Caller(1, 40, 8)),
        ],
    },
];
