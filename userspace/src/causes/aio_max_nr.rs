//! The machine may not have more asynchronous requests.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::AIO_MAX_NR;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &AIO_MAX_NR,
    deciders: &["ioctx_alloc"],
    callers: &["__x64_sys_io_setup", "__do_sys_io_setup"],
};

const CALLS: &[&str] = &["io_setup"];

pub(super) static CAUSE: Cause = Cause {
    slug: "aio-max-nr",
    title: "the machine may not have more asynchronous requests (fs.aio-max-nr)",
    about: "\
io_setup(2) fails with EAGAIN, \"Resource temporarily unavailable\": databases (MySQL, Oracle, ScyllaDB) do not start, although
the one before did. ioctx_alloc() in fs/aio.c adds the requested number of events to those of the whole machine and
compares with fs.aio-max-nr, 65536 by default: a few database containers on one host use it up. It does not become
available again by waiting, only when another process ends.",
    shows_as: &[("io_setup", "EAGAIN")],
    deciders: &["ioctx_alloc"],
    reads: &[&AIO_MAX_NR],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/fs.html#aio-nr-aio-max-nr",
        "fs/aio.c: ioctx_alloc()",
        "io_setup(2), EAGAIN",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EAGAIN)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence =
        format!("The machine has {used} asynchronous requests reserved, and fs.aio-max-nr allows {most}.");
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    remedies::double(&AIO_MAX_NR, proof, "for the whole machine, at once; memory is taken only by who asks")
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
        let full = over(&AIO_MAX_NR, 9, 9, 1);
        assert_eq!(judged("io_setup", Errno::EAGAIN, full), Some(Confidence::Proven));
        assert_eq!(judged("io_setup", Errno::EAGAIN, over(&AIO_MAX_NR, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("io_setup", Errno::EAGAIN, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("io_setup", Errno::ENOENT), ("getpid", Errno::EAGAIN)] {
            assert_eq!(judged(call, errno, over(&AIO_MAX_NR, 9, 9, 1)), None, "{call}");
        }
    }
}
