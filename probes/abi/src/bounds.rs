//! Every maximal length and map size, with its reason.

/// Paths and names of the system calls of interest. Engines mount below `/var/lib/…/<64 hex digits>/…`
/// or `/proc/self/fd/N`: long, but far from PATH_MAX. Longer strings arrive cut and are marked as such.
pub const SHORT_STRING: usize = 256;

/// Mount data: the kernel itself takes one page (fs/namespace.c `copy_mount_options`), and that an overlay's
/// options were cut there, or name too many layers, is seen in the whole page alone. Only failed mounts pay.
pub const LONG_STRING: usize = 4096;

/// Strings in a plain record. Two paths cover everything but the mount family.
pub const SHORT_SLOTS: usize = 2;

/// Strings in a long record: two short ones, a third short one, and the long one.
pub const SLOTS: usize = 4;

/// Which slot is the long one.
pub const LONG_SLOT: usize = 3;

/// System call arguments.
pub const ARGS: usize = 6;

/// Return addresses that the kernel finds by frame pointers. An engine in Go makes a mount some fifteen calls deep;
/// what a person reads are the innermost ones.
pub const STACK_FRAMES: usize = 32;

/// Words from the top of the caller's stack: enough for the C library's own function and the few above it. Each failure
/// that travels whole pays for them.
pub const STACK_WORDS: usize = 64;

/// `TASK_COMM_LEN` (include/linux/sched.h).
pub const COMM: usize = 16;

/// Rows of an interest table. The tables end below 480 in Linux 7.x; numbers at or past this bound
/// (x32's bit 30, the -1 of sigreturn) are no system call that diag watches.
pub const SYSCALLS: u32 = 512;

/// 64-bit words of an errno set: 9 × 64 = 576 > 524, the highest number that leaks to user space
/// (ENOTSUPP, include/linux/errno.h).
pub const ERRNO_WORDS: usize = 9;

/// One past the highest errno that a set can hold.
pub const ERRNO_END: u32 = (ERRNO_WORDS as u32) * 64;

/// Bytes of the table that both interest tables are looked up in first: one for each errno and, within it, each system
/// call. So the errnos that a healthy machine meets all the time lie close together, and a look-up is an addition.
pub const MAYBE_BYTES: usize = SYSCALLS as usize * ERRNO_END as usize;

/// `MAX_ERRNO` (include/linux/err.h): results from -4095 to -1 are errors, all else is success.
pub const MAX_ERRNO: i64 = 4095;

/// 512 to 516 are the kernel's notes to itself about restarting a call (include/linux/errno.h); the
/// caller never sees them.
pub const ERESTART_FIRST: u32 = 512;
pub const ERESTART_LAST: u32 = 516;

/// Bytes of the event ring when the whole machine is watched: some 160 long or 480 plain records.
/// A power of two and a multiple of the page size, as the kernel demands.
pub const RING_BYTES: u32 = 1 << 20;

/// Bytes of the ring when a process tree is watched with every errno.
pub const RING_BYTES_TREE: u32 = 1 << 22;

/// Distinct (cgroup, process, system call, errno) combinations counted at a time. Entries of dead
/// processes are removed by user space; when it is full, failures travel whole.
pub const FLOOD_KEYS: u32 = 8192;

/// Processes of a followed tree. Least recently seen ones are forgotten first.
pub const TREE_PROCESSES: u32 = 16384;

/// In the tree map's value, beside the start time: an engine's daemon, or what came of one, which works for the
/// followed command without being its child. Boot times stay below for two centuries.
pub const TREE_BESIDE: u64 = 1 << 63;

/// Threads whose last netlink answer and last sentence of the kernel are remembered.
pub const NETLINK_THREADS: u32 = 1024;

/// How many equal failures travel whole in one window, before only their count does.
pub const WHOLE_PER_WINDOW: u32 = 4;

/// The same for a process tree, where the question is "what did this command do" and not "what is wrong
/// with this machine": a loader that looks through a search path must not hide the failure behind it.
pub const WHOLE_PER_WINDOW_TREE: u32 = 256;

/// The window. Engines and people retry about once a second, and each retry should be seen whole.
pub const WINDOW_NS: u64 = 1_000_000_000;

/// Memory cgroups read above a victim. Kubernetes under systemd is four deep, a unit inside such a container
/// six; what is deeper has its root end cut, which only costs the limits of the outermost ones.
pub const MEMORY_LEVELS: usize = 8;

/// Bytes of a cgroup's name: `cri-containerd-<64 hex digits>.scope` and its NUL are 86.
pub const CGROUP_NAME: usize = 96;

/// Bytes of a cgroup's path. The kernel's tracepoint gives 1024 (kernel/cgroup/cgroup-internal.h
/// `TRACE_CGROUP_PATH_LEN`); a container of a pod under systemd has some 200.
pub const CGROUP_PATH: usize = 512;

/// Bytes of an engine's command line and of the environment behind it. A `docker run` written by a person or an
/// orchestrator has its name and image in the first two thousand. A power of two, for the verifier.
pub const ENGINE_TEXT: usize = 4096;

/// Names of engines' programs that are told of.
pub const ENGINE_NAMES: u32 = 64;

/// Engines' processes at a time. A node of Kubernetes has 110 shims.
pub const ENGINES_ALIVE: u32 = 4096;

const _: () = {
    assert!(LONG_SLOT + 1 == SLOTS && SHORT_SLOTS < LONG_SLOT);
    assert!(ERRNO_END > 524);
    assert!(RING_BYTES.is_power_of_two() && RING_BYTES_TREE.is_power_of_two());
    // A ring that cannot hold a hundred long records would lose events in any burst.
    assert!(RING_BYTES as usize > 100 * size_of::<crate::SyscallFailureLong>());
};
