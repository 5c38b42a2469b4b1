//! What causes about sockets share: who may do what, which functions only hand an errno up, and how a state
//! that was read again weighs against the kernel's path.

use super::{Case, Proof};
use crate::model::{Confidence, Errno, Knob, KnobKind, Netlink, Remedy, State};

pub(in crate::causes) const SEND: &[&str] = &["sendto", "sendmsg", "sendmmsg"];
pub(in crate::causes) const REACH: &[&str] = &["connect", "sendto", "sendmsg", "sendmmsg"];

pub(in crate::causes) const EADDRINUSE: Errno = Errno(libc::EADDRINUSE);
pub(in crate::causes) const EADDRNOTAVAIL: Errno = Errno(libc::EADDRNOTAVAIL);
pub(in crate::causes) const ECONNREFUSED: Errno = Errno(libc::ECONNREFUSED);
pub(in crate::causes) const EHOSTUNREACH: Errno = Errno(libc::EHOSTUNREACH);
pub(in crate::causes) const ENETUNREACH: Errno = Errno(libc::ENETUNREACH);
pub(in crate::causes) const ENOBUFS: Errno = Errno(libc::ENOBUFS);
pub(in crate::causes) const EMSGSIZE: Errno = Errno(libc::EMSGSIZE);
pub(in crate::causes) const EAFNOSUPPORT: Errno = Errno(libc::EAFNOSUPPORT);
pub(in crate::causes) const ETIMEDOUT: Errno = Errno(libc::ETIMEDOUT);
pub(in crate::causes) const EINPROGRESS: Errno = Errno(libc::EINPROGRESS);

pub(in crate::causes) const NET_BIND_SERVICE: u32 = 10;
pub(in crate::causes) const NET_ADMIN: u32 = 12;
pub(in crate::causes) const NET_RAW: u32 = 13;

/// Functions between a system call and a protocol. They decide nothing of their own with the errnos of causes here,
/// so as deciders they contradict nothing.
const PLUMBING: &[&str] = &[
    "__inet_bind",
    "__inet_stream_connect",
    "__inet6_bind",
    "__ip_local_out",
    "__sock_sendmsg",
    "do_sock_setsockopt",
    "do_syscall_64",
    "inet6_bind",
    "inet6_bind_sk",
    "inet6_sendmsg",
    "inet_autobind",
    "inet_bind",
    "inet_bind_sk",
    "inet_dgram_connect",
    "inet_send_prepare",
    "inet_sendmsg",
    "inet6_ioctl",
    "inet_ioctl",
    "inet_stream_connect",
    "ip_finish_output",
    "ip_local_out",
    "ip_make_skb",
    "ip_output",
    "ip_push_pending_frames",
    "ip_route_output_flow",
    "ip_route_output_key_hash",
    "ip_route_output_key_hash_rcu",
    "ip_send_skb",
    "ip4_datagram_connect",
    "ip6_datagram_connect",
    "move_addr_to_kernel",
    "netlink_sendmsg",
    "raw_sendmsg",
    "sock_common_setsockopt",
    "sock_create",
    "sock_ioctl",
    "sock_sendmsg",
    "sock_sendmsg_nosec",
    "sock_setsockopt",
    "tcp_v4_connect",
    "tcp_v6_connect",
    "tcp_v6_pre_connect",
    "udp_send_skb",
    "udp_sendmsg",
    "udpv6_sendmsg",
    "unix_dgram_sendmsg",
    "unix_stream_sendmsg",
];

fn is_plumbing(function: &str) -> bool {
    function.starts_with("__x64_sys_")
        || function.starts_with("__ia32_")
        || function.starts_with("__sys_")
        || function.starts_with("___sys_")
        || PLUMBING.contains(&function)
}

/// Functions that answer a question for a capability, of whatever caller.
const RIGHTS: &[&str] = &[
    "cap_capable",
    "capable",
    "ns_capable",
    "ns_capable_common",
    "security_capable",
    "sk_ns_capable",
    "sk_net_capable",
];

