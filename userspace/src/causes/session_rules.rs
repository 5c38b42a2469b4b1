//! Sessions, process groups and the terminal that belongs to one: who may make or take them.

use super::case::claim::{self, knob, look, step};
use super::case::rights::{Holds, Scope, holds};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["ksys_setsid", "__do_sys_setpgid", "__x64_sys_setpgid", "tiocsctty", "tiocspgrp"];
const CALLERS: &[&str] = &[
    "__x64_sys_setsid",
    "__do_sys_setsid",
    "tty_ioctl",
    "tty_jobctrl_ioctl",
    "__x64_sys_ioctl",
    "__do_sys_ioctl",
    "vfs_ioctl",
    "security_task_setpgid",
];
/// TIOCSCTTY, TIOCSPGRP (asm-generic/ioctls.h).
const TAKE: u64 = 0x540e;
const FOREGROUND: u64 = 0x5410;
const GROUP: &str = "process group";
const SESSION: &str = "session";
const TERMINAL: &str = "controlling terminal";

pub(super) static CAUSE: Cause = Cause {
    slug: "session-rules",
    title: "the process may not leave its group, or take this terminal",
    about: "\
setsid(2) fails with EPERM, \"Operation not permitted\", for the leader of a process group, which pid 1 of a container and each \
command of a shell is; no privilege helps (ksys_setsid() in kernel/sys.c): a child can, as setsid(1) -f makes one. setpgid(2) says \
EPERM for the leader of a session, for a group in another session or one that does not exist, and EACCES for a child that has \
become another program already.

ioctl(2) with TIOCSCTTY takes a terminal as one's own: tiocsctty() in drivers/tty/tty_jobctrl.c wants the leader of a session that \
has none yet, and of a terminal that belongs to nobody (\"cannot set terminal process group\", \"no job control in this shell\", an \
init system that asks for /dev/console twice).",
    shows_as: &[("setsid", "EPERM"), ("setpgid", "EPERM"), ("setpgid", "EACCES"), ("ioctl", "EPERM")],
    deciders: &["ksys_setsid", "__do_sys_setpgid", "tiocsctty", "tiocspgrp"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a session as the leader of a group, or for a terminal without leading a session",
        risk: "none",
        variants: &["session", "group", "terminal"],
    },
    see: &[
        "setsid(2), setpgid(2), ioctl_tty(2): TIOCSCTTY; credentials(7)",
        "kernel/sys.c: ksys_setsid(), setpgid(); drivers/tty/tty_jobctrl.c: tiocsctty()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let who = &case.failure().task.comm;
    let own = |name: &str| case.state(name).map(|s| s.value.as_str());
    let leads = |name: &str| own(name).map(|value| value == "leads it");
    let op = case.failure().number_arg("op");
    let (state, sentence, name) = if case.denied(&["setsid"], Errno::EPERM).is_some() {
        (
            leads(GROUP),
            format!("{who} leads its process group already, and a leader cannot make a session."),
            GROUP,
        )
    } else if case.denied(&["setpgid"], Errno::EPERM).is_some() {
        match leads(SESSION) {
            Some(true) => (
                Some(true),
                format!("{who} leads its session, and such a process stays in its group."),
                SESSION,
            ),
            _ => (
                None,
                format!("{who} asked for a process group of another session, or one that does not exist."),
                GROUP,
            ),
        }
    } else if case.denied(&["setpgid"], Errno::EACCES).is_some() {
        (
            None,
            format!("{who} asked for the group of a child that has become another program already."),
            GROUP,
        )
    } else if case.denied(&["ioctl"], Errno::EPERM).is_some() && op == Some(TAKE) {
        match (leads(SESSION), own(TERMINAL)) {
            (Some(false), _) => (
                Some(true),
                format!("{who} does not lead its session, and only a leader takes a terminal."),
                SESSION,
            ),
            (Some(true), Some(has)) if has != "none" => {
                (Some(true), format!("The session of {who} has a terminal already."), TERMINAL)
            }
            // What is left is a terminal of another session, which CAP_SYS_ADMIN takes by force.
            (Some(true), _) => (
                (holds(case, "CAP_SYS_ADMIN", Scope::First) == Holds::No).then_some(true),
                format!("The terminal that {who} wants belongs to another session."),
                TERMINAL,
            ),
            (None, _) => (
                None,
                format!("{who} does not lead a session without terminal, or the terminal is taken."),
                TERMINAL,
            ),
        }
    } else if case.denied(&["ioctl"], Errno::EPERM).is_some() && op == Some(FOREGROUND) {
        (None, format!("{who} asked to put a process group of another session into the foreground."), GROUP)
    } else {
        return None;
    };
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    if state.is_none() && weighed.confidence == Confidence::Possible {
        // The kernel has no other reason for these errnos here.
        weighed.confidence = Confidence::Likely;
    }
    let cited = [GROUP, SESSION, TERMINAL].iter().filter_map(|name| claim::cite_state(case, name));
    let pid = case.failure().task.pid;
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Other, name, format!("/proc/{pid}/stat")))
            .because(cited),
    )
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    let mut all = vec![look(
        format!("ps -o pid,ppid,pgid,sid,tty,comm --ppid {pid} -p {pid}"),
        "group, session and terminal of it and its children",
    )];
    match case.failure().syscall().map(|(call, _)| call) {
        Some("setsid") => all.push(step("now", "setsid -f CMD", "makes the session in a child, which leads nothing yet; a daemon forks before it asks", "kill the child")),
        Some("ioctl") => all.push(step(
            "now",
            "docker run -it --init …, or setsid -c CMD",
            "the first gives the container a terminal and an init that hands it on; the second makes a session with this terminal as its own",
            "start it without the option",
        )),
        _ => all.push(step("for good", "set the group in the child before execve, and in the parent, and take EACCES for done", "as shells do: whoever comes first", "none needed")),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};

    fn judged(call: &str, errno: Errno, op: u64, facts: &[(&str, &str)]) -> Option<(Confidence, String)> {
        let mut i = valued(call, errno, &[("op", op)], &[], vec![]);
        i.facts.extend(facts.iter().map(|(name, value)| state(name, "", value)));
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn leaders_and_terminals() {
        let some = |c, name: &str| Some((c, name.to_string()));
        let leader = [(GROUP, "leads it"), (SESSION, "leads it"), (TERMINAL, "4:1")];
        assert_eq!(judged("setsid", Errno::EPERM, 0, &leader), some(Confidence::Proven, GROUP));
        assert_eq!(judged("setsid", Errno::EPERM, 0, &[(GROUP, "7")]), None, "something else refused");
        assert_eq!(judged("setpgid", Errno::EPERM, 0, &leader), some(Confidence::Proven, SESSION));
        assert_eq!(judged("setpgid", Errno::EACCES, 0, &[]), some(Confidence::Likely, GROUP));
        assert_eq!(judged("ioctl", Errno::EPERM, TAKE, &[(SESSION, "9")]), some(Confidence::Proven, SESSION));
        assert_eq!(judged("ioctl", Errno::EPERM, TAKE, &leader), some(Confidence::Proven, TERMINAL));
    }

    #[test]
    fn other_requests_are_not_claimed() {
        assert_eq!(judged("ioctl", Errno::EPERM, 0x8914, &[(SESSION, "9")]), None);
        assert_eq!(judged("setsid", Errno(libc::ENOSYS), 0, &[]), None);
    }
}
