//! Sentences and the failures behind them.

use super::*;
use crate::model::{Abi, Arg, Evidence, Finding, Knob, KnobKind};

const RUNC: &str = "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc \
    create failed: unable to start container process: error during container init: error mounting \"proc\" to rootfs \
    at \"/proc\": mount proc:/proc (via /proc/self/fd/6), flags: 0xe: no space left on device: unknown";

fn failed(call: &str, errno: Errno, target: &str) -> Explained {
    let mut incident = blank(&Evidence::default());
    incident.host.capture.errno_watch = Availability::yes("sys_exit");
    let args = vec![Arg { name: "target".into(), value: ArgValue::Text(target.into()) }];
    incident.failure.task = Task { pid: 7, comm: "runc:[2:INIT]".into(), ..Task::default() };
    incident.failure.kind = FailureKind::Syscall { name: call.into(), nr: 0, abi: Abi::Native, errno, args };
    Explained { incident, path: None, findings: vec![], ruled_out: vec![], next: vec![], chain: None }
}

fn sure(mut e: Explained) -> Explained {
    e.findings.push(Finding {
        cause: "mount-max".into(),
        title: String::new(),
        confidence: Confidence::Likely,
        sentence: String::new(),
        knob: Knob { kind: KnobKind::Sysctl, name: String::new(), path: String::new() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![],
        missing: vec![],
        remedy: vec![],
    });
    e
}

fn said(text: &str) -> Said {
    Said { by: "docker".into(), text: text.into(), container: None, engine: true }
}

fn after(text: &str, mut list: Vec<Explained>) -> Vec<Explained> {
    attach(vec![said(text)], &mut list, &blank(&Evidence::default()));
    list
}

#[test]
fn the_sentence_goes_to_the_call_with_its_errno_and_object() {
    let list = vec![
        failed("write", Errno::ENOSPC, ""),
        failed("mount", Errno::ENOSPC, "/proc"),
        failed("mount", Errno::EPERM, "/proc"),
    ];
    let list = after(RUNC, list);
    let chain = list[1].chain.as_ref().unwrap();
    assert!(chain.keeps_errno && list[0].chain.is_none() && list[2].chain.is_none());
    assert_eq!(chain.links.first().unwrap(), "docker");
    assert_eq!(chain.links.last().unwrap(), "mount(2) of runc:[2:INIT] (pid 7): ENOSPC");
    assert!(
        chain.links.contains(&"mount proc:/proc (via /proc/self/fd/6), flags: 0xe".to_owned()),
        "{chain:?}"
    );
    assert!(!chain.links.iter().any(|link| link.contains("no space left")), "{chain:?}");
}

#[test]
fn a_sentence_without_the_errno_goes_to_the_failure_that_is_known() {
    let text = "docker: Error response from daemon: can't get final child's PID from pipe: EOF: unknown";
    let list = after(text, vec![sure(failed("unshare", Errno::ENOSPC, ""))]);
    assert!(!list[0].chain.as_ref().unwrap().keeps_errno);
    assert_eq!(list.len(), 1);
}

#[test]
fn a_sentence_that_no_call_is_behind_is_the_engines_own() {
    let text =
        "docker: Error response from daemon: Requested CPUs are not available - requested 7, available: 0-1";
    let list = after(text, vec![failed("mount", Errno::EBUSY, "/x")]);
    assert!(matches!(&list[0].incident.failure.kind, FailureKind::UserspaceText { .. }));
    assert!(list[0].next[0].contains("no watch was running"), "{:?}", list[0].next);
    let again = after(text, list);
    assert_eq!(again.len(), 2, "said once");
}

/// A failure that was handled must not be blamed for words that speak of something else.
#[test]
fn the_engines_own_words_are_not_laid_on_a_failure_that_it_handled() {
    let text = "Error: requested CPUs are not available - requested 4000, available: 0-1";
    let list = after(text, vec![sure(failed("setrlimit", Errno::EPERM, ""))]);
    assert!(matches!(&list[0].incident.failure.kind, FailureKind::UserspaceText { .. }));
    assert!(list[1].chain.is_none());
}

#[test]
fn how_far_the_denial_holds_is_said() {
    let mut incident = blank(&Evidence::default());
    incident.host.capture.errno_watch = Availability::yes("tree");
    assert!(own_words(&said("x"), &incident).contains("were not watched"));
    incident.host.capture.daemons = Availability::yes("dockerd (pid 7)");
    assert!(own_words(&said("x"), &incident).contains("or of dockerd (pid 7)"));
    incident.loss.events_dropped = 1;
    assert!(own_words(&said("x"), &incident).contains("no proof"));
}

#[test]
fn errnos_are_known_as_libraries_spell_them() {
    let range = failed("write", Errno(libc::ERANGE), "/sys/fs/cgroup/cpuset/x/cpuset.cpus");
    assert_eq!(fit("write cpuset.cpus: numerical result out of range", &range.incident.failure), 2);
    assert_eq!(fit("disk quota exceeded", &failed("keyctl", Errno::EDQUOT, "").incident.failure), 1);
    assert_eq!(fit("all is well", &range.incident.failure), 0);
}
