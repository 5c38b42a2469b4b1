//! A new namespace of another type than user needs CAP_SYS_ADMIN.

use super::case::claim::{Weighed, cite_state, knob, look, step, weigh};
use super::case::ids::{self, CAP_SYS_ADMIN};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const SYSCALLS: &[&str] = &["unshare", "clone", "clone3"];

const DECIDERS: &[&str] = &["unshare_nsproxy_namespaces", "copy_namespaces"];
const CALLERS: &[&str] = &[
    "ksys_unshare",
    "copy_process",
    "kernel_clone",
    "_do_fork",
    "ns_capable",
    "ns_capable_common",
    "cap_capable",
    "security_capable",
];

const CLONE_NEWUSER: u64 = 0x1000_0000;
/// Every `CLONE_NEW*` flag but the user namespace's (linux/sched.h).
const OTHERS: u64 = 0x6e02_0080;

pub(super) static CAUSE: Cause = Cause {
    slug: "namespace-privilege",
    title: "a new namespace needs CAP_SYS_ADMIN in the caller's user namespace",
    about: "\
unshare(2), clone(2) or clone3(2) fail with EPERM, \"Operation not permitted\": a namespace of any type but user was
asked for by a task without CAP_SYS_ADMIN in its own user namespace (unshare_nsproxy_namespaces() and
copy_namespaces() in kernel/nsproxy.c). Nested container engines, build tools and browsers' sandboxes meet it inside a
container, where root has the few capabilities that the engine left it, and CAP_SYS_ADMIN is not among them.

It surprises because uid 0 does not help, and because the same call with CLONE_NEWUSER added succeeds for everybody:
the new user namespace comes first, and in it the caller has all capabilities. The engine's seccomp profile often says
EPERM to the same call before the kernel is asked.",
    shows_as: &[("unshare", "EPERM"), ("clone", "EPERM"), ("clone3", "EPERM")],
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
        about: "asks for a network namespace as a user without capabilities",
        risk: "none: only this process is refused something",
        variants: &["new-net"],
    },
    see: &["unshare(2), ERRORS: EPERM", "user_namespaces(7)", "kernel/nsproxy.c: unshare_nsproxy_namespaces(), copy_namespaces()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(SYSCALLS, Errno::EPERM)?;
    let flags = case.failure().number_arg("flags")?;
    // With a new user namespace that one is asked first, and gives the capability for the rest.
    if flags & OTHERS == 0 || flags & CLONE_NEWUSER != 0 {
        return None;
    }
    let lacks = match case.returned("ns_capable") {
        Some(0) => Some(true),
        Some(_) => Some(false),
        None => ids::has(case, CAP_SYS_ADMIN).map(|has| !has),
    };
    let weighed: Weighed = weigh(case, DECIDERS, CALLERS, lacks)?;
    let who = &case.failure().task.comm;
    let sentence =
        format!("{who} asked {call} for a new namespace without CAP_SYS_ADMIN in its user namespace.");
    let knob =
        knob(KnobKind::Capability, "CAP_SYS_ADMIN", format!("/proc/{}/status", case.failure().task.pid));
    let lines = ids::cite(case, "CAP_SYS_ADMIN", CAP_SYS_ADMIN).into_iter().chain(cite_state(case, "Uid"));
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "unshare --user --map-root-user …",
            "a user namespace of its own gives the capability over all that is made inside; nothing outside",
            "nothing to undo",
        ),
        step(
            "for good",
            "docker run --cap-add SYS_ADMIN …",
            "close to root on the host: only for what is trusted (Kubernetes: securityContext.capabilities.add)",
            "start it without the option",
        ),
        look(
            format!("grep Cap /proc/{}/status; capsh --decode=…", case.failure().task.pid),
            "what the process and its container were left with",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    const NEWNET: u64 = 0x4000_0000;

    #[test]
    fn the_missing_capability_is_named() {
        let mut i = called("unshare", libc::EPERM, NEWNET);
        state(&mut i, "CapEff", "00000000a80425fb");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "CAP_SYS_ADMIN"));
        i.failure.task.filters = Some(crate::model::Filters { mode: 2, count: 1, inherited: true });
        assert_eq!(
            judge_with(&CAUSE, &i).unwrap().confidence,
            Confidence::Likely,
            "a filter may have said it"
        );
    }

    #[test]
    fn who_has_it_or_asks_for_a_user_namespace_is_no_case() {
        let mut i = called("unshare", libc::EPERM, NEWNET);
        state(&mut i, "CapEff", "000001ffffffffff");
        assert!(judge_with(&CAUSE, &i).is_none());
        let mut i = called("unshare", libc::EPERM, CLONE_NEWUSER | NEWNET);
        state(&mut i, "CapEff", "0000000000000000");
        assert!(judge_with(&CAUSE, &i).is_none());
        assert!(judge_with(&CAUSE, &called("unshare", libc::EINVAL, NEWNET)).is_none());
    }
}
