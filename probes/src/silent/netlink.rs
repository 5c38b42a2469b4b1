//! Netlink requests that were refused: no system call returns their errno.
//!
//! Seen where the acknowledgement is copied to its receiver, which every way of receiving comes through
//! (net/core/datagram.c `skb_copy_datagram_iter`, from `netlink_recvmsg`), and which costs no other system call
//! anything. The kernel's sentence is in the acknowledgement only for who asked for it (NETLINK_EXT_ACK), so it is
//! taken from the tracepoint too, which runs in the sender.

use super::party;
use crate::maps::{EVENTS, NETLINK, SEEN, SENTENCES, config, count_dropped, load, offset};
use crate::read::{field, known};
use crate::syscall::header;
use crate::{credentials, flood, task, tree};
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use diag_abi::{
    ABI_NETLINK, ANSWER_BYTES, Credentials, FloodKey, MODE_MACHINE, NetlinkAnswer, SENTENCE, UNRESOLVED,
    bounds, kind, request,
};

const AF_NETLINK: u16 = 16;
const NLMSG_ERROR: u16 = 2;
/// `struct nlmsghdr` (16 bytes), the error (4), and the `struct nlmsghdr` of the request.
const SMALLEST: u32 = 36;
const ERROR: u32 = 16;
const TYPE: u32 = 4;
const SEQUENCE: u32 = 8;
const REQUEST_TYPE: u32 = 24;

/// How old a sentence may be to belong to the answer: the request is worked on while it is sent.
const SENTENCE_NS: u64 = 1_000_000_000;

/// The kernel's last sentence for a thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Sentence {
    time_ns: u64,
    len: u64,
    bytes: [u8; SENTENCE],
}

/// `netlink_extack(msg)`, since 5.13.
#[raw_tracepoint(tracepoint = "netlink_extack")]
pub(crate) fn watch_sentence(ctx: RawTracePointContext) -> i32 {
    let text: u64 = ctx.arg(0);
    let mut sentence = Sentence { time_ns: 0, len: 0, bytes: [0; SENTENCE] };
    // SAFETY: the helpers take no pointers but the one to the bytes, which have the length given.
    unsafe {
        let tid = generated::bpf_get_current_pid_tgid() as u32;
        let to = (&raw mut sentence.bytes).cast();
        let read = generated::bpf_probe_read_kernel_str(to, SENTENCE as u32, text as *const _);
        if read > 0 {
            sentence.len = read as u64;
            sentence.time_ns = generated::bpf_ktime_get_ns();
            let _ = SENTENCES.insert(tid, sentence, 0);
        }
    }
    0
}

/// `skb_copy_datagram_iovec(skb, len)`: a packet of any protocol is copied to user space.
#[raw_tracepoint(tracepoint = "skb_copy_datagram_iovec")]
pub(crate) fn watch_netlink(ctx: RawTracePointContext) -> i32 {
    let packet: u64 = ctx.arg(0);
    let sock = field::<u64>(packet, load(&NETLINK.skb_sk));
    if field::<u16>(sock, load(&NETLINK.sock_family)) != AF_NETLINK {
        return 0;
    }
    // How much the receiver has room for: who only asks for the size comes again.
    let copied = ctx.arg::<u64>(1) as i32;
    let length = field::<u32>(packet, load(&NETLINK.skb_len));
    let data = field::<u64>(packet, load(&NETLINK.skb_data));
    if copied < SMALLEST as i32 || length < SMALLEST || field::<u16>(data, TYPE) != NLMSG_ERROR {
        return 0;
    }
    let Some(error) = known::<u32>(data, ERROR) else { return 0 };
    answered(&Answer { packet, sock, data, length, error: error as i32 });
    0
}

struct Answer {
    packet: u64,
    sock: u64,
    data: u64,
    length: u32,
    error: i32,
}

