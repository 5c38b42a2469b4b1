//! A device node without a driver, a terminal that one does not have, a pipe nobody reads.

use super::case::claim::{knob, step};
use super::case::rights::{object, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, KnobKind, ObjectKind, PathObject, Remedy};

const ENXIO: Errno = Errno(libc::ENXIO);
const ENODEV: Errno = Errno(libc::ENODEV);
const DECIDERS: &[&str] =
    &["chrdev_open", "misc_open", "fifo_open", "no_open", "tty_open", "blkdev_get_no_open"];
/// /dev/tty (Documentation/admin-guide/devices.txt).
const OWN_TERMINAL: (u32, u32) = (5, 0);
/// Character devices of the miscellaneous kind, of which the minor number tells.
const MISC: u32 = 10;
/// (major, minor, module): nodes that engines and users make or pass on before the module is loaded.
const MODULES: &[(u32, u32, &str)] = &[
    (MISC, 200, "tun"),
    (MISC, 229, "fuse"),
    (MISC, 232, "kvm_intel or kvm_amd"),
    (MISC, 237, "loop"),
    (MISC, 236, "dm_mod"),
    (MISC, 238, "vhost_net"),
    (MISC, 241, "vhost_vsock"),
    (MISC, 234, "btrfs"),
    (7, 0, "loop"),
    (195, 255, "nvidia"),
    (226, 0, "the graphics driver"),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "nothing-behind-file",
    title: "nothing is behind the file: no driver, terminal or reader",
    about: "\
open(2) fails with ENXIO, \"No such device or address\", or ENODEV, \"No such device\", although ls shows the file and its mode lets \
one in. A node is only a pair of numbers: chrdev_open() in fs/char_dev.c finds no driver that has them, because the module is not \
loaded on the host (/dev/net/tun, /dev/fuse, /dev/kvm, /dev/nvidia0), or the hardware is gone. /dev/tty is the caller's own \
controlling terminal, and processes of a container without -t, of a unit or of cron have none. A named pipe that is opened for \
writing with O_NONBLOCK needs a reader first, and a unix socket's file is for connect(2), not for open(2).",
    shows_as: &[("openat", "ENXIO"), ("open", "ENXIO"), ("openat", "ENODEV"), ("open", "ENODEV")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens /dev/tty in a session of its own, and a named pipe that nobody reads",
        risk: "none",
        variants: &["terminal", "pipe", "socket"],
    },
    see: &[
        "open(2), ENXIO, ENODEV; tty(4), fifo(7)",
        "fs/char_dev.c: chrdev_open(); drivers/char/misc.c: misc_open(); drivers/tty/tty_io.c: tty_open(); fs/pipe.c: fifo_open()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if !matches!(call, "open" | "openat" | "openat2") || ![ENXIO, ENODEV].contains(&errno) {
        return None;
    }
    let object = object(case)?;
    let who = &case.failure().task.comm;
    let path = &object.path;
    let device = object.device.map_or_else(String::new, |(major, minor)| format!(" {major}:{minor}"));
    let (sentence, name, confidence) = match object.kind {
        // Shells look for one at each start, and do without.
        ObjectKind::Character if object.device == Some(OWN_TERMINAL) && asks(case) => return None,
        ObjectKind::Character if object.device == Some(OWN_TERMINAL) => (
            format!("{who} has no controlling terminal, which {path} stands for."),
            "controlling terminal",
            Confidence::Proven,
        ),
        ObjectKind::Character | ObjectKind::Block => (
            match module(object) {
                Some(module) => {
                    format!("No driver has the device{device} of {path}: it comes with the module {module}.")
                }
                None => format!("No driver has the device{device} of {path}, or its hardware is not there."),
            },
            "device driver",
            // Drivers have reasons of their own for these errnos.
            Confidence::Likely,
        ),
        ObjectKind::Fifo if errno == ENXIO => (
            format!(
                "Nobody has the pipe {path} open for reading, and {who} does not want to wait (O_NONBLOCK)."
            ),
            "reader",
            Confidence::Proven,
        ),
        ObjectKind::Socket if errno == ENXIO => (
            format!("{path} is a unix socket: {who} must connect to it instead of opening it."),
            "unix socket",
            Confidence::Proven,
        ),
        _ => return None,
    };
    let missing = match confidence {
        Confidence::Proven => vec![],
        _ => vec!["whether the driver is there and refuses for a reason of its own (dmesg)".to_string()],
    };
    Some(Proof {
        confidence: if case.verdict(DECIDERS).is_some() { Confidence::Proven } else { confidence },
        sentence,
        knob: knob(KnobKind::Other, name, path.clone()),
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!(
            "{} ms after it {path} was {}{device}",
            object.after_ns / 1_000_000,
            words(object.kind)
        )],
        missing,
    })
}

