//! Made-up graphs with return values: what fools the search, one thing at a time.

use super::*;
use crate::model::{Call, Gives, Graph, GraphSource, Prototype};
use std::collections::BTreeMap;

const ENOSPC: u64 = -28i64 as u64;
/// As an `int` leaves it in the register.
const INT_ENOSPC: u64 = 0xffff_ffe4;
const INT_EPERM: u64 = 0xffff_ffff;

fn call(name: &str, ret: u64, children: Vec<Call>) -> Call {
    Call { name: name.into(), ret: Some(ret), children, ..Call::default() }
}

/// Types in short: `name:kind`, with `kind` one of i l p b v u, then `>pointee`, then `(what it takes`.
fn types(short: &[&str]) -> BTreeMap<String, Prototype> {
    let one = |text: &&str| {
        let (text, takes) = text.split_once('(').unwrap_or((text, ""));
        let (text, pointee) = text.split_once('>').map_or((text, None), |(t, p)| (t, Some(p.to_owned())));
        let (name, kind) = text.split_once(':').unwrap();
        let gives = match kind {
            "i" => Gives::Int,
            "l" => Gives::Long,
            "p" => Gives::Pointer,
            "b" => Gives::Bool,
            "u" => Gives::Number(4),
            _ => Gives::Nothing,
        };
        let takes = takes.split_whitespace().map(str::to_owned).collect();
        (name.to_owned(), Prototype { gives, pointee, takes })
    };
    short.iter().map(one).collect()
}

fn evidence(root: Call, short: &[&str]) -> GraphEvidence {
    let failed = Graph { tid: 1, comm: String::new(), cpu: 0, start_ns: 0, end_ns: Some(9), root, lost: 0 };
    let (succeeded, types) = (Vec::new(), types(short));
    GraphEvidence { source: GraphSource::Instance, failed, succeeded, types, probes: None }
}

fn found(root: Call, short: &[&str], errno: Errno) -> ByReturn {
    by_return_value(&evidence(root, short), errno).unwrap()
}

fn decider(root: Call, short: &[&str]) -> Option<String> {
    found(root, short, Errno::ENOSPC).decider
}

#[test]
fn a_value_passed_up_belongs_to_the_function_that_produced_it() {
    let count = call("count_mounts", INT_ENOSPC, vec![]);
    let attach = call("attach_recursive_mnt.isra.0", INT_ENOSPC, vec![count, call("unlock", 0, vec![])]);
    let root = call("__x64_sys_mount", ENOSPC, vec![call("path_mount", INT_ENOSPC, vec![attach])]);
    let short = ["path_mount:i", "attach_recursive_mnt.isra.0:i", "count_mounts:i", "unlock:v"];
    let found = found(root, &short, Errno::ENOSPC);
    assert_eq!(found.path, ["__x64_sys_mount", "path_mount", "attach_recursive_mnt", "count_mounts"]);
    assert_eq!(found.decider.as_deref(), Some("count_mounts"));
    assert_eq!(found.note, None);
    let returns: Vec<_> = found.returns.iter().map(|r| (r.function.as_str(), r.value)).collect();
    assert_eq!(returns, [("count_mounts", -28), ("attach_recursive_mnt", -28), ("path_mount", -28)]);
}

#[test]
fn the_stale_register_of_a_void_function_is_no_word() {
    let count = call("count_mounts", INT_ENOSPC, vec![]);
    let root = call("__x64_sys_mount", ENOSPC, vec![count, call("mntput", INT_ENOSPC, vec![])]);
    assert_eq!(decider(root, &["count_mounts:i", "mntput:v"]).as_deref(), Some("count_mounts"));
}

#[test]
fn without_a_type_it_is_believed_only_before_the_error_existed() {
    let flush = || call("flush.constprop.0", INT_ENOSPC, vec![]);
    let make = || call("make", INT_ENOSPC, vec![]);
    let root = call("__x64_sys_sendto", ENOSPC, vec![make(), flush()]);
    assert_eq!(decider(root, &["make:i"]).as_deref(), Some("make"));
    let root = call("__x64_sys_sendto", ENOSPC, vec![flush()]);
    assert_eq!(decider(root, &[]).as_deref(), Some("flush"));
    // One that passes the word of a typed function up is believed too.
    let root = call("__x64_sys_sendto", ENOSPC, vec![make(), call("wrap.isra.0", INT_ENOSPC, vec![make()])]);
    assert_eq!(decider(root, &["make:i"]).as_deref(), Some("make"));
}