/// How sure a cause is, and what would make it surer.
#[derive(Debug)]
pub(in crate::causes) struct Weight {
    pub(in crate::causes) confidence: Confidence,
    pub(in crate::causes) missing: Vec<String>,
    pub(in crate::causes) evidence: Vec<String>,
}

/// As [`weigh`], of a cause that is a missing capability: that the question for one was answered with no is no
/// contradiction. On kernels that show return values it is where the errno is seen first.
pub(in crate::causes) fn weigh_right(
    case: &Case<'_>,
    deciders: &[&str],
    state: Option<bool>,
    missing: &str,
) -> Option<Weight> {
    let asked = case.decided_elsewhere(deciders).filter(|f| RIGHTS.contains(f));
    match asked {
        Some(function) => weigh(case, &[function], state, missing),
        None => weigh(case, deciders, state, missing),
    }
}

/// Weighs a state against the path. `state` is `Some(true)` when the one state that yields this errno was read,
/// `Some(false)` when it was read and refutes the cause. `deciders` are functions that say this errno for no other
/// reason. `missing` says what was not read.
pub(in crate::causes) fn weigh(
    case: &Case<'_>,
    deciders: &[&str],
    state: Option<bool>,
    missing: &str,
) -> Option<Weight> {
    let verdict = case.verdict(deciders);
    let elsewhere = case.decided_elsewhere(deciders).filter(|f| !is_plumbing(f));
    let mut weight = Weight { confidence: Confidence::Proven, missing: vec![], evidence: vec![] };
    if let Some(verdict) = &verdict {
        weight.evidence.push(format!("{} said no (found by {})", verdict.function, verdict.method));
    }
    match (state, verdict, elsewhere) {
        (Some(false), ..) => return None,
        (Some(true), _, None) | (None, Some(_), _) => {}
        (Some(true), _, Some(other)) => {
            weight.confidence = Confidence::Likely;
            weight.missing.push(format!("the kernel path points to {other} instead"));
        }
        (None, None, Some(_)) => return None,
        (None, None, None) => {
            weight.confidence = Confidence::Possible;
            weight.missing.push(missing.into());
        }
    }
    Some(weight)
}

impl Weight {
    /// A proof without numbers.
    pub(in crate::causes) fn proof(self, sentence: String, knob: Knob, evidence: Vec<String>) -> Proof {
        let evidence = [evidence, self.evidence].concat();
        Proof {
            confidence: self.confidence,
            sentence,
            knob,
            limit: None,
            usage: None,
            unit: String::new(),
            evidence,
            missing: self.missing,
        }
    }
}

/// What a task may do in its network namespace.
///
/// `ns_capable()` (kernel/capability.c) asks in the user namespace that owns the network namespace. `Some(false)` when
/// the kernel must have said no; `None` when the answer depends on how user namespaces are nested.
pub(in crate::causes) fn net_capable(case: &Case<'_>, capability: u32) -> Option<bool> {
    /// The first user namespace (include/linux/proc_ns.h `PROC_USER_INIT_INO`).
    const FIRST: u32 = 0xEFFF_FFFD;
    let task = &case.failure().task;
    if let Some(credentials) = task.credentials {
        let owner = task.net.map(|net| net.owner).or(credentials.owners.net);
        if let Some(may) = owner.and_then(|owner| credentials.may(capability, owner)) {
            return Some(may);
        }
    }
    let (net, own) = (task.net?, task.user_ns?);
    let has = net.capabilities & (1 << capability) != 0;
    match (own == net.owner, net.owner == FIRST) {
        (true, _) => Some(has),
        // Nobody in another user namespace has a capability over the first one.
        (false, true) => Some(false),
        (false, false) => (!has && own != FIRST).then_some(false),
    }
}

/// What is known of the capability, in words.
pub(in crate::causes) fn cite_capability(case: &Case<'_>, name: &str) -> Vec<String> {
    let task = &case.failure().task;
    let (Some(net), Some(own)) = (task.net, task.user_ns) else {
        let Some(credentials) = task.credentials else { return vec![] };
        return vec![format!(
            "at that instant CapEff of {} was {:016x}, in user namespace {} ({name} counts in the owner of its network \
             namespace{})",
            task.comm,
            credentials.capabilities,
            credentials.user_ns,
            credentials.owners.net.map_or_else(String::new, |owner| format!(", {owner}"))
        )];
    };
    vec![format!(
        "at that instant CapEff of {} was {:016x}, in user namespace {own}; network namespace {} belongs to user \
         namespace {} ({name} counts there)",
        task.comm, net.capabilities, net.net_ns, net.owner
    )]
}

