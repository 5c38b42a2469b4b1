//! Failures without a failing system call: each kind a program of its own, so that a kernel that refuses
//! one still runs the others.

mod exec;
mod memory;
mod netlink;
mod party;
mod signal;
mod uring;

pub(crate) use netlink::Sentence;
