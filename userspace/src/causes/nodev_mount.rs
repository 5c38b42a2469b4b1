//! A device node on a mount with nodev.

use super::case::rights::{object, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, ObjectKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "nodev-mount",
    title: "a device node on a mount with nodev",
    about: "\
Opening a device node says EACCES, \"Permission denied\", whatever its mode is and whoever opens it: the mount it lies \
on has the flag nodev, or its file system was mounted inside a user namespace, where device nodes never work. Engines \
mount volumes and tmpfs nodev, so a node made by mknod there, or one copied with an image's root file system, is a dead \
file.",
    shows_as: &[("open", "EACCES"), ("openat", "EACCES"), ("openat2", "EACCES"), ("mount", "EACCES")],
    deciders: &["may_open", "may_open_dev"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens a device node on a tmpfs mounted nodev in a mount namespace of its own",
        risk: "none: the node is that of /dev/null",
        variants: &["openat"],
    },
    see: &["https://man7.org/linux/man-pages/man8/mount.8.html", "fs/namei.c: may_open(), may_open_dev()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(case, &["open", "openat", "openat2"], &[libc::EACCES])?;
    let object = object(case).filter(|o| matches!(o.kind, ObjectKind::Character | ObjectKind::Block))?;
    if object.mount_flag("nodev") != Some(true) {
        return None;
    }
    let (mount, (major, minor)) = (object.mount.as_ref()?, object.device?);
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!(
            "{} is a device node ({major}:{minor}) on {}, which is mounted nodev: device nodes do not work there.",
            object.path, mount.point
        ),
        knob: Knob { kind: KnobKind::MountOption, name: "nodev".into(), path: mount.point.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!(
            "{} ms after it mountinfo said of {}: {}",
            object.after_ns / 1_000_000,
            mount.point,
            mount.flags
        )],
        missing: vec![],
    })
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let path = object(case).map(|o| o.path.clone()).unwrap_or_default();
    vec![Remedy {
        when: "for good".into(),
        command: format!("docker run --device {path} …"),
        effect: "the engine puts the node where device nodes work and lets the device cgroup allow it; by hand, bind \
                 the host's /dev node over it"
            .into(),
        undo: "start it without the option".into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, with_object};
    use crate::model::{Errno, MountSeen, PathObject};

    fn node(kind: ObjectKind, flags: &str) -> PathObject {
        let object = file("/data/null", 0o666);
        let mount = object.mount.clone().map(|m| MountSeen { flags: flags.into(), ..m });
        PathObject { kind, mount, device: Some((1, 3)), ..object }
    }

    #[test]
    fn a_node_on_nodev_is_proven_and_a_file_or_another_mount_is_not() {
        let judge = |object| judge_with(&CAUSE, &with_object("openat", Errno::EACCES, object));
        let f = judge(node(ObjectKind::Character, "rw,nodev")).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("nodev", Confidence::Proven));
        assert_eq!(judge(node(ObjectKind::Regular, "rw,nodev")), None);
        assert_eq!(judge(node(ObjectKind::Block, "rw,noexec")), None);
    }
}
