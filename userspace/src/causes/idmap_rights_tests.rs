//! Maps that their writer may not write, and those whose refusal has another reason.

use super::*;
use crate::causes::case::ids::testing::{called, state};
use crate::causes::case::testing::judge_with;
use crate::model::{Arg, ArgValue, Confidence, FailureKind, FileKind, Finding, Incident, OpenFile};

fn wrote(file: &str, text: &str, states: &[(&str, &str)]) -> Incident {
    let mut i = called("write", libc::EPERM, 0);
    let open = OpenFile {
        kind: FileKind::Regular,
        name: file.into(),
        device: "0:5".into(),
        magic: PROC,
        inode: 1,
        folder: 2,
    };
    if let FailureKind::Syscall { args, .. } = &mut i.failure.kind {
        args.push(Arg { name: "fd".into(), value: ArgValue::Descriptor { raw: 3, file: open } });
        args.push(Arg { name: "written".into(), value: ArgValue::Text(text.into()) });
    }
    for (name, value) in states {
        state(&mut i, name, value);
    }
    i
}

const USER: &[(&str, &str)] = &[
    ("CapEff", "0000000000000000"),
    ("Uid", "1000 1000 1000 1000"),
    ("Gid", "1000 1000 1000 1000"),
    ("target uid_map", ""),
    ("target gid_map", ""),
    ("target setgroups", "allow"),
    ("target ns/user", "user:[2]"),
    ("writer ns/user", "user:[1]"),
];

fn judged(file: &str, text: &str, states: &[(&str, &str)]) -> Option<Finding> {
    judge_with(&CAUSE, &wrote(file, text, states))
}

#[test]
fn a_range_takes_a_capability() {
    let f = judged("uid_map", "0 100000 65536\n", USER).unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "CAP_SETUID"));
}

#[test]
fn the_own_group_wants_setgroups_denied() {
    let f = judged("gid_map", "0 1000 1\n", USER).unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "setgroups"));
}

#[test]
fn a_map_is_written_once() {
    let f = judged("uid_map", "0 0 1", &[("target uid_map", "0 0 1")]).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert!(f.sentence.contains("once"));
}

#[test]
fn root_of_the_parent_may_be_refused_for_other_reasons_only() {
    let root = &[("CapEff", "000001ffffffffff"), ("uid_map", "0 0 4294967295"), ("target uid_map", "")];
    let f = judged("uid_map", "0 100000 65536", root).unwrap();
    assert_eq!(f.confidence, Confidence::Possible);
    let small = &[("CapEff", "000001ffffffffff"), ("uid_map", "0 1000 1"), ("target uid_map", "")];
    let f = judged("uid_map", "0 100000 65536", small).unwrap();
    assert!(f.sentence.contains("no mapping in the parent"), "{}", f.sentence);
    assert!(judged("oom_score_adj", "-1000", USER).is_none());
}

#[test]
fn the_parents_root_takes_a_capability_of_its_own() {
    let root = |caps: &'static str| {
        let states = [("CapEff", caps), ("target ns/user", "user:[2]"), ("writer ns/user", "user:[1]")];
        judged("uid_map", "0 0 10", &states).map(|f| (f.confidence, f.knob.name))
    };
    assert_eq!(root("000001ff7fffffff"), Some((Confidence::Proven, "CAP_SETFCAP".into())));
    assert_ne!(root("000001ffffffffff").map(|f| f.1), Some("CAP_SETFCAP".into()));
}

#[test]
fn anothers_id_is_refused_for_sure_where_ids_are_those_that_diag_sees() {
    let mut there = wrote("uid_map", "0 1001 1", USER);
    assert_eq!(judge_with(&CAUSE, &there).map(|f| f.confidence), Some(Confidence::Possible));
    there.failure.task.user_ns = Some(FIRST_USER_NAMESPACE);
    let found = judge_with(&CAUSE, &there).unwrap();
    assert_eq!((found.confidence, found.knob.name.as_str()), (Confidence::Proven, "CAP_SETUID"));
}
