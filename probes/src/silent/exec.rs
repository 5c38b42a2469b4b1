//! Programs that were started without the user, or the group, that their set-ID bits promise: execve(2) succeeds, and says nothing.

use super::party;
use crate::maps::{CREDENTIALS, EVENTS, SILENT, config, count_dropped, load, object, offset};
use crate::read::{field, known};
use crate::syscall::header;
use crate::tree;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use diag_abi::{IgnoredSetUid, MODE_TREE, PROGRAM_NAME, UNRESOLVED, kind};

/// `S_ISUID`; `S_ISGID` with `S_IXGRP`, without which it means something else (`bprm_fill_uid`).
const SET_UID: u16 = 0o4000;
const SET_GID: u16 = 0o2010;
/// `MNT_NOSUID` (include/linux/mount.h).
const NOSUID: u32 = 1;
/// `PFA_NO_NEW_PRIVS` (include/linux/sched.h) in `task_struct.atomic_flags`.
const NO_NEW_PRIVS: u64 = 1;

/// `sched_process_exec(task, old_pid, bprm)`: the new program has its credentials (fs/exec.c `exec_binprm`), and
/// `bprm_fill_uid` has decided about the bit: not on a nosuid mount, not under no_new_privs.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn watch_exec(ctx: RawTracePointContext) -> i32 {
    let (task, bprm): (u64, u64) = (ctx.arg(0), ctx.arg(2));
    let file = field::<u64>(bprm, load(&SILENT.bprm_file));
    let inode = field::<u64>(file, object!(file_inode));
    let mode = field::<u16>(inode, object!(inode_mode));
    let (set_uid, set_gid) = (mode & SET_UID != 0, mode & SET_GID == SET_GID);
    if !(set_uid || set_gid) || offset!(task_tgid) == UNRESOLVED {
        return 0;
    }
    let tgid = field::<u32>(task, offset!(task_tgid));
    if config!(mode) == MODE_TREE && !tree::contains(tgid, task) {
        return 0;
    }
    let cred = field::<u64>(task, load(&CREDENTIALS.task_cred));
    let Some(euid) = known::<u32>(cred, load(&CREDENTIALS.cred_euid)) else { return 0 };
    let Some(owner) = known::<u32>(inode, load(&SILENT.inode_uid)) else { return 0 };
    let (owner, euid, of_group) = if set_uid && euid != owner {
        (owner, euid, 0)
    } else {
        let Some(egid) = known::<u32>(cred, load(&SILENT.cred_egid)) else { return 0 };
        let Some(group) = known::<u32>(inode, load(&SILENT.inode_gid)) else { return 0 };
        if !set_gid || egid == group {
            return 0;
        }
        (group, egid, 1)
    };
    let flags = field::<u64>(task, load(&CREDENTIALS.task_flags));
    let no_new_privs = (flags & NO_NEW_PRIVS) as u32;
    let mount = field::<u64>(file, load(&SILENT.file_mount));
    let mount_flags = field::<u32>(mount, load(&SILENT.mount_flags));
    if no_new_privs == 0 && mount_flags & NOSUID == 0 {
        return 0;
    }
    let Some(mut entry) = EVENTS.reserve::<IgnoredSetUid>(0) else {
        count_dropped();
        return 0;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record; the helpers tolerate any source.
    unsafe {
        let now = generated::bpf_ktime_get_ns();
        (*record).header = header(kind::IGNORED_SET_UID, size_of::<IgnoredSetUid>(), now);
        party::fill(&raw mut (*record).who, task);
        (*record).mode = mode as u32;
        (*record).owner = owner;
        (*record).euid = euid;
        (*record).no_new_privs = no_new_privs;
        (*record).nosuid = mount_flags & NOSUID;
        (*record).of_group = of_group;
        (*record).name = [0; PROGRAM_NAME];
        let name = field::<u64>(bprm, load(&SILENT.bprm_filename));
        let to = (&raw mut (*record).name).cast();
        generated::bpf_probe_read_kernel_str(to, PROGRAM_NAME as u32, name as *const _);
    }
    entry.submit(0);
    0
}
