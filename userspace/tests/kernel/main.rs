//! Rings 3 and 4: the real program on a real kernel, as root. The same binary runs on this machine and
//! inside the guests of `cargo xtask vm`; what a kernel must offer is said by the environment:
//! `DIAG_REQUIRE_ROOT=1`, `DIAG_REQUIRE_FUNCTION_GRAPH=1`. Elsewhere a test that cannot run says why.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it sees and fails loudly"
)]

mod bench_of_one;
mod cpuset;
mod graph;
mod machine;
mod mount_max;
mod once;
mod places;
mod probed;
mod seccomp;
mod short_lived;
mod silent;
mod storage;
mod successes;
mod tasks;
mod traces;
mod watching;
