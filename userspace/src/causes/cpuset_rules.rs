//! What a cpuset may be given: what the one above has, what the ones below keep, what no neighbour owns alone.

use super::case::cgroups::{self, CALLERS, Write};
use super::case::claim::{knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Cgroup, Errno, Files, KnobKind, Remedy, number_list};

const DECIDERS: &[&str] = &[
    "validate_change",
    "cpuset1_validate_change",
    "update_cpumask",
    "update_nodemask",
    "cpuset_write_resmask",
    "cpuset_write_u64",
    "update_flag",
];

const FILES: &[&str] =
    &["cpuset.cpus", "cpuset.mems", "cpuset.cpu_exclusive", "cpuset.mem_exclusive", "cpuset.cpus.exclusive"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cpuset-rules",
    title: "the cpuset's neighbours do not allow these CPUs or memory nodes",
    about: "\
Writing cpuset.cpus or cpuset.mems fails, and validate_change() in kernel/cgroup/cpuset.c has looked around: EACCES when
the cgroup above does not have them all (v1), EBUSY when a cgroup below still uses one that would be taken away (v1),
EINVAL when a neighbour has one of them exclusively (cpuset.cpu_exclusive on v1, cpuset.cpus.exclusive or a partition on
v2). ENOSPC, for emptying a cpuset with tasks, has a cause of its own.

It surprises because nothing is wrong with the value itself: the same write works after the order is changed, from the
top down when CPUs are added and from the bottom up when they are taken away. kubelet's static CPU manager and
`docker update --cpuset-cpus` meet it.",
    shows_as: &[("write", "EACCES"), ("write", "EBUSY"), ("write", "EINVAL")],
    deciders: &["validate_change", "cpuset1_validate_change"],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("echo 0 > a/cpuset.cpus; echo 1 > a/b/cpuset.cpus on cgroup v1"),
    see: &["https://docs.kernel.org/admin-guide/cgroup-v1/cpusets.html", "kernel/cgroup/cpuset.c: validate_change()"],
};

fn set(files: &Files, file: &str) -> Option<std::collections::BTreeSet<u32>> {
    number_list(files.get(file)?)
}

/// What of the neighbours stands against it, as they were read again.
fn against(errno: Errno, write: &Write<'_>, cgroup: &Cgroup) -> Option<String> {
    let (file, place) = (write.file, &cgroup.path);
    let asked = number_list(write.text.filter(|t| !t.ends_with('…'))?)?;
    let words =
        |set: &std::collections::BTreeSet<u32>| set.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    match errno {
        Errno::EACCES => {
            let parent = set(&cgroup.parent, file)?;
            let extra = asked.difference(&parent).copied().collect();
            (!asked.is_subset(&parent))
                .then(|| format!("the cgroup above {place} does not have {} itself", words(&extra)))
        }
        Errno::EBUSY => cgroup.children.iter().find_map(|child| {
            let needs = set(&child.files, file)?;
            (!needs.is_subset(&asked))
                .then(|| format!("{} below {place} still has {}", child.name, words(&needs)))
        }),
        // A neighbour's exclusive set.
        _ => None,
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let errnos = [Errno::EACCES, Errno::EBUSY, Errno::EINVAL];
    let write = cgroups::write(case, &errnos).filter(|w| FILES.contains(&w.file))?;
    let (_, errno) = case.failure().syscall()?;
    let why = write.cgroup.and_then(|c| against(errno, &write, c));
    // EINVAL is what a text that is no list gives as well.
    let exclusive = write.cgroup.is_some_and(|c| {
        let of = |files: &Files| {
            ["cpuset.cpu_exclusive", "cpuset.mem_exclusive"]
                .iter()
                .any(|f| files.get(*f).is_some_and(|v| v == "1"))
        };
        of(&c.own) || of(&c.parent) || c.parent("cpuset.cpus.exclusive").is_some_and(|t| !t.is_empty())
    });
    if errno == Errno::EINVAL && why.is_none() && !(exclusive && case.verdict(DECIDERS).is_some()) {
        return None;
    }
    let weighed = weigh(case, DECIDERS, CALLERS, why.as_ref().map(|_| true))?;
    let reason = why.unwrap_or_else(|| match errno {
        Errno::EINVAL => "a neighbour has some of them exclusively".into(),
        Errno::EBUSY => "a cgroup below still uses what would be taken away".into(),
        _ => "the cgroup above does not have them all".into(),
    });
    let sentence = format!("{} of {} was not changed: {reason}.", write.file, write.place());
    let lines = write.cgroup.into_iter().flat_map(|c| {
        let text = |t: Option<&str>| t.unwrap_or("not there").to_string();
        [
            format!("{:?} was written at that instant", write.text.unwrap_or_default().trim()),
            format!(
                "{} ms after it {}: {}; above: {}",
                c.after_ns / 1_000_000,
                write.path(write.file),
                text(c.own(write.file)),
                text(c.parent(write.file))
            ),
        ]
    });
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Cgroup, write.file, write.path(write.file)))
            .because(lines),
    )
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (file, path) = (&proof.knob.name, &proof.knob.path);
    let place = cgroups::fact(case).map_or("CGROUP", |c| c.path.as_str());
    vec![
        look(
            format!("grep . {place}/../{file} {place}/../*/{file} {place}/{file} {place}/*/{file}"),
            "the same file of all around it",
        ),
        step(
            "now",
            format!("echo LIST > {path}"),
            "after the cgroup above has all of LIST, and every cgroup below needs no more than LIST",
            format!("echo the list before > {path}"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::{files, with, wrote};
    use crate::causes::case::testing::judge_with;
    use crate::model::{Confidence, Neighbour};

    #[test]
    fn the_one_above_and_those_below_have_a_say() {
        let i = wrote("cpuset.cpus", "0-3", libc::EACCES, &[("cpuset.cpus", "0")]);
        let i = with(i, |c| c.parent = files(&[("cpuset.cpus", "0-1")]));
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "cpuset.cpus"));
        assert!(f.sentence.contains("2,3"), "{}", f.sentence);
        let i = wrote("cpuset.cpus", "0", libc::EBUSY, &[("cpuset.cpus", "0-1")]);
        let i = with(i, |c| {
            c.children = vec![Neighbour { name: "b".into(), files: files(&[("cpuset.cpus", "1")]) }]
        });
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn a_text_that_is_wrong_is_another_cause() {
        assert!(
            judge_with(&CAUSE, &wrote("cpuset.mems", "900", libc::EINVAL, &[("cpuset.mems", "")])).is_none()
        );
        assert!(judge_with(&CAUSE, &wrote("memory.max", "1", libc::EACCES, &[])).is_none());
        let i = wrote("cpuset.cpus", "0", libc::EACCES, &[("cpuset.cpus", "0")]);
        assert_eq!(
            judge_with(&CAUSE, &with(i, |c| c.parent = files(&[("cpuset.cpus", "0")]))).unwrap().confidence,
            Confidence::Possible
        );
    }
}
