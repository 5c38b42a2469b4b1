//! What a record is: the number in its header.

/// [`crate::SyscallFailure`].
pub const SYSCALL: u16 = 1;
/// [`crate::SyscallFailureLong`].
pub const SYSCALL_LONG: u16 = 2;
/// [`crate::SyscallFailure`] without a failure: the loader's own task as the probes see it, which user
/// space compares with `/proc/self` before it trusts any offset.
pub const SELF_CHECK: u16 = 3;
/// [`crate::Signal`].
pub const SIGNAL: u16 = 16;
/// [`crate::KernelKill`].
pub const KERNEL_KILL: u16 = 17;
/// [`crate::OomVictim`].
pub const OOM_VICTIM: u16 = 18;
/// [`crate::IoUring`].
pub const IO_URING: u16 = 19;
/// [`crate::NetlinkAnswer`].
pub const NETLINK: u16 = 20;
/// [`crate::CgroupMade`].
pub const CGROUP_MADE: u16 = 21;
/// [`crate::IgnoredSetUid`].
pub const IGNORED_SET_UID: u16 = 22;
/// [`crate::FunctionReturned`].
pub const FUNCTION_RETURNED: u16 = 23;
/// [`crate::EngineStarted`].
pub const ENGINE_STARTED: u16 = 24;
/// [`crate::EngineEnded`].
pub const ENGINE_ENDED: u16 = 25;
