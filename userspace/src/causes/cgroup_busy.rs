//! A cgroup that cannot be removed: somebody or something is in it.

use super::case::cgroups::{self, CALLERS};
use super::case::claim::{knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Cgroup, Errno, KnobKind, Remedy, keyed};

const DECIDERS: &[&str] = &["cgroup_destroy_locked"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-busy",
    title: "the cgroup has processes or other cgroups in it",
    about: "\
rmdir(2) of a cgroup fails with EBUSY, \"Device or resource busy\". cgroup_destroy_locked() in kernel/cgroup/cgroup.c
removes only what has no process (zombies of a group that still has threads count on v1) and no child. Unlike a folder of
files, a cgroup cannot be removed with what is in it, and `rm -r` fails on its files instead.

It surprises after a stop: the container's main process is dead, but one that it forked into the background, a process
in uninterruptible sleep, or a child cgroup that systemd or an engine inside made, is left. Engines try again for a
while and then report \"failed to remove cgroup\".",
    shows_as: &[("rmdir", "EBUSY"), ("unlinkat", "EBUSY")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "removes a cgroup that has another in it",
        risk: "none: in a cgroup of its own, which is removed again",
        variants: &["has-child"],
    },
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#processes", "kernel/cgroup/cgroup.c: cgroup_destroy_locked()"],
};

/// What is in it, in words.
fn content(cgroup: &Cgroup) -> Option<String> {
    let own = cgroup.own("cgroup.procs").or(cgroup.own("tasks")).unwrap_or_default();
    let populated = cgroup.own("cgroup.events").and_then(|e| keyed(e, "populated"));
    if let Some(child) = cgroup.children.first() {
        let more = cgroup.children.len() - 1;
        let others = if more == 0 { String::new() } else { format!(" and {more} more") };
        return Some(format!("the cgroup {}{others} is in it", child.name));
    }
    if !own.is_empty() {
        let pids: Vec<&str> = own.split_whitespace().collect();
        let first = pids.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        return Some(format!(
            "processes are in it: {first}{}",
            if pids.len() > 5 { " and more" } else { "" }
        ));
    }
    (populated == Some(1)).then(|| "it is populated (a zombie, or threads)".into())
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["rmdir", "unlinkat"], Errno::EBUSY)?;
    let cgroup = cgroups::fact(case);
    if cgroup.is_none() && case.verdict(DECIDERS).is_none() {
        return None;
    }
    let why = cgroup.and_then(content);
    let weighed = weigh(case, DECIDERS, CALLERS, why.as_ref().map(|_| true))?;
    let place = cgroup.map_or("the cgroup", |c| c.path.as_str());
    let sentence =
        format!("{place} cannot be removed: {}.", why.unwrap_or_else(|| "something was in it".into()));
    let path = cgroup.map_or_else(|| "cgroup.procs".into(), |c| format!("{}/cgroup.procs", c.path));
    let lines = cgroup.into_iter().flat_map(|c| {
        let text = |f: &str| c.own(f).unwrap_or("not there").replace('\n', " ");
        [
            format!(
                "{} ms after it {}/cgroup.procs: {}",
                c.after_ns / 1_000_000,
                c.path,
                text("cgroup.procs")
            ),
            format!("cgroup.events: {}; cgroups in it: {}", text("cgroup.events"), c.children.len()),
        ]
    });
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Other, "content of the cgroup", path))
            .because(lines),
    )
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let place = cgroups::fact(case).map_or("CGROUP", |c| c.path.as_str());
    vec![
        look(format!("find {place} -name cgroup.procs -exec grep -H . {{}} +"), "who is where"),
        step(
            "now",
            format!(
                "echo 1 > {place}/cgroup.kill (since 5.14; else kill -9 each); find {place} -depth -type d -exec rmdir {{}} +"
            ),
            "kills all that is left in it, and removes the cgroups from the bottom up",
            "none: the processes are gone",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::cgroup;
    use crate::causes::case::testing::{incident, judge_with};
    use crate::model::{Confidence, Fact, Incident, Neighbour};

    fn removed(own: &[(&str, &str)], children: usize) -> Incident {
        let mut i = incident("rmdir", Errno::EBUSY, vec![]);
        let mut c = cgroup("", own);
        c.children = vec![Neighbour { name: "b".into(), ..Neighbour::default() }; children];
        i.facts.push(Fact::Cgroup(c));
        i
    }

    #[test]
    fn what_is_left_is_named() {
        let f = judge_with(&CAUSE, &removed(&[("cgroup.procs", "7\n8")], 0)).unwrap();
        assert_eq!(f.confidence, Confidence::Proven);
        assert!(f.sentence.contains("7, 8"));
        assert!(
            judge_with(&CAUSE, &removed(&[("cgroup.procs", "")], 2))
                .unwrap()
                .sentence
                .contains("b and 1 more")
        );
    }

    #[test]
    fn an_empty_one_and_other_folders_are_not_sure() {
        let f = judge_with(&CAUSE, &removed(&[("cgroup.procs", ""), ("cgroup.events", "populated 0")], 0))
            .unwrap();
        assert_eq!(f.confidence, Confidence::Possible);
        assert!(judge_with(&CAUSE, &incident("rmdir", Errno::EBUSY, vec![])).is_none());
    }
}
