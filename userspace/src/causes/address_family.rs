//! The kernel does not have this kind of socket.

use super::case::net::{self, EAFNOSUPPORT};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy, network};

const DECIDERS: &[&str] =
    &["__sock_create", "inet_create", "inet6_create", "netlink_create", "unix_create", "vsock_create"];
const EPROTONOSUPPORT: Errno = Errno(libc::EPROTONOSUPPORT);
const ESOCKTNOSUPPORT: Errno = Errno(libc::ESOCKTNOSUPPORT);

/// Families that are modules of the usual kernels: `net-pf-N` is an alias of the module.
const FAMILIES: &[(u64, &str, &str)] = &[
    (3, "AF_AX25", "ax25"),
    (9, "AF_X25", "x25"),
    (10, "AF_INET6", "ipv6"),
    (15, "AF_KEY", "af_key"),
    (16, "AF_NETLINK", "netlink"),
    (17, "AF_PACKET", "af_packet"),
    (21, "AF_RDS", "rds"),
    (27, "AF_IB", "ib_core"),
    (28, "AF_MPLS", "mpls_router"),
    (29, "AF_CAN", "can"),
    (30, "AF_TIPC", "tipc"),
    (31, "AF_BLUETOOTH", "bluetooth"),
    (33, "AF_RXRPC", "rxrpc"),
    (38, "AF_ALG", "af_alg"),
    (39, "AF_NFC", "nfc"),
    (40, "AF_VSOCK", "vsock"),
    (41, "AF_KCM", "kcm"),
    (42, "AF_QIPCRTR", "qrtr"),
    (43, "AF_SMC", "smc"),
    (44, "AF_XDP", "xsk_diag"),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "address-family",
    title: "the kernel does not have this kind of socket",
    about: "\
socket(2) fails with EAFNOSUPPORT, \"Address family not supported by protocol\", EPROTONOSUPPORT or ESOCKTNOSUPPORT.
__sock_create() in net/socket.c finds no such family (inet_create() no such protocol), after it asked modprobe for the
module net-pf-NUMBER, which is not there, is blocked, or belongs to another kernel than the one that runs.

It surprises because the kernel is the host's: an image that worked elsewhere needs a module (sctp, vsock, can, af_alg)
that this host does not load, and nothing inside the container can load it. After an update of the kernel package without
a reboot the modules of the running kernel are gone.",
    shows_as: &[("socket", "EAFNOSUPPORT"), ("socket", "EPROTONOSUPPORT"), ("socket", "ESOCKTNOSUPPORT")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a socket of a family that no kernel has any more",
        risk: "none",
        variants: &["family", "protocol"],
    },
    see: &["socket(2)", "address_families(7)", "net/socket.c: __sock_create()", "net/ipv4/af_inet.c: inet_create()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if !matches!(call, "socket" | "socketpair")
        || ![EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT].contains(&errno)
    {
        return None;
    }
    let family = case.failure().number_arg("domain")?;
    let known = FAMILIES.iter().find(|row| row.0 == family);
    let name = known.map_or_else(|| format!("number {family}"), |row| row.1.to_string());
    // Where the program itself cannot be refused by a filter, only the kernel's own list says this errno.
    let filtered = case.failure().task.filters.is_none_or(|f| f.mode != 0);
    let state = (!filtered).then_some(true);
    let weight = net::weigh(case, DECIDERS, state, "whether a seccomp filter answered with this errno")?;
    let sentence = match errno {
        EAFNOSUPPORT => format!(
            "This kernel has no sockets of address family {name}: the module is not loaded, and could not be."
        ),
        _ => format!(
            "This kernel has no protocol {} of type {} in address family {name}.",
            case.failure().number_arg("protocol").unwrap_or(0),
            case.failure().number_arg("type").unwrap_or(0) & 0xf
        ),
    };
    let knob = net::other(
        &known.map_or_else(|| format!("module net-pf-{family}"), |row| format!("module {}", row.2)),
    );
    let mut evidence = net::cite_all(case, &[network::FAMILIES]);
    if !filtered {
        evidence.push("no seccomp filter was on the task at that instant".into());
    }
    Some(weight.proof(sentence, knob, evidence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let module = proof.knob.name.trim_start_matches("module ");
    vec![
        net::remedy(
            "now",
            &format!("modprobe {module}"),
            "on the host, for the running kernel; every container may use it then",
            &format!("modprobe -r {module}"),
        ),
        net::remedy(
            "for good",
            &format!("echo {module} > /etc/modules-load.d/{module}.conf"),
            "from the next boot on; look in /etc/modprobe.d whether it is blocked on purpose",
            &format!("rm /etc/modules-load.d/{module}.conf"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn the_kernel_s_own_verdict_is_proven() {
        let s = || scene("socket", libc::EAFNOSUPPORT).number("domain", 27).number("type", 1);
        assert_eq!(s().decided("__sock_create").confidence(&CAUSE), Some(Confidence::Proven));
        let found = s().judge(&CAUSE).unwrap();
        assert_eq!(found.confidence, Confidence::Possible);
        assert!(found.sentence.contains("AF_IB"));
    }

    #[test]
    fn other_calls_are_not_claimed() {
        assert!(scene("connect", libc::EAFNOSUPPORT).tcp().judge(&CAUSE).is_none());
        assert!(scene("socket", libc::EPERM).number("domain", 17).judge(&CAUSE).is_none());
    }
}