#[test]
fn of_several_attempts_the_last_counts() {
    let root = call(
        "__x64_sys_execve",
        ENOSPC,
        vec![call("load_script", INT_ENOSPC, vec![]), call("load_elf_binary", INT_ENOSPC, vec![])],
    );
    let short = ["load_script:i(linux_binprm", "load_elf_binary:i(linux_binprm"];
    assert_eq!(decider(root, &short).as_deref(), Some("load_elf_binary"));
}

#[test]
fn who_is_given_the_error_does_not_decide() {
    let given_pointer = call(
        "__x64_sys_openat",
        ENOSPC,
        vec![call("open_last_lookups", ENOSPC, vec![]), call("link_path_walk", INT_ENOSPC, vec![])],
    );
    let short = ["open_last_lookups:p>char(nameidata", "link_path_walk:i(char nameidata"];
    assert_eq!(decider(given_pointer, &short).as_deref(), Some("open_last_lookups"));
    let given_number = call(
        "__x64_sys_write",
        ENOSPC,
        vec![call("parse_label", ENOSPC, vec![]), call("aa_audit_file", INT_ENOSPC, vec![])],
    );
    let short = ["parse_label:p>aa_label", "aa_audit_file:i(aa_profile errno"];
    assert_eq!(decider(given_number, &short).as_deref(), Some("parse_label"));
    // Alone, it is all there is.
    let alone = call("__x64_sys_openat", ENOSPC, vec![call("link_path_walk", INT_ENOSPC, vec![])]);
    assert_eq!(decider(alone, &["link_path_walk:i(char"]).as_deref(), Some("link_path_walk"));
}

#[test]
fn an_error_made_up_from_a_bool_is_the_caller_s() {
    let cap = call("cap_capable", INT_EPERM, vec![]);
    let may = call("may_mount", 0, vec![call("ns_capable", 0, vec![cap])]);
    let path_mount = call("path_mount", INT_EPERM, vec![may]);
    let root = call("__x64_sys_mount", -1i64 as u64, vec![path_mount]);
    let short = ["path_mount:i", "may_mount:b", "ns_capable:b", "cap_capable:i"];
    let found = found(root, &short, Errno::EPERM);
    assert_eq!(found.decider.as_deref(), Some("path_mount"));
    assert!(found.note.unwrap().ends_with("after may_mount returned false"));
    let returns: Vec<_> = found.returns.iter().map(|r| (r.function.as_str(), r.value)).collect();
    assert_eq!(returns, [("cap_capable", -1), ("ns_capable", 0), ("may_mount", 0), ("path_mount", -1)]);
}

#[test]
fn an_unsigned_that_looks_like_eperm_is_none() {
    let root = call(
        "__x64_sys_setuid",
        -1i64 as u64,
        vec![call("__sys_setuid", -1i64 as u64, vec![call("map_id_up", INT_EPERM, vec![])])],
    );
    let found = found(root, &["__sys_setuid:l", "map_id_up:u"], Errno::EPERM);
    assert_eq!(found.decider.as_deref(), Some("__sys_setuid"));
}

#[test]
fn values_that_do_not_fit_the_failure_name_nobody() {
    let root = call("__x64_sys_mount", 0, vec![call("path_mount", INT_ENOSPC, vec![])]);
    let found = found(root, &["path_mount:i"], Errno::ENOSPC);
    assert_eq!((found.decider, found.path.len()), (None, 0));
}

