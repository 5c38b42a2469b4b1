//! The name of an interface is too long, or has signs that it may not have.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Remedy, spaced};

const DECIDERS: &[&str] = &[
    "validate_nla",
    "__nla_validate_parse",
    "__nla_parse",
    "dev_valid_name",
    "dev_prep_valid_name",
    "dev_get_valid_name",
];
/// `IFNAMSIZ` (linux/if.h) is 16, the NUL included.
const LONGEST: usize = 15;

pub(super) static CAUSE: Cause = Cause {
    slug: "interface-name",
    title: "the name of the interface is longer than 15 bytes, or not allowed",
    about: "\
`ip link add` or an engine fails with ERANGE, \"Numerical result out of range\", or EINVAL, \"Invalid argument\". The name of
an interface has room for 15 bytes (IFNAMSIZ less its NUL), and validate_nla() in lib/nlattr.c refuses a longer one before
anything else is looked at; dev_valid_name() in net/core/dev.c refuses an empty one, \".\", \"..\", and names with a slash, a
colon or a blank.

It surprises because the text speaks of numbers. Plugins make names from a prefix and an id: a longer prefix, network
name or project name breaks them.",
    shows_as: &[("netlink RTM_NEWLINK", "ERANGE"), ("netlink RTM_NEWLINK", "EINVAL"), ("netlink RTM_SETLINK", "ERANGE")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a request without tools of its own"),
    see: &["netdevice(7)", "include/uapi/linux/if.h: IFNAMSIZ", "lib/nlattr.c: validate_nla()", "net/core/dev.c: dev_valid_name()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = net::refused(
        case,
        &["RTM_NEWLINK", "RTM_SETLINK", "RTM_GETLINK", "RTM_DELLINK"],
        &[libc::ERANGE, libc::EINVAL],
    )?;
    let name = refused.interface.as_deref();
    let long = name.map(|name| name.len() > LONGEST);
    let odd = name
        .is_some_and(|n| n.is_empty() || n == "." || n == ".." || n.contains(['/', ':', ' ', '\t', '\n']));
    let out_of_range = refused.errno.0 == libc::ERANGE;
    let state = match (long, odd) {
        (Some(true), _) | (_, true) => Some(true),
        (Some(false), _) if !out_of_range => Some(false),
        _ => None,
    };
    // EINVAL of a request has many reasons: without the name nothing is claimed.
    if state.is_none() && !out_of_range {
        return None;
    }
    let weight = net::weigh(case, DECIDERS, state, "the name in the request")?;
    let sentence = match name.filter(|_| state == Some(true)) {
        Some(name) if name.len() > LONGEST => {
            format!(
                "The interface's name {name:?} has {} bytes, and a name has room for {LONGEST}.",
                spaced(name.len() as u64)
            )
        }
        Some(name) => format!("An interface may not be called {name:?}."),
        None => format!(
            "A value of the request is out of range: mostly the interface's name is longer than {LONGEST} bytes."
        ),
    };
    let mut proof = weight.proof(sentence, net::other("IFNAMSIZ"), net::cite_request(refused));
    if let Some(name) = name.filter(|name| name.len() > LONGEST) {
        (proof.limit, proof.usage, proof.unit) =
            (Some(LONGEST as u64), Some(name.len() as u64), "bytes".into());
    }
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "for good",
        "a shorter name: 15 bytes at most",
        "or a shorter prefix in the plugin's settings; ip link property add altname takes up to 127 bytes beside it",
        "the old name",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::request;
    use crate::model::Confidence;

    #[test]
    fn a_long_name_is_proven() {
        let s = |name: &str, errno| request("RTM_NEWLINK", errno, |n| n.interface = Some(name.into()));
        let found = s("veth0123456789abcdef", libc::ERANGE).judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.usage), (Confidence::Proven, Some(20)));
        assert_eq!(s("a/b", libc::EINVAL).confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s("veth0", libc::ERANGE).confidence(&CAUSE), Some(Confidence::Possible));
    }

    #[test]
    fn a_good_name_is_not_claimed() {
        assert!(
            request("RTM_NEWLINK", libc::EINVAL, |n| n.interface = Some("veth0".into()))
                .judge(&CAUSE)
                .is_none()
        );
        assert!(request("RTM_NEWLINK", libc::EINVAL, |_| ()).judge(&CAUSE).is_none());
    }
}
