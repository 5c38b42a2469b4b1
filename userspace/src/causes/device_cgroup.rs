//! The device cgroup: a list (v1) or a BPF program (v2) that does not allow the device.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids::{self};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const CALLS: &[&str] = &["open", "openat", "openat2", "creat", "mknod", "mknodat"];
const DECIDERS: &[&str] = &[
    "devcgroup_check_permission",
    "__devcgroup_check_permission",
    "devcgroup_legacy_check_permission",
    "__cgroup_bpf_check_dev_permission",
    "__cgroup_bpf_run_filter_dev",
];
const CALLERS: &[&str] = &[
    "inode_permission",
    "may_open",
    "vfs_mknod",
    "devcgroup_inode_mknod",
    "do_open",
    "path_openat",
    "do_mknodat",
    "filename_mknodat",
    "do_sys_openat2",
    "do_filp_open",
    "do_file_open",
];

/// `CAP_MKNOD` (linux/capability.h).
const CAP_MKNOD: u32 = 27;

pub(super) static CAUSE: Cause = Cause {
    slug: "device-cgroup",
    title: "the cgroup does not allow this device (--device, devices.allow)",
    about: "\
open(2) of a device file, or mknod(2) of one, fails with EPERM, \"Operation not permitted\", although its mode allows it
and the caller is root. Engines let a container use a dozen harmless devices only: on cgroup v1 by a list
(devices.allow, devices.deny), on v2 by a BPF program that is attached to the container's cgroup and sees type, major,
minor and access. devcgroup_check_permission() asks, and every level of cgroups must agree.

It surprises because nothing in the container shows it: the file may be there (-v /dev:/dev), the mode says rw, the
capability is there, and `privileged` helps where --cap-add does not. A GPU, /dev/fuse, /dev/kvm, /dev/net/tun and loop
devices are the usual ones. systemd's daemon-reload can set the list anew and take a device away from a running container.",
    shows_as: &[("openat", "EPERM"), ("open", "EPERM"), ("mknod", "EPERM"), ("mknodat", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[
        Rival {
            name: "a seccomp filter",
            ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
            stands: ids::filter_stands,
        },
        Rival {
            name: "no CAP_MKNOD (mknod)",
            ruled_out_by: "the capability is there, or the device cgroup's own verdict was seen",
            stands: no_mknod,
        },
    ],
    explain,
    remedy,
    fault: Fault::None("cgroup v1: echo a > devices.deny in a cgroup of one's own; v2 takes a BPF program"),
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller", "security/device_cgroup.c: devcgroup_check_permission()", "kernel/bpf/cgroup.c: __cgroup_bpf_check_dev_permission()"],
};

fn no_mknod(case: &Case<'_>) -> Option<String> {
    case.denied(&["mknod", "mknodat"], Errno::EPERM)?;
    if case.verdict(DECIDERS).is_some() || ids::has(case, CAP_MKNOD) == Some(true) {
        return None;
    }
    Some("the caller may lack CAP_MKNOD".into())
}

/// The device, `c 1:3`, from the file itself or from what was to be made.
fn device(case: &Case<'_>) -> Option<String> {
    if let Some(state) = case.state("device") {
        return Some(state.value.clone());
    }
    let mode = case.failure().number_arg("mode")?;
    let dev = case.failure().number_arg("dev")?;
    let kind = match mode & 0o170_000 {
        0o020_000 => 'c',
        0o060_000 => 'b',
        _ => return None,
    };
    Some(format!("{kind} {}:{}", libc::major(dev), libc::minor(dev)))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, Errno::EPERM)?;
    let device = device(case);
    let seen =
        case.verdict(DECIDERS).is_some() || DECIDERS.iter().any(|f| case.returned(f).is_some_and(|v| v < 0));
    let listed = match case.state("devices.list").map(|s| s.value.as_str()) {
        Some(list) => device.as_deref().map(|d| !allows(list, d)),
        None => None,
    };
    if !seen && device.is_none() {
        return None;
    }
    // Opening a device node says EPERM for nothing else, but for the rules of mounts (EACCES) and modes (EACCES).
    let programs = case.state("device programs").and_then(|s| s.value.parse::<u32>().ok());
    let state = match (listed, programs) {
        _ if seen => Some(true),
        (Some(denied), _) => Some(denied),
        (None, Some(0)) => Some(false),
        (None, Some(_)) | (None, None) => None,
    };
    let mut weighed = weigh(case, DECIDERS, CALLERS, state)?;
    if state.is_none() && programs.is_some() {
        weighed.confidence = weighed.confidence.max(crate::model::Confidence::Likely);
    }
    let who = &case.failure().task.comm;
    let what = device.unwrap_or_else(|| "the device".into());
    let verb = if call.starts_with("mknod") { "make" } else { "open" };
    let sentence =
        format!("{who} may not {verb} device {what}: the devices that its cgroup allows do not include it.");
    let v1 = case.state("devices.list").is_some();
    let (name, path) = if v1 {
        ("devices.allow", "/sys/fs/cgroup/devices")
    } else {
        ("BPF_CGROUP_DEVICE", "/sys/fs/cgroup")
    };
    let lines = ["device", "devices.list", "device programs"].into_iter().filter_map(|n| cite_state(case, n));
    Some(weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Cgroup, name, path)).because(lines))
}

