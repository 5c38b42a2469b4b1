//! A tun or tap device of that name cannot be attached to.

use super::case::claim::{self, cite_state, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["tun_attach", "tun_set_iff", "__tun_chr_ioctl"];
const CALLERS: &[&str] = &["tun_chr_ioctl", "__x64_sys_ioctl", "__do_sys_ioctl", "vfs_ioctl"];
/// TUNSETIFF (linux/if_tun.h).
const ATTACH: u64 = 0x4004_54ca;
const NAME: &str = "tun device";

pub(super) static CAUSE: Cause = Cause {
    slug: "tun-busy",
    title: "the tun device is in use, or of another kind",
    about: "\
ioctl(2) with TUNSETIFF fails with EBUSY, \"Device or resource busy\" (\"TUNSETIFF: Device or resource busy\"): tun_attach() in \
drivers/net/tun.c gives a device to one program only, unless it was made for several queues, and a device of that name exists in the \
network namespace with a program behind it: the same VPN started twice, an old container that still runs, containers that share the \
host's network. EINVAL is an interface of that name that is no tun device, or was made with other flags (tun for tap, IFF_MULTI_QUEUE).",
    shows_as: &[("ioctl", "EBUSY"), ("ioctl", "EINVAL")],
    deciders: &["tun_attach"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("it needs /dev/net/tun and its module, which not every machine has"),
    see: &[
        "https://docs.kernel.org/networking/tuntap.html",
        "drivers/net/tun.c: tun_set_iff(), tun_attach()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let busy = case.denied(&["ioctl"], Errno::EBUSY).is_some();
    if !busy && case.denied(&["ioctl"], Errno::EINVAL).is_none() {
        return None;
    }
    if case.failure().number_arg("op") != Some(ATTACH) {
        return None;
    }
    let name = case.state(NAME).map(|s| s.value.as_str()).filter(|name| !name.is_empty());
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, (busy && name.is_some()).then_some(true))?;
    if busy && weighed.confidence == Confidence::Possible {
        weighed.confidence = Confidence::Likely;
    }
    let device = name.map_or_else(|| "a tun device".to_string(), |name| format!("the tun device {name}"));
    let who = &case.failure().task.comm;
    let sentence = match busy {
        true => format!("{who} wants {device}, which another program has open in this network namespace."),
        false => format!(
            "{who} wants {device}: an interface of that name is no such device, or was made with other flags."
        ),
    };
    Some(
        weighed
            .proof(
                case,
                DECIDERS,
                sentence,
                knob(KnobKind::Other, name.unwrap_or("tun device"), "/dev/net/tun"),
            )
            .because(cite_state(case, NAME)),
    )
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        look(
            format!(
                "nsenter -t {pid} -n ip -d tuntap show; fuser -v /dev/net/tun; grep -l iff: /proc/*/fdinfo/*"
            ),
            "the devices there are, and the programs that have one",
        ),
        step(
            "now",
            "end the other program, or choose another name (openvpn --dev tun1)",
            "a device goes with its program, unless it was made to stay (ip tuntap add)",
            "start it again",
        ),
        step(
            "for good",
            "a network namespace for each",
            "without --network host the names do not meet",
            "docker run --network host",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};

    fn judged(errno: Errno, op: u64, name: Option<&str>) -> Option<(Confidence, String)> {
        let mut i = valued("ioctl", errno, &[("op", op)], &[], vec![]);
        i.facts.extend(name.map(|name| state(NAME, "", name)));
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn a_device_that_is_taken() {
        assert_eq!(judged(Errno::EBUSY, ATTACH, Some("tun0")), Some((Confidence::Proven, "tun0".into())));
        assert_eq!(judged(Errno::EBUSY, ATTACH, None).unwrap().0, Confidence::Likely);
        assert_eq!(judged(Errno::EINVAL, ATTACH, Some("eth0")).unwrap().0, Confidence::Possible);
        assert_eq!(judged(Errno::EBUSY, 0x4c00, Some("tun0")), None);
        assert_eq!(judged(Errno::EPERM, ATTACH, Some("tun0")), None);
    }
}
