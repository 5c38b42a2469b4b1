//! A process may not open another descriptor.

use super::case::{ceiling::Ceiling, remedies};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::Limit;
use crate::limits::rlimits::{MSGQUEUE, NOFILE};
use crate::limits::watches::{FANOTIFY_GROUPS, INOTIFY_INSTANCES};
use crate::model::{Errno, Reading, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &NOFILE,
    deciders: &[
        "alloc_fd",
        "__alloc_fd",
        "get_unused_fd_flags",
        "__get_unused_fd_flags",
        "ksys_dup3",
        "do_dup2",
    ],
    callers: &[
        "do_sys_openat2",
        "do_sys_open",
        "do_fcntl",
        "f_dupfd",
        "__do_sys_fcntl",
        "sock_map_fd",
        "__sys_socket",
        "do_pipe2",
        "__do_pipe_flags",
        "anon_inode_getfd",
        "__anon_inode_getfd",
        "do_epoll_create",
        "do_eventfd",
        "do_inotify_init",
        "do_timerfd_create",
        "pidfd_create",
        "pidfd_prepare",
        "do_sys_poll",
        "__sys_accept4",
        "__x64_sys_dup",
        "__x64_sys_dup2",
        "__x64_sys_dup3",
        "expand_files",
    ],
};

const CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "socket",
    "socketpair",
    "accept",
    "accept4",
    "pipe",
    "pipe2",
    "epoll_create",
    "epoll_create1",
    "eventfd",
    "eventfd2",
    "timerfd_create",
    "signalfd",
    "signalfd4",
    "memfd_create",
    "memfd_secret",
    "pidfd_open",
    "pidfd_getfd",
    "ioctl",
    "inotify_init",
    "inotify_init1",
    "fanotify_init",
    "userfaultfd",
    "perf_event_open",
    "bpf",
    "io_uring_setup",
    "fsopen",
    "fsmount",
    "fspick",
    "open_tree",
    "open_tree_attr",
    "mq_open",
    "clone",
    "clone3",
    "shmat",
    "seccomp",
    "name_to_handle_at",
    "open_by_handle_at",
    "landlock_create_ruleset",
    "execve",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-nofile",
    title: "a process may not open another descriptor (RLIMIT_NOFILE)",
    about: "\
open(2), socket(2), accept(2), pipe(2), inotify_init(2) and everything else that makes a descriptor fail with EMFILE, \"Too many open
files\". alloc_fd() in fs/file.c finds no free number below the soft limit RLIMIT_NOFILE of the process. The same limit shows
itself as EBADF from dup2(2) and dup3(2) to a number past it, as EINVAL from fcntl(F_DUPFD) and from poll(2) with more
entries, and as EMFILE for descriptors that come over a socket.

