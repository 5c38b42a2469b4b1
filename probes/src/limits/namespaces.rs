//! Stage: what a new namespace is held against.

use super::{NAMESPACE_LEVELS, put, slot};
use crate::maps::{SYMBOLS, limit, load, offset};
use crate::read::{field, known};
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use diag_abi::{
    LimitReading, NAMESPACE_FLAGS, NAMESPACE_TYPES, READING_NAMESPACES, READING_NONE, READING_PID_DEPTH,
    READING_USER_DEPTH, ROW_ANONYMOUS_MOUNTS, STAGE_NAMESPACES, SyscallFailure, UNRESOLVED,
};

stage!(namespaces_stage: read_namespaces, read_namespaces_typed);

/// ENOSPC of clone, unshare and what makes an anonymous mount namespace. One type of namespace each time it
/// is entered, and it enters itself for the next: walks of eight types in one program are more than the
/// verifier of 6.1 looks at.
#[inline(always)]
fn namespaces_stage(ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments.
    unsafe {
        let task = generated::bpf_get_current_task() as u64;
        let plain = &raw mut (*record).whole.plain;
        let next = (*record).cursor;
        if next < NAMESPACE_TYPES.len() as u32 {
            (*record).cursor = next + 1;
            one_type(plain, task, next);
            stage::enter(ctx, STAGE_NAMESPACES);
        }
        depths(plain, task);
    }
    stage::submit(record);
    0
}

/// # Safety
/// `record` must be valid for a whole record.
#[inline(always)]
unsafe fn one_type(record: *mut SyscallFailure, task: u64, index: u32) {
    // For the verifier: an index into eight elements.
    let at = (index & 7) as usize;
    // SAFETY: fields of the record.
    let (flags, row) = unsafe { ((*record).call_flags, (*record).row) };
    if flags & load(&NAMESPACE_FLAG[at]) != 0 {
        let (first, whole) = first_level(task, row);
        // SAFETY: a slot of the record.
        unsafe { count(slot(record, at), first, limit!(types[at]), index, whole) };
    }
}

/// `NAMESPACE_FLAGS` where a variable can index it.
static NAMESPACE_FLAG: [u64; 8] = NAMESPACE_FLAGS;

/// Where the walk begins, and whether the levels from there on are all there are.
#[inline(always)]
pub(super) fn first_level(task: u64, row: u32) -> (u64, bool) {
    let cred = field::<u64>(task, limit!(task_cred));
    let user_ns = field::<u64>(cred, offset!(cred_user_ns));
    let nsproxy = field::<u64>(task, offset!(task_nsproxy));
    // fsmount and open_tree charge the owner of the mount namespace (fs/namespace.c `alloc_mnt_ns`).
    let charged = if row & ROW_ANONYMOUS_MOUNTS != 0 {
        field::<u64>(field(nsproxy, offset!(nsproxy_mnt_ns)), limit!(mnt_ns_user_ns))
    } else {
        user_ns
    };
    // The kernel looks the pair of namespace and effective user up in a table. Credentials hold the pair of
    // namespace and real user since 5.14, which is nearly always the same; else whoever made the mount
    // namespace may be that user. Failing both, the levels above are known, and can only convict.
    let user = known::<u32>(cred, limit!(cred_euid));
    let is_it = |pair: u64| {
        field::<u64>(pair, limit!(ucounts_ns)) == charged && known::<u32>(pair, limit!(ucounts_uid)) == user
    };
    let leaf = field::<u64>(cred, limit!(cred_ucounts));
    if is_it(leaf) {
        return (leaf, true);
    }
    let leaf = field::<u64>(field(nsproxy, offset!(nsproxy_mnt_ns)), limit!(mnt_ns_ucounts));
    if is_it(leaf) {
        return (leaf, true);
    }
    let leaf = in_table(charged, user);
    if is_it(leaf) {
        return (leaf, true);
    }
    (field::<u64>(charged, limit!(user_ns_ucounts)), false)
}

