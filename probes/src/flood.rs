//! Equal failures in a row: the first few of each window travel whole, the others are counted.

use crate::maps::{FLOOD, config, count, count_uncounted};
use aya_ebpf::bindings::BPF_NOEXIST;
use diag_abi::{FloodKey, FloodValue};

/// Whether this failure travels whole. If not, it has been counted.
#[inline(always)]
pub(crate) fn travels_whole(key: &FloodKey, now: u64) -> bool {
    let value = match FLOOD.get_ptr_mut(key) {
        Some(value) => value,
        None => {
            let first = FloodValue { window_start_ns: now, in_window: 0, repeated: 0 };
            // When another processor was faster this fails with EEXIST, and its entry is the one to use.
            let _ = FLOOD.insert(key, first, BPF_NOEXIST as u64);
            match FLOOD.get_ptr_mut(key) {
                Some(value) => value,
                None => {
                    count_uncounted();
                    return true;
                }
            }
        }
    };
    // SAFETY: a pointer to a live map value. The window fields are only approximately shared between
    // processors, which costs at most a few records more; `repeated` is exact.
    unsafe {
        let window_start = (&raw const (*value).window_start_ns).read_volatile();
        let in_window = (&raw const (*value).in_window).read_volatile();
        if now > window_start.wrapping_add(config!(window_ns)) {
            (&raw mut (*value).window_start_ns).write_volatile(now);
            (&raw mut (*value).in_window).write_volatile(1);
            return true;
        }
        if in_window < config!(whole_per_window) as u64 {
            count(&raw mut (*value).in_window);
            return true;
        }
        count(&raw mut (*value).repeated);
    }
    false
}
