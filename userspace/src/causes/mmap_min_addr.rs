//! An address below what may be mapped.

use super::case::{
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "vm.mmap_min_addr",
    exempt: 1 << 17,
    exempts: "CAP_SYS_RAWIO",
    deciders: &["cap_mmap_addr", "security_mmap_addr", "cap_capable"],
    callers: &[
        "get_unmapped_area",
        "__get_unmapped_area",
        "do_mmap",
        "ksys_mmap_pgoff",
        "vm_mmap_pgoff",
        "mmap_region",
    ],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "mmap-min-addr",
    title: "an address is below what may be mapped (vm.mmap_min_addr)",
    about: "\
mmap(2) with MAP_FIXED at a low address fails with EPERM, \"Operation not permitted\": emulators (QEMU user mode, Wine, DOSBox), old
binaries and some language runtimes do so. cap_mmap_addr() in security/commoncap.c asks for CAP_SYS_RAWIO in the first user
namespace below vm.mmap_min_addr, 65536 by default, so that a null pointer in the kernel finds nothing of the user.",
    shows_as: &[("mmap", "EPERM"), ("mremap", "EPERM")],
    deciders: &["cap_mmap_addr", "security_mmap_addr", "cap_capable"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/vm.html#mmap-min-addr",
        "security/commoncap.c: cap_mmap_addr()",
        "mmap(2), EPERM",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["mmap", "mremap"], Errno::EPERM)?;
    const MAP_FIXED: u64 = 0x10;
    let address = case.failure().number_arg(if call == "mmap" { "addr" } else { "new_address" })?;
    if call == "mmap" && case.failure().number_arg("flags").is_some_and(|flags| flags & MAP_FIXED == 0) {
        return None;
    }
    // Only below the value itself; where that was not read, only what is below every default.
    if case.value(SWITCH.name).is_none() && address >= 65_536 {
        return None;
    }
    let sentence = format!(
        "Address {address:#x} is below vm.mmap_min_addr, and the task has no CAP_SYS_RAWIO on the host."
    );
    let mut proof = SWITCH.judge(case, |lowest| address < lowest, sentence)?;
    (proof.limit, proof.usage, proof.unit) = (proof.usage, Some(address), "address".into());
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = remedies::sysctl(
        SWITCH.name,
        "0",
        None,
        "for the whole machine: a null pointer in the kernel may become a hole",
    );
    all.push(remedies::step(
        "for good",
        "build the program for other addresses",
        "most need none below 64 KiB",
        "none",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Confidence;

    fn judged(address: u64, capabilities: u64) -> Option<Confidence> {
        let values = [(SWITCH.name, 65_536), ("CapEff", capabilities)];
        let mut i = valued("mmap", Errno::EPERM, &[("addr", address)], &values, vec![]);
        if let crate::model::FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            args[0].value = crate::model::ArgValue::Number(0x32);
        }
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_low_fixed_address_is_proven() {
        assert_eq!(judged(4096, 0), Some(Confidence::Proven));
        assert_eq!(judged(4096, 1 << 17), None);
        assert_eq!(judged(1 << 30, 0), None);
    }
}
