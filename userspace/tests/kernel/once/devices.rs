//! ENOSPC of a device file, which is no full disk.

use crate::bench_of_one::Bench;
use crate::storage::{explain, findings_of};

#[test]
fn a_full_device_file_is_no_full_disk() {
    let Some(bench) = Bench::open() else { return };
    let answer = explain(&bench, "exec 3> /dev/full\necho x >&3\nsleep 0.5\nexit 1");
    assert!(findings_of(&answer, "disk-full").is_empty(), "{answer:#}");
    let device = answer["incidents"].as_array().unwrap().iter().any(|i| i["failure"]["errno"] == "ENOSPC");
    assert!(device, "/dev/full refused nothing: {answer:#}");
    bench.nothing_left();
}

/// What nobody could look at is no finding: the process ends, and with it the descriptor, right after the call.
#[test]
fn a_file_that_is_gone_at_once_is_not_called_full() {
    let Some(bench) = Bench::open() else { return };
    let answer = explain(&bench, "exec 3> /dev/full\necho x >&3");
    assert!(findings_of(&answer, "disk-full").is_empty(), "{answer:#}");
    bench.nothing_left();
}
