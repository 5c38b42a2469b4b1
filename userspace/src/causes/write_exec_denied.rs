//! A process that may not have memory which is, or was, both writable and executable (prctl PR_SET_MDWE).

use super::case::claim::{self, knob, look, step};
use super::case::rights::module_stands;
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

/// `map_deny_write_exec()` (include/linux/mman.h) is inlined into these.
const DECIDERS: &[&str] = &["map_deny_write_exec", "mmap_region", "__mmap_region"];
const CALLERS: &[&str] = &[
    "do_mmap",
    "vm_mmap_pgoff",
    "ksys_mmap_pgoff",
    "do_mprotect_pkey",
    "__x64_sys_mmap",
    "__x64_sys_mprotect",
    "__x64_sys_pkey_mprotect",
];
/// `MMF_HAS_MDWE` in `mm_struct.flags` (include/linux/mm_types.h, before 6.17 sched/coredump.h), since 6.3: before, the
/// bit had another meaning.
const FLAGS: &str = "mm flags";
const HAS_MDWE: u64 = 1 << 28;
const SINCE: (u32, u32) = (6, 3);

const MODULE: Rival = Rival {
    name: "a security module (SELinux: execmem, execmod)",
    ruled_out_by: "the flag of the process's memory, or a task that is not confined",
    stands: module,
};

pub(super) static CAUSE: Cause = Cause {
    slug: "write-exec-denied",
    title: "the process may not have memory that is writable and executable (PR_SET_MDWE)",
    about: "\
mmap(2) with PROT_WRITE and PROT_EXEC, or mprotect(2) with PROT_EXEC on memory that was not executable from its beginning, fails \
with EACCES, \"Permission denied\". What compiles while it runs does so: Java, Node.js, .NET, LuaJIT, PCRE's and PHP's JIT, libffi, \
browsers (\"failed to allocate executable memory\", \"Failed to reserve memory for new executable range\", \"Allocation of JIT memory \
failed, PCRE JIT will be disabled\", \"cannot enable executable stack\").

Somebody has promised for the process that it never will: prctl(2) with PR_SET_MDWE (Linux 6.3), which is what systemd does for a unit \
with MemoryDenyWriteExecute=yes, together with a seccomp filter that older kernels have alone. map_deny_write_exec() then answers in \
mmap_region() and do_mprotect_pkey(). Children inherit it, unless it was set with PR_MDWE_NO_INHERIT, execve(2) does not end it, and it \
cannot be taken back.

It surprises because no file, right or limit is involved, and root is not exempt: the same program runs from a shell and fails as a \
service.",
    shows_as: &[("mmap", "EACCES"), ("mprotect", "EACCES"), ("pkey_mprotect", "EACCES")],
    deciders: &["map_deny_write_exec"],
    reads: &[],
    rivals: &[FILTER, MODULE],
    explain,
    remedy,
    fault: Fault::Action {
        about: "gives up such memory in a process of its own, and asks for it",
        risk: "none: it ends with its process",
        variants: &["mmap", "mprotect"],
    },
    see: &[
        "PR_SET_MDWE(2const); systemd.exec(5), MemoryDenyWriteExecute=",
        "include/linux/mman.h: map_deny_write_exec(); mm/mprotect.c: do_mprotect_pkey()",
    ],
};