/// Whether a line of devices.list has the device, for any access.
fn allows(list: &str, device: &str) -> bool {
    let Some((kind, numbers)) = device.split_once(' ') else { return false };
    let Some((major, minor)) = numbers.split_once(':') else { return false };
    list.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (k, n) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (a, b) = n.split_once(':').unwrap_or_default();
        k == "a" || k == kind && (a == "*" || a == major) && (b == "*" || b == minor)
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut out = vec![step(
        "for good",
        "docker run --device /dev/NAME …; docker run --device-cgroup-rule 'c 10:200 rwm' …",
        "makes the device and allows it; the rule alone allows what the container makes itself. In Kubernetes: a device plugin",
        "start it without the option",
    )];
    if proof.knob.name == "devices.allow" {
        out.insert(
            0,
            step(
                "now",
                "echo 'c MAJOR:MINOR rwm' > /sys/fs/cgroup/devices/CGROUP/devices.allow",
                "for this cgroup, while it exists; the cgroups above must allow it too",
                "echo 'c MAJOR:MINOR rwm' > /sys/fs/cgroup/devices/CGROUP/devices.deny",
            ),
        );
    }
    out.push(look(
        "bpftool cgroup tree; cat /sys/fs/cgroup/devices/*/devices.list",
        "the programs of type cgroup_device and what they are attached to, or the list of v1",
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{arg, called, state};
    use crate::model::{Confidence, Incident, Path};

    fn judged(i: &Incident, decider: Option<&str>) -> Option<Confidence> {
        let path = decider.map(|name| Path {
            functions: vec!["__x64_sys_openat".into(), name.into()],
            decider: Some(name.into()),
            decider_method: Some("return-value".into()),
            ..Path::default()
        });
        CAUSE.judge(&Case { incident: i, path: path.as_ref() }).map(|f| f.confidence)
    }

    #[test]
    fn the_verdict_or_the_list_tells() {
        let mut i = called("openat", libc::EPERM, 0);
        assert_eq!(judged(&i, Some("__cgroup_bpf_check_dev_permission")), Some(Confidence::Proven));
        state(&mut i, "device", "c 1:3");
        state(&mut i, "devices.list", "c 1:5 rwm");
        assert_eq!(judged(&i, None), Some(Confidence::Proven));
        let mut i = called("mknod", libc::EPERM, 0);
        arg(&mut i, "mode", 0o020_666);
        arg(&mut i, "dev", 0x103);
        assert_eq!(device(&Case { incident: &i, path: None }).as_deref(), Some("c 1:3"));
        assert_eq!(judged(&i, None), Some(Confidence::Possible));
    }

    #[test]
    fn plain_files_and_allowed_devices_are_no_case() {
        assert_eq!(judged(&called("openat", libc::EPERM, 0), None), None);
        let mut i = called("openat", libc::EPERM, 0);
        state(&mut i, "device", "c 1:3");
        state(&mut i, "devices.list", "a *:* rwm");
        assert_eq!(judged(&i, None), None);
        assert!(allows("c *:* m\nc 1:3 rwm", "c 1:3"));
    }
}
