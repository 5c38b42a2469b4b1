//! The cgroup was removed while somebody still held its file or folder open.

use super::case::cgroups::{self, CALLERS};
use super::case::claim::{knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const ENODEV: Errno = Errno(libc::ENODEV);
const DECIDERS: &[&str] = &[
    "css_tryget_online_from_dir",
    "cgroup_css_set_fork",
    "kernfs_fop_write_iter",
    "kernfs_fop_write",
    "kernfs_seq_start",
    "kernfs_fop_read_iter",
    "cgroup_get_from_file",
    "cgroup_v1v2_get_from_file",
];

/// Files whose value names a device: ENODEV means that one there.
const DEVICES: &[&str] = &["io.", "blkio.", "rdma.", "dmem."];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-gone",
    title: "the cgroup was removed",
    about: "\
A write to (or a read of) a cgroup's file that was opened earlier fails with ENODEV, \"No such device\", and clone3(2) with
CLONE_INTO_CGROUP with ENOENT: the cgroup was removed in between. A descriptor keeps the folder's memory, and not the
cgroup: kernfs lets nobody into a file that is gone, and css_tryget_online_from_dir() finds no living cgroup behind the
folder.

It surprises in engines and monitors that keep descriptors: systemd removes a scope as soon as its last process ends,
another engine cleans up, and a container that restarts has a new cgroup under the same name.",
    shows_as: &[("write", "ENODEV"), ("read", "ENODEV"), ("clone3", "ENOENT"), ("clone3", "ENODEV"), ("mkdir", "ENODEV")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "writes to a file of a cgroup that was removed",
        risk: "none: in a cgroup of its own, which is removed again",
        variants: &["removed"],
    },
    see: &["kernel/cgroup/cgroup.c: css_tryget_online_from_dir(), cgroup_kn_lock_live()", "fs/kernfs/file.c: kernfs_get_active()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let who = &case.failure().task.comm;
    let there = cgroups::fact(case).is_some();
    let (state, what) = if let Some(write) = cgroups::write(case, &[ENODEV]) {
        // A cgroup that is still there has another reason: a device of io.max that is none.
        if there || DEVICES.iter().any(|begin| write.file.starts_with(begin)) {
            return None;
        }
        (true, format!("wrote to {}", write.file))
    } else if let Some(call) =
        case.denied(&["clone3"], Errno::ENOENT).or_else(|| case.denied(&["clone3"], ENODEV))
    {
        let into = case.failure().number_arg("flags")? & diag_abi::CLONE_INTO_CGROUP != 0;
        if !into || there {
            return None;
        }
        (cgroups::clone_target(case), format!("asked {call} to start a child in it"))
    } else {
        let call = case.denied(&["read", "pread64", "mkdir", "mkdirat"], ENODEV)?;
        let file = case.failure().file();
        let cgroup = file.is_some_and(|f| [0x27_e0eb, 0x6367_7270].contains(&f.magic));
        if !cgroup || there {
            return None;
        }
        (true, format!("called {call} on it"))
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state.then_some(true))?;
    let sentence = format!("The cgroup was removed before {who} {what}.");
    let seen = case.failure().file().map(|f| {
        format!(
            "the descriptor led to the cgroup with id {} at that instant; it is not there any more",
            if f.name.contains('.') { f.folder } else { f.inode }
        )
    });
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Other, "life of the cgroup", "/sys/fs/cgroup"))
            .because(seen),
    )
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "open it anew: mkdir the cgroup again, and take a new descriptor",
            "the old one leads nowhere for ever",
            "rmdir the cgroup",
        ),
        step(
            "for good",
            "keep a process in it, or let its manager own it: Delegate=yes, and in a scope systemd-run --remain-after-exit",
            "whoever makes a cgroup should be the one that removes it; systemd removes empty scopes by itself",
            "remove the option",
        ),
        look("journalctl -u ENGINE; ls -d CGROUP", "who removed it"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::wrote;
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn a_file_of_a_cgroup_that_is_gone_answers_enodev() {
        let mut i = wrote("cgroup.procs", "0", libc::ENODEV, &[]);
        i.facts.clear();
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn one_that_is_there_has_another_reason() {
        assert!(
            judge_with(&CAUSE, &wrote("cgroup.procs", "0", libc::ENODEV, &[("cgroup.procs", "")])).is_none()
        );
        let mut i = wrote("io.max", "8:99 rbps=1", libc::ENODEV, &[]);
        i.facts.clear();
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
