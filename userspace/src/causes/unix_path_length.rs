//! The path of a local socket does not fit into an address.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy, spaced};

const DECIDERS: &[&str] = &["unix_validate_addr", "unix_mkname", "unix_mkname_bsd", "move_addr_to_kernel"];

/// `sizeof(struct sockaddr_un)` (linux/un.h), 2 of them for the family.
const LONGEST: u64 = 110;
/// `sizeof(struct sockaddr_storage)`: nothing longer is even copied (net/socket.c `move_addr_to_kernel()`).
const STORAGE: u64 = 128;

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-path-length",
    title: "the path of a unix socket is longer than 107 bytes",
    about: "\
bind(2) or connect(2) of a local socket fails with EINVAL, \"Invalid argument\" (many libraries refuse before: \"AF_UNIX path
too long\"). The path lies in sun_path of struct sockaddr_un, which has 108 bytes with the NUL at its end, and
unix_validate_addr() in net/unix/af_unix.c takes no longer address.

It surprises because paths may have 4 096 bytes everywhere else. Volumes of Kubernetes
(/var/lib/kubelet/pods/UID/volumes/…), work folders of CI systems and deep home folders are longer, and the same program
works in a shorter place.",
    shows_as: &[("bind", "EINVAL"), ("connect", "EINVAL"), ("sendto", "EINVAL"), ("sendmsg", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "connects a local socket to an address of 150 bytes",
        risk: "none",
        variants: &["connect", "bind"],
    },
    see: &["unix(7), sun_path", "include/uapi/linux/un.h: UNIX_PATH_MAX", "net/unix/af_unix.c: unix_validate_addr()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["bind", "connect", "sendto", "sendmsg"], Errno::EINVAL)?;
    if !net::is_local(case) {
        return None;
    }
    let length = case.failure().number_arg("addrlen")?;
    let too_long = length > LONGEST;
    // Longer than any address: the family does not matter.
    let state = Some(too_long && (length > STORAGE || case.failure().local_path().is_some()));
    let weight = net::weigh(case, DECIDERS, state, "")?;
    let path = case.failure().local_path().unwrap_or_default();
    let bytes = length - 2;
    let sentence = format!(
        "The path of the unix socket has {} bytes, and an address has room for 107{}.",
        spaced(bytes),
        if path.is_empty() { String::new() } else { format!(": {path}…") }
    );
    let mut proof = weight.proof(
        sentence,
        net::other("UNIX_PATH_MAX"),
        vec![format!("addrlen was {length}, and sizeof(struct sockaddr_un) is {LONGEST}")],
    );
    (proof.limit, proof.usage, proof.unit) = (Some(107), Some(bytes), "bytes".into());
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "for good",
        "a shorter path, or a short link to its folder",
        "ln -s LONG /run/s, then /run/s/name; a program may also chdir(2) there and use a relative path, or /proc/self/fd/N/name",
        "rm /run/s",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn a_long_address_is_proven() {
        let s = |length| {
            scene("connect", libc::EINVAL)
                .socket(libc::AF_UNIX, 1)
                .path(&"a".repeat(120))
                .number("addrlen", length)
        };
        let found = s(150).judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.limit, found.usage), (Confidence::Proven, Some(107), Some(148)));
        assert!(s(110).judge(&CAUSE).is_none());
    }

    #[test]
    fn other_families_are_not_claimed() {
        assert!(
            scene("connect", libc::EINVAL)
                .tcp()
                .to("192.0.2.1:80")
                .number("addrlen", 150)
                .judge(&CAUSE)
                .is_none()
        );
    }
}