/// `find_ucounts()` (kernel/ucount.c) in the table of all counters, where the kernel shows it; 0 where not.
#[inline(always)]
fn in_table(namespace: u64, user: Option<u32>) -> u64 {
    /// `hash_long()` (include/linux/hash.h) to UCOUNTS_HASHTABLE_BITS.
    const GOLDEN_RATIO: u64 = 0x61c8_8646_80b5_83eb;
    const BITS: u32 = 10;
    /// Longer chains take 16 000 users.
    const CHAIN: usize = 16;
    let (table, node_at) = (load(&SYMBOLS.ucounts_hashtable), limit!(ucounts_node));
    let Some(user) = user else { return 0 };
    if table == 0 || node_at == UNRESOLVED {
        return 0;
    }
    let hash = (user as u64).wrapping_add(namespace).wrapping_mul(GOLDEN_RATIO) >> (64 - BITS);
    let mut node = field::<u64>(table + hash * 8, 0);
    for _ in 0..CHAIN {
        if node == 0 {
            return 0;
        }
        let ucounts = node - node_at as u64;
        if field::<u64>(ucounts, limit!(ucounts_ns)) == namespace
            && known::<u32>(ucounts, limit!(ucounts_uid)) == Some(user)
        {
            return ucounts;
        }
        node = field::<u64>(node, 0);
    }
    0
}

/// How deep the namespaces of the task are nested.
///
/// # Safety
/// `record` must be valid for a whole record.
#[inline(always)]
unsafe fn depths(record: *mut SyscallFailure, task: u64) {
    let user_ns = field::<u64>(field(task, limit!(task_cred)), offset!(cred_user_ns));
    let pid_ns = field::<u64>(field(task, offset!(task_nsproxy)), limit!(nsproxy_pid_ns));
    // SAFETY: slots of the record.
    unsafe {
        if let Some(level) = known::<u32>(user_ns, limit!(user_ns_level)) {
            let inum = field::<u32>(user_ns, offset!(user_ns_inum));
            put(slot(record, 8), READING_USER_DEPTH, inum as u64, level as u64, 0);
        }
        if let Some(level) = known::<u32>(pid_ns, limit!(pid_ns_level)) {
            let inum = field::<u32>(pid_ns, offset!(pid_ns_inum));
            put(slot(record, 9), READING_PID_DEPTH, inum as u64, level as u64, 0);
        }
    }
}

/// `inc_ucount()` (kernel/ucount.c): the counter of the user in each user namespace up to the first.
///
/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
pub(super) unsafe fn count(to: *mut LimitReading, first: u64, kind: u32, index: u32, whole: bool) {
    let (counts, maxima, size) = (limit!(ucounts_counts), limit!(user_ns_maxima), limit!(ucount_size));
    if kind == UNRESOLVED || counts == UNRESOLVED || maxima == UNRESOLVED {
        return;
    }
    let at = kind * size;
    let mut ucounts = first;
    for level in 0..NAMESPACE_LEVELS {
        let Some(namespace) = known::<u64>(ucounts, limit!(ucounts_ns)) else { return };
        let Some(up) = known::<u64>(namespace, limit!(user_ns_ucounts)) else { return };
        let Some(used) = element(ucounts, counts + at, size) else { return };
        let Some(most) = element(namespace, maxima + at, size) else { return };
        let full = used >= most;
        if level == 0 || full {
            let inum = field::<u32>(namespace, offset!(user_ns_inum));
            // Not a reading before the walk is complete.
            let kind = if full { READING_NAMESPACES + index } else { READING_NONE };
            // SAFETY: by this function's contract.
            unsafe { put(to, kind, inum as u64, used, most) };
            if full {
                return;
            }
        }
        if up == 0 {
            if whole {
                // SAFETY: by this function's contract.
                unsafe { (*to).kind = READING_NAMESPACES + index };
            }
            return;
        }
        ucounts = up;
    }
}

/// An element of four or eight bytes.
#[inline(always)]
fn element(base: u64, offset: u32, size: u32) -> Option<u64> {
    if size == 4 { known::<u32>(base, offset).map(u64::from) } else { known::<u64>(base, offset) }
}
