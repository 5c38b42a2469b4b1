//! System call number and arguments as `struct pt_regs` still holds them at `sys_exit`.
//!
//! The entry code saves the caller's registers (arch/x86/entry/entry_64.S, entry_64_compat.S); only rax
//! (the result), rcx and r11 (used by `syscall` itself) are gone by then, and the number survives as
//! `orig_rax`.

use crate::maps::offset;
use crate::read::field;
use aya_ebpf::bindings::pt_regs;
use core::mem::offset_of;
use diag_abi::{ABI_COMPAT, ABI_NATIVE};

#[cfg(not(bpf_target_arch = "x86_64"))]
compile_error!("the errno watch knows the registers of x86-64 only");

/// `thread_info.status`: a 32-bit call is in progress (arch/x86/include/asm/thread_info.h).
const TS_COMPAT: u32 = 0x0002;

/// Which table `nr` belongs to.
#[inline(always)]
pub(crate) fn abi(task: u64) -> u32 {
    if field::<u32>(task, offset!(task_status)) & TS_COMPAT == 0 { ABI_NATIVE } else { ABI_COMPAT }
}

/// The system call number. A table of 32-bit values: x32's bit 30 and sigreturn's -1 survive and fail
/// the caller's bounds check.
#[inline(always)]
pub(crate) fn number(regs: u64) -> u32 {
    field::<u64>(regs, offset_of!(pt_regs, orig_rax) as u32) as u32
}

/// The six arguments, written straight into the record.
///
/// # Safety
/// `to` must be valid for six `u64`.
#[inline(always)]
pub(crate) unsafe fn arguments(regs: u64, abi: u32, to: *mut u64) {
    macro_rules! copy {
        ($mask:expr, $($register:ident),+) => {{
            let mut at = to;
            $(
                // SAFETY: one of six consecutive slots, valid by this function's contract.
                unsafe {
                    *at = field::<u64>(regs, offset_of!(pt_regs, $register) as u32) & $mask;
                    at = at.add(1);
                }
            )+
            let _ = at;
        }};
    }
    if abi == ABI_NATIVE {
        copy!(u64::MAX, rdi, rsi, rdx, r10, r8, r9);
    } else {
        // i386: ebx ecx edx esi edi ebp. The sysenter and syscall entries put the sixth (and, for
        // syscall, the second) where int 0x80 has them before the call runs (arch/x86/entry/common.c).
        copy!(0xffff_ffff, rbx, rcx, rdx, rsi, rdi, rbp);
    }
}
