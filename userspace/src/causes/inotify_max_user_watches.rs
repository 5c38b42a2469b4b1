//! A user may not watch another file by inotify.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::watches::INOTIFY_WATCHES;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &INOTIFY_WATCHES,
    deciders: &[
        "inotify_new_watch",
        "inotify_update_watch",
        "__x64_sys_inotify_add_watch",
        "__do_sys_inotify_add_watch",
    ],
    callers: &["inc_ucount", "inc_inotify_watches"],
};

const CALLS: &[&str] = &["inotify_add_watch"];

pub(super) static CAUSE: Cause = Cause {
    slug: "inotify-max-user-watches",
    title: "a user may not watch another file by inotify (fs.inotify.max_user_watches)",
    about: "\
inotify_add_watch(2) fails with ENOSPC, \"No space left on device\", and no disk is full: editors, bundlers, kubelet, tail -f and
file synchronisers need one watch for each folder. inotify_new_watch() in fs/notify/inotify/inotify_user.c counts them per
user, in the user namespace of who made the instance and in every one around it, against fs.inotify.max_user_watches.

It surprises because the text is about a disk, and because all containers of the same user of the host share the count.",
    shows_as: &[("inotify_add_watch", "ENOSPC")],
    deciders: &["inotify_new_watch", "inotify_update_watch", "__x64_sys_inotify_add_watch", "__do_sys_inotify_add_watch"],
    reads: &[&INOTIFY_WATCHES],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers user.max_inotify_watches in a user namespace of its own, and watches one more folder",
        risk: "none: the namespace ends with its process",
        variants: &[],
    },
    see: &[
        "inotify(7), /proc interfaces",
        "fs/notify/inotify/inotify_user.c: inotify_new_watch()",
        "https://github.com/kubernetes/kubernetes/issues/7815",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENOSPC)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "The user watches {used} files and folders, and fs.inotify.max_user_watches allows {most}. No disk is full."
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all = remedies::double(
        &INOTIFY_WATCHES,
        proof,
        "for all users, at once; each watch takes about 1 KiB of kernel memory that cannot be swapped",
    );
    all.push(remedies::look(
        "grep -c '^inotify' /proc/[0-9]*/fdinfo/* 2>/dev/null | grep -v ':0$' | sort -t: -k2 -n | tail",
        "who watches most",
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
        let full = over(&INOTIFY_WATCHES, 9, 9, 1);
        assert_eq!(judged("inotify_add_watch", Errno::ENOSPC, full), Some(Confidence::Proven));
        assert_eq!(judged("inotify_add_watch", Errno::ENOSPC, over(&INOTIFY_WATCHES, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("inotify_add_watch", Errno::ENOSPC, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("inotify_add_watch", Errno::ENOENT), ("getpid", Errno::ENOSPC)] {
            assert_eq!(judged(call, errno, over(&INOTIFY_WATCHES, 9, 9, 1)), None, "{call}");
        }
    }
}
