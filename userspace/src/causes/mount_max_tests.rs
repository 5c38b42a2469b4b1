//! What mount-max claims, and the neighbours it must not claim.

use super::*;
use crate::model::{Abi, Arg, ArgValue, Failure, FailureKind, Host, Incident, Path, Stamp, Suspect, Task};

fn reading(usage: u64, ceiling: u64, taken: Taken) -> Reading {
    Reading {
        limit: "fs.mount-max".into(),
        scope: "mount namespace 4026531841".into(),
        ceiling: Some(ceiling),
        usage: Some(usage),
        adds: Some(1),
        hits: None,
        unit: "mounts".into(),
        taken,
        source: "mnt_namespace.nr_mounts".into(),
    }
}

fn incident(syscall: &str, errno: Errno, fstype: &str, flags: u64, readings: Vec<Reading>) -> Incident {
    let args = vec![
        Arg { name: "fstype".into(), value: ArgValue::Text(fstype.into()) },
        Arg { name: "flags".into(), value: ArgValue::Number(flags) },
    ];
    Incident {
        host: Host::default(),
        container: None,
        failure: Failure {
            time: Stamp::default(),
            task: Task { comm: "dockerd".into(), ..Task::default() },
            kind: FailureKind::Syscall { name: syscall.into(), nr: 165, abi: Abi::Native, errno, args },
            readings,
        },
        count: 1,
        last: Stamp::default(),
        step: None,
        graph: None,
        no_graph: None,
        readings: vec![],
        suspects: vec![],
        owners: vec![],
        facts: vec![],
        loss: Default::default(),
        cost: None,
    }
}

fn judge(incident: &Incident, path: Option<&Path>) -> Option<crate::model::Finding> {
    CAUSE.judge(&Case { incident, path })
}

fn path(decider: &str, method: &str) -> Path {
    Path {
        functions: vec!["__x64_sys_mount".into(), decider.into()],
        decider: Some(decider.into()),
        decider_method: Some(method.into()),
        note: None,
        returns: vec![],
    }
}

fn suspect(id: &str, guilty: Option<bool>) -> Suspect {
    Suspect { id: id.into(), what: format!("{id} of upperdir"), reading: "41 % used".into(), guilty }
}

#[test]
fn proven_by_the_reading_of_the_instant_when_no_file_system_is_involved() {
    let i = incident("mount", Errno::ENOSPC, "proc", 0, vec![reading(100_000, 100_000, Taken::AtInstant)]);
    let f = judge(&i, None).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert_eq!((f.usage, f.limit), (Some(100_000), Some(100_000)));
    assert_eq!(
        f.sentence,
        "The mount namespace of dockerd holds 100 000 mounts, and fs.mount-max allows 100 000."
    );
}

#[test]
fn overlay_is_only_likely_until_the_disk_is_ruled_out() {
    let full = vec![reading(500, 500, Taken::AtInstant)];
    let mut i = incident("mount", Errno::ENOSPC, "overlay", 0, full);
    assert_eq!(judge(&i, None).unwrap().confidence, Confidence::Likely);
    i.suspects = vec![suspect("blocks", Some(false)), suspect("inodes", Some(true))];
    assert_eq!(judge(&i, None).unwrap().confidence, Confidence::Likely);
    i.suspects = vec![suspect("blocks", Some(false)), suspect("inodes", Some(false))];
    assert_eq!(judge(&i, None).unwrap().confidence, Confidence::Proven);
}

#[test]
fn a_seen_verdict_rules_the_disk_out() {
    let i = incident("mount", Errno::ENOSPC, "overlay", 0, vec![reading(500, 500, Taken::AtInstant)]);
    assert_eq!(judge(&i, Some(&path("count_mounts", "difference"))).unwrap().confidence, Confidence::Proven);
    // A name that the catalogue itself supplied must not confirm the catalogue.
    assert_eq!(judge(&i, Some(&path("count_mounts", "catalogue"))).unwrap().confidence, Confidence::Likely);
}

