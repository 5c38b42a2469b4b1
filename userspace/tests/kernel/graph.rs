//! `diag graph`: the tree of one call, where the kernel shows it, and one sentence where not.

use crate::bench_of_one::{Bench, text};
use serde_json::Value;

const WORDS: [&str; 8] = ["graph", "mount", "--format", "json", "--", "mount", "-t", "no-such-type"];

#[test]
fn a_failed_call_is_drawn_with_what_it_returned() {
    let Some(bench) = Bench::open() else { return };
    let out = bench.run(&[&WORDS[..], &["none", "/"]].concat());
    let said = text(&out.stderr);
    if out.status.code() == Some(2) {
        // The same kernels say the same of `explain`'s path.
        assert!(std::env::var_os("DIAG_REQUIRE_FUNCTION_GRAPH").is_none(), "{said}");
        println!("skipped: {said}");
        return bench.nothing_left();
    }
    let pictures: Value = serde_json::from_slice(&out.stdout).unwrap();
    let root = &pictures[0]["root"];
    assert!(root["function"].as_str().unwrap().ends_with("sys_mount"), "{pictures:#}");
    assert!(!root["children"].as_array().unwrap().is_empty(), "{pictures:#}");
    if said.contains("return values are not recorded") {
        println!("no return values here: {said}");
    } else {
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert_eq!(
            (&pictures[0]["errno"], &root["returned"]),
            (&"ENODEV".into(), &"ENODEV".into()),
            "{pictures:#}"
        );
        assert_eq!(pictures[0]["decider_method"], "return-value", "{pictures:#}");
    }
    bench.nothing_left();
}
