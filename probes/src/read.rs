//! Bounded reads of kernel and user memory. Nothing here fails: what cannot be read is 0 or "unread".

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated};
use diag_abi::{STRING_ABSENT, STRING_NULL, STRING_READ, STRING_UNREAD, UNRESOLVED};

/// Reads a `T` at `base + offset`; zero when `base` is NULL, the offset unresolved or the read faults.
#[inline(always)]
pub(crate) fn field<T: Copy + Default>(base: u64, offset: u32) -> T {
    if base == 0 || offset == UNRESOLVED {
        return T::default();
    }
    // SAFETY: probe_read_kernel tolerates any address; the integer types used here allow any bits.
    unsafe { bpf_probe_read_kernel((base + offset as u64) as *const T) }.unwrap_or_default()
}

/// Like [`field`] for a 4-byte counter whose zero is a value: says whether it was read.
#[inline(always)]
pub(crate) fn counter(base: u64, offset: u32) -> Option<u32> {
    if base == 0 || offset == UNRESOLVED {
        return None;
    }
    // SAFETY: probe_read_kernel tolerates any address.
    unsafe { bpf_probe_read_kernel((base + offset as u64) as *const u32) }.ok()
}

/// Like [`field`] where zero is a value: says whether it was read.
#[inline(always)]
pub(crate) fn known<T: Copy>(base: u64, offset: u32) -> Option<T> {
    // A read close to address 0 faults, so NULL needs no branch of its own.
    if offset == UNRESOLVED {
        return None;
    }
    // SAFETY: probe_read_kernel tolerates any address; the integer types used here allow any bits.
    unsafe { bpf_probe_read_kernel((base + offset as u64) as *const T) }.ok()
}

/// Copies the string at `address` in the caller's memory to `to`, at most `capacity` bytes with its NUL.
///
/// # Safety
/// `to` must be valid for `capacity` bytes, `state` and `len` for a `u32` each.
#[inline(always)]
pub(crate) unsafe fn user_string(address: u64, to: *mut u8, capacity: u32, state: *mut u32, len: *mut u32) {
    let mut outcome = STRING_NULL;
    let mut bytes = 0;
    if address != 0 {
        // SAFETY: the target is valid by this function's contract; the helper tolerates any source.
        let read = unsafe { generated::bpf_probe_read_user_str(to.cast(), capacity, address as *const _) };
        if read > 0 {
            outcome = STRING_READ;
            bytes = read as u32;
        } else {
            // Not mapped, or not resident: a tracing program may not fault pages in.
            outcome = STRING_UNREAD;
        }
    }
    // SAFETY: by this function's contract.
    unsafe {
        *state = outcome;
        *len = bytes;
    }
}

/// Copies `length` bytes at `address` in the caller's memory to `to`, at most 255.
///
/// # Safety
/// `to` must be valid for 256 bytes, `state` and `len` for a `u32` each.
#[inline(always)]
pub(crate) unsafe fn user_bytes(address: u64, length: u64, to: *mut u8, state: *mut u32, len: *mut u32) {
    let bytes = if length > 255 { 255 } else { length as u32 & 255 };
    // SAFETY: the target is valid by this function's contract; the helper tolerates any source.
    unsafe {
        let failed = generated::bpf_probe_read_user(to.cast(), bytes & 255, address as *const _);
        *state = if failed == 0 { STRING_READ } else { STRING_UNREAD };
        *len = if failed == 0 { bytes } else { 0 };
    }
}

/// Marks a string slot as not used.
///
/// # Safety
/// `state` and `len` must be valid for a `u32` each.
#[inline(always)]
pub(crate) unsafe fn no_string(state: *mut u32, len: *mut u32) {
    // SAFETY: by this function's contract.
    unsafe {
        *state = STRING_ABSENT;
        *len = 0;
    }
}