It surprises because it is the limit of the process, inherited from whoever started the engine: a unit's LimitNOFILE, the
engine's --ulimit, or systemd's soft limit of 1024. EMFILE of inotify_init(2) is mostly not this but a limit of the user.",
    shows_as: &[("open", "EMFILE"), ("openat", "EMFILE"), ("openat2", "EMFILE"), ("creat", "EMFILE"), ("dup", "EMFILE"), ("dup2", "EMFILE"), ("dup3", "EMFILE"), ("fcntl", "EMFILE")],
    deciders: &["alloc_fd", "__alloc_fd", "get_unused_fd_flags", "__get_unused_fd_flags", "ksys_dup3", "do_dup2"],
    reads: &[&NOFILE],
    rivals: &[
        Rival {
            name: "a limit of the user (inotify instances, fanotify groups, message queues)",
            ruled_out_by: "another call, room there, or a reading of the process's descriptors at that instant",
            stands: user_limits_stand,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers its own RLIMIT_NOFILE and opens one more",
        risk: "none: the limit is that of a process which ends at once",
        variants: &["open", "dup2"],
    },
    see: &[
        "getrlimit(2), RLIMIT_NOFILE",
        "fs/file.c: alloc_fd(), ksys_dup3(), f_dupfd()",
        "fs/select.c: do_sys_poll()",
        "https://github.com/containerd/containerd/issues/3201",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let numbers = past_the_limit(case);
    if !numbers && case.denied(CALLS, Errno::EMFILE).is_none() {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = words(case, &used, &most);
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let double = proof.limit.unwrap_or(1024).saturating_mul(2).to_string();
    let mut all = remedies::rlimit(
        "NOFILE",
        "-n",
        &double,
        "for the container's processes; fs.nr_open is the highest there is",
    );
    all.push(remedies::look(
        "ls -l /proc/<pid>/fd | tail",
        "many of one kind that grow are a leak, which a higher limit only delays",
    ));
    all.push(remedies::prevent(&NOFILE));
    all
}

/// A number past the limit is refused with other errnos, which without a reading mean something else.
fn past_the_limit(case: &Case<'_>) -> bool {
    let asked = case.denied(&["dup2", "dup3"], Errno(libc::EBADF)).is_some()
        || case.denied(&["fcntl", "poll", "ppoll"], Errno::EINVAL).is_some();
    asked && case.reading(&NOFILE).and_then(Reading::exceeded) == Some(true)
}

/// What was asked for, in words.
fn words(case: &Case<'_>, used: &str, most: &str) -> String {
    let comm = &case.failure().task.comm;
    match case.failure().syscall() {
        Some(("dup2" | "dup3" | "fcntl", errno)) if errno != Errno::EMFILE => {
            format!("{comm} asked for descriptor {used}, and RLIMIT_NOFILE allows numbers below {most}.")
        }
        Some(("poll" | "ppoll", _)) => {
            format!("{comm} polls {used} entries, and RLIMIT_NOFILE allows {most}.")
        }
        _ => format!("{comm} has {used} descriptors open, and RLIMIT_NOFILE allows {most}."),
    }
}

/// These say EMFILE too, before they ask for a descriptor.
fn user_limits_stand(case: &Case<'_>) -> Option<String> {
    let (call, errno) = case.failure().syscall()?;
    let limit: &Limit = match call {
        _ if errno != Errno::EMFILE => return None,
        "inotify_init" | "inotify_init1" => &INOTIFY_INSTANCES,
        "fanotify_init" => &FANOTIFY_GROUPS,
        "mq_open" => &MSGQUEUE,
        _ => return None,
    };
    match case.reading(limit).and_then(Reading::exceeded) {
        Some(false) => None,
        Some(true) => Some(format!("{} is used up as well", limit.id)),
        None => Some(format!("{} could not be read", limit.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::Confidence;

    fn judged(call: &str, errno: Errno, readings: Vec<Reading>) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, errno, &[("op", 0)], &[], readings)).map(|f| f.confidence)
    }

    #[test]
    fn a_full_table_is_proven_and_room_refutes_it() {
        assert_eq!(judged("openat", Errno::EMFILE, vec![over(&NOFILE, 64, 64, 1)]), Some(Confidence::Proven));
        assert_eq!(judged("openat", Errno::EMFILE, vec![over(&NOFILE, 63, 64, 1)]), None);
    }

    #[test]
    fn a_number_past_the_limit_is_its_other_face() {
        assert_eq!(
            judged("dup2", Errno(libc::EBADF), vec![over(&NOFILE, 100, 64, 1)]),
            Some(Confidence::Proven)
        );
        assert_eq!(judged("dup2", Errno(libc::EBADF), vec![over(&NOFILE, 10, 64, 1)]), None);
        assert_eq!(judged("poll", Errno::EINVAL, vec![over(&NOFILE, 100, 64, 0)]), Some(Confidence::Proven));
        // A descriptor that is not open says the same without any limit.
        assert_eq!(judged("dup2", Errno(libc::EBADF), vec![]), None);
    }

    #[test]
    fn inotify_instances_are_a_rival() {
        let full = |used| vec![over(&NOFILE, 64, 64, 1), over(&INOTIFY_INSTANCES, used, 128, 1)];
        assert_eq!(judged("inotify_init1", Errno::EMFILE, full(5)), Some(Confidence::Proven));
        assert_eq!(judged("inotify_init1", Errno::EMFILE, full(128)), Some(Confidence::Likely));
        assert_eq!(judged("inotify_init1", Errno::EMFILE, vec![]), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_is_not_claimed() {
        assert_eq!(judged("openat", Errno::ENFILE, vec![over(&NOFILE, 64, 64, 1)]), None);
    }
}
