//! Limits of the whole machine: met only where `DIAG_TEST_DISPOSABLE=1` says that nobody else needs it.
//!
//! The ceiling is put back before diag can look at the sysctl: what is proven was read at the instant.

use crate::bench_of_one::{Bench, child, exe, finding, wanted};
use serde_json::Value;
use std::fs;

const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";
const PID_MAX: &str = "/proc/sys/kernel/pid_max";

/// Lowers a ceiling until a fork fails, after at most so many that did not.
fn refuse(file: &str, low: &str, most: usize) {
    let usual = fs::read_to_string(file).unwrap();
    let mut children = Vec::with_capacity(most);
    fs::write(file, low).unwrap();
    let errno = loop {
        // SAFETY: the child makes one system call and ends.
        match unsafe { libc::fork() } {
            -1 => break std::io::Error::last_os_error().raw_os_error(),
            // SAFETY: waits for the signal that ends it.
            0 => unsafe {
                libc::pause();
                libc::_exit(0)
            },
            pid => children.push(pid),
        }
        if children.len() == most {
            break None;
        }
    };
    fs::write(file, usual.trim()).unwrap();
    for pid in children {
        // SAFETY: our own child, not yet waited for.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        // SAFETY: the status is not wanted.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    }
    assert_eq!(errno, Some(libc::EAGAIN));
}

#[test]
fn child_that_finds_the_machine_full_of_tasks() {
    if wanted() {
        // The least the kernel takes (MIN_THREADS, kernel/fork.c); its own threads are more.
        refuse(THREADS_MAX, "20", 1);
    }
}

#[test]
fn child_that_finds_no_process_number() {
    if wanted() {
        // The least the kernel takes, of which all but one are reserved (kernel/pid.c RESERVED_PIDS).
        refuse(PID_MAX, "301", 400);
    }
}

fn explained(bench: &Bench, role: &str) -> Option<Value> {
    if std::env::var("DIAG_TEST_DISPOSABLE").is_err() {
        println!("skipped: the limit is the machine's, and DIAG_TEST_DISPOSABLE is not set");
        return None;
    }
    let exe = exe();
    let words = child(&exe, role);
    Some(bench.json(1, &[&["explain", "--json", "--all", "--"][..], &words].concat()))
}

/// Whether the kernel shows where its variables are.
fn shows_variables() -> bool {
    fs::read_to_string("/proc/kallsyms").unwrap().lines().any(|line| line.ends_with(" nr_threads"))
}

#[test]
fn a_machine_full_of_tasks_is_proven_after_the_fact() {
    let Some(bench) = Bench::open() else { return };
    let Some(answer) = explained(&bench, "machine::child_that_finds_the_machine_full_of_tasks") else {
        return;
    };
    let f = finding(&answer);
    assert_eq!(f["cause"], "threads-max", "{answer:#}");
    assert_eq!(f["confidence"], if shows_variables() { "proven" } else { "likely" }, "{answer:#}");
    assert_eq!(f["limit"], 20, "{answer:#}");
    bench.nothing_left();
}

#[test]
fn a_machine_without_process_numbers_is_named() {
    let Some(bench) = Bench::open() else { return };
    let Some(answer) = explained(&bench, "machine::child_that_finds_no_process_number") else { return };
    let f = finding(&answer);
    assert_eq!(f["cause"], "pid-max", "{answer:#}");
    assert_ne!(f["confidence"], "possible", "{answer:#}");
    assert_eq!(f["limit"], 301, "{answer:#}");
    bench.nothing_left();
}
