//! Counting equal failures in the kernel, so that a flood costs neither the ring nor user space.

/// What makes two failures equal.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FloodKey {
    /// The pids controller's cgroup where it is on v1, else the v2 cgroup.
    pub cgroup: u64,
    pub tgid: u32,
    pub nr: u32,
    pub abi: u32,
    pub errno: u32,
}

/// Every failure either travels whole (and is then seen, or counted as lost) or adds one to `repeated`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodValue {
    /// Start of the window in which `in_window` counts.
    pub window_start_ns: u64,
    /// Failures that travelled whole in this window. Two processors that race may both pass; only
    /// `repeated` has to be exact.
    pub in_window: u64,
    /// Failures that did not travel. Only ever added to, atomically.
    pub repeated: u64,
}

const _: () = {
    assert!(size_of::<FloodKey>() == 24);
    assert!(size_of::<FloodValue>() == 24);
};
