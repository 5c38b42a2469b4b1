//! Refused netlink requests, whose system calls all succeed.

use crate::scene::{Child, Seen, collect_until, skip, watch};
use diag::capture::btf::offsets;
use diag::capture::errno_watch::{ErrnoWatch, Scope};
use diag::model::{Errno, Failure, Netlink};

const NOBODY: u32 = 65_534;
/// linux/netlink.h, linux/rtnetlink.h
const NLM_F_REQUEST_ACK: u16 = 5;
const NLM_F_EXCL_CREATE: u16 = 0x600;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWROUTE: u16 = 24;
const NETLINK_EXT_ACK: i32 = 11;

/// A message in memory of its own: children of a process with threads must not allocate.
struct Message {
    bytes: [u8; 128],
    length: usize,
}

impl Message {
    fn new(kind: u16, body: &[u8]) -> Self {
        let mut message = Self { bytes: [0; 128], length: 16 };
        message.bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.bytes[6..8].copy_from_slice(&(NLM_F_REQUEST_ACK | NLM_F_EXCL_CREATE).to_ne_bytes());
        message.bytes[8] = 7;
        message.put(body);
        message
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length = (self.length + bytes.len()).next_multiple_of(4);
        self.bytes[..4].copy_from_slice(&(self.length as u32).to_ne_bytes());
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.put(&(value.len() as u16 + 4).to_ne_bytes());
        self.length -= 2;
        self.put(&kind.to_ne_bytes());
        self.put(value);
        self
    }

    /// An interface of this name, which must be new. `struct ifinfomsg` is all zero.
    fn link(name: &[u8]) -> Self {
        Self::new(RTM_NEWLINK, &[0; 16]).attribute(3, name)
    }

    /// 10.0.0.0/8 by way of a gateway that nothing leads to. `struct rtmsg`: AF_INET, table main, unicast.
    fn route() -> Self {
        let body = [2, 8, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        Self::new(RTM_NEWROUTE, &body).attribute(1, &[10, 0, 0, 0]).attribute(5, &[192, 0, 2, 1])
    }

    /// Sends it `times` times and returns the errno of the last answer. Each is looked at before it is taken, as
    /// many libraries do.
    fn send(&self, times: usize, extended: bool) -> i32 {
        let mut answer = [0_u8; 1024];
        // SAFETY: all buffers outlive the calls, which are given their lengths.
        unsafe {
            let socket = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE);
            let one = i32::from(extended);
            libc::setsockopt(socket, libc::SOL_NETLINK, NETLINK_EXT_ACK, (&raw const one).cast(), 4);
            for _ in 0..times {
                if libc::send(socket, self.bytes.as_ptr().cast(), self.length, 0) < 0 {
                    return -1;
                }
                for flags in [libc::MSG_PEEK, 0] {
                    if libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), flags) < 20 {
                        return -2;
                    }
                }
            }
        }
        -i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]])
    }
}

fn own_network() -> bool {
    // SAFETY: a plain system call that changes this process only.
    unsafe { libc::unshare(libc::CLONE_NEWNET) == 0 }
}

/// The failures of a child that works in a network namespace of its own, with what was only counted.
fn refused(
    watch: &mut ErrnoWatch,
    request: &str,
    work: impl FnOnce() -> i32,
    errno: i32,
) -> (Vec<Failure>, u64) {
    let child = Child::start(|_| match own_network() {
        false => 77,
        true if work() == errno => 0,
        true => 1,
    });
    let pid = child.pid;
    match child.end() {
        0 => {}
        code => panic!("the child was not refused as it should be: {code}"),
    }
    let mut seen = Seen::default();
    let is_it = |f: &Failure| f.task.pid == pid && f.netlink().is_some_and(|n| n.request == request);
    collect_until(watch, &mut seen, request, |seen, _| seen.failures.iter().any(is_it));
    let whole: Vec<_> = seen.failures.iter().filter(|f| is_it(f)).cloned().collect();
    println!("{whole:#?}");
    assert!(whole.iter().all(|f| f.netlink().is_some_and(|n| n.errno == Errno(errno))), "{whole:#?}");
    (whole, seen.repeated_of(pid, &format!("netlink {request}"), Errno(errno)))
}