#[test]
fn an_error_that_a_packet_left_belongs_to_who_left_it() {
    let refused = -i64::from(libc::ECONNREFUSED) as u64;
    let connect = |children| {
        let connect = call("__inet_stream_connect", refused & 0xffff_ffff, children);
        let root = call("__x64_sys_connect", refused, vec![connect]);
        let short = ["__inet_stream_connect:i", "tcp_reset:v"];
        found(root, &short, Errno(libc::ECONNREFUSED)).decider
    };
    assert_eq!(connect(vec![call("tcp_reset", 0, vec![])]).as_deref(), Some("tcp_reset"));
    // The answer of another machine comes in an interrupt, whoever runs there.
    assert_eq!(connect(vec![]), None);
}

#[test]
fn an_errno_in_an_answer_was_returned_to_who_wrote_the_answer() {
    let busy = -i64::from(libc::EBUSY) as u64;
    let doit = call("rtnl_newlink", busy, vec![call("br_add_if", busy, vec![])]);
    let work = call("netlink_rcv_skb", 0, vec![call("rtnetlink_rcv_msg", busy, vec![doit])]);
    let root = call("__x64_sys_sendto", 32, vec![call("netlink_unicast", 32, vec![work])]);
    let short =
        ["rtnl_newlink:i", "br_add_if:i", "netlink_rcv_skb:i", "rtnetlink_rcv_msg:i", "netlink_unicast:i"];
    let evidence = evidence(root, &short);
    let found = by_answer(&evidence, Errno(libc::EBUSY)).unwrap();
    assert_eq!(found.decider.as_deref(), Some("br_add_if"));
    assert_eq!(found.path.len(), 6);
    assert_eq!(by_answer(&evidence, Errno(libc::EPERM)), None, "nobody returned that");
    assert_eq!(by_return_value(&evidence, Errno(libc::EBUSY)).unwrap().decider, None);
}

#[test]
fn with_probes_on_some_functions_a_decider_that_may_be_further_down_is_not_named() {
    let refuses = |ret| {
        let count = Call { ret, ..Call::leaf("count_mounts") };
        let checks = Call::leaf("ns_capable");
        let attach =
            call("attach_recursive_mnt", INT_ENOSPC, vec![checks, count, Call::leaf("unlock_mount")]);
        call("__x64_sys_mount", ENOSPC, vec![attach])
    };
    let short = ["attach_recursive_mnt:i", "count_mounts:i", "ns_capable:b", "unlock_mount:i"];
    let probed = |root| GraphEvidence { probes: Some("kprobe.multi".into()), ..evidence(root, &short) };
    let seen = by_return_value(&probed(refuses(Some(INT_ENOSPC))), Errno::ENOSPC).unwrap();
    assert_eq!(seen.decider.as_deref(), Some("count_mounts"));
    let missed = by_return_value(&probed(refuses(None)), Errno::ENOSPC).unwrap();
    assert_eq!(missed.decider, None);
    assert!(missed.note.unwrap().contains("what count_mounts returned to it was not seen"));
    let none = by_return_value(&probed(refuses(Some(0))), Errno::ENOSPC).unwrap();
    assert_eq!(none.decider.as_deref(), Some("attach_recursive_mnt"));
}

#[test]
fn a_loop_that_goes_on_with_the_error_did_not_make_it() {
    let walk = |ret| call("link_path_walk", ret, vec![]);
    let create = || call("ext4_create", INT_ENOSPC, vec![call("new_inode", INT_ENOSPC, vec![])]);
    let short = ["link_path_walk:i(char", "ext4_create:i", "new_inode:i"];
    let root = call("__x64_sys_openat", ENOSPC, vec![walk(0), create(), walk(INT_ENOSPC)]);
    assert_eq!(decider(root, &short).as_deref(), Some("new_inode"));
    // It looked for itself, or for the first time.
    let looked = call("link_path_walk", INT_ENOSPC, vec![call("lookup", 0, vec![])]);
    let root = call("__x64_sys_openat", ENOSPC, vec![walk(0), create(), looked]);
    assert_eq!(decider(root, &short).as_deref(), Some("link_path_walk"));
    let root = call("__x64_sys_openat", ENOSPC, vec![create(), walk(INT_ENOSPC)]);
    assert_eq!(decider(root, &short).as_deref(), Some("link_path_walk"));
}
