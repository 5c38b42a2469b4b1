//! What runs in the kernel: the errno watch, the follower of a process tree, return probes, and a self-check.
//!
//! Written for the verifier of Linux 5.10, but for `returned`: no helper newer than that, no record on the stack, no
//! unbounded loop, and every kernel field by an offset that user space looked up (see `diag_abi::Offsets`).
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
// For the one atomic addition in `maps`; aya-ebpf needs the same.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod cgroup;
#[cfg(target_arch = "bpf")]
mod credentials;
#[cfg(target_arch = "bpf")]
mod engine;
#[cfg(target_arch = "bpf")]
mod flood;
#[cfg(target_arch = "bpf")]
mod limits;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod object;
#[cfg(target_arch = "bpf")]
mod read;
#[cfg(target_arch = "bpf")]
mod registers;
#[cfg(target_arch = "bpf")]
mod returned;
#[cfg(target_arch = "bpf")]
mod self_check;
#[cfg(target_arch = "bpf")]
mod silent;
#[cfg(target_arch = "bpf")]
mod socket;
#[cfg(target_arch = "bpf")]
mod stack;
#[cfg(target_arch = "bpf")]
mod stage;
#[cfg(target_arch = "bpf")]
mod syscall;
#[cfg(target_arch = "bpf")]
mod task;
#[cfg(target_arch = "bpf")]
mod tree;
#[cfg(target_arch = "bpf")]
mod values;

/// The helpers that read memory are GPL-only, and the kernel compares this text with its own list
/// (include/linux/license.h).
#[cfg(target_arch = "bpf")]
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
