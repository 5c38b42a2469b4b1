//! Pulling from a real registry (Debian's docker-registry) what other engines' tools made, and loading what they
//! saved. As root, on this machine only: guests have none of these programs.
#![allow(
    clippy::unwrap_used,
    reason = "this is all test code; clippy's own exception knows only #[test] functions"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say why they were skipped")]

mod login;
mod made;
mod network;
mod refused;
mod resumed;
#[path = "../kernel/saved.rs"]
#[allow(dead_code, reason = "shared with the kernel tests, which use all of it")]
mod saved;
#[path = "../kernel/scene.rs"]
#[allow(dead_code, reason = "shared with the kernel tests, which use all of it")]
mod scene;
mod served;
mod shared;
#[path = "../kernel/tables.rs"]
mod tables;
mod tools;
