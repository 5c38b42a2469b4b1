//! A memory file without the promise that it will not be executed.

use super::case::rights::object;
use super::case::{
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "vm.memfd_noexec",
    exempt: 0,
    exempts: "",
    deciders: &[
        "check_sysctl_memfd_noexec",
        "sanitize_flags",
        "__do_sys_memfd_create",
        "__x64_sys_memfd_create",
    ],
    callers: &["__ia32_sys_memfd_create"],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "memfd-noexec",
    title: "memory files must not be executable (vm.memfd_noexec)",
    about: "\
memfd_create(2) fails with EACCES, \"Permission denied\": programs that are older than Linux 6.3, runc among them, do not pass
MFD_NOEXEC_SEAL, and with vm.memfd_noexec = 2 check_sysctl_memfd_noexec() in mm/memfd.c refuses every memory file without it.
Each pid namespace has a value of its own, never lower than that of the one around it. With 1, the file is made, but executing
it fails with EACCES.",
    shows_as: &[("memfd_create", "EACCES"), ("execveat", "EACCES"), ("execve", "EACCES")],
    deciders: &["check_sysctl_memfd_noexec", "sanitize_flags", "__do_sys_memfd_create", "__x64_sys_memfd_create"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/userspace-api/mfd_noexec.html",
        "mm/memfd.c: check_sysctl_memfd_noexec()",
        "memfd_create(2)",
    ],
};

/// Executing a memory file, which has the execute bits that the switch left it.
const STARTS: Switch = Switch {
    name: SWITCH.name,
    exempt: 0,
    exempts: "",
    deciders: &["generic_permission", "inode_permission", "acl_permission_check"],
    callers: &[
        "do_open_execat",
        "may_open",
        "do_open",
        "path_openat",
        "__x64_sys_execveat",
        "__x64_sys_execve",
    ],
};

/// How the kernel names such files in /proc/PID/fd.
const NAMED: &str = "/memfd:";

fn started(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["execve", "execveat"], Errno::EACCES)?;
    let object = object(case)?;
    let bits = object.own.as_ref()?.mode & 0o111;
    let path = object.path.trim_end_matches(" (deleted)");
    if bits != 0 || !path.contains(NAMED) {
        return None;
    }
    let sentence =
        format!("{path} is a memory file that was made without execute bits, as vm.memfd_noexec has it.");
    let proof = STARTS.judge(case, |v| v >= 1, sentence)?;
    // Whoever made the file may have asked for that himself, or have lived in another pid namespace.
    Some(proof.at_most(Confidence::Likely, "whether it was made with MFD_NOEXEC_SEAL"))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = started(case) {
        return Some(proof);
    }
    case.denied(&["memfd_create"], Errno::EACCES)?;
    const MFD_NOEXEC_SEAL: u64 = 8;
    if case.failure().number_arg("flags").is_some_and(|flags| flags & MFD_NOEXEC_SEAL != 0) {
        return None;
    }
    let sentence =
        "vm.memfd_noexec is 2: only memory files that cannot be executed (MFD_NOEXEC_SEAL) may be made.";
    SWITCH.judge(case, |v| v >= 2, sentence.into())
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = vec![remedies::step(
        "for good",
        "a newer version of the program, which passes MFD_NOEXEC_SEAL or MFD_EXEC",
        "no privilege needed",
        "none",
    )];
    all.extend(remedies::sysctl(
        SWITCH.name,
        "1",
        Some("2"),
        "for this pid namespace; memory files become unexecutable unless they ask for more",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, state, valued, with_object};
    use crate::model::PathObject;

    fn judged(value: u64, flags: u64) -> Option<Confidence> {
        let i = valued("memfd_create", Errno::EACCES, &[("flags", flags)], &[(SWITCH.name, value)], vec![]);
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_strict_namespace_and_a_file_that_may_be_executed_are_proven() {
        assert_eq!(judged(2, 1), Some(Confidence::Proven));
        assert_eq!(judged(1, 1), None);
        assert_eq!(judged(2, 8), None);
    }

    #[test]
    fn a_memory_file_that_may_not_be_executed() {
        let started = |path: &str, mode, value: &str| {
            let mut i =
                with_object("execveat", Errno::EACCES, PathObject { role: "fd".into(), ..file(path, mode) });
            i.facts.push(state(SWITCH.name, "", value));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(started("/memfd:runc (deleted)", 0o666, "1"), Some(Confidence::Likely));
        assert_eq!(started("/memfd:runc (deleted)", 0o777, "1"), None);
        assert_eq!(started("/memfd:runc (deleted)", 0o666, "0"), None);
        assert_eq!(started("/bin/true", 0o644, "1"), None);
    }

    #[test]
    fn another_errno_is_not_claimed() {
        let i = valued("memfd_create", Errno::EMFILE, &[("flags", 1)], &[(SWITCH.name, 2)], vec![]);
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