/// What the process was denied by this, in words; `None` where the rule has nothing against the call.
fn wanted(case: &Case<'_>) -> Option<&'static str> {
    let (call, errno) = case.failure().syscall()?;
    let prot = case.failure().number_arg("prot")?;
    let asks = |bit: i32| prot & bit as u64 != 0;
    if errno != Errno::EACCES || !asks(libc::PROT_EXEC) {
        return None;
    }
    let words = match call {
        "mmap" | "mmap2" if asks(libc::PROT_WRITE) => "memory that is writable and executable at once",
        "mprotect" | "pkey_mprotect" if asks(libc::PROT_WRITE) => {
            "make memory writable and executable at once"
        }
        // What was mapped executable may stay so.
        "mprotect" | "pkey_mprotect" if case.state("mapping").is_none_or(|m| !m.value.contains('x')) => {
            "make memory executable that was not from its beginning"
        }
        _ => return None,
    };
    Some(words)
}

fn writes(prot: u64) -> bool {
    prot & libc::PROT_WRITE as u64 != 0
}

/// Whether the memory of the process has the flag; unknown where the bit may mean something else.
fn flagged(case: &Case<'_>) -> Option<bool> {
    let mut numbers = case.incident.host.kernel.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    (version >= SINCE).then_some(())?;
    Some(case.value(FLAGS)? & HAS_MDWE != 0)
}

fn module(case: &Case<'_>) -> Option<String> {
    if flagged(case) == Some(true) { None } else { module_stands(case) }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let wanted = wanted(case)?;
    // Then it was the file, or its mount, that does not allow it.
    let barred = case.state("mapping may").is_some_and(|may| !may.value.contains("execute"));
    if barred {
        return None;
    }
    let weighed = claim::weigh(case, DECIDERS, CALLERS, flagged(case))?;
    let who = &case.failure().task.comm;
    let verb = if wanted.starts_with("make") { "may not" } else { "may not have" };
    let seen = case.value(FLAGS).filter(|_| flagged(case).is_some()).map(|flags| {
        format!("at that instant mm_struct.flags of {who} were {flags:#x}: MMF_HAS_MDWE (bit 28) is set")
    });
    // What was executable already may stay so, and what cannot become so is refused by others.
    let known = case.state("mapping").is_some() || case.failure().number_arg("prot").is_some_and(writes);
    let most = if known { Confidence::Proven } else { Confidence::Likely };
    Some(
        weighed
            .proof(
                case,
                DECIDERS,
                format!("{who} {verb} {wanted}: that was given up for it (PR_SET_MDWE)."),
                knob(KnobKind::Other, "PR_SET_MDWE", ""),
            )
            .because(seen)
            .at_most(most, "the mapping, as it was before the call"),
    )
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        look(
            format!("systemctl show -p MemoryDenyWriteExecute $(ps -o unit= -p {pid})"),
            "whether its unit asks for it; elsewhere it was the program itself, or whoever started it",
        ),
        step(
            "now",
            "systemctl edit UNIT: [Service] MemoryDenyWriteExecute=no; systemctl restart UNIT",
            "code that an attacker writes into memory may run again; for what compiles while it runs there is no other way",
            "systemctl revert UNIT; systemctl restart UNIT",
        ),
        step(
            "for good",
            "run it without its compiler: node --jitless, java -Xint, PHP opcache.jit=off and pcre.jit=0",
            "slower, and the protection stays",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};

    const RW: u64 = 3;
    const RX: u64 = 5;
    const RWX: u64 = 7;

    fn judged(call: &str, prot: u64, flags: Option<u64>, kernel: &str, mapping: &str) -> Option<Confidence> {
        let values: Vec<(&str, u64)> = flags.map(|f| (FLAGS, f)).into_iter().collect();
        let mut i = valued(call, Errno::EACCES, &[("prot", prot)], &values, vec![]);
        i.host.kernel = kernel.into();
        if !mapping.is_empty() {
            let (is, may) = mapping.split_once(' ').unwrap();
            i.facts.push(state("mapping", "", is));
            i.facts.push(state("mapping may", "", may));
        }
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn the_flag_of_the_memory_proves_it() {
        assert_eq!(judged("mmap", RWX, Some(HAS_MDWE), "6.12.1", ""), Some(Confidence::Proven));
        assert_eq!(judged("mprotect", RWX, Some(HAS_MDWE), "6.3.0-1", ""), Some(Confidence::Proven));
        assert_eq!(
            judged("mprotect", RX, Some(HAS_MDWE), "6.3.0-1", ""),
            Some(Confidence::Likely),
            "of what?"
        );
        assert_eq!(judged("mmap", RWX, Some(0), "6.12.1", ""), None, "it was not given up");
    }

    #[test]
    fn a_bit_that_means_something_else_proves_nothing() {
        assert_eq!(judged("mmap", RWX, Some(HAS_MDWE), "5.15.0", ""), Some(Confidence::Possible));
        assert_eq!(judged("mmap", RWX, None, "6.12.1", ""), Some(Confidence::Possible));
    }

    #[test]
    fn what_the_rule_allows_is_not_claimed() {
        let flag = Some(HAS_MDWE);
        assert_eq!(judged("mmap", RX, flag, "6.12.1", ""), None);
        assert_eq!(judged("mprotect", RW, flag, "6.12.1", ""), None);
        assert_eq!(judged("mprotect", RX, flag, "6.12.1", "r-xp read write execute"), None);
        assert_eq!(judged("mprotect", RX, flag, "6.12.1", "r--p read write"), None, "a noexec mount");
        assert_eq!(
            judged("mprotect", RX, flag, "6.12.1", "rw-p read write execute"),
            Some(Confidence::Proven)
        );
        assert_eq!(judged("mremap", RWX, flag, "6.12.1", ""), None);
    }
}
