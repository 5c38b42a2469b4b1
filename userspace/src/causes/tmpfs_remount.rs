//! A tmpfs cannot be made smaller than what it holds, nor get a limit that it never had.

use super::case::signs::{Claim, MountWork, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["shmem_reconfigure"];
const CALLERS: &[&str] =
    &["reconfigure_super", "do_remount", "path_mount", "vfs_fsconfig_locked", "vfs_cmd_reconfigure"];
/// (the kernel's words, the option, what they mean): `shmem_reconfigure()`, mm/shmem.c.
const WORDS: &[(&str, &str, &str)] = &[
    ("Too small a size for current use", "size=", "it holds more than the new size"),
    ("Too few inodes for current use", "nr_inodes=", "it holds more files than the new number"),
    (
        "Cannot retroactively limit size",
        "size=",
        "it was made without a limit on its size, and cannot get one",
    ),
    (
        "Cannot retroactively limit inodes",
        "nr_inodes=",
        "it was made without a limit on files, and cannot get one",
    ),
    ("Cannot disable swap on remount", "noswap", "whether it may be swapped out is settled when it is made"),
    ("Cannot enable swap on remount", "noswap", "whether it may be swapped out is settled when it is made"),
    ("Current inum too high", "inode32", "its inode numbers no longer fit into 32 bits"),
    ("Cannot enable quota on remount", "quota", "quotas are settled when it is made"),
    ("Cannot change global quota limit", "quota", "limits for all users are settled when it is made"),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "tmpfs-remount",
    title: "the tmpfs cannot be changed so: it holds more, or was made otherwise",
    about: "\
mount(2) with MS_REMOUNT on a tmpfs (\"mount -o remount,size=64M /dev/shm\") fails with EINVAL, \"Invalid argument\", and mount(8) \
makes of it \"mount point not mounted or bad option\". shmem_reconfigure() in mm/shmem.c does not take a size or a number of inodes \
below what is in use, and no limit where there was none (size=0 is no limit; a tmpfs of the kernel's own, and one that was mounted \
with size=0). swap, quotas and the size of inode numbers are settled once and for all. The kernel's log has the sentence.",
    shows_as: &[("mount", "EINVAL"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "fills a tmpfs and makes it smaller than that, or limits one that has no limit",
        risk: "none: in a mount namespace of its own",
        variants: &["size", "inodes", "retroactive"],
    },
    see: &["tmpfs(5)", "mm/shmem.c: shmem_reconfigure()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["mount", "fsconfig"], Errno::EINVAL)?;
    if call == "mount" && case.mount_work() != MountWork::Remount {
        return None;
    }
    let words: Vec<&str> = WORDS.iter().map(|row| row.0).collect();
    let said = case.said(&words)?;
    let (_, option, why) = WORDS.iter().find(|row| said.contains(row.0))?;
    let place = case.place("target");
    let at = place.map_or_else(|| "The tmpfs".to_string(), |p| format!("The tmpfs at {}", p.path));
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state: Some(true),
        sentence: format!("{at} cannot be changed so: {why}."),
        knob: knob(KnobKind::MountOption, option, place.map(|p| p.path.clone()).unwrap_or_default()),
        evidence: place
            .map(lies)
            .into_iter()
            .chain([format!("the kernel's log said then: {said}")])
            .collect(),
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let at = if proof.knob.path.is_empty() { "DIR" } else { proof.knob.path.as_str() };
    let look = fix(
        "look",
        format!("df -h {at}; df -i {at}; du -ax {at} | sort -n | tail"),
        "what it holds",
        "reads only",
    );
    match proof.knob.name.as_str() {
        "size=" | "nr_inodes=" => vec![
            look,
            fix(
                "now",
                format!("rm what may go below {at}, and remount again"),
                "files that are open keep their pages until they are closed",
                "cannot be undone",
            ),
            fix(
                "for good",
                "give the option when it is mounted",
                "docker run --tmpfs DIR:size=64m, --shm-size; emptyDir.sizeLimit with medium: Memory",
                "mount it as before",
            ),
        ],
        _ => vec![
            look,
            fix(
                "for good",
                "unmount it and mount it anew with the option",
                "what it holds is lost: copy it before",
                "the same with the old options",
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact, Mounting};

    fn remounted(flags: u64, said: &str) -> Option<(Confidence, String)> {
        let mut i = incident("mount", Errno::EINVAL, vec![]);
        set_args(&mut i, &[("target", "/dev/shm"), ("data", "size=1m")], &[("flags", flags)]);
        i.facts.push(Fact::Place(place("target", "/dev/shm", "rw")));
        i.facts.push(Fact::Mounting(Mounting { said: vec![said.into()], ..Mounting::default() }));
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn the_kernels_word_names_the_option() {
        let small = "tmpfs: Too small a size for current use";
        assert_eq!(remounted(libc::MS_REMOUNT, small), Some((Confidence::Proven, "size=".into())));
        let few = "tmpfs: Too few inodes for current use";
        assert_eq!(remounted(libc::MS_REMOUNT, few).unwrap().1, "nr_inodes=");
    }

    #[test]
    fn a_new_mount_and_other_words_are_not_claimed() {
        assert_eq!(remounted(0, "tmpfs: Too small a size for current use"), None);
        assert_eq!(remounted(libc::MS_REMOUNT, "tmpfs: Bad value for 'size'"), None);
    }
}
