//! The helper that makes calls succeed for `explain` to compare with: what it does is gone when it ends.

use crate::bench_of_one::{Bench, text};
use std::io::Write;
use std::process::Stdio;

const CALLS: [&str; 8] = ["mount", "openat", "mkdir", "sendto", "clone", "execve", "semget", "unshare"];

fn left_in_temp() -> Vec<String> {
    let names = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("diag-succeed-")).collect()
}

#[test]
fn deeds_succeed_and_leave_nothing() {
    let Some(bench) = Bench::open() else { return };
    let mut helper = bench.diag(&[&["succeed"][..], &CALLS].concat());
    let mut helper = helper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    helper.stdin.take().unwrap().write_all(b"g").unwrap();
    let out = helper.wait_with_output().unwrap();
    let told = text(&out.stdout);
    for call in ["openat", "mkdir", "sendto", "clone", "unshare"] {
        assert!(told.lines().any(|line| line.starts_with(&format!("{call} "))), "no {call}: {told}");
    }
    assert_eq!(left_in_temp(), Vec::<String>::new());
    bench.nothing_left();
}

#[test]
fn without_the_word_nothing_is_done() {
    let Some(bench) = Bench::open() else { return };
    let out = bench.diag(&["succeed", "openat"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(0), ""));
    bench.nothing_left();
}
