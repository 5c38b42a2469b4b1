//! Where the running kernel keeps what the probes read.
//!
//! rustc emits no CO-RE relocations, so user space looks every field up in the kernel's own type
//! information and overrides this global before load. A field it cannot find stays [`UNRESOLVED`]; the
//! verifier then removes the code that would have read it.

/// No offset: do not read.
pub const UNRESOLVED: u32 = u32::MAX;

/// The v1 controllers whose cgroups are read, in the order of [`Offsets::subsys`] and of
/// `SyscallFailure::cgroup_v1`.
pub const CONTROLLERS: [&str; 4] = ["pids", "memory", "cpu", "cpuset"];

/// The global `OFFSETS` of the probes: byte offsets, named `structure_field`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// `task_struct.thread_info.status`, whose bit TS_COMPAT tells i386 calls apart.
    pub task_status: u32,
    pub task_tgid: u32,
    pub task_real_parent: u32,
    pub task_group_leader: u32,
    pub task_start_boottime: u32,
    pub task_nsproxy: u32,
    pub task_real_cred: u32,
    pub task_thread_pid: u32,
    pub task_cgroups: u32,
    pub nsproxy_mnt_ns: u32,
    /// `mnt_namespace.ns.inum`.
    pub mnt_ns_inum: u32,
    /// `mnt_namespace.nr_mounts`, on older kernels `mounts`: a 4-byte counter.
    pub mnt_ns_mounts: u32,
    pub mnt_ns_pending: u32,
    pub pid_level: u32,
    pub pid_numbers: u32,
    /// `sizeof(struct upid)`.
    pub upid_size: u32,
    pub upid_ns: u32,
    pub pid_ns_inum: u32,
    pub cred_user_ns: u32,
    pub user_ns_inum: u32,
    pub css_set_subsys: u32,
    pub css_cgroup: u32,
    pub cgroup_kn: u32,
    pub cgroup_root: u32,
    pub root_hierarchy_id: u32,
    pub kn_id: u32,
    /// Values of `enum cgroup_subsys_id`, in the order of [`CONTROLLERS`].
    pub subsys: [u32; 4],
}

impl Offsets {
    /// Nothing can be read.
    pub const NONE: Self = Self {
        task_status: UNRESOLVED,
        task_tgid: UNRESOLVED,
        task_real_parent: UNRESOLVED,
        task_group_leader: UNRESOLVED,
        task_start_boottime: UNRESOLVED,
        task_nsproxy: UNRESOLVED,
        task_real_cred: UNRESOLVED,
        task_thread_pid: UNRESOLVED,
        task_cgroups: UNRESOLVED,
        nsproxy_mnt_ns: UNRESOLVED,
        mnt_ns_inum: UNRESOLVED,
        mnt_ns_mounts: UNRESOLVED,
        mnt_ns_pending: UNRESOLVED,
        pid_level: UNRESOLVED,
        pid_numbers: UNRESOLVED,
        upid_size: UNRESOLVED,
        upid_ns: UNRESOLVED,
        pid_ns_inum: UNRESOLVED,
        cred_user_ns: UNRESOLVED,
        user_ns_inum: UNRESOLVED,
        css_set_subsys: UNRESOLVED,
        css_cgroup: UNRESOLVED,
        cgroup_kn: UNRESOLVED,
        cgroup_root: UNRESOLVED,
        root_hierarchy_id: UNRESOLVED,
        kn_id: UNRESOLVED,
        subsys: [UNRESOLVED; 4],
    };
}

const _: () = assert!(size_of::<Offsets>() == 30 * 4);