pub(in crate::causes) fn capability(name: &str) -> Knob {
    Knob { kind: KnobKind::Capability, name: name.into(), path: "/proc/<pid>/status: CapEff".into() }
}

pub(in crate::causes) fn sysctl(name: &str) -> Knob {
    Knob { kind: KnobKind::Sysctl, name: name.into(), path: format!("/proc/sys/{}", name.replace('.', "/")) }
}

pub(in crate::causes) fn other(name: &str) -> Knob {
    Knob { kind: KnobKind::Other, name: name.into(), path: String::new() }
}

/// How a state is cited.
pub(in crate::causes) fn cite(state: &State) -> String {
    let of = if state.of.is_empty() { String::new() } else { format!(" {}", state.of) };
    format!(
        "{} ms after it {}{of}: {} ({})",
        state.after_ns / 1_000_000,
        state.name,
        state.value,
        state.source
    )
}

/// All states of a name.
pub(in crate::causes) fn cite_all(case: &Case<'_>, names: &[&str]) -> Vec<String> {
    let named = |name: &&str| states(case, name).map(cite).collect::<Vec<_>>();
    names.iter().flat_map(named).collect()
}

pub(in crate::causes) fn states<'a>(case: &Case<'a>, name: &str) -> impl Iterator<Item = &'a State> {
    let name = name.to_string();
    case.incident.facts.iter().filter_map(move |fact| match fact {
        crate::model::Fact::State(state) if state.name == name => Some(state),
        _ => None,
    })
}

pub(in crate::causes) fn remedy(when: &str, command: &str, effect: &str, undo: &str) -> Remedy {
    Remedy { when: when.into(), command: command.into(), effect: effect.into(), undo: undo.into() }
}

/// Where the call wanted to go, in words.
pub(in crate::causes) fn destination(case: &Case<'_>) -> String {
    case.failure().address().map_or_else(|| "the destination".into(), |address| address.words())
}

/// Whether the call was about an Internet socket, as far as that is known.
pub(in crate::causes) fn is_internet(case: &Case<'_>) -> bool {
    let failure = case.failure();
    match (failure.socket(), failure.address()) {
        (Some(socket), _) => socket.is_internet(),
        (None, Some(_)) => failure.internet().is_some(),
        (None, None) => true,
    }
}

/// Whether the call was about a local socket.
pub(in crate::causes) fn is_local(case: &Case<'_>) -> bool {
    let failure = case.failure();
    match failure.socket() {
        Some(socket) => socket.family == libc::AF_UNIX as u32,
        None => failure.local_path().is_some(),
    }
}

/// The refused netlink request, when it is one of `requests` (any, if there are none) with one of the errnos.
pub(in crate::causes) fn refused<'a>(
    case: &Case<'a>,
    requests: &[&str],
    errnos: &[i32],
) -> Option<&'a Netlink> {
    let refused = case.failure().netlink()?;
    let fits = requests.is_empty() || requests.contains(&refused.request.as_str());
    (fits && errnos.contains(&refused.errno.0)).then_some(refused)
}

/// Whether the kernel's own sentence holds one of these; `None` where it gave none.
pub(in crate::causes) fn says(refused: &Netlink, words: &[&str]) -> Option<bool> {
    let message = refused.message.as_ref()?.to_lowercase();
    Some(words.iter().any(|word| message.contains(&word.to_lowercase())))
}

pub(in crate::causes) fn cite_request(refused: &Netlink) -> Vec<String> {
    let said = refused.message.as_ref().map_or_else(String::new, |m| format!(", and said {m:?}"));
    vec![format!("the kernel acknowledged {} with {}{said}", refused.request, refused.errno)]
}
