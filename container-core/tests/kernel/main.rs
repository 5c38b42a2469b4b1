//! The engine against a real kernel, as root: run by `cargo test` here and as one static binary inside guests.
#![allow(
    clippy::unwrap_used,
    reason = "this is all test code; clippy's own exception knows only #[test] functions"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say why they were skipped")]

mod crash;
mod crowd;
mod delegated;
mod network;
mod once;
mod paused;
mod refused;
mod restart;
mod rights;
mod rootless;
mod running;
mod saved;
mod scene;
mod tables;
mod terminal;
mod users;
