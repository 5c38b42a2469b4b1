//! A user may not have more memory in pipes.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::{PIPE_PAGES_HARD, PIPE_PAGES_SOFT};
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &PIPE_PAGES_HARD,
    deciders: &["alloc_pipe_info", "get_pipe_inode", "create_pipe_files"],
    callers: &[
        "do_pipe2",
        "__do_pipe_flags",
        "__x64_sys_pipe2",
        "__x64_sys_pipe",
        "pipe_fcntl",
        "pipe_set_size",
        "do_fcntl",
        "too_many_pipe_buffers_hard",
        "too_many_pipe_buffers_soft",
    ],
};

const SOFT: Ceiling =
    Ceiling { limit: &PIPE_PAGES_SOFT, deciders: &["pipe_set_size", "pipe_fcntl"], callers: CEILING.callers };

const CALLS: &[&str] = &["pipe", "pipe2"];

pub(super) static CAUSE: Cause = Cause {
    slug: "pipe-user-pages",
    title: "a user may not have more memory in pipes (fs.pipe-user-pages-hard, -soft)",
    about: "\
pipe(2) fails with ENFILE, \"Too many open files in system\", although neither the process nor the machine has too many: the
pipes of one user of the host hold more pages than fs.pipe-user-pages-hard allows. alloc_pipe_info() in fs/pipe.c counts them
over all containers that run as that user; who has CAP_SYS_RESOURCE or CAP_SYS_ADMIN in the first user namespace is exempt.
Past fs.pipe-user-pages-soft new pipes get two pages instead of sixteen, which is slow and silent, and growing one by
fcntl(F_SETPIPE_SZ) says EPERM.",
    shows_as: &[("pipe", "ENFILE"), ("pipe2", "ENFILE"), ("fcntl", "EPERM")],
    deciders: &["alloc_pipe_info", "get_pipe_inode", "create_pipe_files"],
    reads: &[&PIPE_PAGES_HARD, &PIPE_PAGES_SOFT],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "pipe(7), /proc interfaces",
        "fs/pipe.c: alloc_pipe_info(), pipe_set_size()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    if case.denied(&["fcntl"], Errno::EPERM).is_some() {
        return grown(case);
    }
    case.denied(CALLS, Errno::ENFILE)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence =
        format!("The pipes of the user hold {used} pages, and fs.pipe-user-pages-hard allows {most}.");
    Some(judged.proof(case, &CEILING, sentence))
}

/// fcntl(F_SETPIPE_SZ): both limits refuse to grow a pipe.
fn grown(case: &Case<'_>) -> Option<Proof> {
    [&CEILING, &SOFT].into_iter().find_map(|ceiling| {
        case.reading(ceiling.limit).and_then(|r| r.exceeded()).filter(|over| *over)?;
        let judged = ceiling.judge(case)?;
        let (used, most) = judged.numbers();
        let sentence = format!(
            "The pipes of the user hold {used} pages, and {} allows {most} to grow to.",
            ceiling.limit.id
        );
        Some(judged.proof(case, ceiling, sentence))
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit = if proof.knob.name == PIPE_PAGES_SOFT.id { &PIPE_PAGES_SOFT } else { &PIPE_PAGES_HARD };
    remedies::double(
        limit,
        proof,
        "for all users, at once; bounds how much kernel memory one user takes by pipes",
    )
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
        let full = over(&PIPE_PAGES_HARD, 9, 9, 1);
        assert_eq!(judged("pipe", Errno::ENFILE, full), Some(Confidence::Proven));
        assert_eq!(judged("pipe", Errno::ENFILE, over(&PIPE_PAGES_HARD, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("pipe", Errno::ENFILE, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("pipe", Errno::ENOENT), ("getpid", Errno::ENFILE)] {
            assert_eq!(judged(call, errno, over(&PIPE_PAGES_HARD, 9, 9, 1)), None, "{call}");
        }
    }
}
