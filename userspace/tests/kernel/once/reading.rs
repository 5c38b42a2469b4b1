//! The second way to read the trace, for kernels that do not describe their records or hide their addresses.

use crate::bench_of_one::{Bench, Lowered, finding, has_function_graph, mounts_here, text};

#[test]
fn without_the_pages_of_the_ring_buffer_its_text_tells_the_same() {
    let Some(bench) = Bench::open() else { return };
    let lowered = Lowered::mount_max(mounts_here() + 300);
    let mut diag = bench.diag(&["repro", "mount-max", "--json"]);
    let out = diag.env("DIAG_DISABLE", "trace_pipe_raw").env("DIAG_LOG", "diag=info").output().unwrap();
    drop(lowered);
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(finding(&answer)["confidence"], "proven", "{answer:#}");
    if has_function_graph(&answer) {
        assert!(text(&out.stderr).contains("read as text: switched off"), "{}", text(&out.stderr));
        assert_eq!(answer["incidents"][0]["path"]["decider"], "count_mounts", "{answer:#}");
    }
    bench.nothing_left();
}

#[test]
fn the_pages_are_read_where_nothing_is_switched_off() {
    let Some(bench) = Bench::open() else { return };
    let out = bench.diag(&["explain", "--", "true"]).env("DIAG_LOG", "diag=info").output().unwrap();
    let said = text(&out.stderr);
    assert!(!said.contains("read as text"), "{said}");
    bench.nothing_left();
}
