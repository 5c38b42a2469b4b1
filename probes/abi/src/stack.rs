//! Record part: where in the caller's own code the system call was made.
//!
//! Two views, because neither is enough alone. The kernel follows frame pointers, which reach far and are wrong where
//! a program has none; and the innermost function, a leaf of the C library, has none as a rule, so that its caller is
//! left out. The top of the stack with the registers lets user space unwind those by the program's own tables.

use crate::bounds::{STACK_FRAMES, STACK_WORDS};
use core::mem::offset_of;

/// The caller's registers and stack at the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct UserStack {
    /// The instruction behind the system call.
    pub ip: u64,
    pub sp: u64,
    /// The frame pointer, where the program keeps one there.
    pub bp: u64,
    /// How many of `frames` and of `top` were read.
    pub frames_len: u32,
    pub top_len: u32,
    /// Return addresses by frame pointers, innermost first, beginning with `ip`.
    pub frames: [u64; STACK_FRAMES],
    /// The words at `sp` and above.
    pub top: [u64; STACK_WORDS],
}

impl UserStack {
    pub const NONE: Self = Self {
        ip: 0,
        sp: 0,
        bp: 0,
        frames_len: 0,
        top_len: 0,
        frames: [0; STACK_FRAMES],
        top: [0; STACK_WORDS],
    };
}

const _: () = {
    assert!(offset_of!(UserStack, frames) == 32);
    assert!(size_of::<UserStack>() == 32 + 8 * (STACK_FRAMES + STACK_WORDS));
};
