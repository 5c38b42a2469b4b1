//! The judgement of causes without a number: a state that yields this errno, read again, and what the kernel path says.

use super::{Case, Proof};
use crate::model::{
    Confidence, Errno, Fact, Knob, KnobKind, Mounting, OverlayOptions, Place, PlaceKind, Remedy,
};

/// What a cause asserts of a state.
pub(in crate::causes) struct Claim {
    /// Functions whose "no" is this cause's and nothing else's.
    pub(in crate::causes) deciders: &'static [&'static str],
    /// Functions that hold the check where it is inlined, or hand its errno up.
    pub(in crate::causes) callers: &'static [&'static str],
    /// Whether the state that yields this errno was found again; `None`: it could not be looked at.
    pub(in crate::causes) state: Option<bool>,
    pub(in crate::causes) sentence: String,
    pub(in crate::causes) knob: Knob,
    pub(in crate::causes) evidence: Vec<String>,
    pub(in crate::causes) missing: Vec<String>,
}

/// Functions through which every path walk goes: that one of them handed an errno up contradicts nobody.
const WALKS: &[&str] = &[
    "link_path_walk",
    "step_into",
    "walk_component",
    "path_openat",
    "path_lookupat",
    "filename_lookup",
    "user_path_at",
    "user_path_at_empty",
    "do_filp_open",
    "do_file_open",
    "kern_path",
    "lookup_open",
    "vfs_get_tree",
    "vfs_cmd_create",
    "path_mount",
    "do_mount",
    "legacy_get_tree",
    "fc_mount",
    "path_umount",
    "do_new_mount",
    "path_parentat",
    "filename_create",
];

impl Claim {
    /// `None` when the state refutes it, or the kernel path leads elsewhere and no state speaks for it.
    ///
    /// Proven takes the state itself; a decider alone makes it likely, for it does not say which of its reasons it was.
    pub(in crate::causes) fn prove(self, case: &Case<'_>) -> Option<Proof> {
        let verdict = case.verdict(self.deciders);
        let neutral = |f: &&str| {
            self.callers.contains(f)
                || WALKS.contains(f)
                || f.starts_with("__x64_sys_")
                || f.starts_with("__do_sys_")
                || f.starts_with("do_sys_")
        };
        let by_value = case.path.is_some_and(|p| p.decider_method.as_deref() == Some("return-value"));
        let elsewhere = case.decided_elsewhere(self.deciders).filter(|f| by_value && !neutral(f));
        let mut missing = self.missing;
        let mut confidence = match (self.state, &verdict, elsewhere) {
            (Some(false), ..) | (None, None, Some(_)) => return None,
            (Some(true), _, Some(other)) => {
                missing.push(format!("the kernel path points to {other} instead"));
                Confidence::Likely
            }
            (Some(true), _, None) => Confidence::Proven,
            (None, Some(_), _) => {
                missing.push("the state behind it: the caller was gone before it could be looked at".into());
                Confidence::Likely
            }
            (None, None, None) => {
                missing.push("the state behind it, and the function that refused".into());
                Confidence::Possible
            }
        };
        if !missing.is_empty() {
            confidence = confidence.min(Confidence::Likely);
        }
        let mut evidence = self.evidence;
        if let Some(verdict) = verdict {
            evidence.push(format!("{} said no (found by {})", verdict.function, verdict.method));
        }
        Some(Proof {
            confidence,
            sentence: self.sentence,
            knob: self.knob,
            limit: None,
            usage: None,
            unit: String::new(),
            evidence,
            missing,
        })
    }
}

