//! Record: a system call that returned an error, with all that only that instant can tell.

use crate::bounds::{ARGS, COMM, LONG_STRING, SHORT_SLOTS, SHORT_STRING};
use crate::{Credentials, Header, LimitReading, OpenFile, READINGS, UserStack, VALUES};
use core::mem::offset_of;

/// [`SyscallFailure::abi`]: the machine's own table.
pub const ABI_NATIVE: u32 = 0;
/// [`SyscallFailure::abi`]: i386 numbers and registers.
pub const ABI_COMPAT: u32 = 1;

/// [`ShortString::state`]: this system call has no such string, or the probe does not read it.
pub const STRING_ABSENT: u32 = 0;
/// The pointer was NULL.
pub const STRING_NULL: u32 = 1;
/// The memory was not resident or not mapped: a probe cannot fault pages in.
pub const STRING_UNREAD: u32 = 2;
/// `len` bytes are valid.
pub const STRING_READ: u32 = 3;

/// [`SyscallFailure::present`]: `mounts` was read.
pub const PRESENT_MOUNTS: u32 = 1;
/// [`SyscallFailure::present`]: `pending` was read.
pub const PRESENT_PENDING: u32 = 2;

/// [`SyscallFailure::present`]: `call_flags` was read.
pub const PRESENT_CALL_FLAGS: u32 = 4;
/// [`SyscallFailure::present`]: `file` was read.
pub const PRESENT_FILE: u32 = 16;
/// [`SyscallFailure::present`]: `seccomp_mode` and `seccomp_filters` were read.
pub const PRESENT_SECCOMP: u32 = 32;
/// [`SyscallFailure::present`]: the task's filters are the very ones its parent process has.
pub const PRESENT_INHERITED: u32 = 64;
/// [`SyscallFailure::present`]: `credentials` were read.
pub const PRESENT_CREDENTIALS: u32 = 128;
/// [`SyscallFailure::present`]: `strings[0]` holds bytes of the caller's memory that are no string: what was to be
/// written to a file of cgroupfs or procfs, or the arguments of clone3.
pub const PRESENT_BYTES: u32 = 1 << 16;

/// [`SyscallFailure::present`]: `mount_max` was read.
pub const PRESENT_MOUNT_MAX: u32 = 8;

/// A string argument. Bytes past `len` are what the ring held before and mean nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ShortString {
    pub state: u32,
    /// Bytes read, the terminating NUL included. Equal to the capacity when the string was cut (or
    /// fitted to the byte).
    pub len: u32,
    pub bytes: [u8; SHORT_STRING],
}

/// The one long string argument: mount data.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LongString {
    pub state: u32,
    pub len: u32,
    pub bytes: [u8; LONG_STRING],
}

/// A failed system call with up to two strings.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SyscallFailure {
    pub header: Header,
    pub args: [u64; ARGS],
    /// The task's cgroup in the v2 hierarchy; 1 (the root) on machines that use v1.
    pub cgroup_v2: u64,
    /// Its cgroups in v1 hierarchies, in the order of [`crate::CONTROLLERS`]; 0 when the controller is
    /// not on v1 or could not be read.
    pub cgroup_v1: [u64; 4],
    /// Boot-time nanoseconds at which the thread group started; 0 when not read.
    pub start_ns: u64,
    pub nr: u32,
    /// [`ABI_NATIVE`] or [`ABI_COMPAT`].
    pub abi: u32,
    /// Positive.
    pub errno: u32,
    pub pid: u32,
    pub tid: u32,
    /// 0 when not read.
    pub ppid: u32,
    pub uid: u32,
    /// Namespace inode numbers; 0 when not read.
    pub mnt_ns: u32,
    pub pid_ns: u32,
    pub user_ns: u32,
    /// What `fs.mount-max` is compared with (fs/namespace.c `count_mounts`), if [`PRESENT_MOUNTS`].
    pub mounts: u32,
    /// Mounts being attached at this instant, if [`PRESENT_PENDING`].
    pub pending: u32,
    pub present: u32,
    /// The `ROW_` bits of the interest row, for the stages.
    pub row: u32,
    /// `fs.mount-max`, if [`PRESENT_MOUNT_MAX`].
    pub mount_max: u32,
    pub pad: u32,
    pub comm: [u8; COMM],
    /// The flags of clone, clone3 (which has them in memory) and unshare, if [`PRESENT_CALL_FLAGS`].
    pub call_flags: u64,
    /// `SECCOMP_MODE_*`, and how many filters there are, if [`PRESENT_SECCOMP`].
    pub seccomp_mode: u32,
    pub seccomp_filters: u32,
    /// If [`PRESENT_CREDENTIALS`].
    pub credentials: Credentials,
    /// If [`PRESENT_FILE`].
    pub file: OpenFile,
    /// Limits that this failure may be about, by fixed slots; unused ones are [`crate::READING_NONE`].
    pub readings: [LimitReading; READINGS],
    /// A counter of the user, if its kind is [`crate::READING_COUNT`].
    pub count: LimitReading,
    /// What the call's set of recipes found; bit `i` of `values_read` says that value `i` was read.
    pub values: [u64; VALUES],
    pub values_read: u32,
    pub values_pad: u32,
    pub stack: UserStack,
    pub strings: [ShortString; SHORT_SLOTS],
}

/// A failed system call with up to four strings. Begins with a whole [`SyscallFailure`], so that one
/// function fills both.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SyscallFailureLong {
    pub plain: SyscallFailure,
    pub third: ShortString,
    pub long: LongString,
}

const _: () = {
    assert!(size_of::<ShortString>() == 264);
    assert!(size_of::<LongString>() == 4104);
    assert!(offset_of!(SyscallFailure, args) == 16);
    assert!(offset_of!(SyscallFailure, cgroup_v2) == 64);
    assert!(offset_of!(SyscallFailure, start_ns) == 104);
    assert!(offset_of!(SyscallFailure, nr) == 112);
    assert!(offset_of!(SyscallFailure, comm) == 176);
    assert!(offset_of!(SyscallFailure, readings) == 312);
    assert!(offset_of!(SyscallFailure, count) == 312 + READINGS * 40);
    assert!(offset_of!(SyscallFailure, values) == 312 + READINGS * 40 + 40);
    assert!(offset_of!(SyscallFailure, stack) == 312 + READINGS * 40 + 40 + VALUES * 8 + 8);
    assert!(
        offset_of!(SyscallFailure, strings) == offset_of!(SyscallFailure, stack) + size_of::<UserStack>()
    );
    assert!(size_of::<SyscallFailure>() == offset_of!(SyscallFailure, strings) + 2 * 264);
    assert!(offset_of!(SyscallFailureLong, plain) == 0);
    assert!(size_of::<SyscallFailureLong>() == size_of::<SyscallFailure>() + 264 + 4104);
};
