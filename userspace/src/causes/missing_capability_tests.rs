//! What a missing capability claims, and the refusals it must not claim.

use super::*;
use crate::causes::case::testing::{incident, judge_with};
use crate::model::{
    Arg, ArgValue, Credentials, Errno, FIRST_USER_NAMESPACE, Fact, FailureKind, Filters, Finding, Incident,
    Owners, Path, Returned, State,
};

const FULL: u64 = (1 << 41) - 1;

fn of(call: &str, errno: Errno, args: &[(&str, ArgValue)], own: Credentials) -> Incident {
    let mut incident = incident(call, errno, vec![]);
    if let FailureKind::Syscall { args: own, .. } = &mut incident.failure.kind {
        *own = args.iter().map(|(n, v)| Arg { name: (*n).into(), value: v.clone() }).collect();
    }
    incident.failure.task.credentials = Some(own);
    incident.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
    incident
}

fn first(but: &str) -> Credentials {
    let owners = Owners {
        mnt: Some(FIRST_USER_NAMESPACE),
        net: Some(FIRST_USER_NAMESPACE),
        uts: Some(FIRST_USER_NAMESPACE),
        ipc: Some(FIRST_USER_NAMESPACE),
    };
    Credentials {
        capabilities: FULL & !(1 << rights::bit(but)),
        user_ns: FIRST_USER_NAMESPACE,
        owners,
        ..Credentials::default()
    }
}

fn inside() -> Credentials {
    Credentials { userns_level: 1, user_ns: 77, ..first("none") }
}

fn judge(incident: &Incident) -> Option<Finding> {
    judge_with(&CAUSE, incident)
}

fn name(finding: &Finding) -> (&str, Confidence) {
    (&finding.knob.name, finding.confidence)
}

#[test]
fn what_is_lacking_is_named_and_proven() {
    let number = ArgValue::Number;
    type Given = (&'static str, i32, Vec<(&'static str, ArgValue)>, &'static str);
    let cases: Vec<Given> = vec![
        ("chroot", libc::EPERM, vec![], "CAP_SYS_CHROOT"),
        ("setuid", libc::EPERM, vec![], "CAP_SETUID"),
        ("mount", libc::EPERM, vec![], "CAP_SYS_ADMIN"),
        ("fsopen", libc::EPERM, vec![], "CAP_SYS_ADMIN"),
        ("finit_module", libc::EPERM, vec![], "CAP_SYS_MODULE"),
        ("clock_settime", libc::EPERM, vec![], "CAP_SYS_TIME"),
        ("unshare", libc::EPERM, vec![("flags", number(0x2_0000))], "CAP_SYS_ADMIN"),
        ("socket", libc::EPERM, vec![("domain", number(2)), ("type", number(0x8_0003))], "CAP_NET_RAW"),
        ("socket", libc::EPERM, vec![("domain", number(17)), ("type", number(3))], "CAP_NET_RAW"),
        ("mknod", libc::EPERM, vec![("mode", number(0o20_666)), ("dev", number(259))], "CAP_MKNOD"),
        ("setrlimit", libc::EPERM, vec![("resource", number(3))], "CAP_SYS_RESOURCE"),
        ("setsockopt", libc::EPERM, vec![("level", number(1)), ("optname", number(36))], "CAP_NET_ADMIN"),
    ];
    for (call, errno, args, capability) in cases {
        let incident = of(call, Errno(errno), &args, first(capability));
        let finding = judge(&incident).unwrap_or_else(|| panic!("{call}"));
        assert_eq!(name(&finding), (capability, Confidence::Proven), "{call}");
        let held = of(call, Errno(errno), &args, first("CAP_LEASE"));
        assert_eq!(judge(&held), None, "{call}: who holds {capability} was refused for another reason");
    }
}

#[test]
fn root_inside_is_not_root_on_the_machine() {
    let name_arg = [("name", ArgValue::Text("trusted.overlay.opaque".into()))];
    let mut incident = of("setxattr", Errno::EPERM, &name_arg, inside());
    let finding = judge(&incident).unwrap();
    assert!(finding.sentence.contains("root there is not root on the machine"), "{}", finding.sentence);
    assert_eq!(finding.knob.name, "CAP_SYS_ADMIN");
    assert_eq!(finding.confidence, Confidence::Likely, "the file may be immutable");
    assert!(finding.remedy.iter().all(|r| !r.command.contains("cap-add")));
    incident.failure.task.credentials = Some(first("CAP_LEASE"));
    assert_eq!(judge(&incident), None);
}

