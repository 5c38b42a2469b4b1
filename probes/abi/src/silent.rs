//! Records: what ends a process without any system call failing. A signal and who sent it, the memory
//! cgroups above a victim of the kernel's own, and the OOM killer's word that it was its victim.

use crate::bounds::{CGROUP_NAME, COMM, MEMORY_LEVELS};
use crate::{Header, UNRESOLVED};
use core::mem::offset_of;

/// [`Signal::origin`]: another process sent it, by kill(2) or through a file like `cgroup.kill`.
pub const ORIGIN_PROCESS: u32 = 0;
/// The kernel sent it on its own account (`SEND_SIG_PRIV`): OOM killer, RLIMIT_CPU, end of a pid namespace.
pub const ORIGIN_KERNEL: u32 = 1;
/// The kernel forced it on the task that runs, for what that task did (`force_sig_info`).
pub const ORIGIN_FORCED: u32 = 2;

/// [`Signal::code`] of a signal by a process: not by kill(2), but because it wrote to `cgroup.kill`, or because it ended
/// and the target had asked for a signal then (prctl(2), PR_SET_PDEATHSIG).
pub const WITHOUT_CALL: u32 = 0x5749;

/// [`MemoryLevel::present`]: the level exists, its cgroup and name were read.
pub const LEVEL_CGROUP: u32 = 1;
/// `usage` and `max` were read.
pub const LEVEL_USAGE: u32 = 2;
/// `ooms` was read.
pub const LEVEL_OOMS: u32 = 4;
/// `lock` was read.
pub const LEVEL_LOCK: u32 = 8;

/// One side of a signal.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Party {
    /// As in `SyscallFailure`.
    pub cgroup_v2: u64,
    pub cgroup_v1: [u64; 4],
    pub start_ns: u64,
    pub pid: u32,
    pub tid: u32,
    pub ppid: u32,
    pub uid: u32,
    pub comm: [u8; COMM],
}

/// A signal that ends its target.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    pub header: Header,
    pub target: Party,
    pub sender: Party,
    /// `si_addr` of a forced signal.
    pub address: u64,
    pub signal: u32,
    /// `si_code`, as an `i32`.
    pub code: u32,
    /// [`ORIGIN_PROCESS`] and its siblings.
    pub origin: u32,
    /// `si_syscall` of SIGSYS.
    pub syscall: u32,
}

/// One memory cgroup above a victim, at the instant of the kill.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemoryLevel {
    pub cgroup: u64,
    /// Pages, as mm/page_counter.c counts them.
    pub usage: u64,
    pub max: u64,
    /// `memory.events.local`'s `oom`: how often the kernel found *this* level out of memory.
    pub ooms: u64,
    pub present: u32,
    /// `mem_cgroup.oom_lock`: this level or one above it is the one being served right now.
    pub lock: u32,
    /// Bytes of the name, its NUL included.
    pub name_len: u32,
    pub pad: u32,
    pub name: [u8; CGROUP_NAME],
}

/// SIGKILL by the kernel, with the victim's memory cgroups, nearest first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KernelKill {
    pub signal: Signal,
    pub levels: [MemoryLevel; MEMORY_LEVELS],
}

/// The OOM killer marked this thread as its victim, just after its SIGKILL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OomVictim {
    pub header: Header,
    pub tid: u32,
    pub pad: u32,
}

/// [`IoUring::opcode`]: not known.
pub const NO_OPCODE: u32 = u32::MAX;
/// `FloodKey::abi` of io_uring operations, whose `nr` is the opcode.
pub const ABI_IO_URING: u32 = 2;

/// An operation of an io_uring that completed with an error.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IoUring {
    pub header: Header,
    pub who: Party,
    /// The application's own mark.
    pub user_data: u64,
    /// Positive.
    pub errno: u32,
    /// `enum io_uring_op`, or [`NO_OPCODE`].
    pub opcode: u32,
}

/// Bytes of a program's path that are read.
pub const PROGRAM_NAME: usize = 256;

