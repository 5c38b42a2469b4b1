//! What each call is held against, and by how much it asks for more.

use super::super::tests::trust;
use super::*;
use diag_abi::{PRESENT_CREDENTIALS, Record};

fn raw(kind: u32, usage: u64, ceiling: u64) -> LimitReading {
    LimitReading { kind, pad: 0, scope: 9, usage, ceiling, adds: u64::MAX }
}

fn of_call(name: &str, args: &[u64], capabilities: u64, raw: &LimitReading) -> Option<Reading> {
    let mut record = SyscallFailure::from_bytes(&[0; size_of::<SyscallFailure>()]).unwrap();
    record.args[..args.len()].copy_from_slice(args);
    record.present = PRESENT_CREDENTIALS;
    record.credentials.capabilities = capabilities;
    record.readings[0] = *raw;
    record.readings[1] = LimitReading { kind: READING_LOCKED, ceiling: 65_536, ..*raw };
    Call::new(&record, name, &trust()).reading(raw)
}

#[test]
fn what_mlockall_has_locked_for_the_future_needs_no_flag() {
    let mut record = SyscallFailure::from_bytes(&[0; size_of::<SyscallFailure>()]).unwrap();
    record.args[..4].copy_from_slice(&[0, 8192, 3, 0]);
    record.present = PRESENT_CREDENTIALS;
    let locked = raw(READING_LOCKED, 15, 65_536);
    let adds = |record: &SyscallFailure| Call::new(record, "mmap", &trust()).reading(&locked).unwrap().adds;
    assert_eq!(adds(&record), None);
    record.errno = libc::EAGAIN as u32;
    assert_eq!(adds(&record), Some(8192));
}

fn exceeded(name: &str, args: &[u64], raw: &LimitReading) -> Option<bool> {
    of_call(name, args, 0, raw)?.exceeded()
}

#[test]
fn a_descriptor_number_at_the_limit_is_refused() {
    assert_eq!(exceeded("openat", &[], &raw(READING_NOFILE, 1024, 1024)), Some(true));
    assert_eq!(exceeded("openat", &[], &raw(READING_NOFILE, 1023, 1024)), Some(false));
}

#[test]
fn locking_asks_for_the_pages_it_touches() {
    let locked = raw(READING_LOCKED, 15, 65_536);
    assert_eq!(exceeded("mlock", &[8192, 4096], &locked), Some(false));
    assert_eq!(exceeded("mlock", &[8193, 4096], &locked), Some(true), "it touches two pages");
    assert_eq!(exceeded("mmap", &[0, 8192, 3, MAP_LOCKED], &locked), Some(true));
    assert_eq!(exceeded("mprotect", &[0, 8192, 3], &locked), None);
    let exempt = of_call("mlock", &[0, 8192], 1 << CAP_IPC_LOCK, &locked).unwrap();
    assert_eq!((exempt.ceiling, exempt.exceeded()), (Some(u64::MAX), Some(false)));
}

#[test]
fn locking_everything_is_held_against_the_address_space() {
    let space = raw(READING_ADDRESS_SPACE, 17, u64::MAX);
    let reading = of_call("mlockall", &[MCL_CURRENT], 0, &space).unwrap();
    assert_eq!((reading.limit.as_str(), reading.ceiling), ("RLIMIT_MEMLOCK", Some(65_536)));
    assert_eq!(reading.exceeded(), Some(true));
    assert_eq!(of_call("mlockall", &[2], 0, &space), None, "only what will be mapped");
}

#[test]
fn memory_that_a_call_maps() {
    let (space, data) = (raw(READING_ADDRESS_SPACE, 10, 50_000), raw(READING_DATA, 10, 50_000));
    let private = libc::MAP_PRIVATE as u64;
    assert_eq!(exceeded("mmap", &[0, 9000, 1, private], &space), Some(true));
    assert_eq!(exceeded("mmap", &[0, 4096, 1, private], &space), Some(false));
    assert_eq!(exceeded("mmap", &[0, 9000, 1, private | MAP_FIXED], &space), Some(false), "it may replace");
    assert_eq!(of_call("mmap", &[0, 9000, 1, private], 0, &data), None, "not writable");
    assert_eq!(exceeded("mmap", &[0, 9000, 3, private], &data), Some(true));
    assert_eq!(exceeded("mremap", &[0, 4096, 16_384], &space), Some(true));
    assert_eq!(exceeded("mprotect", &[0, 9000, 3], &data), Some(true));
    assert_eq!(of_call("mprotect", &[0, 9000, 3], 0, &space), None, "nothing new");
}

#[test]
fn mappings_and_their_ceiling() {
    assert_eq!(exceeded("mprotect", &[], &raw(READING_MAPPINGS, 100, 100)), Some(true));
    assert_eq!(exceeded("munmap", &[], &raw(READING_MAPPINGS, 99, 100)), Some(false));
    assert_eq!(exceeded("mremap", &[], &raw(READING_MAPPINGS, 97, 100)), Some(true));
    let unread = of_call("mmap", &[], 0, &raw(READING_MAPPINGS, 99, 0)).unwrap();
    assert_eq!(unread.ceiling, None);
}

#[test]
fn a_file_grows_where_the_call_writes() {
    let size = LimitReading { scope: 4096, ..raw(READING_FILE_SIZE, 8192, 4096) };
    assert_eq!(exceeded("write", &[1], &size), Some(true));
    assert_eq!(exceeded("pwrite64", &[1, 0, 9, 4095], &size), Some(false));
    assert_eq!(exceeded("ftruncate", &[1, 4096], &size), Some(false));
    assert_eq!(exceeded("truncate", &[1, 4097], &size), Some(true));
    assert_eq!(exceeded("fallocate", &[1, 0, 1, 4096], &size), Some(true));
}

#[test]
fn a_queue_says_itself_how_much_it_needs() {
    let queue = LimitReading { adds: 500, ..raw(READING_QUEUES, 600, 1000) };
    let reading = of_call("mq_open", &[], 0, &queue).unwrap();
    assert_eq!((reading.adds, reading.exceeded()), (Some(500), Some(true)));
    assert_eq!(reading.scope, "user namespace 9");
}

#[test]
fn of_the_stack_only_the_limit_is_known() {
    let reading = of_call("execve", &[], 0, &raw(READING_STACK, 0, 8_388_608)).unwrap();
    assert_eq!((reading.usage, reading.ceiling), (None, Some(8_388_608)));
}
