//! bpf(2) without a library: the bare raw tracepoint everything is held against, and whether anybody else's
//! is attached meanwhile.

use anyhow::{Context, Result};
use nix::libc;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// Of `enum bpf_cmd`, include/uapi/linux/bpf.h.
const PROG_LOAD: libc::c_long = 5;
const PROG_GET_NEXT_ID: libc::c_long = 11;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const RAW_TRACEPOINT_OPEN: libc::c_long = 17;

/// Of `enum bpf_prog_type`: what can be attached to every system call.
const KPROBE: u32 = 2;
const TRACEPOINT: u32 = 5;
const PERF_EVENT: u32 = 7;
const RAW_TRACEPOINT: u32 = 17;
const TRACING: u32 = 26;

/// A program on `sys_exit` that returns at once: what any raw tracepoint costs. Dropped, it is gone.
pub(super) struct Bare {
    _program: OwnedFd,
    _link: OwnedFd,
}

impl Bare {
    pub(super) fn attach() -> Result<Self> {
        // r0 = 0; exit (include/uapi/linux/bpf_common.h: BPF_ALU64|BPF_MOV|BPF_K, BPF_JMP|BPF_EXIT).
        let instructions: [u64; 2] = [0xb7, 0x95];
        let license = c"GPL";
        let mut load = [0_u64; 16];
        load[0] = u64::from(RAW_TRACEPOINT) | (instructions.len() as u64) << 32;
        load[1] = instructions.as_ptr() as u64;
        load[2] = license.as_ptr() as u64;
        let program = own(bpf(PROG_LOAD, &mut load)).context("loading the bare program")?;
        let name = c"sys_exit";
        let mut open = [0_u64; 16];
        open[0] = name.as_ptr() as u64;
        open[1] = program.as_raw_fd() as u64;
        let link = own(bpf(RAW_TRACEPOINT_OPEN, &mut open)).context("attaching the bare program")?;
        Ok(Self { _program: program, _link: link })
    }
}

/// Whether no tracing program is loaded on this machine.
pub(super) fn is_quiet() -> bool {
    let mut id = 0;
    while let Some(next) = next_program(id) {
        id = next;
        let tracing = [KPROBE, TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT, TRACING];
        if type_of(id).is_some_and(|kind| tracing.contains(&kind)) {
            return false;
        }
    }
    true
}

pub(super) fn wait_for_quiet(patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while !is_quiet() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

fn next_program(after: u32) -> Option<u32> {
    let mut ids = [0_u64; 16];
    ids[0] = u64::from(after);
    bpf(PROG_GET_NEXT_ID, &mut ids).ok()?;
    // `start_id` and `next_id` share the first eight bytes.
    u32::try_from(ids[0] >> 32).ok()
}

fn type_of(id: u32) -> Option<u32> {
    let mut by_id = [0_u64; 16];
    by_id[0] = u64::from(id);
    let program = own(bpf(PROG_GET_FD_BY_ID, &mut by_id)).ok()?;
    // `struct bpf_prog_info` begins with the type; a shorter buffer gets the part that fits.
    let mut info = [0_u64; 8];
    let mut get = [0_u64; 16];
    get[0] = program.as_raw_fd() as u64 | (size_of_val(&info) as u64) << 32;
    get[1] = info.as_mut_ptr() as u64;
    bpf(OBJ_GET_INFO_BY_FD, &mut get).ok()?;
    Some(info[0] as u32)
}

/// `attributes` is `union bpf_attr`, in words: fields of four bytes share one, the first in the lower half.
fn bpf(command: libc::c_long, attributes: &mut [u64; 16]) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads and writes at most the size given, and what the attributes point to outlives
    // the call in every caller.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn own(result: io::Result<libc::c_long>) -> io::Result<OwnedFd> {
    let fd = result?;
    // SAFETY: the kernel has just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
