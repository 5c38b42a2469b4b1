//! Safe views between records and bytes, for user space.

use crate::{
    CgroupMade, Config, CredentialOffsets, Credentials, EngineEnded, EngineOffsets, EngineStarted, FloodKey,
    FloodValue, FunctionReturned, Header, IgnoredSetUid, InterestRow, IoUring, KernelKill, LimitOffsets,
    Loss, MemoryLevel, NetlinkAnswer, NetlinkOffsets, ObjectOffsets, Offsets, OomVictim, Party,
    RlimitOffsets, Signal, SilentOffsets, SocketOffsets, SocketState, Symbols, SyscallFailure,
    SyscallFailureLong, UserStack, ValueSet,
};
use core::mem::MaybeUninit;

/// A type of this crate that consists of integers and byte arrays only, without padding.
///
/// # Safety
/// Every bit pattern is a value, and the type has no padding bytes.
pub unsafe trait Record: Copy + 'static {
    /// The record as the kernel sees it.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the trait promises that there are no padding bytes, so all `size_of` bytes behind
        // the reference are initialised; they live as long as `self`.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }

    /// The record that `bytes` begin with; `None` when they are too few.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..size_of::<Self>())?;
        let mut record = MaybeUninit::<Self>::uninit();
        // SAFETY: source and target hold `size_of::<Self>()` bytes each and do not overlap; afterwards
        // all bytes are initialised, and the trait promises that any of them make a value.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), record.as_mut_ptr().cast(), bytes.len());
            Some(record.assume_init())
        }
    }
}

macro_rules! records {
    ($($record:ty),+ $(,)?) => {
        $(
            // SAFETY: integers and arrays of integers in `repr(C)`, padding written as fields; the size
            // asserted beside each type equals the sum of its fields.
            unsafe impl Record for $record {}
        )+
    };
}

records!(
    CgroupMade,
    Config,
    CredentialOffsets,
    Credentials,
    EngineEnded,
    EngineOffsets,
    EngineStarted,
    FloodKey,
    FloodValue,
    FunctionReturned,
    Header,
    InterestRow,
    LimitOffsets,
    Loss,
    NetlinkAnswer,
    NetlinkOffsets,
    ObjectOffsets,
    Offsets,
    RlimitOffsets,
    SyscallFailure,
    SyscallFailureLong,
    UserStack,
    Party,
    Signal,
    MemoryLevel,
    KernelKill,
    OomVictim,
    IoUring,
    IgnoredSetUid,
    Symbols,
    SilentOffsets,
    ValueSet,
    SocketOffsets,
    SocketState
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_both_ways_at_any_alignment() {
        let key = FloodKey { cgroup: 1, tgid: 2, nr: 3, abi: 4, errno: 5 };
        let mut shifted = [0_u8; 25];
        shifted[1..].copy_from_slice(key.as_bytes());
        assert_eq!(FloodKey::from_bytes(&shifted[1..]), Some(key));
        assert_eq!(FloodKey::from_bytes(&shifted[2..]), None);
    }
}
