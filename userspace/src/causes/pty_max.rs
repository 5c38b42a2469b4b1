//! The machine may not have another pseudo-terminal.

use super::case::{
    ceiling::{Ceiling, cite},
    remedies,
    switch::FILTER,
};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::PTY_MAX;
use crate::model::{Confidence, Errno, Knob, KnobKind, Reading, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &PTY_MAX,
    deciders: &["devpts_new_index"],
    callers: &[
        "ptmx_open",
        "chrdev_open",
        "do_dentry_open",
        "vfs_open",
        "path_openat",
        "do_filp_open",
        "do_file_open",
        "do_sys_openat2",
    ],
};

const CALLS: &[&str] = &["openat", "open", "openat2"];

pub(super) static CAUSE: Cause = Cause {
    slug: "pty-max",
    title: "the machine may not have another pseudo-terminal (kernel.pty.max)",
    about: "\
docker run -t, kubectl exec -it, ssh and screen fail: opening /dev/ptmx says ENOSPC, \"No space left on device\", and no disk is
full. devpts_new_index() in fs/devpts/inode.c counts the ptys of the whole machine against kernel.pty.max; mounts of devpts
other than the first ones, which is every container's, have kernel.pty.reserve less. Programs that leak sessions use them up.",
    shows_as: &[("openat", "ENOSPC"), ("open", "ENOSPC"), ("openat2", "ENOSPC")],
    deciders: &["devpts_new_index"],
    reads: &[&PTY_MAX],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "pts(4), /proc interfaces",
        "fs/devpts/inode.c: devpts_new_index()",
    ],
};

/// The option `max=` of the devpts that the multiplexer lies in, where the machine has room.
fn of_mount(case: &Case<'_>) -> Option<String> {
    if case.reading(&PTY_MAX).and_then(Reading::exceeded) != Some(false) {
        return None;
    }
    let mount = case.places().find_map(|place| place.mount.as_ref().filter(|m| m.fstype == "devpts"))?;
    mount.options.split(',').find_map(|option| option.strip_prefix("max=")).map(str::to_owned)
}

/// The count of one mount is not shown anywhere, but nothing else is left that refuses.
fn by_mount(case: &Case<'_>, most: &str) -> Proof {
    let mut evidence: Vec<String> = case.reading(&PTY_MAX).map(cite).into_iter().collect();
    evidence.push(format!("the devpts was mounted with max={most}"));
    Proof {
        confidence: Confidence::Proven,
        sentence: format!(
            "This mount of devpts may have {most} pseudo-terminals (its option max=), and has them."
        ),
        knob: Knob { kind: KnobKind::MountOption, name: "max".into(), path: "devpts".into() },
        limit: most.parse().ok(),
        usage: None,
        unit: PTY_MAX.unit.into(),
        evidence,
        missing: vec![],
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENOSPC)?;
    // Only the multiplexer makes ptys; another name needs the function itself as its witness.
    let name = case.failure().text_arg("pathname").unwrap_or_default();
    if !name.ends_with("ptmx") && !case.passed_through(&["devpts_new_index", "ptmx_open"]) {
        return None;
    }
    if let Some(most) = of_mount(case) {
        return Some(by_mount(case, &most));
    }
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "The machine has {used} pseudo-terminals, and kernel.pty.max allows {most}. No disk is full."
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.kind == KnobKind::MountOption {
        let most = proof.limit.unwrap_or(0);
        return vec![remedies::step(
            "now",
            &format!("mount -o remount,max={} /dev/pts", most.saturating_mul(2)),
            "in the mount namespace of the process that was refused",
            &format!("mount -o remount,max={most} /dev/pts"),
        )];
    }
    let mut all = remedies::double(&PTY_MAX, proof, "for the whole machine, at once");
    all.push(remedies::look(
        "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c ptmx; cat /proc/sys/kernel/pty/nr",
        "sessions that nobody ended",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, place, set_args, valued};
    use crate::model::{Confidence, Fact, Reading};

    fn judged(path: &str, reading: Reading) -> Option<Confidence> {
        let mut i = valued("openat", Errno::ENOSPC, &[], &[], vec![reading]);
        if let crate::model::FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            args.push(crate::model::Arg {
                name: "pathname".into(),
                value: crate::model::ArgValue::Text(path.into()),
            });
        }
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn the_multiplexer_with_no_pty_left_is_proven() {
        assert_eq!(judged("/dev/pts/ptmx", over(&PTY_MAX, 4096, 4096, 1)), Some(Confidence::Proven));
        assert_eq!(judged("/dev/ptmx", over(&PTY_MAX, 7, 4096, 1)), None);
    }

    #[test]
    fn a_mount_of_its_own_may_have_fewer() {
        let mut i = valued("openat", Errno::ENOSPC, &[], &[], vec![over(&PTY_MAX, 7, 4096, 1)]);
        set_args(&mut i, &[("pathname", "/p/ptmx")], &[]);
        let mut ptmx = place("pathname", "/p/ptmx", "rw");
        let mount = ptmx.mount.as_mut().unwrap();
        (mount.fstype, mount.options) = ("devpts".into(), "rw,ptmxmode=666,max=1".into());
        i.facts.push(Fact::Place(ptmx));
        let found = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((found.knob.name.as_str(), found.limit), ("max", Some(1)));
        assert_eq!(found.confidence, Confidence::Proven);
    }

    #[test]
    fn another_file_is_not_claimed() {
        assert_eq!(judged("/var/lib/data", over(&PTY_MAX, 4096, 4096, 1)), None);
    }
}
