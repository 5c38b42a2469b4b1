//! A pipe cannot become smaller than what it holds.

use super::case::claim::{self, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy, spaced};

const DECIDERS: &[&str] = &["pipe_resize_ring", "pipe_set_size"];
const CALLERS: &[&str] = &["pipe_fcntl", "do_fcntl", "__do_sys_fcntl", "__x64_sys_fcntl"];
/// F_SETPIPE_SZ (linux/fcntl.h).
const RESIZE: u64 = 1031;

pub(super) static CAUSE: Cause = Cause {
    slug: "pipe-shrink",
    title: "the pipe holds more than its new size",
    about: "\
fcntl(2) with F_SETPIPE_SZ fails with EBUSY, \"Device or resource busy\": pipe_resize_ring() in fs/pipe.c cannot put the pages that \
wait in the pipe into a smaller ring. They count by pages, not bytes: many small writes take a page each. Nobody reads at the other \
end, or not fast enough. EPERM of the same call is a pipe that may not become so large.",
    shows_as: &[("fcntl", "EBUSY")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "fills a pipe and makes it a page long",
        risk: "none",
        variants: &["page"],
    },
    see: &["fcntl(2), F_SETPIPE_SZ; pipe(7)", "fs/pipe.c: pipe_resize_ring()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["fcntl", "fcntl64"], Errno::EBUSY)?;
    if case.failure().number_arg("op") != Some(RESIZE) {
        return None;
    }
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, None)?;
    if weighed.confidence == Confidence::Possible {
        // A pipe that reports a keyring's changes is the only other reason (watch_queue(7)), and hardly anybody has one.
        weighed.confidence = Confidence::Likely;
    }
    weighed.missing = vec!["what waits in the pipe".into()];
    let size = case.failure().number_arg("arg").unwrap_or(0).max(4096);
    let sentence = format!(
        "A pipe of {} was to become {} bytes long, and holds more pages than that.",
        case.failure().task.comm,
        spaced(size)
    );
    let fd = case.failure().number_arg("fd").unwrap_or(0);
    let knob = knob(KnobKind::Other, "pipe size", format!("/proc/{}/fd/{fd}", case.failure().task.pid));
    Some(weighed.proof(case, DECIDERS, sentence, knob))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![
        look(format!("lsof -E {}", proof.knob.path), "who has the other end: it does not read"),
        step(
            "for good",
            "set the size before anything is written, or leave it as it is",
            "64 KiB are what a pipe has by default",
            format!("nothing to undo: the pipe of {} stays as it was", case.failure().task.comm),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};

    fn judged(errno: Errno, op: u64) -> Option<Confidence> {
        judge_with(&CAUSE, &valued("fcntl", errno, &[("op", op), ("arg", 4096)], &[], vec![]))
            .map(|f| f.confidence)
    }

    #[test]
    fn only_a_resize_that_is_busy_is_claimed() {
        assert_eq!(judged(Errno::EBUSY, RESIZE), Some(Confidence::Likely));
        assert_eq!(judged(Errno::EBUSY, 1033), None, "F_ADD_SEALS");
        assert_eq!(judged(Errno::EPERM, RESIZE), None);
    }
}
