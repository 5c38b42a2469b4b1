//! Every map and every global, in one place.

use crate::silent::Sentence;
use crate::stage::Draft;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf};
use core::ptr::read_volatile;
use diag_abi::bounds::{
    COMM, ENGINE_NAMES, ENGINES_ALIVE as ENGINES_AT_ONCE, FLOOD_KEYS, MAYBE_BYTES, NETLINK_THREADS,
    RING_BYTES, SYSCALLS, TREE_PROCESSES,
};
use diag_abi::{
    Config, CredentialOffsets, EngineOffsets, FloodKey, FloodValue, InterestRow, LimitOffsets, Loss,
    NetlinkOffsets, ObjectOffsets, Offsets, RlimitOffsets, STAGES as STAGE_COUNT, SilentOffsets,
    SocketOffsets, Symbols, VALUE_SETS, ValueSet,
};

/// Records on their way to user space. The loader may enlarge it.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// Interest by system call number of the machine's own table.
#[map]
pub(crate) static INTEREST: Array<InterestRow> = Array::with_max_entries(SYSCALLS, 0);

/// Interest by i386 number.
#[map]
pub(crate) static INTEREST_COMPAT: Array<InterestRow> = Array::with_max_entries(SYSCALLS, 0);

/// Counts of equal failures. Not an LRU map: an evicted counter would be a silent loss.
#[map]
pub(crate) static FLOOD: HashMap<FloodKey, FloodValue> = HashMap::with_max_entries(FLOOD_KEYS, 0);

/// Thread groups of the followed tree, with the boot time their leader started at (0: not known yet).
#[map]
pub(crate) static TREE: LruHashMap<u32, u64> = LruHashMap::with_max_entries(TREE_PROCESSES, 0);

/// Names of engines' programs, padded with NULs as the kernel does it.
#[map]
pub(crate) static ENGINES: HashMap<[u8; COMM], u32> = HashMap::with_max_entries(ENGINE_NAMES, 0);

/// Processes that were told of as engines' and still run.
#[map]
pub(crate) static ENGINES_ALIVE: LruHashMap<u32, u32> = LruHashMap::with_max_entries(ENGINES_AT_ONCE, 0);

/// The record that a processor is filling.
#[map]
pub(crate) static RECORD: PerCpuArray<Draft> = PerCpuArray::with_max_entries(1, 0);

/// The programs of the stages, as far as the loader could load them.
#[map]
pub(crate) static STAGES: ProgramArray = ProgramArray::with_max_entries(STAGE_COUNT, 0);

/// Recipes by the number of a set; the first is none.
#[map]
pub(crate) static RECIPES: Array<ValueSet> = Array::with_max_entries(VALUE_SETS, 0);

/// The last answer each thread was shown: its packet and number.
#[map]
pub(crate) static SEEN: LruHashMap<u32, [u64; 2]> = LruHashMap::with_max_entries(NETLINK_THREADS, 0);

/// The kernel's last sentence about a netlink request, by thread.
#[map]
pub(crate) static SENTENCES: LruHashMap<u32, Sentence> = LruHashMap::with_max_entries(NETLINK_THREADS, 0);

/// What could not be delivered.
#[map]
pub(crate) static LOSS: PerCpuArray<Loss> = PerCpuArray::with_max_entries(1, 0);

/// Overridden by the loader before load.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config::EMPTY;

/// Overridden by the loader before load: the two interest tables together, by errno and number.
#[unsafe(no_mangle)]
pub(crate) static MAYBE: [u8; MAYBE_BYTES] = [0; MAYBE_BYTES];

/// Overridden by the loader before load.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::NONE;

/// Overridden by the loader before load: what the programs in `silent` read.
#[unsafe(no_mangle)]
pub(crate) static SILENT: SilentOffsets = SilentOffsets::NONE;

/// Overridden by the loader before load: what `limits` reads.
#[unsafe(no_mangle)]
pub(crate) static LIMITS: LimitOffsets = LimitOffsets::NONE;

/// Overridden by the loader before load: ceilings that are variables.
#[unsafe(no_mangle)]
pub(crate) static SYMBOLS: Symbols = Symbols::NONE;

