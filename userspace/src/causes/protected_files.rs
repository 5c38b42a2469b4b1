//! A file or fifo of another user in a shared folder, opened with O_CREAT.

use super::case::{
    sticky,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "fs.protected_regular",
    exempt: 0,
    exempts: "",
    deciders: &["may_create_in_sticky"],
    callers: sticky::CALLERS,
};

const FIFOS: Switch = Switch { name: "fs.protected_fifos", ..SWITCH };

pub(super) static CAUSE: Cause = Cause {
    slug: "protected-files",
    title: "a file of another user in a shared folder is not opened with O_CREAT (fs.protected_regular, fs.protected_fifos)",
    about: "\
open(2) with O_CREAT fails with EACCES, \"Permission denied\", even for root, for a file that exists and that everybody may write: with
fs.protected_regular or fs.protected_fifos set, may_create_in_sticky() in fs/namei.c refuses to open a regular file or a fifo
that belongs to somebody else in a sticky folder that all may write (2: also that its group may write), unless the folder has
the same owner. The shell's > redirection opens so. systemd sets both.",
    shows_as: &[("openat", "EACCES"), ("open", "EACCES")],
    deciders: &["may_create_in_sticky"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens with O_CREAT a file of another user in a sticky folder",
        risk: "none: in a mount namespace of its own, with the sysctls as they are",
        variants: &["regular"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/fs.html#protected-regular",
        "fs/namei.c: may_create_in_sticky()",
        "proc_sys_fs(5)",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let calls: &[&str] = &["open", "openat", "openat2", "creat"];
    case.denied(calls, Errno::EACCES)?;
    const O_CREAT: u64 = 0o100;
    if case.failure().number_arg("flags").is_some_and(|flags| flags & O_CREAT == 0) {
        return None;
    }
    let found = case.state("sticky file");
    let object = found.map_or("", |s| s.of.as_str());
    // A fifo has a switch of its own, of the same meaning.
    let fifo = found.is_some_and(|s| s.value == "fifo");
    let switch = if fifo { &FIFOS } else { &SWITCH };
    let sentence =
        format!("{object} is the file of another user in a sticky folder, and {} forbids it.", switch.name);
    sticky::judge(case, switch, found.is_some(), sentence)
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
        let mut i = valued("openat", Errno::EACCES, &[("flags", 0o101)], &[(SWITCH.name, value)], vec![]);
        i.facts.extend(known.then(|| state("sticky file", "/shared/x", "regular")));
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
