//! The contract between the probes in the kernel and the program in user space.
//!
//! Only fixed-width integers and byte arrays cross the border: a value the other side does not know
//! must stay a number, never become an impossible enum or `bool`. Padding is written as fields because
//! every byte of a record is copied out of the kernel. Sizes and offsets are asserted at compile time in
//! each file. To change a record, change its file and raise [`VERSION`]; to add one, add a file, a number
//! in [`kind`] and an arm where user space decodes.
#![no_std]

pub mod bounds;
mod cgroup;
mod config;
mod credentials;
mod engine;
mod flood;
mod header;
mod interest;
pub mod kind;
mod limits;
mod loss;
mod netlink;
mod object;
mod offsets;
mod returned;
mod rlimits;
mod silent;
mod socket;
mod stack;
mod symbols;
mod syscall;
mod values;
#[cfg(feature = "user")]
mod view;

pub use cgroup::CgroupMade;
pub use config::{Config, MODE_MACHINE, MODE_TREE};
pub use credentials::{CredentialOffsets, Credentials, OWNED};
pub use engine::{EngineEnded, EngineOffsets, EngineStarted};
pub use flood::{FloodKey, FloodValue};
pub use header::{Header, VERSION};
pub use interest::{
    CLONE_ARGS, CLONE_ARGS_CGROUP, CLONE_INTO_CGROUP, InterestRow, NO_ARG, ROW_ANONYMOUS_MOUNTS, ROW_EXEC,
    ROW_FD, ROW_FLAGS_ARG, ROW_FLAGS_STRUCT, ROW_LONG, ROW_MEMORY, ROW_MOUNTS, ROW_PINNED, ROW_QUEUES,
    ROW_SIGNALS, ROW_SIGNALS_TO, ROW_TASKS, STAGE_COUNTS, STAGE_DESCRIPTORS, STAGE_KEYS, STAGE_NAMESPACES,
    STAGE_NONE, STAGE_OBJECT, STAGE_RLIMITS, STAGE_TASKS, STAGE_VALUES, STAGES,
};
pub use limits::{
    LimitOffsets, LimitReading, NAMESPACE_FLAGS, NAMESPACE_TYPES, READING_COUNT, READING_NAMESPACES,
    READING_NONE, READING_NPROC, READING_PID_DEPTH, READING_PID_NUMBERS, READING_PIDS, READING_POLICY,
    READING_THREADS, READING_USER_DEPTH, READINGS,
};
pub use loss::Loss;
pub use netlink::{ABI_NETLINK, ANSWER_BYTES, NetlinkAnswer, NetlinkOffsets, SENTENCE, request};
pub use object::{FILE_NAME, ObjectOffsets, OpenFile};
pub use offsets::{CONTROLLERS, Offsets, UNRESOLVED};
pub use returned::FunctionReturned;
pub use rlimits::{
    READING_ADDRESS_SPACE, READING_DATA, READING_FILE_SIZE, READING_LOCKED, READING_MAPPINGS, READING_NOFILE,
    READING_PINNED, READING_QUEUES, READING_SIGNALS, READING_STACK, RlimitOffsets,
};
pub use silent::{
    ABI_IO_URING, IgnoredSetUid, IoUring, KernelKill, LEVEL_CGROUP, LEVEL_LOCK, LEVEL_OOMS, LEVEL_USAGE,
    MemoryLevel, NO_OPCODE, ORIGIN_FORCED, ORIGIN_KERNEL, ORIGIN_PROCESS, OomVictim, PROGRAM_NAME, Party,
    Signal, SilentOffsets, WITHOUT_CALL,
};
pub use socket::{
    ADDRESS, PRESENT_SOCKET, ROW_ADDRESS_FIFTH, ROW_ADDRESS_MESSAGE, ROW_ADDRESS_SECOND, ROW_OPTION,
    ROW_SOCKET, ROW_SOCKET_FD, STAGE_SOCKET, SocketOffsets, SocketState,
};
pub use stack::UserStack;
pub use symbols::Symbols;
pub use syscall::{
    ABI_COMPAT, ABI_NATIVE, LongString, PRESENT_BYTES, PRESENT_CALL_FLAGS, PRESENT_CREDENTIALS, PRESENT_FILE,
    PRESENT_INHERITED, PRESENT_MOUNT_MAX, PRESENT_MOUNTS, PRESENT_PENDING, PRESENT_SECCOMP, STRING_ABSENT,
    STRING_NULL, STRING_READ, STRING_UNREAD, ShortString, SyscallFailure, SyscallFailureLong,
};
pub use values::{
    NO_INDEX, ROW_SET_SHIFT, VALUE_ERRNOS, VALUE_FILE, VALUE_NONE, VALUE_SETS, VALUE_SYMBOL, VALUE_TASK,
    VALUE_USER, VALUES, ValueAt, ValueSet,
};
#[cfg(feature = "user")]
pub use view::Record;
