//! What cpuset-empty claims, and the refusals it must not claim.

use super::*;
use crate::causes::case::testing;
use crate::model::{Arg, ArgValue, FailureKind, FileKind, Finding, OpenFile};

fn cpuset(file: &str) -> Cpuset {
    Cpuset {
        path: "/sys/fs/cgroup/cpuset/pod".into(),
        file: file.into(),
        version: 1,
        cpus: Some(String::new()),
        mems: Some(String::new()),
        effective_cpus: Some(String::new()),
        effective_mems: Some(String::new()),
        partition: None,
        populated: Some(false),
        after_ns: 2_000_000,
    }
}

fn judge_call(name: &str, errno: Errno, args: Vec<Arg>, fact: Option<Cpuset>) -> Option<Finding> {
    let mut incident = testing::incident(name, errno, vec![]);
    if let FailureKind::Syscall { args: of_it, .. } = &mut incident.failure.kind {
        *of_it = args;
    }
    incident.facts = fact.into_iter().map(Fact::Cpuset).collect();
    CAUSE.judge(&Case { incident: &incident, path: None })
}

fn judge(fact: Cpuset) -> Option<Finding> {
    judge_call("write", Errno::ENOSPC, vec![], Some(fact))
}

#[test]
fn an_empty_cpuset_of_version_1_is_proven_and_says_what_lacks() {
    let f = judge(cpuset("cgroup.procs")).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert_eq!(f.knob.path, "/sys/fs/cgroup/cpuset/pod/cpuset.cpus");
    assert!(f.sentence.contains("no CPU and no memory node"), "{}", f.sentence);
    let only_mems =
        Cpuset { cpus: Some("0-3".into()), effective_cpus: Some("0-3".into()), ..cpuset("tasks") };
    let f = judge(only_mems).unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "cpuset.mems"));
}

#[test]
fn one_with_processors_and_memory_did_not_refuse() {
    let some = || Some("0".to_string());
    let full = Cpuset {
        cpus: some(),
        mems: some(),
        effective_cpus: some(),
        effective_mems: some(),
        ..cpuset("tasks")
    };
    assert!(judge(full).is_none());
    // cpuset_v2_mode: empty files, but the parent's take effect.
    let inherits = Cpuset { effective_cpus: some(), effective_mems: some(), ..cpuset("tasks") };
    assert!(judge(inherits).is_none());
    assert!(judge_call("write", Errno::EBUSY, vec![], Some(cpuset("tasks"))).is_none());
}

#[test]
fn on_version_2_only_the_effective_processors_count() {
    let v2 = |cpus: &str| Cpuset {
        version: 2,
        effective_cpus: Some(cpus.into()),
        effective_mems: Some("0".into()),
        partition: Some("member".into()),
        ..cpuset("cgroup.procs")
    };
    assert_eq!(judge(v2("")).unwrap().confidence, Confidence::Proven);
    assert!(judge(v2("1-3")).is_none(), "an empty cpuset.cpus means the parent's");
}

#[test]
fn emptying_one_that_is_in_use() {
    let used = || Cpuset { cpus: Some("0-1".into()), populated: Some(true), ..cpuset("cpuset.cpus") };
    let f = judge(used()).unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "cpuset.cpus"));
    assert!(judge(Cpuset { populated: Some(false), ..used() }).is_none());
    assert!(judge(Cpuset { populated: None, ..used() }).is_none());
}

#[test]
fn what_could_not_be_looked_at_is_likely_at_most() {
    let file = |magic, name: &str| OpenFile {
        kind: FileKind::Regular,
        name: name.into(),
        device: "0:30".into(),
        magic,
        inode: 9,
        folder: 8,
    };
    let arg = |file| Arg { name: "fd".into(), value: ArgValue::Descriptor { raw: 3, file } };
    let judge = |file| judge_call("write", Errno::ENOSPC, vec![arg(file)], None);
    assert_eq!(judge(file(0x27_e0eb, "cgroup.procs")).unwrap().confidence, Confidence::Likely);
    assert!(judge(file(0x27_e0eb, "memory.limit_in_bytes")).is_none());
    assert!(judge(file(0x0102_1994, "tasks")).is_none(), "a file of that name on a tmpfs");
    assert!(judge_call("write", Errno::ENOSPC, vec![], None).is_none());
    let clone = |flags| {
        judge_call(
            "clone3",
            Errno::ENOSPC,
            vec![Arg { name: "flags".into(), value: ArgValue::Number(flags) }],
            None,
        )
    };
    assert_eq!(clone(CLONE_INTO_CGROUP).unwrap().confidence, Confidence::Likely);
    assert!(clone(CLONE_INTO_CGROUP | 0x1000_0000).is_none(), "a user namespace may be one too many");
    assert!(clone(0).is_none());
}

#[test]
fn a_late_reading_is_as_good_where_the_check_was_seen_to_refuse() {
    let mut incident = testing::incident("write", Errno::ENOSPC, vec![]);
    let late = Cpuset { after_ns: FRESH_NS + 1, ..cpuset("cgroup.procs") };
    incident.facts = vec![Fact::Cpuset(late)];
    let path = |method: &str| crate::model::Path {
        decider: Some("cpuset_can_attach_check".into()),
        decider_method: Some(method.into()),
        ..Default::default()
    };
    let judge = |path: Option<crate::model::Path>| {
        let found = CAUSE.judge(&Case { incident: &incident, path: path.as_ref() });
        found.map(|f| (f.confidence, f.missing.len()))
    };
    assert_eq!(judge(None), Some((Confidence::Likely, 1)));
    assert_eq!(judge(Some(path("catalogue"))), Some((Confidence::Likely, 1)));
    assert_eq!(judge(Some(path("return-value"))), Some((Confidence::Proven, 0)));
}
