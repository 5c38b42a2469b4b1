//! A name that is a mount point cannot be removed or replaced.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const CALLS: &[&str] = &["rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"];
const DECIDERS: &[&str] = &[];
const CALLERS: &[&str] = &[
    "do_renameat2",
    "filename_renameat2",
    "do_unlinkat",
    "filename_unlinkat",
    "do_rmdir",
    "filename_rmdir",
    "vfs_unlink",
    "vfs_rmdir",
    "vfs_rename",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-point-busy",
    title: "a mount point cannot be removed or replaced",
    about: "\
rename(2), unlink(2) or rmdir(2) fail with EBUSY, \"Device or resource busy\", because the name is a mount point in this mount namespace. Engines bind
/etc/hosts, /etc/hostname, /etc/resolv.conf and each -v FILE one by one, and tools that write a new file and rename it over the old
one (sed -i, editors, many package scripts) cannot replace such a file; they can only write into it. Removing a folder
of a volume fails the same way. Since 3.19 a mount in another namespace hinders nobody. No process has to be stopped.",
    shows_as: &[("rename", "EBUSY"), ("unlink", "EBUSY"), ("rmdir", "EBUSY"), ("unlinkat", "EBUSY"), ("renameat2", "EBUSY")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "removes, and renames over, a file that something is bound on", risk: "none: in a mount namespace of its own", variants: &["rename", "unlink", "rmdir"] },
    see: &["rename(2), unlink(2), rmdir(2): EBUSY", "fs/namei.c: is_local_mountpoint()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, Errno::EBUSY)?;
    let point = case.places().find(|p| p.mount_root == Some(true));
    let looked = case.places().next().is_some();
    if looked && point.is_none() && case.places().all(|p| p.mount_root.is_some() || !p.exists()) {
        return None;
    }
    // cgroupfs, devices and NFS have EBUSYs of their own below a mount.
    let odd = point.is_none()
        && case.places().any(|p| p.fstype().is_some_and(|t| t.starts_with("cgroup") || t.starts_with("nfs")));
    if odd {
        return None;
    }
    let path = point
        .map(|p| p.path.clone())
        .or_else(|| ["newpath", "pathname"].iter().find_map(|n| case.failure().text_arg(n)).map(Into::into))
        .unwrap_or_default();
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state: point.map(|_| true),
        sentence: format!("{path} is a mount point of this mount namespace, so {call} cannot take it away."),
        knob: knob(KnobKind::Other, "mount point", path),
        evidence: point.map(lies).into_iter().collect(),
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    vec![
        fix(
            "now",
            format!("cp NEW {path}"),
            "writes into the file instead of replacing it (cat NEW > FILE; for sed: without -i, into a copy)",
            "none needed",
        ),
        fix(
            "for good",
            "mount the folder, not the file",
            "a volume on the folder lets files in it be replaced; hosts and DNS are given by --add-host and --dns",
            "start it as before",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact, Place};

    #[test]
    fn a_mount_point_and_nothing_else() {
        let finding = |root| {
            let mut i = incident("rename", Errno::EBUSY, vec![]);
            i.facts
                .push(Fact::Place(Place { mount_root: Some(root), ..place("newpath", "/etc/hosts", "rw") }));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(finding(true), Some(Confidence::Proven));
        assert_eq!(finding(false), None);
    }
}
