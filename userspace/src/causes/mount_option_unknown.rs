//! An option that the file system does not take, or whose value it does not.

use super::case::signs::{Claim, MountWork, fix, knob};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["vfs_parse_fs_param", "legacy_parse_param"];
const CALLERS: &[&str] = &[
    "vfs_fsconfig_locked",
    "vfs_parse_fs_string",
    "parse_monolithic_mount_data",
    "ext4_fill_super",
    "__x64_sys_fsconfig",
    "shmem_parse_monolithic",
    "vfs_parse_monolithic_sep",
    "lookup_constant",
    "fs_lookup_param",
    "__fs_parse",
    "fs_param_is_bool",
    "fs_param_is_u32",
    "fs_param_is_enum",
    "shmem_parse_one",
    "ovl_parse_opt",
    "ext4_parse_param",
    "shmem_parse_options",
    "proc_parse_param",
    "cgroup1_parse_param",
    "cgroup2_parse_param",
    "ovl_parse_param",
    "generic_parse_monolithic",
];

/// How the kernel names a bad option (fs/fs_parser.c, fs/fs_context.c, and each file system's own).
const WORDS: &[&str] = &[
    "Unknown parameter",
    "Bad value for",
    "nrecognized mount option",
    "unknown mount option",
    "Unexpected value for",
    "unknown option",
    "Unrecognized",
    "missing value",
    "Invalid ",
    "invalid option",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-option-unknown",
    title: "the file system does not take this mount option",
    about: "\
mount(2) or fsconfig(2) says EINVAL for one option of many and not for which: a word the type does not know (an option of a newer kernel, of
another type, or of mount(8) alone such as nofail), or a value it does not take (size=1GB where 1G is meant). mount(8) makes of it \"wrong
fs type, bad option, bad superblock\". The kernel names the option: for mount(2) in its log, for the new calls in the
message queue of the context's descriptor (read(2) it), which tools rarely show.",
    shows_as: &[("mount", "EINVAL"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts a tmpfs with an option that no type has, or a value that makes no sense", risk: "none: nothing is mounted", variants: &["mount", "value"] },
    see: &["fs/fs_context.c: vfs_parse_fs_param()", "fsconfig(2); Documentation/filesystems/mount_api.rst"],
};

/// Options of overlay that are refused for what they name, which other causes tell.
const LAYERS: &[&str] = &["lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir", "source"];

/// FSCONFIG_SET_FLAG to FSCONFIG_SET_FD: each sets one parameter.
const SETS: std::ops::RangeInclusive<u64> = 0..=5;

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["mount", "fsconfig"], Errno::EINVAL)?;
    let said = case.said(WORDS);
    let failure = case.failure();
    if call == "fsconfig" {
        let cmd = failure.number_arg("cmd")?;
        if !SETS.contains(&cmd) {
            return None;
        }
        let key = failure.text_arg("key").unwrap_or("an option");
        // Setting a parameter has no other reason for EINVAL than the parameter, once the call is well formed.
        let value = failure.text_arg("value").map_or_else(String::new, |v| format!("={v}"));
        return Claim {
            deciders: DECIDERS,
            callers: CALLERS,
            state: (said.is_some() || failure.text_arg("key").is_some_and(|k| !LAYERS.contains(&k)))
                .then_some(true),
            sentence: sentence(&format!("{key}{value}"), said),
            knob: knob(KnobKind::MountOption, key, String::new()),
            evidence: vec![format!("fsconfig was asked to set {key}{value} and nothing else")]
                .into_iter()
                .chain(said.map(|s| format!("the kernel's log said then: {s}")))
                .collect(),
            missing: Vec::new(),
        }
        .prove(case);
    }
    if !matches!(case.mount_work(), MountWork::New | MountWork::Remount) {
        return None;
    }
    // Overlay's own complaints are causes of their own, but for words it does not know.
    let strange = case.overlay().and_then(|o| o.strange.first().cloned());
    let option = said.and_then(quoted).map(Into::into).or(strange.clone());
    if said.is_none() && strange.is_none() {
        return None;
    }
    let name = option.unwrap_or_else(|| "an option".to_string());
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state: Some(true),
        sentence: sentence(&name, said),
        knob: knob(KnobKind::MountOption, &name, failure.text_arg("target").unwrap_or_default()),
        evidence: said.map(|line| format!("the kernel's log said then: {line}")).into_iter().collect(),
        missing: if said.is_none() {
            vec!["the kernel's own word for it, in its log".into()]
        } else {
            Vec::new()
        },
    }
    .prove(case)
}

/// The kernel tells an option that it does not know from a value that it does not (fs/fs_parser.c `inval_plog`).
fn sentence(name: &str, said: Option<&str>) -> String {
    let is_value = said.is_some_and(|line| line.contains("Bad value") || line.contains("Unexpected value"));
    let what = if is_value { "this value of the option" } else { "the option" };
    format!("This file system does not take {what} {name}.")
}

/// What stands in quotes in the kernel's sentence.
fn quoted(line: &str) -> Option<&str> {
    let quote = line.find(['\'', '"'])?;
    let rest = &line[quote + 1..];
    rest.find(['\'', '"']).map(|end| &rest[..end])
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let fstype = case.failure().text_arg("fstype").unwrap_or("TYPE").to_string();
    vec![fix(
        "now",
        format!("mount … without {}", proof.knob.name),
        &format!(
            "options of {fstype} stand in its man page or Documentation/filesystems; which one is meant `dmesg | tail` tells"
        ),
        "none needed",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, set_args};
    use crate::model::{Confidence, Fact, Mounting};

    #[test]
    fn the_option_is_named() {
        let mut i = incident("fsconfig", Errno::EINVAL, vec![]);
        set_args(&mut i, &[("key", "nosuch"), ("value", "1")], &[("cmd", 1)]);
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "nosuch"));
        set_args(&mut i, &[], &[("cmd", 6)]);
        assert_eq!(judge_with(&CAUSE, &i), None, "making the superblock has other reasons");
        let mut i = incident("mount", Errno::EINVAL, vec![]);
        set_args(&mut i, &[("fstype", "tmpfs")], &[("flags", 0)]);
        assert_eq!(judge_with(&CAUSE, &i), None);
        i.facts.push(Fact::Mounting(Mounting {
            said: vec!["tmpfs: Unknown parameter 'nosuch'".into()],
            ..Mounting::default()
        }));
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, "nosuch");
        i.facts = vec![Fact::Mounting(Mounting {
            said: vec!["tmpfs: Bad value for 'size'".into()],
            ..Mounting::default()
        })];
        assert!(judge_with(&CAUSE, &i).unwrap().sentence.contains("this value of the option size"));
    }
}
