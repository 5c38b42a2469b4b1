//! The border of a cgroup namespace: nothing moves across it, and its own root cannot change its limits.

use super::case::cgroups::{self, CALLERS};
use super::case::claim::{knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["cgroup_procs_write_permission", "cgroup_attach_permissions"];
const WRITE: &[&str] = &["cgroup_file_write"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-border",
    title: "the cgroup lies outside the caller's cgroup namespace (nsdelegate)",
    about: "\
Writing a pid to cgroup.procs fails with ENOENT, \"No such file or directory\", although the file was opened and is there.
With the mount option nsdelegate, which systemd sets, a cgroup namespace is a border of delegation: a task inside can
move nothing to, or from, a cgroup that it does not see. cgroup_procs_write_permission() answers ENOENT, because seen from
inside there is no such cgroup. At the namespace's own root, files that are not delegated (memory.max, cpu.max, pids.max …)
cannot be written: cgroup_file_write() says EPERM.

It surprises when the host's cgroup tree is mounted into a container (-v /sys/fs/cgroup) that has a private cgroup
namespace, and when a container wants to raise its own limit as root.",
    shows_as: &[("write", "ENOENT"), ("write", "EPERM"), ("clone3", "ENOENT")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter (EPERM)",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: |case| case.denied(&["write", "pwrite64"], Errno::EPERM).and_then(|_| ids::filter_stands(case)),
    }],
    explain,
    remedy,
    fault: Fault::None("needs a cgroup hierarchy that is mounted with nsdelegate, and that is the whole machine's"),
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#model-of-delegation", "kernel/cgroup/cgroup.c: cgroup_procs_write_permission(), cgroup_file_write()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let who = &case.failure().task.comm;
    if let Some(write) = cgroups::entering(case, &[Errno::ENOENT]) {
        let child = case.denied(&["clone3"], Errno::ENOENT).is_some();
        // The write reached the cgroup's own handler, so the file is there: nothing else of it says ENOENT.
        let state = match child {
            false if write.version == 2 => Some(true),
            // A cgroup that was removed says the same to a child.
            _ if write.cgroup.is_some() => case.verdict(DECIDERS).map(|_| true),
            _ => return None,
        };
        let weighed = weigh(case, DECIDERS, CALLERS, state)?;
        let sentence = format!(
            "{who} wanted to move a task across the border of its cgroup namespace: {} or the task's present cgroup lies outside.",
            write.place()
        );
        let lines =
            [format!("the descriptor led to {}, which is there, at that instant", write.path(write.file))];
        return Some(
            weighed
                .proof(case, DECIDERS, sentence, knob(KnobKind::MountOption, "nsdelegate", "/sys/fs/cgroup"))
                .because(lines),
        );
    }
    let write =
        cgroups::write(case, &[Errno::EPERM]).filter(|w| w.version == 2 && !w.file.starts_with("cgroup."))?;
    let state = case.verdict(WRITE).map(|_| true);
    let weighed = weigh(case, WRITE, CALLERS, state)?;
    let sentence = format!(
        "{who} may not change {} of its cgroup namespace's own root: that limit belongs to whoever made the namespace.",
        write.file
    );
    Some(weighed.proof(
        case,
        WRITE,
        sentence,
        knob(KnobKind::MountOption, "nsdelegate", write.path(write.file)),
    ))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "do it from the host, or start the container with --cgroupns=host",
            "the container then sees, and with write access changes, cgroups of others",
            "start it with --cgroupns=private",
        ),
        look(
            "findmnt -no OPTIONS /sys/fs/cgroup; cat /proc/PID/cgroup",
            "nsdelegate among the options; where the task is, seen from the namespace (/../ is outside)",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::wrote;
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn a_file_that_is_there_and_answers_enoent_is_beyond_the_border() {
        let i = wrote("cgroup.procs", "0", libc::ENOENT, &[("cgroup.procs", "")]);
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "nsdelegate"));
        let i = wrote("memory.max", "1", libc::EPERM, &[("memory.max", "max")]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
    }

    #[test]
    fn controllers_that_are_missing_are_another_cause() {
        assert!(judge_with(&CAUSE, &wrote("cgroup.subtree_control", "+memory", libc::ENOENT, &[])).is_none());
        assert!(judge_with(&CAUSE, &wrote("cgroup.procs", "0", libc::EACCES, &[])).is_none());
    }
}
