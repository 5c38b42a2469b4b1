//! setgroups(2) in a user namespace that has it switched off.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids::{self, CAP_SETGID};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["may_setgroups", "userns_may_setgroups", "__do_sys_setgroups", "ksys_setgroups"];
const CALLERS: &[&str] = &["ns_capable_setid", "ns_capable", "ns_capable_common"];

pub(super) static CAUSE: Cause = Cause {
    slug: "setgroups-denied",
    title: "setgroups is switched off in this user namespace",
    about: "\
setgroups(2) fails with EPERM as root of a user namespace, with all capabilities. Whoever wrote gid_map without
privileges had to write `deny` to /proc/PID/setgroups before, and then nobody in that namespace may change supplementary
groups; before gid_map is written nobody may either. may_setgroups() in kernel/groups.c asks userns_may_setgroups().

It surprises in rootless containers: apt (\"setgroups 65534 failed\"), su, sudo, sshd and every daemon that drops its
privileges call it. With newgidmap, which has CAP_SETGID, the switch stays on `allow`.",
    shows_as: &[("setgroups", "EPERM")],
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
        about: "calls setgroups where it is denied",
        risk: "none: only this process is refused something",
        variants: &["denied"],
    },
    see: &["user_namespaces(7), The /proc/PID/setgroups file", "kernel/groups.c: may_setgroups()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["setgroups", "setgroups32"], Errno::EPERM)?;
    let denied = case.state("setgroups").map(|s| s.value == "deny");
    let unset = case.state("gid_map").map(|s| s.value.is_empty());
    let lacks = ids::has(case, CAP_SETGID).map(|has| !has);
    let who = &case.failure().task.comm;
    let pid = case.failure().task.pid;
    let (state, sentence, knob) = match (denied, unset, lacks) {
        (Some(true), ..) | (_, Some(true), _) => (
            Some(true),
            format!(
                "{who} may not change its supplementary groups: its user namespace has setgroups denied, or no gid_map yet."
            ),
            knob(KnobKind::File, "setgroups", format!("/proc/{pid}/setgroups")),
        ),
        (_, _, Some(true)) => (
            Some(true),
            format!(
                "{who} may not change its supplementary groups: it lacks CAP_SETGID in its user namespace."
            ),
            knob(KnobKind::Capability, "CAP_SETGID", format!("/proc/{pid}/status")),
        ),
        (Some(false), _, Some(false)) => (Some(false), String::new(), knob(KnobKind::File, "setgroups", "")),
        _ => (
            None,
            format!("{who} may not change its supplementary groups in its user namespace."),
            knob(KnobKind::File, "setgroups", format!("/proc/{pid}/setgroups")),
        ),
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let lines = ["setgroups", "gid_map", "CapEff"].into_iter().filter_map(|n| cite_state(case, n));
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.kind == KnobKind::Capability {
        return vec![step(
            "now",
            "docker run --cap-add SETGID …",
            "lets the container choose any group it maps; engines give it unless it was dropped",
            "start it without the option",
        )];
    }
    vec![
        step(
            "for good",
            "a range for the user in /etc/subgid, and newgidmap (package uidmap)",
            "the engine then maps groups with privilege and setgroups stays allowed, from the next namespace on",
            "remove the line from /etc/subgid",
        ),
        look("cat /proc/PID/setgroups /proc/PID/gid_map", "deny stays until the namespace ends"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn the_switch_is_told_from_the_capability() {
        let mut i = called("setgroups", libc::EPERM, 0);
        state(&mut i, "setgroups", "deny");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "setgroups"));
        let mut i = called("setgroups", libc::EPERM, 0);
        state(&mut i, "setgroups", "allow");
        state(&mut i, "CapEff", "0000000000000000");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, "CAP_SETGID");
    }

    #[test]
    fn who_may_is_no_case() {
        let mut i = called("setgroups", libc::EPERM, 0);
        state(&mut i, "setgroups", "allow");
        state(&mut i, "CapEff", "00000000000000c0");
        assert!(judge_with(&CAUSE, &i).is_none());
        assert!(judge_with(&CAUSE, &called("setgroups", libc::EINVAL, 0)).is_none());
    }
}
