//! What the current task may do, read before its refused call returns: a moment later it may have changed
//! its user, or be gone.

use crate::maps::{CREDENTIALS, load};
use crate::read::{field, known};
use diag_abi::{Credentials, PRESENT_CREDENTIALS, SyscallFailure, UNRESOLVED};

/// `PFA_NO_NEW_PRIVS` (include/linux/sched.h) in `task_struct.atomic_flags`.
const NO_NEW_PRIVS: u64 = 1;

/// A field of [`CREDENTIALS`].
macro_rules! at {
    ($field:ident $([$index:expr])?) => {
        load(&CREDENTIALS.$field $([$index])?)
    };
}

/// Fills the credentials of a failed call's record.
///
/// # Safety
/// `record` must be valid for a whole record whose `present` is filled.
#[inline(always)]
pub(crate) unsafe fn fill(record: *mut SyscallFailure, task: u64) {
    // SAFETY: fields of the record.
    unsafe {
        if read(&raw mut (*record).credentials, task) {
            (*record).present |= PRESENT_CREDENTIALS;
        }
    }
}

/// `task->cred` is what permission checks ask (include/linux/cred.h), not `real_cred`. Kept out of line so that
/// the callers' stack frames stay small. Says whether they could be read.
///
/// # Safety
/// `to` must be valid for credentials.
#[inline(never)]
pub(crate) unsafe fn read(to: *mut Credentials, task: u64) -> bool {
    let cred = field::<u64>(task, at!(task_cred));
    let user_ns = field::<u64>(cred, at!(cred_user_ns));
    let known = (
        known::<u64>(cred, at!(cred_caps)),
        known::<u32>(cred, at!(cred_euid)),
        known::<u32>(user_ns, at!(user_ns_level)),
        known::<u32>(user_ns, at!(user_ns_inum)),
        known::<u64>(task, at!(task_flags)),
    );
    let nsproxy = field::<u64>(task, at!(task_nsproxy));
    // SAFETY: fields of the credentials.
    unsafe {
        *to = Credentials::NONE;
        let (Some(capabilities), Some(euid), Some(level), Some(inode), flags) = known else { return false };
        (*to).capabilities = capabilities;
        (*to).euid = euid;
        (*to).level = level;
        (*to).user_ns = inode;
        if let Some(flags) = flags {
            (*to).no_new_privs = (flags & NO_NEW_PRIVS) as u32;
        }
        (*to).owners[0] = owner(nsproxy, at!(nsproxy[0]), at!(owners[0]));
        (*to).owners[1] = owner(nsproxy, at!(nsproxy[1]), at!(owners[1]));
        (*to).owners[2] = owner(nsproxy, at!(nsproxy[2]), at!(owners[2]));
        (*to).owners[3] = owner(nsproxy, at!(nsproxy[3]), at!(owners[3]));
    }
    true
}

/// The inode of the user namespace that owns one of the task's namespaces.
#[inline(always)]
fn owner(nsproxy: u64, namespace: u32, user_ns: u32) -> u32 {
    if namespace == UNRESOLVED || user_ns == UNRESOLVED {
        return 0;
    }
    field(field(field::<u64>(nsproxy, namespace), user_ns), at!(user_ns_inum))
}
