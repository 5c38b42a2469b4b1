//! RLIMIT_NOFILE may not become so high.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::NR_OPEN;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &NR_OPEN,
    deciders: &[],
    callers: &["do_prlimit", "__x64_sys_prlimit64", "__do_sys_prlimit64", "__x64_sys_setrlimit"],
};

const CALLS: &[&str] = &["prlimit64", "setrlimit"];

pub(super) static CAUSE: Cause = Cause {
    slug: "nr-open",
    title: "RLIMIT_NOFILE may not become so high (fs.nr_open)",
    about: "\
setrlimit(2), prlimit(2), ulimit -n or the start of a container with --ulimit nofile=… fails with EPERM, \"Operation not permitted\",
even for root with all capabilities: do_prlimit() in kernel/sys.c lets no RLIMIT_NOFILE be higher than fs.nr_open, 1048576 by
default. \"unlimited\" is higher than that.",
    shows_as: &[("prlimit64", "EPERM"), ("setrlimit", "EPERM")],
    deciders: &[],
    reads: &[&NR_OPEN],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a higher RLIMIT_NOFILE than there may be",
        risk: "none: the limit is that of a process which ends at once",
        variants: &[],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/fs.html#nr-open",
        "kernel/sys.c: do_prlimit()",
        "getrlimit(2), EPERM",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EPERM)?;
    // Other resources, and values that were not read, are not this one's business.
    case.reading(&NR_OPEN)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!("RLIMIT_NOFILE was to become {used}, and fs.nr_open allows {most}.");
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all = vec![remedies::step(
        "now",
        "--ulimit nofile=1048576:1048576",
        "ask for no more than fs.nr_open",
        "none",
    )];
    all.extend(remedies::double(
        &NR_OPEN,
        proof,
        "for all processes, at once; tables of descriptors may become larger",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(readings: Vec<Reading>) -> Option<Confidence> {
        judge_with(&CAUSE, &valued("prlimit64", Errno::EPERM, &[], &[], readings)).map(|f| f.confidence)
    }

    #[test]
    fn more_than_the_highest_value_is_proven() {
        assert_eq!(judged(vec![over(&NR_OPEN, 0, 1 << 20, u64::MAX)]), Some(Confidence::Proven));
        assert_eq!(judged(vec![over(&NR_OPEN, 0, 1 << 20, 4096)]), None);
    }

    #[test]
    fn another_resource_is_not_claimed() {
        assert_eq!(judged(vec![]), None);
    }
}
