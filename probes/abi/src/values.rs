//! Kernel values that are read by a recipe: user space says where they are, one program reads them all.
//!
//! Most limits and switches of the kernel are one number in a structure that the task points to, or one global
//! variable. A recipe for such a number is data, so that a further one needs a line in user space and nothing here.

/// Values in a record.
pub const VALUES: usize = 16;
/// Sets of recipes; number 0 means none.
pub const VALUE_SETS: u32 = 64;
/// Where the number of a call's set is in the flags of its interest row.
pub const ROW_SET_SHIFT: u32 = 24;
/// Errnos for which a set is read.
pub const VALUE_ERRNOS: usize = 6;

/// [`ValueAt::kind`]: nothing to read.
pub const VALUE_NONE: u8 = 0;
/// From the current task.
pub const VALUE_TASK: u8 = 1;
/// From the address in `base`.
pub const VALUE_SYMBOL: u8 = 2;
/// From the caller's memory behind argument `arg`.
pub const VALUE_USER: u8 = 3;
/// From the open file that argument `arg` names.
pub const VALUE_FILE: u8 = 4;
/// [`ValueAt::index`]: no element is chosen.
pub const NO_INDEX: u8 = 0xff;

/// Where a number is: follow `steps` pointers at the first offsets, and read at the next one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueAt {
    pub kind: u8,
    /// The argument it starts from, for [`VALUE_USER`] and [`VALUE_FILE`].
    pub arg: u8,
    /// Pointers to follow, at most three.
    pub steps: u8,
    /// 2, 4 or 8 bytes.
    pub size: u8,
    /// The argument that chooses an element of `stride` bytes, or [`NO_INDEX`].
    pub index: u8,
    pub pad: u8,
    pub stride: u16,
    pub base: u64,
    pub offsets: [i32; 4],
}

impl ValueAt {
    /// Nothing to read.
    pub const NONE: Self = Self {
        kind: VALUE_NONE,
        arg: 0,
        steps: 0,
        size: 0,
        index: NO_INDEX,
        pad: 0,
        stride: 0,
        base: 0,
        offsets: [0; 4],
    };
}

/// What is read when one of some system calls fails.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueSet {
    /// Zeros at the end are unused.
    pub errnos: [u32; VALUE_ERRNOS],
    /// A stage that is entered afterwards, and what it is to look for; 0 for none.
    pub then: u32,
    pub then_what: u32,
    pub at: [ValueAt; VALUES],
}

impl ValueSet {
    /// Nothing to read.
    pub const NONE: Self =
        Self { errnos: [0; VALUE_ERRNOS], then: 0, then_what: 0, at: [ValueAt::NONE; VALUES] };
}

const _: () = {
    assert!(size_of::<ValueAt>() == 32);
    assert!(size_of::<ValueSet>() == 32 + VALUES * 32);
};
