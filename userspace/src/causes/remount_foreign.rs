//! A file system that belongs to another user namespace cannot be changed by a remount.

use super::case::signs::{Claim, MountWork, filtered, fix, knob, lies};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["do_remount", "vfs_fsconfig_locked", "fspick", "__do_sys_fspick"];
const CALLERS: &[&str] = &["path_mount", "do_mount", "ns_capable", "cap_capable", "security_capable"];

pub(super) static CAUSE: Cause = Cause {
    slug: "remount-foreign",
    title: "the file system belongs to another user namespace, and only its mount may be changed",
    about: "\
\"mount -o remount,rw /\", or remount,size=…, fails with EPERM, \"Operation not permitted\", for root of a rootless container or a pod \
with hostUsers: false, although it may mount and unmount. MS_REMOUNT alone changes the file system itself, for all who have it \
mounted, and do_remount() in fs/namespace.c asks for CAP_SYS_ADMIN in the user namespace that the file system was mounted from: the \
host's for the image's overlay, for volumes and for /sys. With MS_BIND it changes flags of one mount only, which is the caller's.",
    shows_as: &[("mount", "EPERM"), ("fspick", "EPERM")],
    deciders: &["do_remount"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter on the task, or a kernel path of the call",
        stands: filtered,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "remounts a tmpfs from a user namespace below the one that mounted it",
        risk: "none: in namespaces of its own",
        variants: &["remount"],
    },
    see: &["mount(2), MS_REMOUNT; user_namespaces(7)", "fs/namespace.c: do_remount()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["mount"], Errno::EPERM)?;
    if case.mount_work() != MountWork::Remount {
        return None;
    }
    let facts = case.mounting()?;
    // Without the capability over its mounts the caller is refused before.
    if facts.first_user_ns != Some(false) || facts.owns_mounts != Some(true) || facts.admin != Some(true) {
        return None;
    }
    let place = case.place("target");
    let at =
        place.map_or_else(|| "The file system".to_string(), |p| format!("The file system at {}", p.path));
    let mut proof = Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state: Some(true),
        sentence: format!(
            "{at} was mounted from outside of the user namespace of {}: it may be remounted with bind only, which changes flags of the mount.",
            case.who()
        ),
        knob: knob(KnobKind::MountOption, "bind", place.map(|p| p.path.clone()).unwrap_or_default()),
        evidence: place.map(lies).into_iter().collect(),
        missing: Vec::new(),
    }
    .prove(case)?;
    if case.verdict(DECIDERS).is_none() {
        proof = proof.at_most(
            Confidence::Likely,
            "whose the file system is: flags that are locked give the same errno",
        );
    }
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let at = if proof.knob.path.is_empty() { "DIR" } else { proof.knob.path.as_str() };
    vec![
        fix(
            "now",
            format!("mount -o remount,bind,FLAGS {at}"),
            "flags of this mount alone (ro, nodev, …), and all that it has already must be named; options of the file system (size=, data=) are its owner's",
            "the same with the old flags",
        ),
        fix(
            "for good",
            "have it mounted so by the engine or the host",
            "docker run --tmpfs DIR:size=…, -v …:ro, --shm-size",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Fact, Filters, Mounting};

    fn remounted(flags: u64, first: bool, owns: bool) -> Option<Confidence> {
        let mut i = incident("mount", Errno::EPERM, vec![]);
        set_args(&mut i, &[("target", "/m")], &[("flags", flags)]);
        i.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
        i.facts.push(Fact::Place(place("target", "/m", "rw")));
        let (admin, owns_mounts, first_user_ns) = (Some(true), Some(owns), Some(first));
        i.facts.push(Fact::Mounting(Mounting { admin, owns_mounts, first_user_ns, ..Mounting::default() }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn root_of_a_user_namespace_may_change_its_mounts_only() {
        assert_eq!(remounted(libc::MS_REMOUNT, false, true), Some(Confidence::Likely));
        assert_eq!(remounted(libc::MS_REMOUNT | libc::MS_BIND, false, true), None);
        assert_eq!(remounted(libc::MS_REMOUNT, true, true), None);
        assert_eq!(remounted(libc::MS_REMOUNT, false, false), None, "it may not mount at all");
        assert_eq!(remounted(0, false, true), None);
    }
}
