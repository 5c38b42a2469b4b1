//! What the causes of refused overlays share: which calls they are about, and the kernel's own words.

use super::Case;
use super::Proof;
use super::signs::{Claim, knob, lies};
use crate::model::{Errno, KnobKind, OverlayOptions, Place};

/// Functions of fs/overlayfs that check options; which of them said no differs between kernels and compilers.
pub(in crate::causes) const CHECKS: &[&str] = &[
    "ovl_fill_super",
    "ovl_mount",
    "ovl_get_tree",
    "ovl_get_lowerstack",
    "ovl_get_layers",
    "ovl_get_upper",
    "ovl_get_workdir",
    "ovl_mount_dir",
    "ovl_mount_dir_noesc",
    "ovl_lower_dir",
    "ovl_parse_param",
    "ovl_parse_opt",
    "ovl_parse_layer",
    "ovl_do_parse_layer",
    "ovl_parse_param_lowerdir",
    "ovl_parse_monolithic",
    "ovl_workdir_ok",
    "ovl_check_layer",
    "ovl_check_overlapping_layers",
    "ovl_setup_trap",
    "ovl_report_in_use",
    "ovl_mount_dir_check",
    "ovl_check_namelen",
    "ovl_fs_params_verify",
    "mount_nodev",
    "get_tree_nodev",
    "vfs_parse_fs_string",
    "vfs_parse_fs_param",
    "parse_monolithic_mount_data",
    "generic_parse_monolithic",
    "ovl_get_fsid",
    "ovl_super_validate",
    "vfs_fsconfig_locked",
    "legacy_parse_monolithic",
    "lock_rename",
    "ovl_inuse_trylock",
    "vfs_parse_monolithic_sep",
    "ovl_fill_super_creds",
];

/// A refused overlay: the old call with its options, or a step of the new one.
pub(in crate::causes) struct Refused<'a> {
    pub(in crate::causes) options: Option<&'a OverlayOptions>,
    /// What the log said of it.
    pub(in crate::causes) said: Option<&'a str>,
}

/// `None` when the failed call mounts no overlay with this errno. Of the new calls only the log can tell.
pub(in crate::causes) fn refused<'a>(
    case: &Case<'a>,
    errnos: &[Errno],
    words: &[&str],
) -> Option<Refused<'a>> {
    let (call, errno) = case.failure().syscall()?;
    let fits = errnos.contains(&errno) && (call == "fsconfig" || case.is_new_overlay(errno));
    let said = case.said(words).filter(|line| line.starts_with("overlay"));
    let known = call == "mount" || said.is_some();
    (fits && known).then(|| Refused { options: case.overlay(), said })
}

/// The claim of an overlay's cause: the state read again, or the kernel's own sentence.
pub(in crate::causes) struct Overlay {
    pub(in crate::causes) deciders: &'static [&'static str],
    /// What the options and folders show.
    pub(in crate::causes) state: Option<bool>,
    pub(in crate::causes) sentence: String,
    pub(in crate::causes) knob: &'static str,
    pub(in crate::causes) path: String,
    pub(in crate::causes) evidence: Vec<String>,
}

impl Overlay {
    /// A state that contradicts the kernel's sentence makes neither sure.
    pub(in crate::causes) fn prove(self, case: &Case<'_>, refused: &Refused<'_>) -> Option<Proof> {
        let mut evidence = self.evidence;
        let mut missing = Vec::new();
        let state = match (self.state, refused.said) {
            (Some(false), Some(_)) => {
                missing.push(
                    "the state that the kernel's sentence is about: it was another when it was looked at"
                        .to_string(),
                );
                Some(true)
            }
            (None, Some(_)) => Some(true),
            (state, _) => state,
        };
        if let Some(line) = refused.said {
            evidence.push(format!("the kernel's log said then: {line}"));
        }
        Claim {
            deciders: self.deciders,
            callers: CHECKS,
            state,
            sentence: self.sentence,
            knob: knob(KnobKind::MountOption, self.knob, self.path),
            evidence,
            missing,
        }
        .prove(case)
    }
}

/// The evidence about a folder.
pub(in crate::causes) fn about(place: Option<&Place>) -> Vec<String> {
    place.map(lies).into_iter().collect()
}

/// Overlays that other causes explain better: each names what it leaves to others.
pub(in crate::causes) fn sound(options: &OverlayOptions) -> bool {
    !options.cut && options.lowers > 0 && options.lowers <= 500
}

#[cfg(test)]
pub(in crate::causes) fn finding(
    cause: &crate::causes::Cause,
    errno: Errno,
    options: OverlayOptions,
    said: &[&str],
) -> Option<crate::model::Finding> {
    use super::testing::{incident, judge_with, set_args};
    use crate::model::{Fact, Mounting};
    let mut i = incident("mount", errno, vec![]);
    set_args(&mut i, &[("fstype", "overlay"), ("target", "/m")], &[("flags", 0)]);
    i.facts.push(Fact::Overlay(options));
    i.facts.push(Fact::Mounting(Mounting {
        said: said.iter().map(|s| (*s).to_string()).collect(),
        ..Mounting::default()
    }));
    judge_with(cause, &i)
}
