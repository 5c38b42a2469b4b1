//! A user may not have another inotify instance.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::watches::INOTIFY_INSTANCES;
use crate::model::{Errno, Reading, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &INOTIFY_INSTANCES,
    deciders: &["inotify_new_group", "do_inotify_init"],
    callers: &["__x64_sys_inotify_init", "__x64_sys_inotify_init1", "__do_sys_inotify_init1", "inc_ucount"],
};

const CALLS: &[&str] = &["inotify_init", "inotify_init1"];

/// How readings name the first user namespace (include/linux/proc_ns.h PROC_USER_INIT_INO).
const FIRST: &str = "user namespace 4026531837";

pub(super) static CAUSE: Cause = Cause {
    slug: "inotify-max-user-instances",
    title: "a user may not have another inotify instance (fs.inotify.max_user_instances)",
    about: "\
inotify_init(2) fails with EMFILE, which every program prints as \"Too many open files\". No ulimit helps: the user, not the
process, has used up its inotify instances. inotify_new_group() in fs/notify/inotify/inotify_user.c counts them per user,
in the caller's user namespace and in every one around it (inc_ucount()), against fs.inotify.max_user_instances, 128 by
default on most distributions.

It surprises because all containers that run as the same user of the host share the count, and mostly that is root: kubelet,
each containerd-shim, systemd, log shippers and every pod together. lsof shows few files, and the kernel shows the count
nowhere. A container in a user namespace may be refused by the limit outside, where its file inside shows room.",
    shows_as: &[("inotify_init", "EMFILE"), ("inotify_init1", "EMFILE")],
    deciders: &["inotify_new_group", "do_inotify_init"],
    reads: &[&INOTIFY_INSTANCES],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers user.max_inotify_instances in a user namespace of its own, and makes one more",
        risk: "none: the namespace ends with its process",
        variants: &["here", "ancestor"],
    },
    see: &[
        "inotify(7), /proc interfaces",
        "https://docs.kernel.org/admin-guide/sysctl/user.html",
        "fs/notify/inotify/inotify_user.c: inotify_new_group(), do_inotify_init()",
        "https://github.com/kubernetes/kubernetes/issues/64614",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EMFILE)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "The user has {used} inotify instances, and fs.inotify.max_user_instances allows {most}{}.",
        outside(judged.reached)
    );
    let in_container =
        judged.reached.is_some_and(|r| r.scope.starts_with("user namespace") && r.scope != FIRST);
    let mut proof = judged.proof(case, &CEILING, sentence);
    if in_container {
        // Each user namespace has its own; the one below fs.inotify is the first one's.
        (proof.knob.name, proof.knob.path) =
            ("user.max_inotify_instances".into(), "/proc/sys/user/max_inotify_instances".into());
    }
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all = remedies::double(
        &INOTIFY_INSTANCES,
        proof,
        "for all users, at once; an instance without watches takes about 1 KiB",
    );
    all.push(remedies::look(
        "find /proc/[0-9]*/fd -lname anon_inode:inotify 2>/dev/null | cut -d/ -f3 | sort | uniq -c | sort -n",
        "who holds how many",
    ));
    all
}

/// Whose limit it is: that of the first user namespace is the sysctl of the machine.
fn outside(reading: Option<&Reading>) -> String {
    match reading.map(|r| r.scope.as_str()) {
        None | Some("") => String::new(),
        Some(scope) => format!(" ({scope})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::Confidence;

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, errno, &[], &[], vec![reading])).map(|f| f.confidence)
    }

    #[test]
    fn an_overflow_at_that_instant_is_proven_and_room_refutes_it() {
        let full = over(&INOTIFY_INSTANCES, 9, 9, 1);
        assert_eq!(judged("inotify_init", Errno::EMFILE, full), Some(Confidence::Proven));
        assert_eq!(judged("inotify_init", Errno::EMFILE, over(&INOTIFY_INSTANCES, 3, 9, 1)), None);
    }

    #[test]
    fn the_limit_of_a_user_namespace_has_its_own_name() {
        for (scope, knob) in
            [(FIRST, INOTIFY_INSTANCES.id), ("user namespace 4026532000", "user.max_inotify_instances")]
        {
            let reading = Reading { scope: scope.into(), ..over(&INOTIFY_INSTANCES, 9, 9, 1) };
            let i = valued("inotify_init1", Errno::EMFILE, &[], &[], vec![reading]);
            assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, knob);
        }
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("inotify_init", Errno::EMFILE, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("inotify_init1", Errno::ENFILE), ("fanotify_init", Errno::EMFILE)] {
            assert_eq!(judged(call, errno, over(&INOTIFY_INSTANCES, 9, 9, 1)), None, "{call}");
        }
    }
}
