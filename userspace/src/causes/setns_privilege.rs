//! Entering a namespace needs CAP_SYS_ADMIN over it, in the user namespace that owns it.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids::{self, CAP_SYS_ADMIN, CAP_SYS_CHROOT};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &[
    "mntns_install",
    "netns_install",
    "ipcns_install",
    "utsns_install",
    "pidns_install",
    "cgroupns_install",
    "timens_install",
    "userns_install",
];
const CALLERS: &[&str] = &[
    "validate_ns",
    "validate_nsset",
    "ns_capable",
    "ns_capable_common",
    "cap_capable",
    "security_capable",
    "ptrace_may_access",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "setns-privilege",
    title: "no CAP_SYS_ADMIN over the namespace that was to be entered",
    about: "\
setns(2), and with it nsenter, docker exec or a CNI plugin, fails with EPERM. Each type's install function
(mntns_install(), netns_install() …) asks twice: for CAP_SYS_ADMIN in the user namespace that *owns the target*, and
for the same in the caller's own; a mount namespace wants CAP_SYS_CHROOT too. A user namespace is entered with
CAP_SYS_ADMIN in that namespace, which only its creator and its ancestors' privileged tasks have.

It surprises in rootless containers: their namespaces belong to a user namespace that must be entered first
(nsenter -U), and capabilities of a task count in its own user namespace and those below it, never beside it.",
    shows_as: &[("setns", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: ids::filter_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "enters a network namespace as a user without capabilities",
        risk: "none: only this process is refused something",
        variants: &["enter-net"],
    },
    see: &["setns(2), ERRORS: EPERM", "user_namespaces(7)", "net/core/net_namespace.c: netns_install()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["setns"], Errno::EPERM)?;
    let target = case.state("target").map(|s| s.value.as_str());
    let mount = target.is_some_and(|t| t.starts_with("mnt:")) || case.passed_through(&["mntns_install"]);
    let admin = match case.returned("ns_capable") {
        Some(0) => Some(false),
        _ => ids::has(case, CAP_SYS_ADMIN),
    };
    let chroot = ids::has(case, CAP_SYS_CHROOT);
    let owner = case.state("owner of target").and_then(|s| s.value.parse::<u32>().ok());
    let own = case.failure().task.user_ns;
    // In the first user namespace with the capability, or in the owner itself with it: nothing is missing.
    // Through a pidfd the right to look at the process is asked first (`validate_nsset()`).
    let by_process = target.is_some_and(|t| t.contains("pidfd"));
    let lacks = match (admin, owner, own) {
        (Some(false), ..) if by_process => None,
        (Some(false), ..) => Some(true),
        (Some(true), Some(owner), Some(own)) if owner == own && !(mount && chroot == Some(false)) => {
            Some(false)
        }
        (Some(true), ..) if mount && chroot == Some(false) => Some(true),
        _ => None,
    };
    let name = if admin == Some(true) && mount && chroot == Some(false) {
        "CAP_SYS_CHROOT"
    } else {
        "CAP_SYS_ADMIN"
    };
    let weighed = weigh(case, DECIDERS, CALLERS, lacks)?;
    let who = &case.failure().task.comm;
    let what = target.unwrap_or("the namespace");
    let sentence = format!("{who} may not enter {what}: it lacks {name} in the user namespace that owns it.");
    let knob = knob(KnobKind::Capability, name, format!("/proc/{}/status", case.failure().task.pid));
    let capability = if name == "CAP_SYS_ADMIN" { CAP_SYS_ADMIN } else { CAP_SYS_CHROOT };
    let lines = ids::cite(case, name, capability)
        .into_iter()
        .chain(cite_state(case, "target"))
        .chain(cite_state(case, "owner of target"));
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "nsenter -U -t PID --preserve-credentials -n …",
            "enters the user namespace that owns the others first; its own users may do so",
            "nothing to undo",
        ),
        step(
            "for good",
            "docker run --cap-add SYS_ADMIN …",
            "where the caller is a container of the first user namespace: close to root on the host",
            "start it without the option",
        ),
        look("lsns -o NS,TYPE,PID,USER,COMMAND", "which process holds the namespace, and whose it is"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    fn entering(target: &str, caps: &str, owner: &str) -> crate::model::Incident {
        let mut i = called("setns", libc::EPERM, 0);
        i.failure.task.user_ns = Some(77);
        state(&mut i, "CapEff", caps);
        state(&mut i, "target", target);
        state(&mut i, "owner of target", owner);
        i
    }

    #[test]
    fn nobody_enters_without_the_capability() {
        let f = judge_with(&CAUSE, &entering("net:[4026532200]", "0000000000000000", "4026531837")).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "CAP_SYS_ADMIN"));
        let f = judge_with(&CAUSE, &entering("mnt:[4026532200]", "0000000000200000", "77")).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "CAP_SYS_CHROOT"));
    }

    #[test]
    fn with_it_in_the_owner_something_else_refused() {
        assert!(judge_with(&CAUSE, &entering("net:[1]", "000001ffffffffff", "77")).is_none());
        // Another owner: whether the caller is above it is not known.
        let f = judge_with(&CAUSE, &entering("net:[1]", "000001ffffffffff", "78")).unwrap();
        assert_eq!(f.confidence, Confidence::Possible);
        assert!(judge_with(&CAUSE, &called("setns", libc::EINVAL, 0)).is_none());
    }
}
