//! What the tables hold, and what they must not.

use super::*;

#[test]
fn every_name_exists_in_a_table_and_once() {
    let mut seen = Vec::new();
    for name in CURATED.iter().flat_map(|interest| interest.calls) {
        // Newer than the crate's tables; covered as soon as they know it.
        let newer = *name == "open_tree_attr";
        assert!(newer || number(name, Abi::Native).or(number(name, Abi::Compat)).is_some(), "{name}");
        assert!(!seen.contains(&name), "{name} twice");
        assert!(
            syscall_args::find(name, Abi::Native).is_some() || name.ends_with("64"),
            "{name}: no arguments"
        );
        seen.push(name);
    }
}

#[test]
fn the_canonical_failure_is_covered_both_ways_and_on_both_tables() {
    let table = Table::curated();
    for name in ["mount", "move_mount", "fsmount"] {
        assert!(table.covers(name, Abi::Native, Errno::ENOSPC));
        assert!(table.covers(name, Abi::Compat, Errno::ENOSPC));
    }
    assert_eq!(number("mount", Abi::Native), Some(165));
    assert_eq!(number("mount", Abi::Compat), Some(21));
}

#[test]
fn everyday_failures_are_not() {
    let table = Table::curated();
    let errno = |e: i32| Errno(e);
    for (name, e) in [
        ("openat", ENOENT),
        ("openat", EACCES),
        ("open", ENOENT),
        ("execve", ENOENT),
        ("read", EAGAIN),
        ("recvmsg", EAGAIN),
        ("futex", EAGAIN),
        ("sendto", EAGAIN),
        ("connect", libc::EINPROGRESS),
        ("connect", EAGAIN),
        ("accept4", libc::EINTR),
        ("mkdir", EEXIST),
        ("umount2", EINVAL),
        ("clone3", ENOSYS),
        ("ioctl", libc::ENOTTY),
    ] {
        assert!(!table.covers(name, Abi::Native, errno(e)), "{name} {}", errno(e));
    }
}

#[test]
fn rows_reach_524_and_never_the_restarts() {
    let curated = Table::curated();
    assert!(curated.covers("seccomp", Abi::Native, Errno::ENOTSUPP));
    let everything = Table::everything();
    assert!(everything.covers("openat", Abi::Native, Errno::ENOENT));
    for errno in 512..=516 {
        assert!(!everything.covers("mount", Abi::Native, Errno(errno)));
        assert!(!curated.covers("mount", Abi::Native, Errno(errno)));
    }
    assert!(everything.covers("mount", Abi::Native, Errno(517)));
}

#[test]
fn mount_has_a_long_record_with_data_in_the_long_slot() {
    let table = Table::curated();
    let row = table.native[165];
    assert_eq!(row.strings, [0, 1, 2, 4]);
    let flags = |row: InterestRow| row.flags & ((1 << ROW_SET_SHIFT) - 1);
    assert_eq!(flags(row), ROW_LONG | ROW_MOUNTS);
    let mkdir = table.native[83];
    assert_eq!((mkdir.strings, flags(mkdir)), ([0, NO_ARG, NO_ARG, NO_ARG], 0));
}

#[test]
fn numbers_newer_than_the_table_have_a_name() {
    assert_eq!(name(165, Abi::Native), "mount");
    assert_eq!(name(33, Abi::Compat), "access");
    assert_eq!(name(511, Abi::Native), "syscall 511");
}
