//! None of the memory nodes that were asked for may be used.

use super::case::claim::{self, cite_state, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, number_list};

const DECIDERS: &[&str] =
    &["do_set_mempolicy", "do_mbind", "mpol_new_nodemask", "mpol_set_nodemask", "mpol_new", "get_nodes"];
const CALLERS: &[&str] =
    &["kernel_set_mempolicy", "kernel_mbind", "__x64_sys_set_mempolicy", "__x64_sys_mbind", "mpol_new_bind"];
const ALLOWED: &str = "Mems_allowed_list";
/// The first word of the mask that the caller passed.
const ASKED: &str = "nodemask";
/// MPOL_F_RELATIVE_NODES (linux/mempolicy.h).
const RELATIVE: u64 = 1 << 14;

pub(super) static CAUSE: Cause = Cause {
    slug: "memory-nodes",
    title: "none of the memory nodes asked for is in the cgroup's cpuset or on the machine",
    about: "\
set_mempolicy(2) or mbind(2) (numactl --membind, libnuma, the JVM's -XX:+UseNUMA, databases) fails with EINVAL, \"Invalid argument\": \
mpol_set_nodemask() in mm/mempolicy.c keeps of the nodes that were asked for those that cpuset.mems allows, and nothing was left. \
Programs take the numbers of nodes from /sys/devices/system/node, which shows those of the machine and not those of the container \
(--cpuset-mems, the static memory manager of the kubelet), or from a configuration that was made for another machine.",
    shows_as: &[("set_mempolicy", "EINVAL"), ("mbind", "EINVAL")],
    deciders: &["mpol_set_nodemask", "mpol_new_nodemask"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for memory of a node that no machine has",
        risk: "none",
        variants: &["policy", "range"],
    },
    see: &["set_mempolicy(2), mbind(2), EINVAL; numa(7), cpuset(7)", "mm/mempolicy.c: mpol_set_nodemask()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["set_mempolicy", "mbind"], Errno::EINVAL)?;
    // Relative numbers are counted within what is allowed.
    if case.failure().number_arg("mode").is_some_and(|mode| mode & RELATIVE != 0) {
        return None;
    }
    let asked = case.value(ASKED).filter(|mask| *mask != 0)?;
    let allowed = number_list(&case.state(ALLOWED)?.value)?;
    // Only the first 64 nodes were read; a machine with more has them in other words of the mask.
    let shared = allowed.iter().any(|node| u64::from(*node) < 64 && asked & (1 << u64::from(*node)) != 0);
    let weighed = claim::weigh(case, DECIDERS, CALLERS, Some(!shared))?;
    let nodes: Vec<String> =
        (0..64).filter(|node| asked & (1_u64 << node) != 0).map(|node: u32| node.to_string()).collect();
    let sentence = format!(
        "{} asks {call} for memory of node {}, and may use {} only.",
        case.failure().task.comm,
        nodes.join(", "),
        case.state(ALLOWED).map_or("others", |s| s.value.as_str())
    );
    let knob = knob(KnobKind::Cgroup, "cpuset.mems", "/proc/PID/status: Mems_allowed_list");
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(cite_state(case, ALLOWED)))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        look(
            format!("grep Mems_allowed_list /proc/{pid}/status; numactl --hardware"),
            "the nodes that the process may use, and those of the machine",
        ),
        step(
            "now",
            "docker update --cpuset-mems 0-1 CONTAINER",
            "the nodes are allowed at once",
            "docker update with the old list",
        ),
        step(
            "for good",
            "take the nodes from Mems_allowed_list (numa_get_mems_allowed(3)) and not from the machine",
            "numactl --localalloc asks for none by number",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};
    use crate::model::Confidence;

    fn judged(errno: Errno, mask: u64, allowed: &str) -> Option<Confidence> {
        let mut i = valued("set_mempolicy", errno, &[], &[(ASKED, mask)], vec![]);
        i.facts.push(state(ALLOWED, "", allowed));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn nodes_that_are_not_allowed() {
        assert_eq!(judged(Errno::EINVAL, 1 << 5, "0-1"), Some(Confidence::Proven));
        assert_eq!(judged(Errno::EINVAL, 1 << 1, "0-1"), None, "something else of the call is wrong");
        assert_eq!(judged(Errno::EINVAL, 0, "0"), None);
        assert_eq!(judged(Errno::EPERM, 1 << 5, "0"), None);
    }
}
