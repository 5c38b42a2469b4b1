//! The probes on a real kernel, as root: run by `cargo test` here and as one static binary inside guests.
//! `DIAG_REQUIRE_ROOT=1` turns "cannot run here" into a failure.
#![allow(
    clippy::unwrap_used,
    reason = "this is all test code; clippy's own exception knows only #[test] functions"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say why they were skipped")]

mod account;
mod credentials;
mod engines;
mod failures;
mod floods;
mod i386;
mod messages;
mod netlink;
mod rlimits;
mod scene;
mod stacks;
mod trees;
mod types;
