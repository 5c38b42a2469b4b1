//! Where in its own code the caller was.

use crate::read::known;
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_F_USER_STACK, pt_regs};
use aya_ebpf::helpers::generated;
use core::mem::offset_of;
use diag_abi::UserStack;
use diag_abi::bounds::{STACK_FRAMES, STACK_WORDS};

/// When the whole top cannot be read: the page above is not resident, or the stack ends there.
const LESS_WORDS: usize = 8;

/// # Safety
/// `to` must be valid for a stack.
#[inline(always)]
pub(crate) unsafe fn fill(ctx: &impl EbpfContext, to: *mut UserStack, regs: u64) {
    // SAFETY: fields of the stack, with the lengths given; the helpers tolerate any source.
    unsafe {
        (*to).ip = known(regs, offset_of!(pt_regs, rip) as u32).unwrap_or(0);
        (*to).sp = known(regs, offset_of!(pt_regs, rsp) as u32).unwrap_or(0);
        (*to).bp = known(regs, offset_of!(pt_regs, rbp) as u32).unwrap_or(0);
        let frames = (&raw mut (*to).frames).cast();
        let bytes = generated::bpf_get_stack(
            ctx.as_ptr(),
            frames,
            (STACK_FRAMES * 8) as u32,
            BPF_F_USER_STACK as u64,
        );
        (*to).frames_len = if bytes > 0 { (bytes / 8) as u32 } else { 0 };
        let (top, sp) = ((&raw mut (*to).top).cast(), (*to).sp as *const _);
        (*to).top_len = 0;
        if generated::bpf_probe_read_user(top, (STACK_WORDS * 8) as u32, sp) == 0 {
            (*to).top_len = STACK_WORDS as u32;
        } else if generated::bpf_probe_read_user(top, (LESS_WORDS * 8) as u32, sp) == 0 {
            (*to).top_len = LESS_WORDS as u32;
        }
    }
}
