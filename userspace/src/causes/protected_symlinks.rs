//! A symbolic link of another user in a shared folder.

use super::case::{
    sticky,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "fs.protected_symlinks",
    exempt: 0,
    exempts: "",
    deciders: &["may_follow_link", "pick_link", "step_into", "step_into_slowpath"],
    callers: sticky::CALLERS,
};

pub(super) static CAUSE: Cause = Cause {
    slug: "protected-symlinks",
    title: "a symbolic link in a shared folder is not followed (fs.protected_symlinks)",
    about: "\
open(2) and most calls that take a path fail with EACCES, \"Permission denied\", even for root: with fs.protected_symlinks = 1,
may_follow_link() in fs/namei.c follows a symbolic link in a sticky folder that all may write (/tmp) only for the link's owner,
or when the folder has the same owner. No capability is exempt, and the file behind the link may be open to everybody.

It surprises because ls -l shows nothing wrong, and because it depends on who made the link: an unpacked image, a volume of
another user, an init container.",
    shows_as: &[("openat", "EACCES"), ("open", "EACCES"), ("execve", "EACCES")],
    deciders: &["may_follow_link", "pick_link", "step_into", "step_into_slowpath"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/fs.html#protected-symlinks",
        "fs/namei.c: may_follow_link()",
        "proc_sys_fs(5)",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let calls: &[&str] = &["open", "openat", "openat2", "creat", "execve", "stat", "newfstatat", "statx"];
    case.denied(calls, Errno::EACCES)?;
    let found = case.state("sticky link");
    let object = found.map_or("", |s| s.of.as_str());
    let sentence = format!(
        "{object} is the symbolic link of another user in a sticky folder, and {} forbids it.",
        SWITCH.name
    );
    sticky::judge(case, &SWITCH, found.is_some(), sentence)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    sticky::remedy(&SWITCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};
    use crate::model::Confidence;

    fn judged(value: u64, known: bool) -> Option<Confidence> {
        let mut i = valued("openat", Errno::EACCES, &[], &[(SWITCH.name, value)], vec![]);
        i.facts.extend(known.then(|| state("sticky link", "/shared/x", "regular")));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn the_switch_and_the_object_are_proven() {
        assert_eq!(judged(1, true), Some(Confidence::Proven));
    }

    #[test]
    fn an_open_switch_or_an_unknown_object_is_not_claimed() {
        assert_eq!(judged(0, true), None);
        assert_eq!(judged(1, false), None);
    }
}
