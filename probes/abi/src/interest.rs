//! Which failures are worth reporting: one row per system call number, filled by user space.

use crate::bounds::{ERRNO_WORDS, SLOTS};

/// [`InterestRow::strings`]: this slot is not used.
pub const NO_ARG: u8 = 0xff;

/// [`InterestRow::flags`]: read the mount count of the task's mount namespace.
pub const ROW_MOUNTS: u32 = 1;
/// [`InterestRow::flags`]: a slot past the first two is used, so the record is a long one.
pub const ROW_LONG: u32 = 2;

/// [`InterestRow::flags`]: on EAGAIN, read what a new task is held against.
pub const ROW_TASKS: u32 = 4;
/// [`InterestRow::flags`]: on EAGAIN, read the processes of the user.
pub const ROW_EXEC: u32 = 8;
/// [`InterestRow::flags`]: the first argument says which namespaces are asked for; on ENOSPC, read them.
pub const ROW_FLAGS_ARG: u32 = 16;
/// [`InterestRow::flags`]: the same, but flags are the first word of the structure behind the first argument.
pub const ROW_FLAGS_STRUCT: u32 = 32;
/// [`InterestRow::flags`]: an anonymous mount namespace is made; on ENOSPC, read that type.
pub const ROW_ANONYMOUS_MOUNTS: u32 = 64;

/// [`InterestRow::flags`]: the first argument is the descriptor of what the call is about; read its file.
pub const ROW_FD: u32 = 128;

/// [`InterestRow::flags`]: on ENOMEM, EAGAIN and EPERM, read what memory of the process is held against.
pub const ROW_MEMORY: u32 = 256;
/// [`InterestRow::flags`]: on ENOMEM and EPERM, read the user's memory that kernel objects hold.
pub const ROW_PINNED: u32 = 512;
/// [`InterestRow::flags`]: on EAGAIN, read the queued signals of the user.
pub const ROW_SIGNALS: u32 = 1024;
/// [`InterestRow::flags`]: the same where the first argument is the receiver, and that is the caller.
pub const ROW_SIGNALS_TO: u32 = 2048;
/// [`InterestRow::flags`]: on EMFILE, read the user's message queues too.
pub const ROW_QUEUES: u32 = 4096;

/// Bytes of clone3's arguments up to and with `cgroup` (include/uapi/linux/sched.h `CLONE_ARGS_SIZE_VER2`).
pub const CLONE_ARGS: usize = 88;
/// Where the descriptor of the cgroup is in them.
pub const CLONE_ARGS_CGROUP: usize = 80;
/// [`InterestRow::flags`] of clone3: the child is to start in the cgroup behind a descriptor.
pub const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// No further stage: the record is whole.
pub const STAGE_NONE: u32 = 0;
/// Stage: what a new task is held against.
pub const STAGE_TASKS: u32 = 1;
/// Stage: what a new namespace is held against.
pub const STAGE_NAMESPACES: u32 = 2;
/// Stage: the file behind the first argument.
pub const STAGE_OBJECT: u32 = 3;
/// Stage: what the number of a new descriptor is held against.
pub const STAGE_DESCRIPTORS: u32 = 4;
/// Stage: other resource limits.
pub const STAGE_RLIMITS: u32 = 5;
/// Stage: values by recipe, after which one of the others may follow.
pub const STAGE_VALUES: u32 = 8;
/// Stage: a counter of the user that is no namespace.
pub const STAGE_COUNTS: u32 = 9;
/// Stage: the keys of the user.
pub const STAGE_KEYS: u32 = 10;
/// Slots for stages.
pub const STAGES: u32 = 16;

/// One row of an interest table. All zero means: not of interest.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterestRow {
    /// A bit set: errno `e` is bit `e % 64` of word `e / 64`.
    pub errnos: [u64; ERRNO_WORDS],
    /// Which argument goes to which string slot; [`NO_ARG`] for none. An explicit list and not a bit
    /// mask, because counting bits in the kernel costs more than reading four bytes.
    pub strings: [u8; SLOTS],
    /// The `ROW_` bits.
    pub flags: u32,
}

impl InterestRow {
    /// The row of a system call that is not of interest.
    pub const NONE: Self = Self { errnos: [0; ERRNO_WORDS], strings: [NO_ARG; SLOTS], flags: 0 };
}

const _: () = assert!(size_of::<InterestRow>() == 80);