impl<'a> Case<'a> {
    /// The place that an argument names, as it was found again.
    pub(in crate::causes) fn place(&self, role: &str) -> Option<&'a Place> {
        self.places().find(|place| place.role == role)
    }

    pub(in crate::causes) fn places(&self) -> impl Iterator<Item = &'a Place> {
        self.incident.facts.iter().filter_map(|fact| match fact {
            Fact::Place(place) => Some(place),
            _ => None,
        })
    }

    pub(in crate::causes) fn mounting(&self) -> Option<&'a Mounting> {
        self.incident.facts.iter().find_map(|fact| match fact {
            Fact::Mounting(mounting) => Some(mounting),
            _ => None,
        })
    }

    pub(in crate::causes) fn overlay(&self) -> Option<&'a OverlayOptions> {
        self.incident.facts.iter().find_map(|fact| match fact {
            Fact::Overlay(overlay) => Some(overlay),
            _ => None,
        })
    }

    /// What the kernel's log said in that moment, when it holds one of these words.
    pub(in crate::causes) fn said(&self, words: &[&str]) -> Option<&'a str> {
        let lines = &self.mounting()?.said;
        lines.iter().rev().find(|line| words.iter().any(|w| line.contains(w))).map(String::as_str)
    }

    /// Flags of mount(2); zero for other calls.
    pub(in crate::causes) fn mount_flags(&self) -> u64 {
        match self.failure().syscall() {
            Some(("mount", _)) => self.failure().number_arg("flags").unwrap_or(0),
            _ => 0,
        }
    }

    /// What kind of work mount(2) was asked for.
    pub(in crate::causes) fn mount_work(&self) -> MountWork {
        let flags = self.mount_flags();
        let is = |bits: libc::c_ulong| flags & bits != 0;
        // The order of path_mount() (fs/namespace.c).
        if is(libc::MS_REMOUNT) && is(libc::MS_BIND) {
            MountWork::RemountBind
        } else if is(libc::MS_REMOUNT) {
            MountWork::Remount
        } else if is(libc::MS_BIND) {
            MountWork::Bind
        } else if is(libc::MS_SHARED | libc::MS_PRIVATE | libc::MS_SLAVE | libc::MS_UNBINDABLE) {
            MountWork::Propagation
        } else if is(libc::MS_MOVE) {
            MountWork::Move
        } else {
            MountWork::New
        }
    }

    pub(in crate::causes) fn is_new_overlay(&self, errno: Errno) -> bool {
        self.denied(&["mount"], errno).is_some()
            && self.mount_work() == MountWork::New
            && self.failure().text_arg("fstype") == Some("overlay")
    }

    /// What mount_setattr(2) was asked to set: of that instant, else read again.
    pub(in crate::causes) fn mount_attributes(&self) -> Option<u64> {
        const NAME: &str = "mount_attr.attr_set";
        let again = || u64::from_str_radix(self.state(NAME)?.value.trim_start_matches("0x"), 16).ok();
        self.value(NAME).or_else(again)
    }

    pub(in crate::causes) fn who(&self) -> &'a str {
        &self.failure().task.comm
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::causes) enum MountWork {
    New,
    Bind,
    Move,
    Propagation,
    Remount,
    RemountBind,
}

pub(in crate::causes) fn knob(kind: KnobKind, name: &str, path: impl Into<String>) -> Knob {
    Knob { kind, name: name.into(), path: path.into() }
}

pub(in crate::causes) fn fix(when: &str, command: impl Into<String>, effect: &str, undo: &str) -> Remedy {
    Remedy { when: when.into(), command: command.into(), effect: effect.into(), undo: undo.into() }
}

/// How a place is cited.
pub(in crate::causes) fn lies(place: &Place) -> String {
    let ms = place.after_ns / 1_000_000;
    let what = match place.kind {
        PlaceKind::Absent => "not there",
        PlaceKind::NoFolder => "not there, nor its folder",
        PlaceKind::Folder => "a folder",
        PlaceKind::File => "a file",
        PlaceKind::Link => "a symbolic link",
        PlaceKind::BlockDevice => "a block device",
        PlaceKind::CharDevice => "a character device",
        PlaceKind::Other => "a pipe or socket",
        PlaceKind::Unreachable => "not to be reached",
    };
    match &place.mount {
        Some(m) => format!(
            "{ms} ms after it {} {} was {what}, on the {} at {} (mount flags {}; file system options {}; {})",
            place.role,
            place.path,
            m.fstype,
            m.point,
            m.flags,
            m.options,
            if m.propagation.is_empty() { "private" } else { m.propagation.as_str() },
        ),
        None => format!("{ms} ms after it {} {} was {what}", place.role, place.path),
    }
}

/// The rival of every EPERM and EACCES: a filter that answered before the kernel did anything.
pub(in crate::causes) fn filtered(case: &Case<'_>) -> Option<String> {
    if case.path.is_some_and(|p| !p.functions.is_empty()) {
        return None;
    }
    match case.failure().task.filters {
        Some(filters) if filters.mode == 0 => None,
        Some(_) => match case.incident.facts.iter().any(|f| matches!(f, Fact::Seccomp(_))) {
            // Its filters were read; what they answer is the other cause's to say, and it says so when it was they.
            true => Some("a seccomp filter of the task".into()),
            false => Some("a seccomp filter of the task, which could not be read".into()),
        },
        None => Some("whether a seccomp filter answered is not known".into()),
    }
}
