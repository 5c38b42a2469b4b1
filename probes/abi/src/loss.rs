//! What the probes could not deliver, counted per processor.

/// The value of the loss map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Records for which the ring had no room.
    pub dropped: u64,
    /// Failures that could not be counted because the flood table was full; they travelled whole.
    pub uncounted: u64,
}

const _: () = assert!(size_of::<Loss>() == 16);
