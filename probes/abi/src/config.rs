//! What the loader tells the probes before they are loaded. The verifier sees these as constants and
//! removes what they switch off.

/// [`Config::mode`]: every process, errnos as the interest table says.
pub const MODE_MACHINE: u32 = 0;
/// [`Config::mode`]: only the processes in the tree map and their descendants.
pub const MODE_TREE: u32 = 1;

/// The global `CONFIG` of the probes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// diag's own thread group, whose failures are never incidents.
    pub own_tgid: u32,
    pub mode: u32,
    pub whole_per_window: u32,
    pub pad: u32,
    pub window_ns: u64,
}

impl Config {
    /// What the object holds before the loader overrides it.
    pub const EMPTY: Self = Self { own_tgid: 0, mode: 0, whole_per_window: 0, pad: 0, window_ns: 0 };
}

const _: () = assert!(size_of::<Config>() == 24);
