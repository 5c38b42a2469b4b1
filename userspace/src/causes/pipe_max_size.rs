//! A pipe may not become so large.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::PIPE_MAX_SIZE;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &PIPE_MAX_SIZE,
    deciders: &["pipe_set_size", "pipe_fcntl"],
    callers: &["do_fcntl", "__x64_sys_fcntl", "__do_sys_fcntl", "cap_capable", "capable", "security_capable"],
};

const CALLS: &[&str] = &["fcntl"];

/// include/uapi/linux/fcntl.h.
const F_SETPIPE_SZ: u64 = 1031;

pub(super) static CAUSE: Cause = Cause {
    slug: "pipe-max-size",
    title: "a pipe may not become so large (fs.pipe-max-size)",
    about: "\
fcntl(F_SETPIPE_SZ) fails with EPERM, \"Operation not permitted\": pipe_set_size() in fs/pipe.c does not let a task without
CAP_SYS_RESOURCE in the first user namespace make a pipe larger than fs.pipe-max-size, 1 MiB by default. Root in a container
does not have that capability.",
    shows_as: &[("fcntl", "EPERM")],
    deciders: &["pipe_set_size", "pipe_fcntl"],
    reads: &[&PIPE_MAX_SIZE],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "pipe(7), /proc interfaces",
        "fs/pipe.c: pipe_set_size()",
        "fcntl(2), F_SETPIPE_SZ",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EPERM)?;
    let resized = case.failure().number_arg("op").is_none_or(|op| op == F_SETPIPE_SZ);
    if !resized || case.reading(&PIPE_MAX_SIZE).is_none() && case.verdict(CEILING.deciders).is_none() {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "The pipe was to have {used} bytes, and fs.pipe-max-size allows {most} without CAP_SYS_RESOURCE."
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all = remedies::double(
        &PIPE_MAX_SIZE,
        proof,
        "for all users; memory is taken only by who asks, and bounded by fs.pipe-user-pages-soft",
    );
    all.extend(remedies::capability(
        "CAP_SYS_RESOURCE",
        "the container may exceed many limits, quotas among them",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(op: u64, reading: Reading) -> Option<Confidence> {
        judge_with(&CAUSE, &valued("fcntl", Errno::EPERM, &[("op", op)], &[], vec![reading]))
            .map(|f| f.confidence)
    }

    #[test]
    fn a_size_above_the_limit_is_proven_and_one_below_refutes_it() {
        assert_eq!(judged(F_SETPIPE_SZ, over(&PIPE_MAX_SIZE, 0, 65_536, 1 << 20)), Some(Confidence::Proven));
        assert_eq!(judged(F_SETPIPE_SZ, over(&PIPE_MAX_SIZE, 0, 1 << 20, 65_536)), None);
    }

    #[test]
    fn another_operation_is_not_claimed() {
        // F_ADD_SEALS
        assert_eq!(judged(1033, over(&PIPE_MAX_SIZE, 0, 65_536, 1 << 20)), None);
        assert!(judge_with(&CAUSE, &valued("fcntl", Errno::EPERM, &[], &[], vec![])).is_none());
    }
}
