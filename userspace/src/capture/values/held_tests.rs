//! What values come to: the kernel's comparisons, by their numbers.

use super::*;
use diag_abi::Record;

fn call(
    name: &str,
    errno: i32,
    user_ns: u32,
    values: &[(&'static str, u64)],
    args: &[(&str, u64)],
) -> Vec<Reading> {
    let mut record = SyscallFailure::from_bytes(&[0; size_of::<SyscallFailure>()]).unwrap();
    (record.errno, record.user_ns) = (errno as u32, user_ns);
    let args: Vec<Arg> =
        args.iter().map(|(n, v)| Arg { name: (*n).into(), value: ArgValue::Number(*v) }).collect();
    readings(&Values(values.to_vec()), &record, name, &args)
}

fn only(readings: &[Reading], limit: &Limit) -> (u64, u64, u64) {
    let r = readings.iter().find(|r| r.limit == limit.id).unwrap_or_else(|| panic!("{readings:?}"));
    (r.usage.unwrap(), r.ceiling.unwrap(), r.adds.unwrap())
}

#[test]
fn a_capability_counts_in_the_first_user_namespace_only() {
    let values = [("~files", 9), ("~file-max", 9), ("CapEff", CAP_SYS_ADMIN)];
    let first = call("openat", libc::ENFILE, FIRST_USER_NS, &values, &[]);
    assert_eq!(only(&first, &descriptors::FILE_MAX).1, NO_LIMIT);
    let inner = call("openat", libc::ENFILE, 4_026_532_000, &values, &[]);
    assert_eq!(only(&inner, &descriptors::FILE_MAX), (9, 9, 1));
    // Without the namespace nothing is known.
    assert!(call("openat", libc::ENFILE, 0, &values, &[]).is_empty());
}

#[test]
fn strict_overcommit_is_unsure_within_its_reserves() {
    let values = |committed| {
        vec![
            ("~ram", 1000 << 8),
            ("~swap", 0),
            ("vm.overcommit_memory", 2),
            ("vm.overcommit_kbytes", 0),
            ("vm.overcommit_ratio", 50),
            ("~committed", committed),
            ("~total_vm", 0),
        ]
    };
    let args = [("length", 1 << 20), ("prot", 3), ("flags", 0x22)];
    let at = |committed| call("mmap", libc::ENOMEM, FIRST_USER_NS, &values(committed), &args);
    assert_eq!(only(&at(500 << 8), &commit::COMMIT_LIMIT), (500 << 20, 500 << 20, 1 << 20));
    assert!(!at(495 << 8).iter().any(|r| r.limit == commit::COMMIT_LIMIT.id));
    assert_eq!(only(&at(100 << 8), &commit::COMMIT_LIMIT).0, 100 << 20);
}

#[test]
fn a_soft_limit_makes_pipes_small_before_the_hard_one_refuses() {
    let pipe = |used| {
        let values = [
            ("~pipe_bufs", used),
            ("fs.pipe-user-pages-hard", 100),
            ("fs.pipe-user-pages-soft", 50),
            ("CapEff", 0),
        ];
        only(&call("pipe2", libc::ENFILE, FIRST_USER_NS, &values, &[]), &descriptors::PIPE_PAGES_HARD)
    };
    assert_eq!(pipe(10), (10, 100, 16));
    assert_eq!(pipe(99), (99, 100, 2));
}

#[test]
fn numbers_of_descriptors_are_held_against_the_limit_by_dup2() {
    let r = call("dup2", libc::EBADF, FIRST_USER_NS, &[("~nofile", 64)], &[("newfd", 100)]);
    assert_eq!(only(&r, &rlimits::NOFILE), (100, 64, 1));
    assert!(call("dup2", libc::EMFILE, FIRST_USER_NS, &[("~nofile", 64)], &[("newfd", 100)]).is_empty());
}

#[test]
fn shared_memory_is_counted_in_whole_pages() {
    let values = [("~shm_tot", 1), ("~shmall", 2), ("~shmmax", 1 << 30)];
    let r = call("shmget", libc::ENOSPC, FIRST_USER_NS, &values, &[("size", 4097)]);
    assert_eq!(only(&r, &ipc::SHMALL), (1, 2, 2));
}