#[test]
fn a_user_attribute_or_a_plain_socket_asks_for_nothing() {
    let user = [("name", ArgValue::Text("user.x".into()))];
    assert_eq!(judge(&of("setxattr", Errno::EPERM, &user, first("CAP_SYS_ADMIN"))), None);
    let tcp = [("domain", ArgValue::Number(2)), ("type", ArgValue::Number(1))];
    assert_eq!(judge(&of("socket", Errno::EPERM, &tcp, first("CAP_NET_RAW"))), None);
    let fifo = [("mode", ArgValue::Number(0o10_644)), ("dev", ArgValue::Number(0))];
    assert_eq!(judge(&of("mknod", Errno::EPERM, &fifo, first("CAP_MKNOD"))), None);
    let user_ns = [("flags", ArgValue::Number(0x1002_0000))];
    assert_eq!(judge(&of("unshare", Errno::EPERM, &user_ns, first("CAP_SYS_ADMIN"))), None);
}

#[test]
fn filters_that_were_not_read_stand() {
    let mut incident = of("chroot", Errno::EPERM, &[], first("CAP_SYS_CHROOT"));
    incident.failure.task.filters = Some(Filters { mode: 2, count: 1, inherited: true });
    let finding = judge(&incident).unwrap();
    assert_eq!(finding.confidence, Confidence::Likely);
    assert!(finding.missing.iter().any(|m| m.contains("seccomp")), "{:?}", finding.missing);
}

#[test]
fn where_others_say_the_same_the_question_must_have_been_seen() {
    let incident = of("capset", Errno::EPERM, &[], first("CAP_SETPCAP"));
    assert_eq!(name(&judge(&incident).unwrap()), ("CAP_SETPCAP", Confidence::Likely));
    let path = Path {
        functions: vec!["__x64_sys_capset".into(), "cap_capset".into()],
        decider: Some("cap_capset".into()),
        decider_method: Some("return-value".into()),
        ..Path::default()
    };
    let seen = CAUSE.judge(&Case { incident: &incident, path: Some(&path) }).unwrap();
    assert_eq!(seen.confidence, Confidence::Proven);
}

#[test]
fn an_answer_of_no_proves_it_too() {
    let incident = of("quotactl", Errno::EPERM, &[], first("CAP_SYS_ADMIN"));
    let path = Path {
        functions: vec!["__x64_sys_quotactl".into()],
        returns: vec![Returned { function: "capable".into(), value: 0 }],
        ..Path::default()
    };
    let finding = CAUSE.judge(&Case { incident: &incident, path: Some(&path) }).unwrap();
    assert_eq!(finding.confidence, Confidence::Proven);
}

#[test]
fn tracing_a_stranger_takes_a_capability_and_one_s_own_child_does_not() {
    let state = |name: &str, value: &str| {
        Fact::State(State {
            name: name.into(),
            of: "process 1".into(),
            value: value.into(),
            source: "/proc/1/status".into(),
            after_ns: 1,
        })
    };
    let mut incident = of("ptrace", Errno::EPERM, &[], Credentials { euid: 1000, ..first("CAP_SYS_PTRACE") });
    incident.facts = vec![state("target user", "0 0 0"), state("target dumpable", "yes")];
    assert_eq!(name(&judge(&incident).unwrap()), ("CAP_SYS_PTRACE", Confidence::Proven));
    incident.facts = vec![state("target user", "1000 1000 1000"), state("target dumpable", "yes")];
    assert_eq!(judge(&incident), None);
}

#[test]
fn every_row_names_a_known_capability() {
    for row in TABLE {
        assert!(rights::CAPABILITIES.contains(&row.capability), "{}", row.capability);
        assert!(row.or.is_none_or(|wider| rights::CAPABILITIES.contains(&wider)));
        assert!(!row.calls.is_empty() && row.wanted.starts_with("to "), "{}", row.calls);
    }
}

#[test]
fn a_namespace_of_another_process_is_opened_by_its_tracers_alone() {
    let pathname = [("pathname", ArgValue::Text("/proc/1/ns/net".into()))];
    let incident =
        of("openat", Errno::EACCES, &pathname, Credentials { euid: 1000, ..first("CAP_SYS_PTRACE") });
    let path = Path {
        functions: vec!["__x64_sys_openat".into(), "proc_ns_get_link".into()],
        decider: Some("proc_ns_get_link".into()),
        decider_method: Some("return-value".into()),
        ..Path::default()
    };
    let seen = CAUSE.judge(&Case { incident: &incident, path: Some(&path) }).unwrap();
    assert_eq!(name(&seen), ("CAP_SYS_PTRACE", Confidence::Proven));
    assert!(
        judge(&of("openat", Errno::EACCES, &[("pathname", ArgValue::Text("/etc/shadow".into()))], inside()))
            .is_none()
    );
}
