//! A frozen cgroup: its processes do nothing, and on version 1 not even SIGKILL ends them.

use super::case::claim::{cite_state, knob, look, step};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, FailureKind, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-frozen",
    title: "the cgroup is frozen: its processes wait, and signals with them",
    about: "\
A container hangs, uses no processor time and does not answer; `kill -9` or `docker stop` returns and nothing happens. Its
cgroup is frozen: `docker pause`, a checkpoint that did not end, a snapshot or backup tool, or an engine that freezes while
it changes devices or kills everybody, and died before it thawed. On cgroup v1 (freezer.state FROZEN) a task sleeps in
__refrigerator() and cannot die before it is thawed; on v2 (cgroup.freeze 1) SIGKILL works and every other signal waits.

It surprises because no call fails and no signal is lost: ps shows state D (v1) or S, and the SIGKILL is pending
(SigPnd, ShdPnd in /proc/PID/status). A cgroup below a frozen one is frozen too, whatever its own file says.",
    shows_as: &[("stall", "frozen")],
    deciders: &[],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("echo 1 > cgroup.freeze of a cgroup of one's own, then kill -TERM into it"),
    see: &["https://docs.kernel.org/admin-guide/cgroup-v1/freezer-subsystem.html", "https://docs.kernel.org/admin-guide/cgroup-v2.html (cgroup.freeze)", "kernel/cgroup/freezer.c, kernel/freezer.c"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let FailureKind::Stall { what } = &case.failure().kind else { return None };
    let state = case.state("freezer state");
    let polled = case.incident.readings_of("freezer state").next();
    let source = state.map(|s| s.source.as_str()).or(polled.map(|r| r.scope.as_str()))?;
    let v1 = source.ends_with("freezer.state");
    let (folder, _) = source.rsplit_once('/')?;
    let task = &case.failure().task;
    let sentence = format!("{} (pid {}) is in the frozen cgroup {folder}: {what}.", task.comm, task.pid);
    let name = if v1 { "freezer.state" } else { "cgroup.freeze" };
    let cited = cite_state(case, "freezer state")
        .unwrap_or_else(|| format!("{source} said so while the command ran"));
    Some(Proof {
        confidence: Confidence::Proven,
        sentence,
        knob: knob(KnobKind::Cgroup, name, format!("{folder}/{name}")),
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![cited],
        missing: vec![],
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    let (thaw, freeze) = if proof.knob.name == "freezer.state" { ("THAWED", "FROZEN") } else { ("0", "1") };
    vec![
        step(
            "now",
            format!("echo {thaw} > {path} (docker unpause, crictl, runc resume)"),
            "its processes go on, and signals that wait are delivered at once",
            format!("echo {freeze} > {path}"),
        ),
        look(
            format!("grep . {path}; grep -E 'State|ShdPnd' /proc/PID/status"),
            "a cgroup above may be the frozen one: freezer.parent_freezing, or cgroup.freeze of each level",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;

    #[test]
    fn the_freezers_state_is_the_proof() {
        let mut i = called("kill", 1, 0);
        state(&mut i, "freezer state", "FROZEN");
        assert!(judge_with(&CAUSE, &i).is_none(), "a call that failed is no stall");
        i.failure.kind = FailureKind::Stall { what: "SIGKILL waits: its cgroup is frozen".into() };
        i.facts.clear();
        assert!(judge_with(&CAUSE, &i).is_none());
        i.facts.push(crate::model::Fact::State(crate::model::State {
            name: "freezer state".into(),
            of: "pid 7".into(),
            value: "FROZEN".into(),
            source: "/sys/fs/cgroup/freezer/a/freezer.state".into(),
            after_ns: 1,
        }));
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "freezer.state"));
        assert_eq!(f.knob.path, "/sys/fs/cgroup/freezer/a/freezer.state");
    }
}
