//! A file that never lets anybody wait cannot be watched by epoll.

use super::case::claim::{self, knob, look, step};
use super::case::rights::object;
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, ObjectKind, Remedy};

const DECIDERS: &[&str] = &["do_epoll_ctl", "do_epoll_ctl_file"];
const CALLERS: &[&str] = &["__x64_sys_epoll_ctl", "__do_sys_epoll_ctl", "__se_sys_epoll_ctl"];

pub(super) static CAUSE: Cause = Cause {
    slug: "epoll-unwatchable",
    title: "this kind of file cannot be watched by epoll",
    about: "\
epoll_ctl(2) fails with EPERM, \"Operation not permitted\", and no right is missing: do_epoll_ctl() in fs/eventpoll.c takes files \
whose driver has a poll operation only (pipes, sockets, terminals, eventfd and their kin). Regular files and folders are always \
ready, and have none; nor has /dev/null.

It surprises in containers because standard input is a terminal or a pipe on the desk, but /dev/null in a container that was started \
without -i, a regular file where logs are redirected to one, or a ConfigMap's file: event loops (libuv, tokio, asyncio, Go's \
os.NewFile) that worked then end with this error.",
    shows_as: &[("epoll_ctl", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "gives epoll a regular file, or /dev/null",
        risk: "none",
        variants: &["file", "null"],
    },
    see: &["epoll_ctl(2), EPERM; epoll(7)", "fs/eventpoll.c: do_epoll_ctl(); include/linux/poll.h: file_can_poll()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["epoll_ctl"], Errno::EPERM)?;
    let file = object(case);
    let kind = file.and_then(|o| words(o.kind));
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, kind.map(|_| true))?;
    if kind.is_none() && weighed.confidence == Confidence::Possible {
        // The kernel has no other reason for this errno here.
        weighed.confidence = Confidence::Likely;
    }
    let number = case.failure().number_arg("fd").map_or_else(String::new, |fd| format!(" {fd}"));
    let path = file.map(|o| o.path.clone()).unwrap_or_default();
    let who = &case.failure().task.comm;
    let sentence = match kind {
        Some(kind) => {
            format!("{who} gave epoll its descriptor{number}, {path}: {kind}, which epoll cannot watch.")
        }
        None => {
            format!("{who} gave epoll its descriptor{number}, which is of a kind that epoll cannot watch.")
        }
    };
    let cited = file.map(|o| {
        format!(
            "{} ms after it descriptor{number} was {}",
            o.after_ns / 1_000_000,
            if path.is_empty() { "gone" } else { &path }
        )
    });
    let knob = knob(KnobKind::File, &format!("descriptor{number}"), path.clone());
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(cited))
}

fn words(kind: ObjectKind) -> Option<&'static str> {
    match kind {
        ObjectKind::Regular => Some("a regular file"),
        ObjectKind::Folder => Some("a folder"),
        ObjectKind::Character => Some("a device without a poll operation"),
        ObjectKind::Block => Some("a block device"),
        _ => None,
    }
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    let standard = case.failure().number_arg("fd").is_some_and(|fd| fd < 3);
    let mut all = vec![look(format!("ls -l /proc/{pid}/fd"), "what each descriptor of the process is")];
    if standard {
        all.push(step(
            "now",
            "docker run -i …",
            "standard input is a pipe then (with -t a terminal); in Kubernetes stdin: true",
            "start it without the option",
        ));
        all.push(step(
            "now",
            "docker run … sh -c 'PROGRAM 2>&1 | cat > FILE'",
            "a pipe instead of the file, where it is the output that was redirected",
            "redirect it as before",
        ));
    }
    all.push(step(
        "for good",
        "read and write regular files without an event loop",
        "they never block on readiness: a thread, io_uring, or plain read(2) as the program's library offers",
        "none needed",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{argument, file, judge_with, with_object};
    use crate::model::{ArgValue, PathObject};

    fn judged(errno: Errno, kind: ObjectKind) -> Option<(Confidence, usize)> {
        let object = PathObject { kind, role: "fd".into(), ..file("/var/log/app", 0o644) };
        let mut incident = with_object("epoll_ctl", errno, object);
        argument(&mut incident, "fd", ArgValue::Number(0));
        judge_with(&CAUSE, &incident).map(|f| (f.confidence, f.remedy.len()))
    }

    #[test]
    fn a_regular_file_is_proven_and_what_can_be_waited_for_is_not() {
        assert_eq!(judged(Errno::EPERM, ObjectKind::Regular), Some((Confidence::Proven, 4)));
        assert_eq!(judged(Errno::EPERM, ObjectKind::Character), Some((Confidence::Proven, 4)));
        assert_eq!(judged(Errno::EPERM, ObjectKind::Fifo).map(|f| f.0), Some(Confidence::Likely));
        assert_eq!(judged(Errno::ENOSPC, ObjectKind::Regular), None);
    }
}
