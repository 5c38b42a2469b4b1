//! Bytes that are right, and bytes that are not.

use super::*;
use crate::model::{ArgValue, Owners};
use diag_abi::{Credentials as Raw, PRESENT_CREDENTIALS};

pub(super) fn trust() -> Trust {
    let mounts = Some("mnt_namespace.nr_mounts".to_owned());
    let (parent, start, mnt_ns, pid_ns, user_ns) = (true, true, true, true, true);
    let (credentials, no_new_privs, owners) = (true, true, true);
    Trust { mounts, parent, start, mnt_ns, pid_ns, user_ns, credentials, no_new_privs, owners }
}

fn decoder() -> Decoder {
    Decoder::new(1_000, trust())
}

fn plain(kind: u16, nr: u32) -> SyscallFailure {
    let mut record = SyscallFailure::from_bytes(&[0; size_of::<SyscallFailure>()]).unwrap();
    record.header = Header { version: VERSION, kind, size: 0, time_ns: 5 };
    (record.nr, record.errno, record.pid, record.tid, record.ppid) = (nr, 28, 100, 101, 99);
    (record.cgroup_v2, record.cgroup_v1) = (1, [77, 0, 78, 0]);
    (record.mnt_ns, record.mounts, record.pending, record.present) = (4_026_531_841, 99, 1, 3);
    record.comm[..4].copy_from_slice(b"runc");
    record
}

fn put(slot: &mut ShortString, text: &[u8]) {
    slot.state = STRING_READ;
    slot.len = text.len() as u32 + 1;
    slot.bytes = [b'x'; 256];
    slot.bytes[..text.len()].copy_from_slice(text);
    slot.bytes[text.len()] = 0;
}

fn mount() -> SyscallFailureLong {
    let mut record = SyscallFailureLong::from_bytes(&[0; size_of::<SyscallFailureLong>()]).unwrap();
    record.plain = plain(kind::SYSCALL_LONG, 165);
    record.plain.args = [1, 2, 3, libc::MS_NODEV, 5, 0];
    put(&mut record.plain.strings[0], b"overlay");
    put(&mut record.plain.strings[1], b"/merged");
    put(&mut record.third, b"overlay");
    record.long.state = STRING_READ;
    record.long.len = 11;
    record.long.bytes[..11].copy_from_slice(b"lowerdir=l\0");
    record
}

