//! What owner and mode claim, and the denials that are not theirs.

use super::*;
use crate::causes::case::testing::{argument, by_user, file, judge_with, with_object};
use crate::model::{Address, ArgValue, Fact, Finding, Incident, MountSeen, ObjectKind, PathObject};

fn judge(incident: &Incident) -> Option<Finding> {
    judge_with(&CAUSE, incident)
}

fn opened(mode: u32, flags: u64, uid: u32, caps: u64) -> Incident {
    let mut incident = by_user(with_object("openat", Errno::EACCES, file("/f", mode)), uid, caps);
    argument(&mut incident, "flags", ArgValue::Number(flags));
    incident
}

#[test]
fn the_class_that_counts_decides() {
    let f = judge(&opened(0o600, 0, 1000, 0)).unwrap();
    assert_eq!(
        (f.confidence, f.knob.name.as_str(), f.knob.path.as_str()),
        (Confidence::Proven, "mode", "/f")
    );
    assert_eq!(judge(&opened(0o644, 0, 1000, 0)), None, "others may read: something else refused");
    assert!(judge(&opened(0o644, 1, 1000, 0)).is_some(), "but not write");
    assert!(judge(&opened(0o077, 0, 0, 0)).is_some(), "the owner has no more than the owner's bits");
    assert_eq!(judge(&opened(0o600, 0, 1000, 1 << 1)), None, "CAP_DAC_OVERRIDE");
    assert_eq!(judge(&opened(0o600, 0, 1000, 1 << 2)), None, "CAP_DAC_READ_SEARCH reads");
    assert!(judge(&opened(0o600, 2, 1000, 1 << 2)).is_some(), "but does not write");
}

#[test]
fn nobody_executes_what_has_no_x_bit_not_even_root() {
    let incident = by_user(with_object("execve", Errno::EACCES, file("./run", 0o644)), 0, u64::MAX >> 23);
    let f = judge(&incident).unwrap();
    assert!(f.sentence.contains("not even root"), "{}", f.sentence);
    assert_eq!(f.confidence, Confidence::Proven);
    assert!(f.remedy[0].command.contains("chmod +x"));
    let executable = by_user(with_object("execve", Errno::EACCES, file("./run", 0o755)), 0, u64::MAX >> 23);
    assert_eq!(judge(&executable), None);
}

#[test]
fn a_closed_folder_on_the_way_is_named() {
    let mut object = file("/a/b/f", 0o644);
    let closed = crate::model::Permissions { path: "/a".into(), mode: 0o700, ..object.folders[0].clone() };
    object.folders.push(closed);
    let f = judge(&by_user(with_object("stat", Errno::EACCES, object), 1000, 0)).unwrap();
    assert_eq!(f.knob.path, "/a");
    assert!(f.sentence.contains("search"), "{}", f.sentence);
}

#[test]
fn creating_and_removing_ask_the_folder() {
    let absent = PathObject { kind: ObjectKind::Absent, ..file("/new", 0o755) };
    assert!(judge(&by_user(with_object("mkdir", Errno::EACCES, absent.clone()), 1000, 0)).is_some());
    assert_eq!(judge(&by_user(with_object("mkdir", Errno::EACCES, absent), 0, 0)), None);
    assert!(judge(&by_user(with_object("unlink", Errno::EACCES, file("/f", 0o666)), 1000, 0)).is_some());
}

#[test]
fn a_local_socket_is_written_to_and_made_in_its_folder() {
    let at = |kind, mode| PathObject { role: "addr".into(), kind, ..file("/run/docker.sock", mode) };
    let refused = |call, kind, mode, uid| {
        let mut incident = by_user(with_object(call, Errno::EACCES, at(kind, mode)), uid, 0);
        let path = Address::Local { path: "/run/docker.sock".into() };
        argument(&mut incident, "addr", ArgValue::Address(path));
        judge(&incident)
    };
    let f = refused("connect", ObjectKind::Socket, 0o660, 1000).unwrap();
    assert_eq!((f.confidence, f.knob.path.as_str()), (Confidence::Proven, "/run/docker.sock"));
    assert!(f.remedy[0].command.contains("--group-add 0"), "{}", f.remedy[0].command);
    assert_eq!(refused("connect", ObjectKind::Socket, 0o666, 1000), None);
    assert!(refused("bind", ObjectKind::Absent, 0o755, 1000).is_some(), "its folder is root's");
    assert_eq!(refused("bind", ObjectKind::Absent, 0o755, 0), None);
}

#[test]
fn a_noexec_mount_an_access_list_and_a_filter_stand_in_the_way_of_a_proof() {
    let mut object = file("./run", 0o644);
    object.mount = Some(MountSeen { flags: "rw,noexec".into(), ..object.mount.clone().unwrap() });
    let f = judge(&by_user(with_object("execve", Errno::EACCES, object), 0, 0)).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
    let mut incident = opened(0o600, 0, 1000, 0);
    for fact in &mut incident.facts {
        if let Fact::PathObject(object) = fact {
            object.own.as_mut().unwrap().acl = true;
        }
    }
    assert_eq!(judge(&incident), None, "what the list says is not known");
}

#[test]
fn root_of_a_user_namespace_over_files_without_a_number_inside() {
    let mut incident = opened(0o600, 0, 1000, u64::MAX >> 23);
    for fact in &mut incident.facts {
        if let Fact::Identity(who) = fact {
            who.first_user_ns = Some(false);
            (who.uid_map, who.gid_map) = (Some(vec![[0, 1000, 1]]), Some(vec![[0, 1000, 1]]));
        }
    }
    assert_eq!(judge(&incident).unwrap().confidence, Confidence::Proven);
}

#[test]
fn a_sysctl_and_a_file_system_that_judges_itself_are_not_judged_by_mode() {
    for (fstype, path) in
        [("proc", "/proc/sys/kernel/pid_max"), ("nfs4", "/data/f"), ("fuse.sshfs", "/data/f")]
    {
        let object = PathObject { whole: Some(path.into()), ..file(path, 0o600) };
        let mount = object.mount.clone().map(|m| MountSeen { fstype: fstype.into(), ..m });
        let mut incident =
            by_user(with_object("openat", Errno::EACCES, PathObject { mount, ..object }), 1000, 0);
        argument(&mut incident, "flags", ArgValue::Number(0));
        assert_eq!(judge(&incident), None, "{fstype}");
    }
}

#[test]
fn a_call_that_names_no_file_is_not_claimed_by_the_verdict_alone() {
    let path = crate::model::Path {
        decider: Some("generic_permission".into()),
        decider_method: Some("return-value".into()),
        ..Default::default()
    };
    let of = |call| {
        let incident = crate::causes::case::testing::incident(call, Errno::EACCES, vec![]);
        CAUSE.judge(&Case { incident: &incident, path: Some(&path) }).map(|f| f.confidence)
    };
    assert_eq!(of("openat"), Some(Confidence::Likely));
    assert_eq!(of("clone3"), None);
}

#[test]
fn a_folder_in_place_of_a_program_is_not_a_matter_of_its_mode() {
    let folder = PathObject { kind: ObjectKind::Folder, ..file("/app", 0o700) };
    assert_eq!(judge(&by_user(with_object("execve", Errno::EACCES, folder), 1000, 0)), None);
}
