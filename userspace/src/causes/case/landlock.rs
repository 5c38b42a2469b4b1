//! What Landlock may have refused: a domain that no file shows, whose word for "no" is that of others.
//!
//! The probe sees whether the task is in a domain, not what that allows. So a refusal is held against the calls that
//! Landlock has a say in, and against everything else that says the same.

use super::modes::{Judged, judge as judge_mode, path};
use super::rights::{cite, identity};
use super::{Case, Proof};
use crate::model::{Confidence, Errno, Knob, KnobKind, PlaceKind};

/// Under this name the probe tells whether the task was in a domain; and under this one, whether the first word of its
/// credentials' blob was set, which is Landlock's where no module before it has a part of that blob.
const DOMAIN: &str = "in a Landlock domain";
const FIRST_WORD: &str = "first word of cred.security";

/// Modules without a part of the credentials' blob (no `lbs_cred` in their `lsm_blob_sizes`); parts are given out in the
/// order in which the modules are listed.
const WITHOUT_BLOB: &[&str] =
    &["capability", "lockdown", "yama", "loadpin", "safesetid", "bpf", "integrity", "ima", "evm", "ipe"];

/// What takes a file from one folder to another: EXDEV where the domain does not allow both.
pub(in crate::causes) const MOVES: &[&str] = &["rename", "renameat", "renameat2", "link", "linkat"];

/// Calls with a hook in security/landlock/fs.c that says EACCES.
const FILES: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "execve",
    "execveat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "truncate",
];
/// EPERM to whoever is in a domain about files: hook_sb_mount(), hook_move_mount(), hook_sb_pivotroot() and their kin.
const MOUNTS: &[&str] = &["mount", "move_mount", "umount2", "umount", "pivot_root"];

/// File systems on which rename(2) and link(2) within one mount say EXDEV for quota projects only (tmpfs: never); ext4 and
/// f2fs say it of folders with different encryption, too (`fscrypt_prepare_rename()`).
const PLAIN: &[&str] = &["tmpfs", "ramfs", "xfs"];

/// Whether the task was in a domain; `None` where that could not be read.
pub(in crate::causes) fn domain(case: &Case<'_>) -> Option<bool> {
    let by_order = || {
        let modules = identity(case)?.modules.as_deref()?;
        let first = modules.split(',').find(|module| !WITHOUT_BLOB.contains(module))?;
        case.value(FIRST_WORD).filter(|_| first == "landlock")
    };
    case.value(DOMAIN).or_else(by_order).map(|is| is != 0)
}

/// Whether a move within one mount can have been refused by Landlock: between two folders, of which the domain does not
/// allow one.
pub(in crate::causes) fn moved(case: &Case<'_>) -> Option<Proof> {
    let (call, _) =
        case.failure().syscall().filter(|(c, e)| MOVES.contains(c) && *e == Errno(libc::EXDEV))?;
    let (old, new) = (case.place("oldpath")?, case.place("newpath")?);
    let (from, to) = (old.mount.as_ref()?, new.mount.as_ref()?);
    let same_mount = (&from.point, &from.device) == (&to.point, &to.device);
    let folder =
        |path: &str| path.trim_end_matches('/').rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let same_folder = case.failure().number_arg("olddirfd") == case.failure().number_arg("newdirfd")
        && folder(&old.path) == folder(&new.path);
    if !same_mount || same_folder || domain(case) != Some(true) {
        return None;
    }
    let overlay = from.fstype == "overlay" && old.kind == PlaceKind::Folder;
    let projects = old.project.zip(new.project);
    if overlay || projects.is_some_and(|(a, b)| a != b) {
        return None;
    }
    let plain = PLAIN.contains(&from.fstype.as_str()) && (projects.is_some() || from.fstype != "xfs");
    let sentence = format!(
        "{} is in a Landlock domain that does not let it {} {} into another folder ({}).",
        case.failure().task.comm,
        if call.starts_with("link") { "link" } else { "move" },
        old.path,
        new.path
    );
    let mut proof = claimed(case, sentence);
    if plain {
        proof.confidence = Confidence::Proven;
        proof.missing.clear();
        proof.evidence.push(format!(
            "both lie on the {} at {}, which within one mount refuses no move but between quota projects",
            from.fstype, from.point
        ));
    }
    Some(proof)
}

