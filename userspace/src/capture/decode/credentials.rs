//! What the task may do, as the probe read it.

use super::Trust;
use crate::model::{Credentials, Owners};
use diag_abi::{PRESENT_CREDENTIALS, SyscallFailure, UNRESOLVED};

/// `None` where the probe could not read it, or `/proc` says otherwise.
pub(super) fn credentials(record: &SyscallFailure, trust: &Trust) -> Option<Credentials> {
    if !trust.credentials || record.present & PRESENT_CREDENTIALS == 0 {
        return None;
    }
    Some(of(&record.credentials, trust))
}

/// As far as they are trusted.
pub(super) fn of(raw: &diag_abi::Credentials, trust: &Trust) -> Credentials {
    let [mnt, net, uts, ipc] = raw.owners.map(|inode| (trust.owners && inode != 0).then_some(inode));
    Credentials {
        euid: raw.euid,
        capabilities: raw.capabilities,
        user_ns: raw.user_ns,
        userns_level: raw.level,
        no_new_privs: (trust.no_new_privs && raw.no_new_privs != UNRESOLVED).then_some(raw.no_new_privs == 1),
        owners: Owners { mnt, net, uts, ipc },
    }
}
