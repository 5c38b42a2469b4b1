//! A file system type that this kernel does not have.

use super::case::signs::{Claim, MountWork, fix, knob};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const ENODEV: Errno = Errno(libc::ENODEV);
const DECIDERS: &[&str] = &["get_fs_type", "__get_fs_type"];
const CALLERS: &[&str] = &["do_new_mount", "path_mount", "__x64_sys_fsopen"];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-type-unknown",
    title: "the kernel does not have this file system type",
    about: "\
mount(2) or fsopen(2) fails with ENODEV, \"No such device\", and no device is meant: the type's name stands in no line of
/proc/filesystems, and request_module(\"fs-NAME\") loaded nothing. In a container the module cannot be loaded from its own
/lib/modules; modprobe runs on the host, in the host's root. Minimal and cloud kernels leave out nfs, cifs, fuse or overlay;
a kernel that was updated without a reboot has lost the modules of the running one; kernel.modules_disabled=1 and
lockdown forbid loading. mount(8) says \"unknown filesystem type\".",
    shows_as: &[("mount", "ENODEV"), ("fsopen", "ENODEV")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts a type that no kernel has", risk: "none: nothing is mounted", variants: &["mount"] },
    see: &["fs/filesystems.c: get_fs_type()", "mount(2), ENODEV"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["mount", "fsopen"], ENODEV)?;
    if call == "mount" && case.mount_work() != MountWork::New {
        return None;
    }
    let fstype = case.failure().text_arg(if call == "mount" { "fstype" } else { "fsname" });
    let facts = case.mounting();
    let state = facts.and_then(|m| m.registered).map(|there| !there);
    let name = fstype.unwrap_or("the type");
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence: format!(
            "This kernel has no file system type {name}: no such device means the type here, not the device."
        ),
        knob: knob(KnobKind::Other, "kernel module", format!("fs-{name}")),
        evidence: facts
            .filter(|_| state == Some(true))
            .map(|m| format!("{} ms after it {name} was not in /proc/filesystems", m.after_ns / 1_000_000))
            .into_iter()
            .collect(),
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let name = case
        .failure()
        .text_arg("fstype")
        .or_else(|| case.failure().text_arg("fsname"))
        .unwrap_or("TYPE")
        .to_string();
    vec![
        fix(
            "now",
            format!("modprobe {name}"),
            "on the host, not in the container; \"not found\" means that the running kernel's package lacks it, or was removed by an update: reboot, or install the extra modules",
            "modprobe -r",
        ),
        fix(
            "for good",
            format!("echo {name} > /etc/modules-load.d/{name}.conf"),
            "on the host, loaded at boot",
            "remove the file",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, set_args};
    use crate::model::{Confidence, Fact, Mounting};

    #[test]
    fn a_type_that_is_registered_is_not_unknown() {
        let finding = |there| {
            let mut i = incident("mount", ENODEV, vec![]);
            set_args(&mut i, &[("fstype", "nfs")], &[("flags", 0)]);
            i.facts.push(Fact::Mounting(Mounting { registered: Some(there), ..Mounting::default() }));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(finding(false), Some(Confidence::Proven));
        assert_eq!(finding(true), None);
    }
}
