//! Everything that reads the kernel: what comes out is data of `model`, nothing else.

pub mod btf;
pub mod callgraph;
pub mod cgroups;
pub mod clock;
pub mod cold;
pub mod command;
mod cost;
pub mod decode;
pub mod engine;
pub mod engines;
pub mod errno_watch;
pub mod ftrace;
pub mod interest;
mod kernel_log;
pub mod kills;
pub mod loader;
pub mod netlink;
pub mod recording;
pub mod ring;
pub mod sampler;
pub mod stalls;
mod symbols;
pub mod syscall_args;
mod typed;
pub mod urgent;
pub mod uring;
mod values;
