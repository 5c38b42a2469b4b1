//! Ceilings that are variables of the kernel, and what is counted against them.

/// The global `SYMBOLS` of the probes: addresses of `int` variables, from /proc/kallsyms; 0 where it does
/// not show one (a kernel without CONFIG_KALLSYMS_ALL, or `kernel.kptr_restrict`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbols {
    /// fs/namespace.c: `fs.mount-max`.
    pub sysctl_mount_max: u64,
    /// kernel/fork.c: `kernel.threads-max`.
    pub max_threads: u64,
    /// kernel/fork.c: tasks of the machine.
    pub nr_threads: u64,
    /// kernel/pid.c: `kernel.pid_max`, before 6.14.
    pub pid_max: u64,
    /// mm/util.c, before 6.16 mm/mmap.c: `vm.max_map_count`.
    pub max_map_count: u64,
    /// kernel/ucount.c: counters of users by user namespace and user, before 6.15.
    pub ucounts_hashtable: u64,
}

impl Symbols {
    /// What the object holds before the loader overrides it.
    pub const NONE: Self = Self {
        sysctl_mount_max: 0,
        max_threads: 0,
        nr_threads: 0,
        pid_max: 0,
        max_map_count: 0,
        ucounts_hashtable: 0,
    };
}

const _: () = assert!(size_of::<Symbols>() == 48);