/// A program was started, and its set-user-ID or set-group-ID bit had no effect.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IgnoredSetUid {
    pub header: Header,
    pub who: Party,
    /// `i_mode` of the program.
    pub mode: u32,
    /// Its owner, and the user it runs as, in the first user namespace's numbers; its group and the group it runs as
    /// where `of_group` is set.
    pub owner: u32,
    pub euid: u32,
    /// 1 when the task had set no_new_privs.
    pub no_new_privs: u32,
    /// 1 when the program lies on a nosuid mount.
    pub nosuid: u32,
    /// 1 when it is the set-group-ID bit alone that had no effect.
    pub of_group: u32,
    /// As execve(2) was given it; cut, or empty, where it could not be read.
    pub name: [u8; PROGRAM_NAME],
}

/// Where this kernel keeps what these records need; like [`crate::Offsets`], a global of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilentOffsets {
    pub task_pid: u32,
    pub task_comm: u32,
    pub task_sighand: u32,
    pub sighand_action: u32,
    /// `sizeof(struct k_sigaction)`.
    pub sigaction_size: u32,
    pub cred_uid: u32,
    pub css_set_dfl_cgrp: u32,
    pub css_parent: u32,
    pub kn_name: u32,
    pub memcg_usage: u32,
    pub memcg_max: u32,
    pub memcg_oom_lock: u32,
    /// `memory_events_local[MEMCG_OOM]`.
    pub memcg_ooms: u32,
    /// 1 when `mark_victim` passes a task, 0 when it passes a thread id (before 6.9).
    pub victim_is_task: u32,
    pub kiocb_opcode: u32,
    /// `io_ring_ctx.sqo_task`, before 5.12.
    pub ring_task: u32,
    pub cgroup_root: u32,
    pub root_hierarchy: u32,
    pub bprm_file: u32,
    pub bprm_filename: u32,
    pub inode_uid: u32,
    pub inode_gid: u32,
    pub cred_egid: u32,
    /// `file.f_path.mnt`.
    pub file_mount: u32,
    /// `vfsmount.mnt_flags`.
    pub mount_flags: u32,
}

impl SilentOffsets {
    /// Nothing can be read.
    pub const NONE: Self = Self {
        task_pid: UNRESOLVED,
        task_comm: UNRESOLVED,
        task_sighand: UNRESOLVED,
        sighand_action: UNRESOLVED,
        sigaction_size: UNRESOLVED,
        cred_uid: UNRESOLVED,
        css_set_dfl_cgrp: UNRESOLVED,
        css_parent: UNRESOLVED,
        kn_name: UNRESOLVED,
        memcg_usage: UNRESOLVED,
        memcg_max: UNRESOLVED,
        memcg_oom_lock: UNRESOLVED,
        memcg_ooms: UNRESOLVED,
        victim_is_task: 0,
        kiocb_opcode: UNRESOLVED,
        ring_task: UNRESOLVED,
        cgroup_root: UNRESOLVED,
        root_hierarchy: UNRESOLVED,
        bprm_file: UNRESOLVED,
        bprm_filename: UNRESOLVED,
        inode_uid: UNRESOLVED,
        inode_gid: UNRESOLVED,
        cred_egid: UNRESOLVED,
        file_mount: UNRESOLVED,
        mount_flags: UNRESOLVED,
    };
}

const _: () = {
    assert!(size_of::<Party>() == 80);
    assert!(offset_of!(Signal, target) == 16);
    assert!(offset_of!(Signal, address) == 176);
    assert!(size_of::<Signal>() == 200);
    assert!(size_of::<MemoryLevel>() == 48 + CGROUP_NAME);
    assert!(size_of::<KernelKill>() == 200 + MEMORY_LEVELS * (48 + CGROUP_NAME));
    assert!(size_of::<OomVictim>() == 24);
    assert!(size_of::<IoUring>() == 112);
    assert!(size_of::<IgnoredSetUid>() == 120 + PROGRAM_NAME);
    assert!(size_of::<SilentOffsets>() == 25 * 4);
};