fn only(failures: &[Failure]) -> (&Failure, &Netlink) {
    assert_eq!(failures.len(), 1, "looked at and taken is one answer");
    (&failures[0], failures[0].netlink().unwrap())
}

#[test]
fn a_name_that_is_taken() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let message = Message::link(b"lo\0");
    let (whole, _) = refused(&mut watch, "RTM_NEWLINK", || message.send(1, false), libc::EEXIST);
    let (failure, netlink) = only(&whole);
    assert_eq!((netlink.protocol.as_str(), netlink.interface.as_deref()), ("NETLINK_ROUTE", Some("lo")));
    assert_eq!(netlink.flags, NLM_F_REQUEST_ACK | NLM_F_EXCL_CREATE);
    assert!(netlink.net_ns.is_some());
    assert_eq!((failure.task.ppid, failure.task.uid), (std::process::id(), 0));
    assert_eq!(failure.syscall(), None);
    assert!(watch.silent().2.is_yes(), "{:?}", watch.silent());
}

#[test]
fn who_may_not_configure_the_network() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let message = Message::link(b"new\0");
    let work = || {
        // SAFETY: a plain system call that changes this process only.
        unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) };
        message.send(1, false)
    };
    let (whole, _) = refused(&mut watch, "RTM_NEWLINK", work, libc::EPERM);
    let credentials = only(&whole).0.task.credentials.unwrap();
    assert_eq!((credentials.euid, credentials.capabilities), (NOBODY, 0));
}

#[test]
fn the_kernels_own_sentence() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let Ok(bytes) = offsets::read_vmlinux() else { return skip("no BTF on this kernel") };
    let by_tracepoint = offsets::resolve(&bytes).unwrap().netlink_sentences;
    let message = Message::route();
    for extended in [true, false] {
        let (whole, _) = refused(&mut watch, "RTM_NEWROUTE", || message.send(1, extended), libc::ENETUNREACH);
        let said = only(&whole).1.message.as_deref();
        if extended || by_tracepoint {
            assert_eq!(said, Some("Nexthop has invalid gateway"));
        } else {
            assert_eq!(said, None);
        }
    }
}

#[test]
fn a_flood_of_refusals_is_counted() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let message = Message::link(b"lo\0");
    let (whole, _) = refused(&mut watch, "RTM_NEWLINK", || message.send(1, false), libc::EEXIST);
    assert_eq!(whole.len(), 1);
    let (whole, counted) = refused(&mut watch, "RTM_NEWLINK", || message.send(500, false), libc::EEXIST);
    assert!(whole.len() < 100, "{}", whole.len());
    assert!(whole.len() as u64 + counted <= 500);
}

#[test]
fn a_tree_is_told_every_errno_and_strangers_are_not() {
    let Some(mut watch) = watch(Scope::Tree, None) else { return };
    // Deletes what is not there, which the watch of a machine does not tell.
    let message = Message::new(17, &[0; 16]).attribute(3, b"none\0");
    let work = |gate: &mut crate::scene::Gate| {
        gate.wait();
        i32::from(!own_network() || message.send(1, false) == 0)
    };
    let (mut root, mut stranger) = (Child::start(work), Child::start(work));
    root.at_gate();
    stranger.at_gate();
    watch.follow(root.pid).unwrap();
    let (root_pid, stranger_pid) = (root.pid, stranger.pid);
    stranger.open_gate();
    assert_eq!(stranger.end(), 0);
    root.open_gate();
    assert_eq!(root.end(), 0);
    let mut seen = Seen::default();
    let of = |seen: &Seen, pid| seen.failures.iter().any(|f| f.task.pid == pid && f.netlink().is_some());
    collect_until(&mut watch, &mut seen, "RTM_DELLINK", |seen, _| of(seen, root_pid));
    assert!(!of(&seen, stranger_pid));
}