/// `O_NONBLOCK`: who wants an answer from the terminal would wait for it.
fn asks(case: &Case<'_>) -> bool {
    case.failure().number_arg("flags").is_some_and(|flags| flags & libc::O_NONBLOCK as u64 != 0)
}

fn module(object: &PathObject) -> Option<&'static str> {
    let (major, minor) = object.device?;
    MODULES.iter().find(|(a, b, _)| *a == major && (*b == minor || major != MISC)).map(|(.., module)| *module)
}

fn words(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Character => "the character device",
        ObjectKind::Block => "the block device",
        ObjectKind::Fifo => "a named pipe",
        _ => "a socket",
    }
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    match proof.knob.name.as_str() {
        "controlling terminal" => vec![
            step(
                "now",
                "docker run -it …",
                "gives the first process a terminal; docker exec -it, in Kubernetes stdin: true and tty: true",
                "start it without the options",
            ),
            step(
                "for good",
                "let the program ask standard input, or take the answer from an option or a file",
                "passwords and questions through /dev/tty need somebody at a terminal (ssh -o BatchMode=yes, gpg --batch --pinentry-mode loopback)",
                "none needed",
            ),
        ],
        "reader" => vec![step(
            "now",
            format!("fuser -v {path}"),
            "who has the pipe open; start its reader first",
            "reads only",
        )],
        "unix socket" => vec![step(
            "now",
            format!("socat - UNIX-CONNECT:{path}"),
            "connects as the program should",
            "end it",
        )],
        _ => {
            let module = object(case).and_then(module).filter(|m| !m.contains(' '));
            let load = module.map(|m| {
                step(
                    "now",
                    format!("modprobe {m}"),
                    "on the host: a container cannot load it",
                    format!("modprobe -r {m}"),
                )
            });
            let mut all: Vec<Remedy> = load.into_iter().collect();
            all.push(step(
                "find it",
                "cat /proc/devices /proc/misc; dmesg | tail",
                "which numbers have a driver, and what the driver said",
                "reads only",
            ));
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, with_object};

    fn judged(errno: Errno, kind: ObjectKind, device: Option<(u32, u32)>) -> Option<(Confidence, String)> {
        let object = PathObject { kind, device, ..file("/dev/x", 0o666) };
        judge_with(&CAUSE, &with_object("openat", errno, object)).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn what_is_missing_is_named() {
        let some = |c, name: &str| Some((c, name.to_string()));
        assert_eq!(
            judged(ENXIO, ObjectKind::Character, Some((5, 0))),
            some(Confidence::Proven, "controlling terminal")
        );
        assert_eq!(
            judged(ENODEV, ObjectKind::Character, Some((10, 200))),
            some(Confidence::Likely, "device driver")
        );
        assert_eq!(judged(ENXIO, ObjectKind::Fifo, None), some(Confidence::Proven, "reader"));
        assert_eq!(judged(ENXIO, ObjectKind::Socket, None), some(Confidence::Proven, "unix socket"));
        let tun = PathObject {
            kind: ObjectKind::Character,
            device: Some((10, 200)),
            ..file("/dev/net/tun", 0o666)
        };
        assert_eq!(module(&tun), Some("tun"));
    }

    #[test]
    fn a_regular_file_and_other_errnos_are_not_claimed() {
        assert_eq!(judged(ENXIO, ObjectKind::Regular, None), None);
        assert_eq!(judged(Errno::EACCES, ObjectKind::Character, Some((5, 0))), None);
        assert_eq!(judged(ENODEV, ObjectKind::Fifo, None), None);
    }
}
