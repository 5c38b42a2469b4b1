//! A hard link to a file that one may not own.

use super::case::{
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "fs.protected_hardlinks",
    exempt: 1 << 3,
    exempts: "CAP_FOWNER",
    deciders: &["may_linkat"],
    callers: &["do_linkat", "filename_linkat", "__x64_sys_link", "__x64_sys_linkat"],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "protected-hardlinks",
    title: "a hard link to somebody else's file is forbidden (fs.protected_hardlinks)",
    about: "\
link(2) and linkat(2), ln, cp -l, some package managers and backup tools fail with EPERM, \"Operation not permitted\". With
fs.protected_hardlinks = 1, may_linkat() in fs/namei.c allows a hard link only to who owns the file or has CAP_FOWNER over it, or
to regular files without set-user-ID that one may read and write. It surprises because reading the file is allowed, and in
containers because the owner is another user inside than outside.",
    shows_as: &[("link", "EPERM"), ("linkat", "EPERM")],
    deciders: &["may_linkat"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/fs.html#protected-hardlinks",
        "fs/namei.c: may_linkat()",
        "proc_sys_fs(5)",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["link", "linkat"], Errno::EPERM)?;
    // The source must be one that the switch is about; the function itself says EPERM for nothing else.
    let about = case.state("link source").map(|s| s.value == "protected");
    if about == Some(false) {
        return None;
    }
    let sentence =
        "fs.protected_hardlinks forbids a hard link to a file that the task neither owns nor may write."
            .into();
    let mut proof = SWITCH.judge(case, |v| v != 0, sentence)?;
    if about.is_none() && case.verdict(SWITCH.deciders).is_none() {
        proof.confidence = proof.confidence.min(crate::model::Confidence::Likely);
        proof.missing.push("whose file it is".into());
    }
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = vec![remedies::step(
        "now",
        "cp instead of ln, or chown the file to the user that links",
        "no privilege needed",
        "none",
    )];
    all.extend(remedies::capability(
        "FOWNER",
        "the container may change and link files that it does not own",
    ));
    all.extend(remedies::sysctl(
        SWITCH.name,
        "0",
        Some("1"),
        "for the whole machine; opens an old class of attacks",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};
    use crate::model::Confidence;

    fn judged(value: u64, source: Option<&str>) -> Option<Confidence> {
        let mut i = valued("link", Errno::EPERM, &[], &[(SWITCH.name, value), ("CapEff", 0)], vec![]);
        i.facts.extend(source.map(|value| state("link source", "/f", value)));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn the_switch_and_another_s_file_are_proven() {
        assert_eq!(judged(1, Some("protected")), Some(Confidence::Proven));
        assert_eq!(judged(1, None), Some(Confidence::Likely));
    }

    #[test]
    fn one_s_own_file_or_an_open_switch_is_not_claimed() {
        assert_eq!(judged(1, Some("own")), None);
        assert_eq!(judged(0, Some("protected")), None);
    }
}
