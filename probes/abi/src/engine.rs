//! Records: a program of a container engine was started, and is gone again. What it was started with says which
//! container it works for, and a runtime lives no longer than the failure that ends it.

use crate::bounds::{COMM, ENGINE_TEXT};
use crate::{Header, UNRESOLVED};
use core::mem::offset_of;

/// execve(2) of a program whose name is in the map of engines' names.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EngineStarted {
    pub header: Header,
    pub pid: u32,
    pub ppid: u32,
    /// Bytes of the words, a NUL behind each: `mm->arg_end - mm->arg_start`, also where fewer were read.
    pub words: u32,
    /// Bytes read: of the words, and of the environment behind them.
    pub len: u32,
    pub comm: [u8; COMM],
    pub text: [u8; ENGINE_TEXT],
}

/// Such a process ended, or runs another program now.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EngineEnded {
    pub header: Header,
    pub pid: u32,
    pub pad: u32,
}

/// Where this kernel keeps a process's words.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOffsets {
    pub task_mm: u32,
    pub arg_start: u32,
    pub arg_end: u32,
    pub env_end: u32,
}

impl EngineOffsets {
    /// Nothing can be read.
    pub const NONE: Self =
        Self { task_mm: UNRESOLVED, arg_start: UNRESOLVED, arg_end: UNRESOLVED, env_end: UNRESOLVED };
}

const _: () = {
    assert!(offset_of!(EngineStarted, pid) == 16);
    assert!(size_of::<EngineStarted>() == 32 + COMM + ENGINE_TEXT);
    assert!(size_of::<EngineEnded>() == 24);
    assert!(size_of::<EngineOffsets>() == 4 * 4);
};
