//! A user may not have another fanotify mark.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::watches::FANOTIFY_MARKS;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &FANOTIFY_MARKS,
    deciders: &["fanotify_add_new_mark", "fanotify_add_mark", "do_fanotify_mark"],
    callers: &[
        "__x64_sys_fanotify_mark",
        "fanotify_add_inode_mark",
        "fanotify_add_vfsmount_mark",
        "inc_ucount",
    ],
};

const CALLS: &[&str] = &["fanotify_mark"];

pub(super) static CAUSE: Cause = Cause {
    slug: "fanotify-max-user-marks",
    title: "a user may not have another fanotify mark (fs.fanotify.max_user_marks)",
    about: "\
fanotify_mark(2) fails with ENOSPC, \"No space left on device\", and no disk is full. fanotify_add_new_mark() in
fs/notify/fanotify/fanotify_user.c counts marks per user and user namespace against fs.fanotify.max_user_marks (before
5.13: 8192 for each group). A group made with FAN_UNLIMITED_MARKS is not counted, which takes CAP_SYS_ADMIN.",
    shows_as: &[("fanotify_mark", "ENOSPC")],
    deciders: &["fanotify_add_new_mark", "fanotify_add_mark", "do_fanotify_mark"],
    reads: &[&FANOTIFY_MARKS],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "fanotify(7), /proc interfaces",
        "fs/notify/fanotify/fanotify_user.c: fanotify_add_new_mark()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENOSPC)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "The user has {used} fanotify marks, and fs.fanotify.max_user_marks allows {most}. No disk is full."
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    remedies::double(
        &FANOTIFY_MARKS,
        proof,
        "for all users, at once; each mark takes about 1 KiB of kernel memory",
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
        let full = over(&FANOTIFY_MARKS, 9, 9, 1);
        assert_eq!(judged("fanotify_mark", Errno::ENOSPC, full), Some(Confidence::Proven));
        assert_eq!(judged("fanotify_mark", Errno::ENOSPC, over(&FANOTIFY_MARKS, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("fanotify_mark", Errno::ENOSPC, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("fanotify_mark", Errno::ENOENT), ("getpid", Errno::ENOSPC)] {
            assert_eq!(judged(call, errno, over(&FANOTIFY_MARKS, 9, 9, 1)), None, "{call}");
        }
    }
}
