//! A user may not watch another descriptor by epoll.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::EPOLL_WATCHES;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &EPOLL_WATCHES,
    deciders: &["ep_insert", "do_epoll_ctl", "do_epoll_ctl_file"],
    callers: &["__x64_sys_epoll_ctl", "__do_sys_epoll_ctl", "ep_alloc_epitem"],
};

const CALLS: &[&str] = &["epoll_ctl"];

pub(super) static CAUSE: Cause = Cause {
    slug: "epoll-max-user-watches",
    title: "a user may not watch another descriptor by epoll (fs.epoll.max_user_watches)",
    about: "\
epoll_ctl(EPOLL_CTL_ADD) fails with ENOSPC, \"No space left on device\", and no disk is full: a proxy or server stops accepting
connections. ep_insert() in fs/eventpoll.c counts, per user of the host, the descriptors in all epoll sets against
fs.epoll.max_user_watches, which is 4 % of low memory by default; containers that run as the same user share it.",
    shows_as: &[("epoll_ctl", "ENOSPC")],
    deciders: &["ep_insert", "do_epoll_ctl", "do_epoll_ctl_file"],
    reads: &[&EPOLL_WATCHES],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "epoll(7), /proc interfaces",
        "fs/eventpoll.c: ep_insert()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENOSPC)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "The user watches {used} descriptors by epoll, and fs.epoll.max_user_watches allows {most}. No disk is full."
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all = remedies::double(
        &EPOLL_WATCHES,
        proof,
        "for all users, at once; each watch takes about 160 bytes of kernel memory",
    );
    all.push(remedies::look(
        "grep -c ^tfd /proc/[0-9]*/fdinfo/* 2>/dev/null | grep -v ':0$' | sort -t: -k2 -n | tail",
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
        let full = over(&EPOLL_WATCHES, 9, 9, 1);
        assert_eq!(judged("epoll_ctl", Errno::ENOSPC, full), Some(Confidence::Proven));
        assert_eq!(judged("epoll_ctl", Errno::ENOSPC, over(&EPOLL_WATCHES, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("epoll_ctl", Errno::ENOSPC, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("epoll_ctl", Errno::ENOENT), ("getpid", Errno::ENOSPC)] {
            assert_eq!(judged(call, errno, over(&EPOLL_WATCHES, 9, 9, 1)), None, "{call}");
        }
    }
}
