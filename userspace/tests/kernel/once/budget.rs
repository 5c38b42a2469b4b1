//! `diag watch --budget`: what traces too much traces less, and says so.

use crate::bench_of_one::{Bench, DEADLINE, Watch};
use std::process::Command;
use std::time::Instant;

#[test]
fn over_its_budget_it_steps_down_and_says_so() {
    let Some(bench) = Bench::open() else { return };
    // A ten-thousandth of a processor is less than reading an empty trace takes.
    let watch = Watch::start_with(&bench, &["--capture", "path", "--budget", "0.0001"]);
    if !watch.ready.contains("kernel paths by") {
        println!("skipped: {}", watch.ready);
        watch.end();
        return bench.nothing_left();
    }
    let deadline = Instant::now() + DEADLINE;
    while !watch.has_said("kernel paths are no longer traced") {
        assert!(Instant::now() < deadline, "it went on tracing over its budget");
        // Some work for the tracer; the pause is that of a process that starts and ends.
        Command::new("mount").args(["-t", "no-such-type", "none", "/"]).output().unwrap();
    }
    watch.end();
    bench.nothing_left();
}

#[test]
fn light_traces_nothing() {
    let Some(bench) = Bench::open() else { return };
    let watch = Watch::start_with(&bench, &["--capture", "light"]);
    assert!(watch.ready.contains("no kernel paths here"), "{}", watch.ready);
    watch.end();
    bench.nothing_left();
}