fn failure(decoder: &mut Decoder, bytes: &[u8]) -> Failure {
    match decoder.decode(bytes) {
        Some(Decoded::Failure(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mount_with_its_strings_and_the_count_of_the_instant() {
    let failure = failure(&mut decoder(), mount().as_bytes());
    assert_eq!(failure.syscall(), Some(("mount", Errno::ENOSPC)));
    assert_eq!(failure.time, Stamp { mono_ns: 5, unix_ns: 1_005 });
    assert_eq!(failure.text_arg("target"), Some("/merged"));
    assert_eq!(failure.text_arg("data"), Some("lowerdir=l"));
    assert_eq!((failure.task.pid, failure.task.tid, failure.task.ppid), (100, 101, 99));
    assert_eq!(failure.task.comm, "runc");
    let cgroups: Vec<_> = failure.task.cgroups.iter().map(|c| (c.hierarchy.as_str(), c.id)).collect();
    assert_eq!(cgroups, [("v2", 1), ("pids", 77), ("cpu", 78)]);
    let reading = &failure.readings[0];
    assert_eq!((reading.limit.as_str(), reading.usage), ("fs.mount-max", Some(100)));
    assert_eq!(reading.scope, "mount namespace 4026531841");
    assert_eq!(reading.taken, Taken::AtInstant);
}

#[test]
fn what_the_self_check_refuted_is_not_shown() {
    let mut decoder = decoder();
    decoder.trust = Trust {
        mounts: None,
        parent: false,
        start: false,
        mnt_ns: false,
        pid_ns: false,
        user_ns: false,
        credentials: false,
        no_new_privs: false,
        owners: false,
    };
    let failure = failure(&mut decoder, mount().as_bytes());
    assert!(failure.readings.is_empty());
    assert_eq!((failure.task.ppid, failure.task.mnt_ns), (0, None));
    assert_eq!(failure.task.credentials, None);
}

#[test]
fn credentials_are_shown_as_far_as_they_are_trusted() {
    let mut record = plain(kind::SYSCALL, 165);
    record.present |= PRESENT_CREDENTIALS;
    record.credentials =
        Raw { capabilities: 1 << 21, euid: 7, user_ns: 4, level: 1, no_new_privs: 1, owners: [5, 6, 0, 4] };
    let mut decoder = decoder();
    let seen = failure(&mut decoder, record.as_bytes()).task.credentials.unwrap();
    assert_eq!((seen.euid, seen.user_ns, seen.userns_level), (7, 4, 1));
    assert!(seen.has(21) && !seen.capable(21));
    assert_eq!(seen.no_new_privs, Some(true));
    assert_eq!(seen.owners, Owners { mnt: Some(5), net: Some(6), uts: None, ipc: Some(4) });
    (decoder.trust.no_new_privs, decoder.trust.owners) = (false, false);
    let seen = failure(&mut decoder, record.as_bytes()).task.credentials.unwrap();
    assert_eq!((seen.no_new_privs, seen.owners), (None, Owners::default()));
}

#[test]
fn i386_numbers_are_read_in_their_own_table() {
    let mut record = plain(kind::SYSCALL, 21);
    record.abi = ABI_COMPAT;
    let failure = failure(&mut decoder(), record.as_bytes());
    assert_eq!(failure.syscall().map(|(name, _)| name), Some("mount"));
}

#[test]
fn strings_say_how_they_were_read() {
    let mut record = plain(kind::SYSCALL, 83);
    let mut decoder = decoder();
    let mut path = |state, len| {
        (record.strings[0].state, record.strings[0].len) = (state, len);
        record.strings[0].bytes = [b'a'; 256];
        failure(&mut decoder, record.as_bytes()).args()[0].value.clone()
    };
    assert_eq!(path(STRING_NULL, 0), ArgValue::Null);
    assert_eq!(path(STRING_UNREAD, 0), ArgValue::Unread);
    assert_eq!(path(STRING_READ, 3), ArgValue::Text("aaa".into()));
    let cut = format!("{}…", "a".repeat(256));
    assert_eq!(path(STRING_READ, 256), ArgValue::Text(cut.clone()));
    assert_eq!(path(STRING_READ, 9_999), ArgValue::Text(cut), "a length past the slot reads the slot");
    assert_eq!(path(999, 3), ArgValue::Unread, "an unknown state is not a string");
}

#[test]
fn short_bytes_are_counted() {
    let whole = mount();
    let bytes = whole.as_bytes();
    let mut decoder = decoder();
    for length in 0..bytes.len() {
        assert!(decoder.decode(&bytes[..length]).is_none());
    }
    assert_eq!((decoder.malformed, decoder.unknown), (bytes.len() as u64, 0));
    assert_eq!(decoder.lost(), bytes.len() as u64);
}

#[test]
fn unknown_kinds_and_versions_are_counted() {
    let mut decoder = decoder();
    assert!(decoder.decode(plain(999, 1).as_bytes()).is_none());
    let mut other = plain(kind::SYSCALL, 1);
    other.header.version = VERSION + 1;
    assert!(decoder.decode(other.as_bytes()).is_none());
    assert_eq!((decoder.malformed, decoder.unknown), (0, 2));
}

#[test]
fn any_bytes_decode_or_count_but_never_panic() {
    let mut decoder = decoder();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..2_000_u64 {
        let mut bytes = mount().as_bytes().to_vec();
        for _ in 0..8 {
            // xorshift: a fixed sequence, so that a failure can be repeated.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = 4 + (state as usize) % (bytes.len() - 4);
            bytes[at] = (state >> 32) as u8;
        }
        let seen = decoder.decode(&bytes).is_some();
        assert!(seen || decoder.lost() > 0, "round {round}");
    }
}
