//! Stage: kernel values by recipe (see `diag_abi::ValueSet`), before the caller can see its errno.

use crate::limits;
use crate::maps::RECIPES;
use crate::object::open_file;
use crate::read::known;
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{bpf_probe_read_user, generated};
use diag_abi::bounds::ARGS;
use diag_abi::{
    NO_INDEX, ROW_SET_SHIFT, SyscallFailure, VALUE_ERRNOS, VALUE_FILE, VALUE_NONE, VALUE_SYMBOL, VALUE_TASK,
    VALUE_USER, VALUES, ValueAt, ValueSet,
};

/// Pointers that a recipe may follow.
const STEPS: usize = 3;

stage!(values_stage: read_values, read_values_typed);

/// Failures whose call has a set of recipes. Goes on to the stage that the failure would have entered.
#[inline(always)]
fn values_stage(ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments.
    unsafe {
        let plain = &raw mut (*record).whole.plain;
        let task = generated::bpf_get_current_task() as u64;
        if let Some(set) = RECIPES.get((*plain).row >> ROW_SET_SHIFT)
            && wanted(set, (*plain).errno)
        {
            read(set, plain, task);
            if set.then != 0 {
                (*record).cursor = set.then_what;
                stage::enter(ctx, set.then);
                (*record).cursor = 0;
            }
        }
        stage::enter(ctx, limits::stage(plain));
    }
    stage::submit(record);
    0
}

#[inline(always)]
fn wanted(set: &ValueSet, errno: u32) -> bool {
    let mut index = 0;
    while index < VALUE_ERRNOS {
        if set.errnos[index] == errno {
            return true;
        }
        index += 1;
    }
    false
}

/// # Safety
/// `record` must be valid for a whole record whose arguments are filled.
#[inline(always)]
unsafe fn read(set: &ValueSet, record: *mut SyscallFailure, task: u64) {
    let mut present = 0_u32;
    for index in 0..VALUES {
        let at = &set.at[index];
        if at.kind == VALUE_NONE {
            continue;
        }
        // SAFETY: by this function's contract.
        if let Some(value) = unsafe { value(at, record, task) } {
            // SAFETY: the index is below VALUES.
            unsafe { (*record).values[index] = value };
            present |= 1 << index;
        }
    }
    // SAFETY: a field of the record.
    unsafe { (*record).values_read = present };
}

/// # Safety
/// `record` must be valid for a whole record whose arguments are filled.
#[inline(always)]
unsafe fn value(at: &ValueAt, record: *const SyscallFailure, task: u64) -> Option<u64> {
    // SAFETY: by this function's contract.
    let argument = |number: u8| unsafe { argument(record, number) };
    let mut base = match at.kind {
        VALUE_TASK => task,
        VALUE_SYMBOL => at.base,
        VALUE_USER => return in_caller(argument(at.arg), at),
        VALUE_FILE => open_file(task, argument(at.arg) as u32),
        _ => 0,
    };
    if base == 0 {
        return None;
    }
    let mut last = at.offsets[0];
    for step in 0..STEPS {
        if step >= at.steps as usize {
            break;
        }
        base = known::<u64>(base.wrapping_add(last as i64 as u64), 0)?;
        if base == 0 {
            return None;
        }
        last = at.offsets[step + 1];
    }
    base = base.wrapping_add(last as i64 as u64);
    if at.index != NO_INDEX {
        base = base.wrapping_add((argument(at.index) as u32 as u64) * at.stride as u64);
    }
    match at.size {
        2 => known::<u16>(base, 0).map(u64::from),
        4 => known::<u32>(base, 0).map(u64::from),
        _ => known::<u64>(base, 0),
    }
}

/// # Safety
/// `record` must be valid for a whole record whose arguments are filled.
#[inline(always)]
unsafe fn argument(record: *const SyscallFailure, number: u8) -> u64 {
    let index = number as usize;
    if index >= ARGS {
        return 0;
    }
    // SAFETY: the index is below ARGS.
    unsafe { *(&raw const (*record).args).cast::<u64>().add(index) }
}

/// What the caller's own memory holds; a page that is not there is not read.
#[inline(always)]
fn in_caller(address: u64, at: &ValueAt) -> Option<u64> {
    if address == 0 {
        return None;
    }
    let address = address.wrapping_add(at.offsets[0] as i64 as u64);
    // SAFETY: the helper tolerates any address.
    unsafe {
        match at.size {
            4 => bpf_probe_read_user(address as *const u32).ok().map(u64::from),
            _ => bpf_probe_read_user(address as *const u64).ok(),
        }
    }
}