/// A refusal to a task in a domain that nothing else is known to have made.
pub(in crate::causes) fn judge(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = moved(case) {
        return Some(proof);
    }
    let (call, errno) = case.failure().syscall()?;
    let of_file = errno == Errno::EACCES && FILES.contains(&call);
    let of_mount = errno == Errno::EPERM && MOUNTS.contains(&call);
    if domain(case) != Some(true) || !(of_file || of_mount) {
        return None;
    }
    let mode = if of_file { judge_mode(case) } else { Judged::Allowed };
    // Another module may have said it as well.
    let confined = identity(case).is_some_and(|who| !who.label.is_empty());
    if matches!(mode, Judged::Denied(_)) {
        return None;
    }
    let who = &case.failure().task.comm;
    let sentence = match of_mount {
        true => format!(
            "{who} is in a Landlock domain, and whoever is in one about files may not mount ({call})."
        ),
        false => format!("{who} is in a Landlock domain that does not allow it {call} of {}.", path(case)),
    };
    let mut proof = claimed(case, sentence);
    if confined || mode == Judged::Unknown {
        proof.confidence = Confidence::Possible;
        proof.missing.push("what the file's mode, or another security module, says to it".into());
    }
    Some(proof)
}

/// Likely: that there is a domain was seen, what it allows is shown nowhere.
fn claimed(case: &Case<'_>, sentence: String) -> Proof {
    Proof {
        confidence: Confidence::Likely,
        sentence,
        knob: Knob { kind: KnobKind::Lsm, name: "landlock".into(), path: String::new() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: cite(case)
            .into_iter()
            .chain(["at that instant the task's credentials had a Landlock domain".to_owned()])
            .collect(),
        missing: vec![
            "what the domain allows: no file shows it; the audit log names the denial since 6.15".into(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, place, set_args, valued};
    use crate::model::Fact;

    fn moves(
        call: &str,
        domain: u64,
        fstype: &str,
        to: &str,
        project: Option<(u32, u32)>,
    ) -> Option<Confidence> {
        let mut i = valued(call, Errno(libc::EXDEV), &[], &[(DOMAIN, domain)], vec![]);
        set_args(&mut i, &[("oldpath", "/d/a/f"), ("newpath", to)], &[]);
        for (role, path, id) in
            [("oldpath", "/d/a/f", project.map(|p| p.0)), ("newpath", to, project.map(|p| p.1))]
        {
            let mut at = place(role, path, "rw");
            let mount = at.mount.as_mut().unwrap();
            (mount.point, mount.fstype) = ("/d".into(), fstype.into());
            at.project = id;
            i.facts.push(Fact::Place(at));
        }
        moved(&Case { incident: &i, path: None }).map(|p| p.confidence)
    }

    #[test]
    fn a_move_within_one_mount_is_the_domain_s() {
        assert_eq!(moves("rename", 1, "tmpfs", "/d/b/f", None), Some(Confidence::Proven));
        assert_eq!(moves("linkat", 1, "xfs", "/d/b/f", Some((0, 0))), Some(Confidence::Proven));
        assert_eq!(
            moves("linkat", 1, "ext4", "/d/b/f", Some((0, 0))),
            Some(Confidence::Likely),
            "encryption"
        );
        assert_eq!(
            moves("rename", 1, "xfs", "/d/b/f", None),
            Some(Confidence::Likely),
            "projects were not read"
        );
        assert_eq!(moves("rename", 1, "btrfs", "/d/b/f", None), Some(Confidence::Likely));
    }

    /// Where the kernel hides its variables, the order of the modules says whose the word is.
    #[test]
    fn the_first_word_is_landlock_s_where_it_is_listed_first() {
        let told = |modules: &str, word: u64| {
            let mut i = by_user(valued("openat", Errno::EACCES, &[], &[(FIRST_WORD, word)], vec![]), 0, 0);
            for fact in &mut i.facts {
                if let Fact::Identity(who) = fact {
                    who.modules = Some(modules.into());
                }
            }
            domain(&Case { incident: &i, path: None })
        };
        assert_eq!(told("lockdown,capability,landlock,yama,apparmor", 1), Some(true));
        assert_eq!(told("lockdown,capability,landlock,bpf", 0), Some(false));
        assert_eq!(told("capability,apparmor,landlock", 1), None, "AppArmor's word");
        assert_eq!(told("capability,new_module,landlock", 1), None, "whatever that is");
        assert_eq!(told("capability,yama", 1), None);
    }

    #[test]
    fn what_else_refuses_a_move_is_left_to_others() {
        assert_eq!(moves("rename", 0, "tmpfs", "/d/b/f", None), None, "in no domain");
        assert_eq!(moves("rename", 1, "tmpfs", "/d/a/g", None), None, "within one folder");
        assert_eq!(moves("rename", 1, "ext4", "/d/b/f", Some((1, 2))), None, "two projects");
        assert_eq!(moves("rename", 1, "overlay", "/d/b/f", None), None, "a folder of an overlay");
    }
}
