//! The filter of a socket is locked: nobody may change it any more.

use super::case::switch::FILTER;
use super::case::{claim, net};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &[
    "sk_attach_filter",
    "sk_attach_bpf",
    "sk_detach_filter",
    "sk_reuseport_attach_filter",
    "sk_reuseport_attach_bpf",
    "__get_filter",
    "__get_bpf",
];
const CALLERS: &[&str] = &[
    "sk_setsockopt",
    "sock_setsockopt",
    "do_sock_setsockopt",
    "__sys_setsockopt",
    "__x64_sys_setsockopt",
    "__do_sys_setsockopt",
];
/// SOL_SOCKET, and its options that change a filter (include/uapi/asm-generic/socket.h).
const SOL_SOCKET: u64 = 1;
const OPTIONS: &[(u64, &str)] = &[
    (26, "SO_ATTACH_FILTER"),
    (27, "SO_DETACH_FILTER"),
    (44, "SO_LOCK_FILTER"),
    (50, "SO_ATTACH_BPF"),
    (51, "SO_ATTACH_REUSEPORT_CBPF"),
    (52, "SO_ATTACH_REUSEPORT_EBPF"),
];
/// SOCK_FILTER_LOCKED of `enum sock_flags` (include/net/sock.h); one higher before 5.10, which had one flag more.
const LOCKED: u64 = 1 << 21;
const LOCKED_BEFORE: u64 = 1 << 22;

pub(super) static CAUSE: Cause = Cause {
    slug: "socket-filter-locked",
    title: "the socket's filter is locked (SO_LOCK_FILTER)",
    about: "\
setsockopt(2) with SO_ATTACH_FILTER, SO_DETACH_FILTER or SO_ATTACH_BPF fails with EPERM, \"Operation not permitted\", also for root with \
all capabilities: somebody has set SO_LOCK_FILTER on the socket, and from then on no filter can be attached, changed or taken away, nor \
the lock be opened. Privileged programs do so before they give a raw or packet socket to a process without rights (dhclient, dhcpcd, \
tcpdump -Z, arping): sk_attach_filter() and sk_detach_filter() in net/core/filter.c look for the flag.

The lock belongs to the socket, not to the process: whoever inherited or was sent the descriptor has it, too.",
    shows_as: &[("setsockopt", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "locks the filter of a socket of its own, and attaches another",
        risk: "none",
        variants: &["attach", "detach"],
    },
    see: &["socket(7), SO_LOCK_FILTER", "net/core/filter.c: sk_attach_filter(), sk_detach_filter()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["setsockopt"], Errno::EPERM)?;
    let number = |name: &str| case.failure().number_arg(name);
    let option = number("optname").filter(|_| number("level") == Some(SOL_SOCKET))?;
    let (_, name) = OPTIONS.iter().find(|(known, _)| *known == option)?;
    let flags = case.failure().socket().map(|socket| socket.flags);
    let state = flags.map(|flags| flags & (LOCKED | LOCKED_BEFORE) != 0);
    let weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    let sentence = format!(
        "{name} is refused to {}: the filter of the socket is locked for good (SO_LOCK_FILTER).",
        case.failure().task.comm
    );
    let seen = flags
        .map(|flags| format!("at that instant sock.sk_flags were {flags:#x}, SOCK_FILTER_LOCKED among them"));
    Some(weighed.proof(case, DECIDERS, sentence, net::other("SO_LOCK_FILTER")).because(seen))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "for good",
        "attach the filter before SO_LOCK_FILTER is set, or take a new socket",
        "a lock cannot be opened, by nobody; a new socket has neither filter nor lock",
        "none needed",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::{Confidence, Filters, Socket};

    fn judged(option: u64, flags: u64) -> Option<Confidence> {
        let socket = Socket { family: 2, kind: 2, flags, ..Socket::default() };
        let mut scene =
            scene("setsockopt", libc::EPERM).with(socket).number("level", 1).number("optname", option);
        scene.incident_mut().failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
        scene.confidence(&CAUSE)
    }

    #[test]
    fn the_flag_of_the_socket_proves_it_or_refutes_it() {
        assert_eq!(judged(26, LOCKED), Some(Confidence::Proven));
        assert_eq!(judged(27, LOCKED | 1 << 8), Some(Confidence::Proven));
        assert_eq!(judged(26, 0), None);
        assert_eq!(judged(36, LOCKED), None, "SO_MARK");
    }
}
