//! Controllers that are not there, and refusals that have nothing to do with them.

use super::*;
use crate::causes::case::cgroups::testing::{cgroup, files, with, wrote};
use crate::causes::case::ids::testing::{arg, state};
use crate::causes::case::testing::{incident, judge_with};
use crate::model::{Confidence, Fact, Neighbour};

const CONTROL: &str = "cgroup.subtree_control";

#[test]
fn one_that_is_not_handed_down_is_the_parents_to_give() {
    let i =
        wrote(CONTROL, "+memory", libc::ENOENT, &[("cgroup.controllers", "pids"), ("cgroup.type", "domain")]);
    let f = judge_with(&CAUSE, &i).unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, CONTROL));
    assert_eq!(f.knob.path, "/sys/fs/cgroup/cgroup.subtree_control");
}

#[test]
fn a_threaded_cgroup_has_no_domain_controller() {
    let i = wrote(
        CONTROL,
        "+memory",
        libc::ENOENT,
        &[("cgroup.controllers", "pids"), ("cgroup.type", "threaded")],
    );
    let f = judge_with(&CAUSE, &i).unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "cgroup.type"));
}

#[test]
fn an_unknown_one_is_told_by_what_the_kernel_has() {
    let mut i = wrote(CONTROL, "+nosuch", libc::EINVAL, &[("cgroup.controllers", "pids")]);
    assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
    state(&mut i, "controllers", "memory:0 blkio:0");
    assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    let mut i = wrote(CONTROL, "+io", libc::EINVAL, &[("cgroup.controllers", "io")]);
    state(&mut i, "controllers", "memory:0 blkio:0");
    assert!(judge_with(&CAUSE, &i).is_none(), "the kernel has it: something else was refused");
}

#[test]
fn a_child_that_hands_it_on_keeps_it() {
    let i = wrote(CONTROL, "-memory", libc::EBUSY, &[("cgroup.controllers", "memory")]);
    let i = with(i, |c| {
        c.children.push(Neighbour { name: "b".into(), files: files(&[(CONTROL, "memory pids")]) });
    });
    let f = judge_with(&CAUSE, &i).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert!(f.sentence.contains("b still"), "{}", f.sentence);
    let on = wrote(CONTROL, "+memory", libc::EBUSY, &[("cgroup.controllers", "memory")]);
    assert!(judge_with(&CAUSE, &on).is_none());
}

#[test]
fn a_missing_file_is_a_missing_controller() {
    let mut i = incident("openat", Errno::ENOENT, vec![]);
    arg(&mut i, "flags", 1);
    i.facts.push(Fact::Cgroup(cgroup(
        "memory.max",
        &[("cgroup.controllers", "pids"), ("cgroup.type", "domain")],
    )));
    assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    let mut i = incident("openat", Errno::ENOENT, vec![]);
    arg(&mut i, "flags", 1);
    i.facts.push(Fact::Cgroup(cgroup("memory.nosuch", &[("cgroup.controllers", "memory pids")])));
    assert!(judge_with(&CAUSE, &i).is_none(), "the controller is there: this kernel has no such file");
    let mut i = incident("openat", Errno::ENOENT, vec![]);
    arg(&mut i, "flags", 0);
    i.facts.push(Fact::Cgroup(cgroup("memory.max", &[("cgroup.controllers", "pids")])));
    assert!(judge_with(&CAUSE, &i).is_none(), "who reads only asks");
}
