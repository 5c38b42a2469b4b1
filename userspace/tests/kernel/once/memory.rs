//! The fault of memory.max.

use crate::bench_of_one::{Bench, finding};
use crate::silent::assert_sure;

#[test]
fn the_fault_of_memory_max_is_its_own_proof() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.json(1, &["repro", "memory-max", "--json"]);
    let f = finding(&answer);
    assert_eq!((&f["cause"], &f["limit"]), (&"memory-max".into(), &(16_u64 << 20).into()), "{answer:#}");
    assert!(f["knob"]["path"].as_str().unwrap().contains("/diag-repro-"), "{answer:#}");
    assert_sure(&answer);
    bench.nothing_left();
}