#[test]
fn a_full_disk_is_not_claimed() {
    let room = vec![reading(40, 100_000, Taken::AtInstant)];
    let i = incident("mount", Errno::ENOSPC, "overlay", 0, room);
    assert!(judge(&i, None).is_none());
    assert!(judge(&i, Some(&path("ovl_workdir_create", "difference"))).is_none());
}

#[test]
fn room_in_this_namespace_but_a_path_to_the_count_is_possible() {
    // A mount below a shared mount is copied to peers in other namespaces, which are counted too.
    let room = vec![reading(40, 100_000, Taken::AtInstant)];
    let i = incident("mount", Errno::ENOSPC, "tmpfs", 0, room);
    let f = judge(&i, Some(&path("count_mounts", "catalogue"))).unwrap();
    assert_eq!(f.confidence, Confidence::Possible);
    assert_eq!(judge(&i, Some(&path("count_mounts", "difference"))).unwrap().confidence, Confidence::Likely);
}

#[test]
fn another_errno_or_syscall_is_not_claimed() {
    let full = || vec![reading(500, 500, Taken::AtInstant)];
    assert!(judge(&incident("mount", Errno::EPERM, "proc", 0, full()), None).is_none());
    assert!(judge(&incident("fsmount", Errno::ENOSPC, "proc", 0, full()), None).is_none());
    assert!(judge(&incident("unshare", Errno::ENOSPC, "", 0, full()), None).is_none());
}

#[test]
fn a_remount_is_not_claimed() {
    let full = vec![reading(500, 500, Taken::AtInstant)];
    assert!(judge(&incident("mount", Errno::ENOSPC, "ext4", libc::MS_REMOUNT, full), None).is_none());
}

#[test]
fn a_reading_taken_later_is_only_likely() {
    let i = incident("mount", Errno::ENOSPC, "proc", 0, vec![reading(9, 9, Taken::After { ns: 2_000_000 })]);
    assert_eq!(judge(&i, None).unwrap().confidence, Confidence::Likely);
}

#[test]
fn a_recursive_bind_below_the_limit_is_possible_and_says_what_is_missing() {
    let mut r = reading(300, 500, Taken::AtInstant);
    r.adds = None;
    let i = incident("mount", Errno::ENOSPC, "", libc::MS_BIND | libc::MS_REC, vec![r.clone()]);
    let f = judge(&i, None).unwrap();
    assert_eq!(f.confidence, Confidence::Possible);
    assert!(f.missing[0].contains("how many mounts"));
    r.adds = Some(300);
    let i = incident("mount", Errno::ENOSPC, "", libc::MS_BIND | libc::MS_REC, vec![r]);
    assert_eq!(judge(&i, None).unwrap().confidence, Confidence::Proven);
}

#[test]
fn a_contradicting_path_lowers_a_matching_reading() {
    let i = incident("mount", Errno::ENOSPC, "proc", 0, vec![reading(500, 500, Taken::AtInstant)]);
    let f = judge(&i, Some(&path("security_sb_mount", "difference"))).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
}

#[test]
fn a_copy_into_a_full_namespace_of_peers_is_told_by_elimination() {
    let mut there = incident("mount", Errno::ENOSPC, "tmpfs", 0, vec![reading(30, 100, Taken::AtInstant)]);
    let mut target = crate::causes::case::testing::place("target", "/shared/m", "rw");
    let judged = |incident: &Incident| judge(incident, None).map(|f| f.confidence);
    there.facts = vec![crate::model::Fact::Place(target.clone())];
    assert_eq!(judged(&there), None, "nobody has a copy of a private mount");
    target.mount.as_mut().unwrap().propagation = "shared:7".into();
    there.facts = vec![crate::model::Fact::Place(target)];
    assert_eq!(judged(&there), Some(Confidence::Likely));
}