#[inline(always)]
fn answered(answer: &Answer) {
    // SAFETY: the helpers take no arguments.
    let (pid_tgid, task, now) = unsafe {
        (
            generated::bpf_get_current_pid_tgid(),
            generated::bpf_get_current_task() as u64,
            generated::bpf_ktime_get_ns(),
        )
    };
    let (tgid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    if answer.error >= 0 || (answer.error as i64) < -bounds::MAX_ERRNO {
        // A sentence about a request that was granted is not about the next one.
        let _ = SENTENCES.remove(tid);
        return;
    }
    let errno = answer.error.unsigned_abs();
    let protocol = field::<u16>(answer.sock, load(&NETLINK.sock_protocol)) as u32;
    let message = field::<u16>(answer.data, REQUEST_TYPE) as u32;
    if tgid == config!(own_tgid) || offset!(task_tgid) == UNRESOLVED {
        return;
    }
    if config!(mode) == MODE_MACHINE {
        if !worth_telling(protocol, message, errno) {
            return;
        }
    } else if !tree::contains(tgid, task) {
        return;
    }
    if looked_at_before(tid, answer) {
        return;
    }
    let key = FloodKey {
        cgroup: task::flood_cgroup(task),
        tgid,
        nr: request(protocol, message),
        abi: ABI_NETLINK,
        errno,
    };
    if flood::travels_whole(&key, now) {
        send(answer, task, now, (protocol, message, errno));
    }
}

/// Many receivers look first (MSG_PEEK) and take then: the same packet twice.
#[inline(always)]
fn looked_at_before(tid: u32, answer: &Answer) -> bool {
    let mark = [answer.packet, field::<u64>(answer.data, SEQUENCE)];
    if let Some(last) = SEEN.get_ptr_mut(tid) {
        // SAFETY: a pointer to a live map value.
        if unsafe { *last } == mark {
            return true;
        }
    }
    let _ = SEEN.insert(tid, mark, 0);
    false
}

#[inline(always)]
fn send(answer: &Answer, task: u64, now: u64, (protocol, message, errno): (u32, u32, u32)) {
    let Some(mut entry) = EVENTS.reserve::<NetlinkAnswer>(0) else {
        return count_dropped();
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record; the helper writes no more than the length given.
    unsafe {
        (*record).header = header(kind::NETLINK, size_of::<NetlinkAnswer>(), now);
        party::fill(&raw mut (*record).who, task);
        (*record).credentials = Credentials::NONE;
        (*record).has_credentials = u32::from(credentials::read(&raw mut (*record).credentials, task));
        (*record).errno = errno;
        (*record).protocol = protocol;
        (*record).message = message;
        let net = field::<u64>(answer.sock, load(&NETLINK.sock_net));
        (*record).net_ns = field(net, load(&NETLINK.net_inum));
        (*record).pad = 0;
        // Of a fixed length, for the verifier; past the packet's end it means nothing and is not looked at.
        let to = (&raw mut (*record).bytes).cast();
        let read = generated::bpf_probe_read_kernel(to, ANSWER_BYTES as u32, answer.data as *const _);
        let most = if answer.length < ANSWER_BYTES as u32 { answer.length } else { ANSWER_BYTES as u32 };
        (*record).len = if read == 0 { most } else { 0 };
        sentence(record, now);
    }
    entry.submit(0);
}

/// # Safety
/// `record` must be valid for a whole record.
#[inline(always)]
unsafe fn sentence(record: *mut NetlinkAnswer, now: u64) {
    // SAFETY: fields of the record; the helpers take no pointers but to them.
    unsafe {
        (*record).sentence_len = 0;
        let tid = generated::bpf_get_current_pid_tgid() as u32;
        let Some(said) = SENTENCES.get_ptr_mut(tid) else { return };
        if now.wrapping_sub((*said).time_ns) < SENTENCE_NS {
            let (to, from) = ((&raw mut (*record).sentence).cast(), (&raw const (*said).bytes).cast());
            if generated::bpf_probe_read_kernel(to, SENTENCE as u32, from) == 0 {
                (*record).sentence_len = (*said).len as u32;
            }
        }
        let _ = SENTENCES.remove(tid);
    }
}

/// Of the machine, what a limit or a permission refuses, and what a container's network is made of. What network
/// daemons hear all day (it is there already, it is gone already, this kernel cannot) is left out.
#[inline(always)]
fn worth_telling(protocol: u32, message: u32, errno: u32) -> bool {
    const ROUTE: u32 = 0;
    const NETFILTER: u32 = 12;
    // ENOMEM, ENFILE, EMFILE, ENOSPC, ENOBUFS, EDQUOT, EUSERS
    if matches!(errno, 12 | 23 | 24 | 28 | 105 | 122 | 87) {
        return true;
    }
    match (protocol, message) {
        // RTM_NEWLINK, RTM_SETLINK: all but ENODEV and EOPNOTSUPP.
        (ROUTE, 16 | 19) => !matches!(errno, 19 | 95),
        // RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH, RTM_NEWRULE, RTM_NEWQDISC: without ENOENT, ESRCH, EEXIST, ENODEV.
        (ROUTE, 20 | 24 | 28 | 32 | 36) => !matches!(errno, 2 | 3 | 17 | 19 | 95),
        // EPERM, E2BIG
        (NETFILTER, _) => matches!(errno, 1 | 7),
        _ => false,
    }
}
