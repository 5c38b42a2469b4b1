//! Memory that programs were promised, against what the machine may promise.

use super::{Call, Numbers, PAGE, grown, private_writable, signed};

/// `__vm_enough_memory()` (mm/util.c) in bytes. Mode 0 refuses only what is larger than all memory and swap; mode 2
/// keeps reserves back that are not subtracted here: what exceeds this ceiling exceeds the real one, and what is just
/// below it is not known.
pub(super) fn commit(c: &Call<'_>) -> Option<Numbers> {
    let (ram, swap, mode) = (c.get("~ram")?, c.get("~swap")?, c.get("vm.overcommit_memory")?);
    let adds = match c.name {
        // A copy of all private memory.
        "clone" | "clone3" | "fork" | "vfork" => c.get("~data_vm")? * PAGE,
        // A segment is promised whole, unless SHM_NORESERVE or SHM_HUGETLB (ipc/shm.c newseg()).
        "shmget" => {
            (c.arg("shmflg")? & 0o14_000 == 0).then_some(())?;
            c.arg("size")?.div_ceil(PAGE) * PAGE
        }
        _ => {
            private_writable(c)?;
            grown(c)?
        }
    };
    match mode {
        0 => Some((0, (ram + swap) * PAGE, adds)),
        2 => {
            let allowed = match c.get("vm.overcommit_kbytes")? {
                0 => ram * c.get("vm.overcommit_ratio")? / 100,
                kbytes => kbytes / 4,
            };
            let (used, most) = (signed(c.get("~committed")?) * PAGE, (allowed + swap) * PAGE);
            // vm.admin_reserve_kbytes and vm.user_reserve_kbytes as they are by default.
            let reserves = (8 << 20) + (c.get("~total_vm")? * PAGE / 32).min(128 << 20);
            let unsure = used + adds <= most && used + adds + reserves > most;
            (!unsure).then_some((used, most, adds))
        }
        _ => None,
    }
}