/// Overridden by the loader before load: what `object` reads.
#[unsafe(no_mangle)]
pub(crate) static OBJECTS: ObjectOffsets = ObjectOffsets::NONE;

/// Overridden by the loader before load: what `socket` reads.
#[unsafe(no_mangle)]
pub(crate) static SOCKETS: SocketOffsets = SocketOffsets::NONE;
/// Overridden by the loader before load: what `credentials` reads.
#[unsafe(no_mangle)]
pub(crate) static CREDENTIALS: CredentialOffsets = CredentialOffsets::NONE;

/// Overridden by the loader before load: what `limits` reads about resource limits.
#[unsafe(no_mangle)]
pub(crate) static RLIMITS: RlimitOffsets = RlimitOffsets::NONE;

/// Overridden by the loader before load: what `silent::netlink` reads.
#[unsafe(no_mangle)]
pub(crate) static NETLINK: NetlinkOffsets = NetlinkOffsets::NONE;

/// Overridden by the loader before load: what `engine` reads.
#[unsafe(no_mangle)]
pub(crate) static ENGINE_WORDS: EngineOffsets = EngineOffsets::NONE;

/// Reads a global's field. Volatile, or the compiler would use the value that the object holds.
#[inline(always)]
pub(crate) fn load<T: Copy>(field: &T) -> T {
    // SAFETY: a reference is valid for reads.
    unsafe { read_volatile(field) }
}

/// A field of [`CONFIG`].
macro_rules! config {
    ($field:ident) => {
        $crate::maps::load(&$crate::maps::CONFIG.$field)
    };
}
pub(crate) use config;

/// A field of [`OFFSETS`].
macro_rules! offset {
    ($field:ident) => {
        $crate::maps::load(&$crate::maps::OFFSETS.$field)
    };
}
pub(crate) use offset;

/// A field of [`LIMITS`].
macro_rules! limit {
    ($field:ident $([$index:expr])?) => {
        $crate::maps::load(&$crate::maps::LIMITS.$field $([$index])?)
    };
}
pub(crate) use limit;

/// A field of [`RLIMITS`].
macro_rules! rlimit {
    ($field:ident) => {
        $crate::maps::load(&$crate::maps::RLIMITS.$field)
    };
}
pub(crate) use rlimit;

/// The value of a kernel variable of [`SYMBOLS`], if it can be read.
macro_rules! variable {
    ($field:ident) => {
        $crate::read::known::<u32>($crate::maps::load(&$crate::maps::SYMBOLS.$field), 0)
    };
}
pub(crate) use variable;

/// A field of [`OBJECTS`].
macro_rules! object {
    ($field:ident) => {
        $crate::maps::load(&$crate::maps::OBJECTS.$field)
    };
}
pub(crate) use object;

/// A field of [`SOCKETS`].
macro_rules! socket {
    ($field:ident) => {
        $crate::maps::load(&$crate::maps::SOCKETS.$field)
    };
}
pub(crate) use socket;

/// The value of `enum cgroup_subsys_id` for the controller at `index` of `diag_abi::CONTROLLERS`.
#[inline(always)]
pub(crate) fn subsys<const INDEX: usize>() -> u32 {
    load(&OFFSETS.subsys[INDEX])
}

/// Adds one to a counter that other processors add to as well.
///
/// One BPF_XADD, which 5.10 knows; the fetching forms came with 5.12. Written by hand because core has no
/// `fetch_add` for a target without compare-and-swap.
#[inline(always)]
pub(crate) fn count(counter: *mut u64) {
    // SAFETY: callers pass a field of a live map value: aligned, and valid for this program run.
    unsafe {
        core::arch::asm!("lock *(u64 *)({counter} + 0) += {one}", counter = in(reg) counter, one = in(reg) 1_u64);
    }
}

/// Counts a record for which the ring had no room.
#[inline(always)]
pub(crate) fn count_dropped() {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: a pointer to a live map value.
        count(unsafe { &raw mut (*loss).dropped });
    }
}

/// Counts a failure that found the flood table full.
#[inline(always)]
pub(crate) fn count_uncounted() {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: a pointer to a live map value.
        count(unsafe { &raw mut (*loss).uncounted });
    }
}
