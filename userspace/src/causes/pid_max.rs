//! There is no process number left.

use super::case::ceiling::cite;
use super::case::tasks::{self, RESERVED_PIDS};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::tasks::{NPROC, PID_MAX, PIDS_MAX, THREADS_MAX};
use crate::model::{Confidence, Knob, KnobKind, Reading, Remedy, spaced};

pub(super) static CAUSE: Cause = Cause {
    slug: "pid-max",
    title: "no process number is left (kernel.pid_max)",
    about: "\
fork(2), clone(2) and clone3(2) fail with EAGAIN, \"Resource temporarily unavailable\". alloc_pid() in kernel/pid.c
needs a free number below kernel.pid_max in the task's pid namespace and in every one around it. Threads take
numbers too, and so do process groups and sessions whose leader is gone.

It surprises because the default of 32 768 on small machines is less than kernel.threads-max, and because a
container's processes use up the host's numbers. Since 6.14 each pid namespace has a kernel.pid_max of its own,
so a container can run out while the host has plenty. Numbers below 300 are given out once only, so the last three
hundred may be missing.",
    shows_as: &[("clone", "EAGAIN"), ("clone3", "EAGAIN"), ("fork", "EAGAIN"), ("vfork", "EAGAIN")],
    deciders: &["alloc_pid"],
    reads: &[&PID_MAX, &NPROC, &PIDS_MAX, &THREADS_MAX],
    rivals: &[
        Rival {
            name: "RLIMIT_NPROC",
            ruled_out_by: "the user's count and limit at that instant, or a user who is exempt",
            stands: tasks::nproc_stands,
        },
        Rival {
            name: "pids.max",
            ruled_out_by: "room in the cgroup and all around it at that instant",
            stands: tasks::pids_stands,
        },
        Rival {
            name: "kernel.threads-max",
            ruled_out_by: "a tenth or more of the machine's tasks still free",
            stands: tasks::threads_stand,
        },
        Rival {
            name: "a deadline task",
            ruled_out_by: "the task's scheduling policy at that instant",
            stands: tasks::deadline_stands,
        },
    ],
    explain,
    remedy,
    fault: Fault::None("before 6.14 the numbers are the machine's: whoever uses them up stops every other process from forking, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#pid-max",
        "kernel/pid.c: alloc_pid()",
        "fork(2), EAGAIN",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    if !tasks::refused(case) {
        return None;
    }
    let reading = case.at_instant(&PID_MAX)?;
    let (used, most) = (reading.usage?, reading.ceiling?);
    // Fewer would leave a number free for certain.
    if used + RESERVED_PIDS < most {
        return None;
    }
    let mut missing = Vec::new();
    let seen = case.verdict(CAUSE.deciders).is_some();
    // Which of the lowest numbers are in use is not read: between the two bounds the count alone is no proof.
    let confidence = if seen || used + 1 >= most { Confidence::Proven } else { Confidence::Likely };
    if confidence < Confidence::Proven {
        missing.push("whether the few free numbers are all among the reserved ones below 300".into());
    }
    Some(Proof {
        confidence,
        sentence: format!(
            "In {} {} numbers are in use, and kernel.pid_max allows {}, of which the first {RESERVED_PIDS} are not given out again.",
            reading.scope,
            spaced(used),
            spaced(most)
        ),
        knob: Knob { kind: KnobKind::Sysctl, name: PID_MAX.id.into(), path: PID_MAX.path() },
        limit: Some(most),
        usage: Some(used),
        unit: PID_MAX.unit.into(),
        evidence: evidence(case),
        missing,
    })
}

fn evidence(case: &Case<'_>) -> Vec<String> {
    let all: [Option<&Reading>; 4] = [&PID_MAX, &NPROC, &PIDS_MAX, &THREADS_MAX].map(|l| case.reading(l));
    all.into_iter().flatten().map(cite).collect()
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit = proof.limit.unwrap_or(PID_MAX.default);
    let double = limit.saturating_mul(2).min(4_194_304);
    let scope = case.at_instant(&PID_MAX).map_or("the pid namespace", |r| r.scope.as_str());
    vec![
        Remedy {
            when: "now".into(),
            command: format!("sysctl -w kernel.pid_max={double}"),
            effect: format!("since 6.14 it must run in {scope} (nsenter -p -t PID); before, it is for all"),
            undo: format!("sysctl -w kernel.pid_max={limit}"),
        },
        Remedy {
            when: "for good".into(),
            command: format!("echo 'kernel.pid_max = {double}' > /etc/sysctl.d/90-pid-max.conf"),
            effect: "from the next boot on; a few old programs expect numbers of five digits".into(),
            undo: "rm /etc/sysctl.d/90-pid-max.conf".into(),
        },
        Remedy {
            when: "find the leak".into(),
            command: "ps -eo nlwp,pid,cgroup,comm --sort=-nlwp | head".into(),
            effect: "then give that container a pids.max, so that it stops alone".into(),
            undo: "reads only".into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, reading, unlimited};
    use crate::model::{Errno, Finding};

    fn judge(used: u64, errno: Errno) -> Option<Finding> {
        let readings = [vec![reading(&PID_MAX, used, 32_768)], unlimited(&PID_MAX)].concat();
        judge_with(&CAUSE, &incident("clone", errno, readings))
    }

    #[test]
    fn proven_when_no_number_is_left_at_all() {
        assert_eq!(judge(32_767, Errno::EAGAIN).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn between_the_bounds_it_is_likely() {
        let f = judge(32_500, Errno::EAGAIN).unwrap();
        assert_eq!(f.confidence, Confidence::Likely);
        assert!(f.missing[0].contains("reserved"));
    }

    #[test]
    fn free_numbers_or_another_errno_are_not_claimed() {
        assert!(judge(32_467, Errno::EAGAIN).is_none());
        assert!(judge(32_767, Errno::ENOMEM).is_none());
    }
}
