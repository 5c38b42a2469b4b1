//! Which kernel fields the probes read limits from. Layouts changed often here, so a field may have
//! several forms; a reading whose fields are not all found is not taken.

use super::offsets::Resolved;
use super::{Btf, Want};
use Want::{Array, Int, Pointer, Sized, Struct, StructArray};
use diag_abi::{LimitOffsets, NAMESPACE_TYPES, UNRESOLVED};

/// The pids cgroup and its ancestors.
pub const PIDS: &str = "pids cgroups";
/// RLIMIT_NPROC and what is counted against it.
pub const NPROC: &str = "processes of a user";
/// Namespaces counted per user, up the user namespaces.
pub const NAMESPACES: &str = "namespaces of a user";
/// Depth of user and pid namespaces, and the numbers in use.
pub const NUMBERS: &str = "numbers of pid namespaces";

/// Keys of a user.
const KEYS: &str = "keys of a user";

struct Field {
    reading: &'static str,
    structure: &'static str,
    /// Newest first.
    forms: &'static [(&'static str, Want)],
    slot: fn(&mut LimitOffsets) -> &mut u32,
}

macro_rules! fields {
    ($($reading:expr, $structure:literal [$(($path:literal, $want:expr)),+] => $slot:ident;)+) => {
        &[$(Field {
            reading: $reading,
            structure: $structure,
            forms: &[$(($path, $want)),+],
            slot: |o| &mut o.$slot,
        }),+]
    };
}

const FIELDS: &[Field] = fields! {
    PIDS, "cgroup_subsys_state" [("parent", Pointer("cgroup_subsys_state"))] => css_parent;
    PIDS, "pids_cgroup" [("css", Struct("cgroup_subsys_state"))] => pids_css;
    PIDS, "pids_cgroup" [("counter.counter", Int(8))] => pids_counter;
    PIDS, "pids_cgroup" [("limit.counter", Int(8)), ("limit", Int(8))] => pids_limit;
    NPROC, "task_struct" [("cred", Pointer("cred"))] => task_cred;
    NPROC, "task_struct" [("signal", Pointer("signal_struct"))] => task_signal;
    NPROC, "task_struct" [("policy", Int(4))] => task_policy;
    NPROC, "signal_struct" [("rlim", StructArray("rlimit"))] => signal_rlim;
    NPROC, "cred" [("user", Pointer("user_struct"))] => cred_user;
    NPROC, "cred" [("cap_effective", Sized(8))] => cred_caps;
    NAMESPACES, "cred" [("euid.val", Int(4))] => cred_euid;
    NAMESPACES, "ucounts" [("ns", Pointer("user_namespace"))] => ucounts_ns;
    NAMESPACES, "ucounts" [("uid.val", Int(4))] => ucounts_uid;
    NAMESPACES, "user_namespace" [("ucounts", Pointer("ucounts"))] => user_ns_ucounts;
    NAMESPACES, "user_namespace" [("level", Int(4))] => user_ns_level;
    NAMESPACES, "mnt_namespace" [("user_ns", Pointer("user_namespace"))] => mnt_ns_user_ns;
    NAMESPACES, "mnt_namespace" [("ucounts", Pointer("ucounts"))] => mnt_ns_ucounts;
    NUMBERS, "nsproxy" [("pid_ns_for_children", Pointer("pid_namespace"))] => nsproxy_pid_ns;
    NUMBERS, "pid_namespace" [("parent", Pointer("pid_namespace"))] => pid_ns_parent;
    NUMBERS, "pid_namespace" [("level", Int(4))] => pid_ns_level;
    NUMBERS, "pid_namespace" [("pid_allocated", Int(4))] => pid_ns_allocated;
};

/// Fields that some kernels have and others need not.
const OPTIONAL: &[Field] = fields! {
    // Since 5.14; before, only the parents' counters can be found.
    NAMESPACES, "cred" [("ucounts", Pointer("ucounts"))] => cred_ucounts;
    // Up to 5.13.
    NPROC, "user_struct" [("processes.counter", Int(4))] => user_processes;
    NAMESPACES, "ucounts" [("node", Struct("hlist_node"))] => ucounts_node;
    // `kernel.keys.*` are per user of the whole machine.
    KEYS, "cred" [("fsuid.val", Int(4))] => cred_fsuid;
    KEYS, "key_user" [("uid.val", Int(4))] => key_user_uid;
    KEYS, "key_user" [("qnkeys", Int(4))] => key_user_keys;
    KEYS, "key_user" [("qnbytes", Int(4))] => key_user_bytes;
    // Since 6.14.
    NUMBERS, "pid_namespace" [("pid_max", Int(4))] => pid_ns_max;
};

/// Looks up every field and adds what is missing to what else is.
pub(super) fn resolve(btf: &Btf<'_>, resolved: &mut Resolved) {
    let mut offsets = LimitOffsets::NONE;
    for field in FIELDS {
        if let Err(why) = find(btf, field, &mut offsets)
            && resolved.why_not(field.reading).is_none()
        {
            resolved.missing.push((field.reading, why));
        }
    }
    for field in OPTIONAL {
        // Absence is an answer here.
        let _ = find(btf, field, &mut offsets);
    }
    counters(btf, &mut offsets);
    if offsets.ucount_size == UNRESOLVED {
        resolved.missing.push((NAMESPACES, "ucounts.ucount has an unknown form".into()));
    }
    if offsets.nproc_index == UNRESOLVED && offsets.user_processes == UNRESOLVED {
        resolved.missing.push((NPROC, "neither ucounts nor user_struct count processes".into()));
    }
    resolved.limits = offsets;
}

fn find(btf: &Btf<'_>, field: &Field, offsets: &mut LimitOffsets) -> Result<(), String> {
    let mut last = String::new();
    for (path, want) in field.forms {
        match btf.member(field.structure, path, *want) {
            Ok(offset) => {
                *(field.slot)(offsets) = offset;
                return Ok(());
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

/// Counters per user: four bytes each up to 5.13, then longs. Processes are counted there since 5.14, in
/// arrays of their own since 6.1 (kernel/ucount.c, include/linux/user_namespace.h).
fn counters(btf: &Btf<'_>, offsets: &mut LimitOffsets) {
    let array = |structure, path, size| btf.member(structure, path, Array(size)).ok();
    for size in [8, 4] {
        if let (Some(counts), Some(maxima)) =
            (array("ucounts", "ucount", size), array("user_namespace", "ucount_max", size))
        {
            (offsets.ucounts_counts, offsets.user_ns_maxima, offsets.ucount_size) = (counts, maxima, size);
            break;
        }
    }
    for (slot, name) in offsets.types.iter_mut().zip(NAMESPACE_TYPES) {
        let enumerator = format!("UCOUNT_{}_NAMESPACES", name.to_uppercase());
        // A kernel without that type of namespace has no such enumerator.
        if let Ok(value) = btf.enumerator("ucount_type", &enumerator) {
            *slot = value;
        }
    }
    let forms = [("rlimit_type", "rlimit", "rlimit_max"), ("ucount_type", "ucount", "ucount_max")];
    for (kind, counts, maxima) in forms {
        if let (Ok(index), Some(counts), Some(maxima)) = (
            btf.enumerator(kind, "UCOUNT_RLIMIT_NPROC"),
            array("ucounts", counts, 8),
            array("user_namespace", maxima, 8),
        ) {
            (offsets.nproc_index, offsets.nproc_counts, offsets.nproc_maxima) = (index, counts, maxima);
            break;
        }
    }
}
