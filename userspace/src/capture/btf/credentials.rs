//! Which kernel fields say what a task may do.

use super::offsets::Resolved;
use super::{Btf, Want};
use Want::{Int, Pointer, Sized};
use diag_abi::CredentialOffsets;

/// Effective user, capabilities, and the user namespace they count in.
pub const CREDENTIALS: &str = "credentials";
/// Whether a task has given up gaining privileges.
pub const NO_NEW_PRIVS: &str = "no_new_privs";
/// Which user namespaces own the task's other namespaces.
pub const OWNERS: &str = "owners of namespaces";

type Row = (&'static str, &'static str, &'static str, Want, fn(&mut CredentialOffsets) -> &mut u32);

const FIELDS: &[Row] = &[
    (CREDENTIALS, "task_struct", "cred", Pointer("cred"), |o| &mut o.task_cred),
    (CREDENTIALS, "cred", "euid.val", Int(4), |o| &mut o.cred_euid),
    // Two words of 32 bits up to 6.2, then one of 64: on x86-64 the same bytes.
    (CREDENTIALS, "cred", "cap_effective", Sized(8), |o| &mut o.cred_caps),
    (CREDENTIALS, "cred", "user_ns", Pointer("user_namespace"), |o| &mut o.cred_user_ns),
    (CREDENTIALS, "user_namespace", "level", Int(4), |o| &mut o.user_ns_level),
    (CREDENTIALS, "user_namespace", "ns.inum", Int(4), |o| &mut o.user_ns_inum),
    (NO_NEW_PRIVS, "task_struct", "atomic_flags", Int(8), |o| &mut o.task_flags),
    (OWNERS, "task_struct", "nsproxy", Pointer("nsproxy"), |o| &mut o.task_nsproxy),
    (OWNERS, "nsproxy", "mnt_ns", Pointer("mnt_namespace"), |o| &mut o.nsproxy[0]),
    (OWNERS, "nsproxy", "net_ns", Pointer("net"), |o| &mut o.nsproxy[1]),
    (OWNERS, "nsproxy", "uts_ns", Pointer("uts_namespace"), |o| &mut o.nsproxy[2]),
    (OWNERS, "nsproxy", "ipc_ns", Pointer("ipc_namespace"), |o| &mut o.nsproxy[3]),
    (OWNERS, "mnt_namespace", "user_ns", Pointer("user_namespace"), |o| &mut o.owners[0]),
    (OWNERS, "net", "user_ns", Pointer("user_namespace"), |o| &mut o.owners[1]),
    (OWNERS, "uts_namespace", "user_ns", Pointer("user_namespace"), |o| &mut o.owners[2]),
    (OWNERS, "ipc_namespace", "user_ns", Pointer("user_namespace"), |o| &mut o.owners[3]),
];

/// Looks up every field and adds what is missing to what else is. The probe leaves out what it has no offset for.
pub(super) fn resolve(btf: &Btf<'_>, resolved: &mut Resolved) {
    let mut offsets = CredentialOffsets::NONE;
    for (reading, structure, path, want, slot) in FIELDS {
        match btf.member(structure, path, *want) {
            Ok(offset) => *slot(&mut offsets) = offset,
            Err(why) if resolved.why_not(reading).is_none() => {
                resolved.missing.push((reading, why.to_string()));
            }
            Err(_) => {}
        }
    }
    resolved.credentials = offsets;
}

/// Every member that is looked up, for tests that hold it against another implementation.
pub fn looked_up() -> impl Iterator<Item = (&'static str, &'static str, Want)> {
    FIELDS.iter().map(|(_, structure, path, want, _)| (*structure, *path, *want))
}
