//! A user may not have another fanotify group.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::{descriptors::FANOTIFY_LISTENERS, watches::FANOTIFY_GROUPS};
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &FANOTIFY_GROUPS,
    deciders: &["__x64_sys_fanotify_init", "__do_sys_fanotify_init"],
    callers: &["inc_ucount", "alloc_fd", "anon_inode_getfd"],
};

const CALLS: &[&str] = &["fanotify_init"];

const OLD: Ceiling =
    Ceiling { limit: &FANOTIFY_LISTENERS, deciders: CEILING.deciders, callers: CEILING.callers };

pub(super) static CAUSE: Cause = Cause {
    slug: "fanotify-max-user-groups",
    title: "a user may not have another fanotify group (fs.fanotify.max_user_groups)",
    about: "\
fanotify_init(2) fails with EMFILE, \"Too many open files\": virus scanners, file integrity monitors and container tools that
watch executions need a group. fanotify_init() in fs/notify/fanotify/fanotify_user.c counts groups per user and user
namespace against fs.fanotify.max_user_groups; before 5.13 it was 128 for each user, a constant.",
    shows_as: &[("fanotify_init", "EMFILE")],
    deciders: &["__x64_sys_fanotify_init", "__do_sys_fanotify_init"],
    reads: &[&FANOTIFY_GROUPS, &FANOTIFY_LISTENERS],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "fanotify(7), /proc interfaces",
        "fs/notify/fanotify/fanotify_user.c: fanotify_init()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EMFILE)?;
    // Before 5.13: a constant, counted in the user itself.
    if case.reading(&FANOTIFY_LISTENERS).is_some() {
        let judged = OLD.judge(case)?;
        let sentence = "The user has 128 fanotify groups, and this kernel allows no more.".into();
        let mut proof = judged.proof(case, &OLD, sentence);
        proof.knob.name = FANOTIFY_GROUPS.id.into();
        return Some(proof);
    }
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence =
        format!("The user has {used} fanotify groups, and fs.fanotify.max_user_groups allows {most}.");
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.path.is_empty() {
        return vec![remedies::look(
            "find /proc/[0-9]*/fd -lname 'anon_inode:*fanotify*'",
            "who holds them; before 5.13 the limit is a constant",
        )];
    }
    remedies::double(&FANOTIFY_GROUPS, proof, "for all users, at once")
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
        let full = over(&FANOTIFY_GROUPS, 9, 9, 1);
        assert_eq!(judged("fanotify_init", Errno::EMFILE, full), Some(Confidence::Proven));
        assert_eq!(judged("fanotify_init", Errno::EMFILE, over(&FANOTIFY_GROUPS, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("fanotify_init", Errno::EMFILE, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("fanotify_init", Errno::ENOENT), ("getpid", Errno::EMFILE)] {
            assert_eq!(judged(call, errno, over(&FANOTIFY_GROUPS, 9, 9, 1)), None, "{call}");
        }
    }
}
