//! What every record begins with.

/// Raised whenever a record, a map value or a global changes its layout or meaning.
pub const VERSION: u16 = 8;

/// The first bytes of every record in the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// [`VERSION`] of the probes.
    pub version: u16,
    /// One of [`crate::kind`].
    pub kind: u16,
    /// Bytes of the whole record, this header included.
    pub size: u32,
    /// `bpf_ktime_get_ns()`: CLOCK_MONOTONIC.
    pub time_ns: u64,
}

const _: () = assert!(size_of::<Header>() == 16);
