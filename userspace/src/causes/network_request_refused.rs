//! The kernel gave its reason for a refused netlink request in a sentence of its own.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Remedy};

/// Questions are answered with errnos as well.
const ASKS: &str = "RTM_GET";

pub(super) static CAUSE: Cause = Cause {
    slug: "network-request-refused",
    title: "the kernel refuses the network request, and says why",
    about: "\
ip, tc, nft, an engine or a network plugin fails with \"Invalid argument\", \"Operation not supported\" or another errno for a request \
about interfaces, addresses, routes or rules. Since 4.12 the kernel may add a sentence to the errno (NLMSGERR_ATTR_MSG, the extended \
acknowledgement): \"Invalid MAC address\", \"Nexthop has invalid gateway\", \"Device does not allow enslaving to a bridge\". ip(8) \
shows it as \"Error: …\"; most engines and plugins keep the errno alone, and lose what the kernel said. diag reads it from the \
acknowledgement.",
    shows_as: &[
        ("netlink any", "EINVAL"),
        ("netlink any", "EOPNOTSUPP"),
        ("netlink any", "EBUSY"),
        ("netlink any", "ERANGE"),
    ],
    deciders: &[],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a request without tools of its own; what the kernel says is different for each"),
    see: &["netlink(7), NETLINK_EXT_ACK", "include/linux/netlink.h: NL_SET_ERR_MSG()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = case.failure().netlink()?;
    let said = refused.message.as_deref().map(str::trim).filter(|said| !said.is_empty())?;
    if refused.request.starts_with(ASKS) || refused.errno == Errno::EPERM {
        return None;
    }
    let on = refused.interface.as_deref().map_or_else(String::new, |name| format!(" for {name}"));
    let sentence = format!("The kernel refuses {}{on}: {}.", refused.request, said.trim_end_matches('.'));
    // The sentence is the reason; what it is about in this request is for the reader to see.
    let weight = net::Weight {
        confidence: Confidence::Likely,
        missing: vec!["which value of the request the sentence is about".into()],
        evidence: vec![],
    };
    Some(weight.proof(sentence, net::other("netlink request"), net::cite_request(refused)))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![net::remedy(
        "find it",
        &format!(
            "nsenter -t {pid} -n ip -d link; nsenter -t {pid} -n ip addr; nsenter -t {pid} -n ip route show table all"
        ),
        "the interfaces, addresses and routes that the request meets",
        "reads only",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::request;

    #[test]
    fn the_kernels_sentence_is_told_and_never_called_proven() {
        let s = request("RTM_NEWLINK", libc::EINVAL, |n| {
            n.message = Some("Invalid MAC address".into());
            n.interface = Some("eth0".into());
        });
        let f = s.judge(&CAUSE).unwrap();
        assert_eq!(f.confidence, Confidence::Likely);
        assert_eq!(f.sentence, "The kernel refuses RTM_NEWLINK for eth0: Invalid MAC address.");
    }

    #[test]
    fn without_a_sentence_or_for_a_question_nothing_is_claimed() {
        assert!(request("RTM_NEWLINK", libc::EINVAL, |_| ()).judge(&CAUSE).is_none());
        let asked = request("RTM_GETROUTE", libc::EINVAL, |n| n.message = Some("no".into()));
        assert!(asked.judge(&CAUSE).is_none());
    }
}
