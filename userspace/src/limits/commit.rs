//! Promised memory, memory of compiled BPF programs, and rings of perf events.

use super::{
    Ceiling::{File, Sysctl},
    Limit, Usage,
    row::limits,
    system,
};
use crate::model::KnobKind;

limits! {
    COMMIT_LIMIT: Sysctl File("/proc/meminfo", "CommitLimit"), "CommitLimit", "memory that may be promised (vm.overcommit_memory)",
        "bytes", "machine", Usage::Read(system::committed), 0, "2.5.30",
        "Documentation/mm/overcommit-accounting.rst; mm/util.c, __vm_enough_memory()";
    BPF_JIT: Sysctl Sysctl("net/core/bpf_jit_limit"), "net.core.bpf_jit_limit", "memory of compiled BPF programs and seccomp filters",
        "bytes", "machine", Usage::Read(system::bpf_jit), 0, "4.20",
        "Documentation/admin-guide/sysctl/net.rst, bpf_jit_limit; kernel/bpf/core.c, bpf_jit_charge_modmem()";
    PERF_RING: Sysctl Sysctl("kernel/perf_event_mlock_kb"), "kernel.perf_event_mlock_kb",
        "rings of perf events for each processor, before RLIMIT_MEMLOCK counts", "KiB", "user", Usage::Hidden, 516, "2.6.31",
        "perf_event_open(2); kernel/events/core.c, perf_mmap()";
}
