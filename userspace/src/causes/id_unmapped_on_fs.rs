//! The caller's ids cannot be stored on a file system that belongs to another user namespace.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Abi, Errno, FailureKind, KnobKind, Remedy};

const CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
];
const DECIDERS: &[&str] =
    &["may_create", "may_o_create", "may_create_dentry", "notify_change", "setattr_prepare"];
const CALLERS: &[&str] = &[
    "vfs_mkdir",
    "vfs_mknod",
    "vfs_symlink",
    "vfs_create",
    "vfs_link",
    "vfs_rename",
    "lookup_open",
    "open_last_lookups",
    "path_openat",
    "do_filp_open",
    "do_sys_openat2",
    "do_mkdirat",
    "do_mknodat",
    "filename_mkdirat",
    "filename_mknodat",
    "do_symlinkat",
    "filename_symlinkat",
    "chown_common",
    "do_fchownat",
    "do_file_open",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "id-unmapped-on-fs",
    title: "the caller's user or group cannot be stored on this file system",
    about: "\
Creating a file or folder fails with EOVERFLOW, \"Value too large for defined data type\". A file system that was mounted
inside a user namespace (tmpfs, overlay, FUSE) and an id-mapped mount store only ids that the namespace or the mount
maps; may_create() in fs/namei.c asks fsuidgid_has_mapping() and refuses all others, root of the host too.

It surprises root: `nsenter -t PID -m` without -U, docker cp into a rootless container's tmpfs, or a host daemon that
writes into an id-mapped volume are all-powerful and still cannot create a file there.",
    shows_as: &[("openat", "EOVERFLOW"), ("mkdir", "EOVERFLOW"), ("mknod", "EOVERFLOW"), ("symlink", "EOVERFLOW"), ("chown", "EOVERFLOW")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a 32-bit program and a file of 2 GiB or more",
        ruled_out_by: "the call came from a 64-bit program, or it would have created the file",
        stands: small_offsets,
    }],
    explain,
    remedy,
    fault: Fault::None("nsenter -m (without -U) into a user namespace that has a tmpfs, and touch a file there"),
    see: &["user_namespaces(7)", "mount_setattr(2), ID-mapped mounts", "fs/namei.c: may_create(); include/linux/fs.h: fsuidgid_has_mapping()"],
};

fn small_offsets(case: &Case<'_>) -> Option<String> {
    let FailureKind::Syscall { name, abi, .. } = &case.failure().kind else { return None };
    (*abi == Abi::Compat && name.starts_with("open"))
        .then(|| "a 32-bit program may have opened a file of 2 GiB or more".into())
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, Errno(libc::EOVERFLOW))?;
    // Nothing else of the virtual file system says so to a call that creates something.
    let opens = call.starts_with("open");
    let state = (!opens || case.verdict(DECIDERS).is_some()).then_some(true);
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let task = &case.failure().task;
    let place = case.failure().text_arg("pathname").unwrap_or("it");
    let sentence = format!(
        "{} (uid {}) may not create {place}: its user or group has no mapping on that file system.",
        task.comm, task.uid
    );
    let lines = ["Uid", "Gid", "uid_map"].into_iter().filter_map(|n| cite_state(case, n));
    let proof = weighed.proof(
        case,
        DECIDERS,
        sentence,
        knob(KnobKind::File, "uid_map", "uid_map of the namespace that mounted it"),
    );
    // A file system may have its own reason, as one of the network that passes its server's answer on.
    let sure = case.verdict(DECIDERS).is_some() || case.verdict(CALLERS).is_some();
    let proof = proof.because(lines);
    Some(if sure {
        proof
    } else {
        proof.at_most(
            crate::model::Confidence::Likely,
            "the function that decided: file systems may say the same",
        )
    })
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "nsenter -t PID -U -m --preserve-credentials … or setpriv --reuid … --regid …",
            "does it as a user that the namespace maps",
            "nothing to undo",
        ),
        look(
            "cat /proc/PID/uid_map; findmnt -o TARGET,OPTIONS -T PATH",
            "which ids the container maps, and whether the mount is idmapped",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::called;
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn creating_says_it_and_nothing_else_does() {
        let i = called("mkdir", libc::EOVERFLOW, 0);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Likely);
        let mut i = called("openat", libc::EOVERFLOW, 0);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        if let FailureKind::Syscall { abi, .. } = &mut i.failure.kind {
            *abi = Abi::Compat;
        }
        assert!(small_offsets(&Case { incident: &i, path: None }).is_some());
        assert!(judge_with(&CAUSE, &called("mkdir", libc::ENOSPC, 0)).is_none());
    }
}
