//! A mask of processors that has none the task may run on.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy, number_list};

const DECIDERS: &[&str] = &[
    "__set_cpus_allowed_ptr_locked",
    "__set_cpus_allowed_ptr",
    "__sched_setaffinity",
    "sched_setaffinity",
    "set_cpus_allowed_ptr",
];
const CALLERS: &[&str] = &["__do_sys_sched_setaffinity", "__x64_sys_sched_setaffinity"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cpu-affinity",
    title: "none of the processors asked for is in the cgroup's cpuset or online",
    about: "\
sched_setaffinity(2), and with it taskset, numactl, OpenMP and JVM pinning, fails with EINVAL. The kernel takes the mask
together with the task's cpuset (cpuset.cpus.effective) and with what is online, and refuses when nothing is left:
__sched_setaffinity() and __set_cpus_allowed_ptr() in kernel/sched.

It surprises in containers with --cpuset-cpus=4-7 or a static CPU manager: programs count from 0 and pin to 0-3, because
/proc/cpuinfo and /sys show all processors of the machine. A mask that is partly allowed is silently cut instead.",
    shows_as: &[("sched_setaffinity", "EINVAL")],
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
        about: "pins itself to a processor that is not there",
        risk: "none: only this process is refused something",
        variants: &["absent"],
    },
    see: &["sched_setaffinity(2), ERRORS: EINVAL", "cpuset(7)", "kernel/sched/core.c: __set_cpus_allowed_ptr_locked()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["sched_setaffinity"], Errno::EINVAL)?;
    let asked = case.state("processors asked for").map(|s| s.value.as_str());
    let allowed = case.state("cpuset.cpus.effective").map(|s| s.value.as_str());
    let online = case.state("processors online").map(|s| s.value.as_str());
    let none = |have: Option<&str>| Some(number_list(asked?)?.is_disjoint(&number_list(have?)?));
    let (in_cpuset, is_online) = (none(allowed), none(online));
    let state = match (in_cpuset, is_online) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let who = &case.failure().task.comm;
    let sentence = match (asked, allowed.or(online)) {
        (Some(asked), Some(have)) => {
            format!("{who} wants to run on processors {asked}, and its cpuset has {have}: none of them.")
        }
        _ => {
            format!("{who} wants to run on processors that its cpuset does not have, or that are not online.")
        }
    };
    let path = case.state("cpuset.cpus.effective").map_or("cpuset.cpus.effective", |s| s.source.as_str());
    let lines = ["processors asked for", "cpuset.cpus.effective", "processors online"]
        .into_iter()
        .filter_map(|n| cite_state(case, n));
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Cgroup, "cpuset.cpus.effective", path))
            .because(lines),
    )
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "taskset -c $(cat /sys/fs/cgroup/cpuset.cpus.effective) …",
            "pins to what the container has",
            "nothing to undo",
        ),
        step(
            "for good",
            "let the program count sched_getaffinity(2) (nproc) instead of /proc/cpuinfo, or docker update --cpuset-cpus LIST",
            "the cpuset can be widened at any time, up to what the cgroup above has",
            "docker update --cpuset-cpus with the list before",
        ),
        look(
            format!("grep Cpus_allowed_list /proc/PID/status; cat {}", proof.knob.path),
            "what the task and its cgroup may use",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::{Confidence, Incident};

    fn pinned(asked: &str) -> Incident {
        let mut i = called("sched_setaffinity", libc::EINVAL, 0);
        state(&mut i, "processors asked for", asked);
        state(&mut i, "cpuset.cpus.effective", "0-1");
        state(&mut i, "processors online", "0-3");
        i
    }

    #[test]
    fn a_mask_outside_the_cpuset_is_refused() {
        let f = judge_with(&CAUSE, &pinned("2,5")).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "cpuset.cpus.effective"));
    }

    #[test]
    fn a_mask_that_is_partly_inside_is_not() {
        assert!(judge_with(&CAUSE, &pinned("1-2")).is_none());
        let unread = called("sched_setaffinity", libc::EINVAL, 0);
        assert_eq!(judge_with(&CAUSE, &unread).unwrap().confidence, Confidence::Possible);
    }
}
