//! Moving a task takes write permission in three places: the task's cgroup, the target, and what is above both.

use super::case::cgroups::{self, CALLERS};
use super::case::claim::{cite_state, knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &[
    "cgroup_may_write",
    "cgroup_procs_write_permission",
    "generic_permission",
    "inode_permission",
    "kernfs_iop_permission",
    "cgroup_attach_permissions",
    "__cgroup1_procs_write",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-access",
    title: "no write permission on the cgroup, or on the one above both",
    about: "\
Writing to cgroup.procs, or clone3(2) with CLONE_INTO_CGROUP, fails with EACCES, \"Permission denied\". On v2 the mover
needs write permission on cgroup.procs of the target *and* on that of the nearest cgroup above both the task's present
place and the target: cgroup_procs_write_permission() in kernel/cgroup/cgroup.c. So a user can move processes within what
was delegated, and not into it from outside. On v1 the mover must be root or the owner of the task. Opening a file of a
cgroup that belongs to another user fails the same way.

It surprises in rootless containers: the delegated cgroup is the user's own, and still `echo $$ >` into it is refused,
because the shell started outside (in a session scope), and the common ancestor is root's. `systemd-run --user --scope`
starts inside.",
    shows_as: &[("write", "EACCES"), ("clone3", "EACCES"), ("openat", "EACCES"), ("mkdir", "EACCES")],
    deciders: &["cgroup_may_write", "cgroup_procs_write_permission"],
    reads: &[],
    rivals: &[Rival {
        name: "a controller's own rule (EACCES of cpuset)",
        ruled_out_by: "the file that was written moves tasks",
        stands: |_| None,
    }],
    explain,
    remedy,
    fault: Fault::None("as a user: echo $$ > cgroup.procs of a folder that was delegated from another session"),
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#delegation-containment", "kernel/cgroup/cgroup.c: cgroup_attach_permissions(), cgroup_may_write()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let write = cgroups::entering(case, &[Errno::EACCES])?;
    let who = &case.failure().task.comm;
    let uid = case.failure().task.uid;
    // Nothing else answers so to the files that move tasks, where no controller of v1 has a say.
    let seen = case.verdict(DECIDERS).is_some();
    let by_kind =
        write.version == 2 && (seen || case.failure().file().is_some() || cgroups::clone_target(case));
    let root = uid == 0 && cgroups_root(case);
    let state = if root { None } else { by_kind.then_some(true) };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let child = case.denied(&["clone3"], Errno::EACCES).is_some();
    let what = if child { "start a child in" } else { "move a task to" };
    let whose =
        write.cgroup.and_then(|c| c.own("owner")).map_or_else(String::new, |o| format!(" (owner {o})"));
    let sentence = format!(
        "{who} (uid {uid}) may not {what} {}{whose}: it lacks write permission on its cgroup.procs, or on that of the cgroup above both.",
        write.place()
    );
    let lines =
        [format!("the descriptor led to {} of a cgroup v{} at that instant", write.file, write.version)];
    let knob = knob(KnobKind::File, "ownership of the cgroup", write.path("cgroup.procs"));
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines).because(cite_state(case, "Uid")))
}

/// Whether the caller is root of the first user namespace, whom no mode of a file stops.
fn cgroups_root(case: &Case<'_>) -> bool {
    case.failure().task.user_ns.is_none_or(|inode| inode == 0xefff_fffd)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let place = cgroups::fact(case).map_or("CGROUP", |c| c.path.as_str());
    vec![
        step(
            "now",
            "systemd-run --user --scope -p Delegate=yes COMMAND",
            "starts the command inside the user's own, delegated subtree, so that no border is crossed",
            "nothing to undo: the scope ends with the command",
        ),
        step(
            "for good",
            format!(
                "chown USER {place} {place}/cgroup.procs {place}/cgroup.subtree_control {place}/cgroup.threads"
            ),
            "delegates the cgroup: its user may move tasks within it, never its limits",
            format!("chown root {place} {place}/cgroup.*"),
        ),
        look(
            format!("ls -ld {place} {place}/cgroup.procs; cat /proc/PID/cgroup"),
            "owners on the way from the task's place to the target",
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
    fn a_user_may_not_cross_the_border() {
        let mut i = wrote("cgroup.procs", "0", libc::EACCES, &[("cgroup.procs", "")]);
        i.failure.task.uid = 1000;
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
        i.failure.task.uid = 0;
        assert_eq!(
            judge_with(&CAUSE, &i).unwrap().confidence,
            Confidence::Possible,
            "root has another reason"
        );
    }

    #[test]
    fn other_files_and_errnos_are_no_case() {
        assert!(judge_with(&CAUSE, &wrote("cpuset.cpus", "0", libc::EACCES, &[])).is_none());
        assert!(judge_with(&CAUSE, &wrote("cgroup.procs", "0", libc::EBUSY, &[])).is_none());
    }
}
