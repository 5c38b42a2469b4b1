//! The machine may not have another task.

use super::case::{ceiling::cite, tasks};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::tasks::{NPROC, PID_MAX, PIDS_MAX, THREADS_MAX};
use crate::model::{Confidence, Knob, KnobKind, Reading, Remedy, Taken, spaced};

pub(super) static CAUSE: Cause = Cause {
    slug: "threads-max",
    title: "the machine may not have another task (kernel.threads-max)",
    about: "\
fork(2), clone(2) and clone3(2) fail with EAGAIN, \"Resource temporarily unavailable\", for every user, also for
root. copy_process() in kernel/fork.c compares the number of all processes and threads with kernel.threads-max,
which the kernel sets at boot so that their stacks take at most an eighth of memory.

It surprises because it strikes everybody at once: one container without a pids.max that leaks threads stops
logins and all other containers.",
    shows_as: &[("clone", "EAGAIN"), ("clone3", "EAGAIN"), ("fork", "EAGAIN"), ("vfork", "EAGAIN")],
    // The check stands in copy_process() itself, which decides about three limits.
    deciders: &[],
    reads: &[&THREADS_MAX, &NPROC, &PIDS_MAX, &PID_MAX],
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
            name: "kernel.pid_max",
            ruled_out_by: "free numbers in the pid namespace and all around it",
            stands: tasks::numbers_stand,
        },
        Rival {
            name: "a deadline task",
            ruled_out_by: "the task's scheduling policy at that instant",
            stands: tasks::deadline_stands,
        },
    ],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: whoever meets it stops every other process from forking, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#threads-max",
        "kernel/fork.c: copy_process(), set_max_threads()",
        "fork(2), EAGAIN",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    if !tasks::refused(case) {
        return None;
    }
    let reading = case.reading(&THREADS_MAX)?;
    let (used, most) = (reading.usage?, reading.ceiling?);
    if reading.exceeded() != Some(true) {
        return None;
    }
    let at_instant = reading.taken == Taken::AtInstant;
    let late = "the number of tasks at that instant: it was read afterwards".to_owned();
    Some(Proof {
        confidence: if at_instant { Confidence::Proven } else { Confidence::Likely },
        sentence: format!(
            "The machine has {} processes and threads, and kernel.threads-max allows {}.",
            spaced(used),
            spaced(most)
        ),
        knob: Knob { kind: KnobKind::Sysctl, name: THREADS_MAX.id.into(), path: THREADS_MAX.path() },
        limit: Some(most),
        usage: Some(used),
        unit: THREADS_MAX.unit.into(),
        evidence: evidence(case),
        missing: if at_instant { vec![] } else { vec![late] },
    })
}

fn evidence(case: &Case<'_>) -> Vec<String> {
    let all: [Option<&Reading>; 4] = [&THREADS_MAX, &NPROC, &PIDS_MAX, &PID_MAX].map(|l| case.reading(l));
    all.into_iter().flatten().map(cite).collect()
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit = proof.limit.unwrap_or_default();
    let double = limit.saturating_mul(2);
    vec![
        Remedy {
            when: "now".into(),
            command: format!("sysctl -w kernel.threads-max={double}"),
            effect: "for the whole machine, at once; each task takes at least 16 KiB of kernel memory".into(),
            undo: format!("sysctl -w kernel.threads-max={limit}"),
        },
        Remedy {
            when: "for good".into(),
            command: format!("echo 'kernel.threads-max = {double}' > /etc/sysctl.d/90-threads-max.conf"),
            effect: "from the next boot on".into(),
            undo: "rm /etc/sysctl.d/90-threads-max.conf".into(),
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
    use crate::model::Errno;

    fn machine(used: u64, taken: Taken) -> Vec<Reading> {
        let mut r = reading(&THREADS_MAX, used, 1000);
        r.taken = taken;
        [vec![r], unlimited(&THREADS_MAX)].concat()
    }

    #[test]
    fn a_reading_taken_afterwards_is_likely_and_no_more() {
        let i = incident("clone", Errno::EAGAIN, machine(1000, Taken::After { ns: 1 }));
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!(f.confidence, Confidence::Likely);
        assert!(f.missing[0].contains("afterwards"));
    }

    #[test]
    fn room_on_the_machine_is_not_claimed_nor_is_another_errno() {
        let room = incident("clone", Errno::EAGAIN, machine(999, Taken::AtInstant));
        assert!(judge_with(&CAUSE, &room).is_none());
        let other = incident("clone", Errno::ENOMEM, machine(1000, Taken::AtInstant));
        assert!(judge_with(&CAUSE, &other).is_none());
    }

    #[test]
    fn a_full_cgroup_is_a_rival() {
        let mut readings = machine(1000, Taken::AtInstant);
        readings.iter_mut().filter(|r| r.limit == PIDS_MAX.id).for_each(|r| r.ceiling = Some(10));
        let f = judge_with(&CAUSE, &incident("clone", Errno::EAGAIN, readings)).unwrap();
        assert_eq!(f.confidence, Confidence::Likely);
    }
}
