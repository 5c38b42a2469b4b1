//! The descriptor given to setns(2) leads to nothing that this task could enter.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &[
    "userns_install",
    "pidns_install",
    "validate_ns",
    "validate_nsset",
    "ns_get_path",
    "proc_ns_file",
    "check_setns_flags",
];
const CALLERS: &[&str] = &["__do_sys_setns", "timens_install"];

/// `NSFS_MAGIC` (linux/magic.h).
const NSFS: u64 = 0x6e73_6673;

const TYPES: &[(&str, u64)] = &[
    ("cgroup", 0x0200_0000),
    ("ipc", 0x0800_0000),
    ("mnt", 0x0002_0000),
    ("net", 0x4000_0000),
    ("pid", 0x2000_0000),
    ("time", 0x80),
    ("user", 0x1000_0000),
    ("uts", 0x0400_0000),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "setns-target",
    title: "setns cannot enter what the descriptor leads to",
    about: "\
setns(2) fails with EINVAL, and the descriptor itself is good. It may lead to no namespace at all, or to one of another
type than the second argument says. It may be the user namespace that the task is in already: userns_install() refuses
to enter it again, because that would give back capabilities that were dropped. Or a pid namespace that is neither the
task's own nor below it: pidns_install() lets nobody go up or aside, because processes would vanish from those that
wait for them.

It surprises in tools that open /proc/PID/ns/* of another process and enter all of them: in rootless setups the user
namespace is often shared already, and nsenter must leave it out; from inside a container the host's pid namespace can
never be entered. ESRCH means that the process behind a pidfd has ended.",
    shows_as: &[("setns", "EINVAL"), ("setns", "ESRCH")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: ids::filter_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "enters the user namespace it is in, or a network namespace as another type",
        risk: "none: only this process is refused something",
        variants: &["own-user", "other-type"],
    },
    see: &["setns(2), ERRORS: EINVAL", "kernel/user_namespace.c: userns_install()", "kernel/pid_namespace.c: pidns_install()"],
};

/// Why, in words, with the knob's name.
fn trouble(case: &Case<'_>) -> Option<(String, &'static str)> {
    let target = case.state("target").map(|s| s.value.as_str());
    if case.denied(&["setns"], Errno(libc::ESRCH)).is_some() {
        return Some((
            "the process whose namespaces were to be entered has ended".into(),
            "life of the process",
        ));
    }
    let file = case.failure().file();
    let own = case.failure().task.user_ns;
    if let (Some(file), Some(own)) = (file, own)
        && file.magic == NSFS
        && file.inode == u64::from(own)
    {
        return Some(("it is in that user namespace already".into(), "argument"));
    }
    let asked = case.failure().number_arg("nstype").unwrap_or(0);
    let Some(target) = target else {
        let other = file.is_some_and(|f| f.magic != NSFS && f.name != "[pidfd]" && !f.name.contains("pidfd"));
        return (other && asked == 0).then(|| ("the descriptor is no namespace".into(), "argument"));
    };
    let Some((kind, _)) = target.split_once(":[") else {
        let pidfd = target.contains("pidfd");
        return (!pidfd)
            .then(|| (format!("the descriptor leads to {target}, which is no namespace"), "argument"));
    };
    let flag = TYPES.iter().find(|(name, _)| *name == kind)?.1;
    if asked != 0 && asked != flag {
        return Some((
            format!("the descriptor leads to {target}, and another type was asked for"),
            "argument",
        ));
    }
    let below = case.state("target is the caller's or below it").map(|s| s.value.as_str());
    if kind == "pid" && below == Some("no") {
        return Some((format!("{target} is neither its own pid namespace nor below it"), "pid namespace"));
    }
    None
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["setns"], Errno::EINVAL).or_else(|| case.denied(&["setns"], Errno(libc::ESRCH)))?;
    let (why, name) = trouble(case)?;
    let weighed = weigh(case, DECIDERS, CALLERS, Some(true))?;
    let who = &case.failure().task.comm;
    let lines = ["target", "ns/user", "ns/pid", "target is the caller's or below it"]
        .into_iter()
        .filter_map(|n| cite_state(case, n))
        .chain(
            case.failure().file().map(|f| format!("the descriptor led to inode {} at that instant", f.inode)),
        );
    let sentence = format!("{who} cannot enter it with setns: {why}.");
    Some(weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, name, "setns(2)")).because(lines))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let way = match proof.knob.name.as_str() {
        "pid namespace" => step(
            "now",
            "nsenter -t PID -a … from outside that namespace",
            "a task can only go down: start the tool in the namespace above (the host, or --pid=host)",
            "nothing to undo",
        ),
        "life of the process" => look("ls -l /proc/*/ns", "whether somebody else is in the namespaces still"),
        _ => step(
            "now",
            "compare `readlink /proc/self/ns/user` with the target's and leave the equal ones out",
            "nothing is lost: the task is in it already",
            "nothing to undo",
        ),
    };
    vec![way, look("lsns; ls -l /proc/PID/fd", "which namespaces there are, and what a descriptor leads to")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{arg, called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::{Arg, ArgValue, Confidence, FailureKind, FileKind, Incident, OpenFile};

    fn entering(target: &str, inode: u64, asked: u64) -> Incident {
        let mut i = called("setns", libc::EINVAL, 0);
        i.failure.task.user_ns = Some(4_026_531_837);
        arg(&mut i, "nstype", asked);
        state(&mut i, "target", target);
        let file = OpenFile {
            kind: FileKind::Regular,
            name: target.into(),
            device: "0:4".into(),
            magic: NSFS,
            inode,
            folder: 0,
        };
        if let FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            args.push(Arg { name: "fd".into(), value: ArgValue::Descriptor { raw: 3, file } });
        }
        i
    }

    #[test]
    fn the_own_user_namespace_is_not_entered_again() {
        let f = judge_with(&CAUSE, &entering("user:[4026531837]", 4_026_531_837, 0x1000_0000)).unwrap();
        assert_eq!(f.confidence, Confidence::Proven);
        assert!(f.sentence.contains("already"), "{}", f.sentence);
    }

    #[test]
    fn a_wrong_type_and_a_namespace_above_are_told_apart() {
        let f = judge_with(&CAUSE, &entering("net:[9]", 9, 0x2000_0000)).unwrap();
        assert!(f.sentence.contains("another type"), "{}", f.sentence);
        let mut i = entering("pid:[9]", 9, 0x2000_0000);
        assert!(judge_with(&CAUSE, &i).is_none(), "where it lies is not known");
        state(&mut i, "target is the caller's or below it", "no");
        assert!(judge_with(&CAUSE, &i).unwrap().sentence.contains("neither its own"));
        let user = entering("user:[9]", 9, 0);
        assert!(judge_with(&CAUSE, &user).is_none(), "threads may be the reason");
    }
}
