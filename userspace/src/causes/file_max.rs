//! The machine may not have another open file.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::FILE_MAX;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &FILE_MAX,
    deciders: &["alloc_empty_file", "get_empty_filp"],
    callers: &[
        "path_openat",
        "do_filp_open",
        "do_file_open",
        "do_sys_openat2",
        "alloc_file",
        "alloc_file_pseudo",
        "alloc_file_clone",
        "__anon_inode_getfile",
        "anon_inode_getfile",
        "create_pipe_files",
        "__do_pipe_flags",
        "do_pipe2",
        "sock_alloc_file",
        "sock_map_fd",
        "__sys_socket",
        "do_epoll_create",
        "do_inotify_init",
        "do_eventfd",
    ],
};

const CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
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
    "pidfd_open",
    "inotify_init",
    "inotify_init1",
    "fanotify_init",
    "userfaultfd",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "file-max",
    title: "the machine may not have another open file (fs.file-max)",
    about: "\
open(2), socket(2), accept(2), pipe(2) and everything else that makes a descriptor fail with ENFILE, \"Too many open files in
system\", in every container at once. alloc_empty_file() in fs/file_table.c compares the open files of the whole machine
with fs.file-max, unless the caller has CAP_SYS_ADMIN in the first user namespace.

It surprises because EMFILE, \"Too many open files\", sounds the same and is something else: RLIMIT_NOFILE of one process.
Root in a container mostly lacks CAP_SYS_ADMIN, so that the host's root sees nothing of it.",
    shows_as: &[("open", "ENFILE"), ("openat", "ENFILE"), ("openat2", "ENFILE"), ("creat", "ENFILE"), ("socket", "ENFILE"), ("socketpair", "ENFILE"), ("accept", "ENFILE"), ("accept4", "ENFILE")],
    deciders: &["alloc_empty_file", "get_empty_filp"],
    reads: &[&FILE_MAX],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/fs.html#file-max-file-nr",
        "fs/file_table.c: alloc_empty_file()",
        "open(2), ENFILE",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENFILE)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!("The machine has {used} open files, and fs.file-max allows {most}.");
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all = remedies::double(
        &FILE_MAX,
        proof,
        "for the whole machine, at once; each open file takes a few hundred bytes",
    );
    all.push(remedies::look(
        "for p in /proc/[0-9]*; do echo $(ls $p/fd | wc -l) $p; done | sort -n | tail",
        "who holds most; a process that keeps what it opened is the disease",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, errno, &[], &[], vec![reading])).map(|f| f.confidence)
    }

    #[test]
    fn an_overflow_at_that_instant_is_proven_and_room_refutes_it() {
        let full = over(&FILE_MAX, 9, 9, 1);
        assert_eq!(judged("open", Errno::ENFILE, full), Some(Confidence::Proven));
        assert_eq!(judged("open", Errno::ENFILE, over(&FILE_MAX, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("open", Errno::ENFILE, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("openat", Errno::EMFILE), ("getpid", Errno::ENFILE)] {
            assert_eq!(judged(call, errno, over(&FILE_MAX, 9, 9, 1)), None, "{call}");
        }
    }
}
