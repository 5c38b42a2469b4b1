//! The default system call filter, seccomp(2): built by the engine, loaded by the container's first process.

mod allowed;
mod compile;

use std::collections::HashMap;

use libc::sock_filter;
use nix::errno::Errno;

use super::{Failure, refused};
use crate::spec::CapabilitySet;
use crate::steps::Step;
use crate::sys;
use allowed::{ALWAYS, WITH_CAPABILITY};
use compile::{Architecture, Verdict, compile};

/// A program ready to load.
#[derive(Debug)]
pub(crate) struct Filter {
    program: Vec<sock_filter>,
}

/// Every system call of one architecture: number and name.
type Table = fn() -> Vec<(u32, &'static str)>;

// linux/audit.h: ELF machine, with __AUDIT_ARCH_64BIT and __AUDIT_ARCH_LE. The native one is first.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: &[(u32, Table)] = &[
    (0xc000_003e, || syscalls::x86_64::Sysno::iter().map(|call| (call as u32, call.name())).collect()),
    (0x4000_0003, || syscalls::x86::Sysno::iter().map(|call| (call as u32, call.name())).collect()),
];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: &[(u32, Table)] =
    &[(0xc000_00b7, || syscalls::aarch64::Sysno::iter().map(|call| (call as u32, call.name())).collect())];

impl Filter {
    /// The default profile for a workload with these capabilities.
    pub(crate) fn standard(capabilities: CapabilitySet) -> Filter {
        let verdicts = verdicts(capabilities);
        let architecture = |(audit, table): &(u32, Table)| {
            let listed = |(number, name)| Some((number, *verdicts.get(name)?));
            Architecture { audit: *audit, calls: table().into_iter().filter_map(listed).collect() }
        };
        let architectures: Vec<Architecture> = ARCHITECTURES.iter().map(architecture).collect();
        Filter { program: compile(&architectures) }
    }

    /// Step "load seccomp filter". From here on every system call of this process is judged by it.
    pub(crate) fn load(&self) -> Result<(), Failure<'static>> {
        sys::load_seccomp_filter(&self.program).map_err(refused(
            Step::LoadSeccomp,
            "seccomp",
            c"SECCOMP_SET_MODE_FILTER",
        ))
    }
}

/// By name: numbers are looked up from the names of an architecture's table, not the other way round, which would be a
/// search through all of them for each.
fn verdicts(capabilities: CapabilitySet) -> HashMap<&'static str, Verdict> {
    let mut calls = HashMap::new();
    let mut set = |names: &'static str, verdict: Verdict| {
        calls.extend(names.split_ascii_whitespace().map(|name| (name, verdict)));
    };
    for group in ALWAYS {
        set(group.calls, Verdict::Allow);
    }
    set("clone", Verdict::PlainClone);
    // Its flags are in memory, which a filter cannot read. ENOSYS sends the C library to clone(2).
    set("clone3", Verdict::Refuse(Errno::ENOSYS as i32));
    set("personality", Verdict::HarmlessPersonality);
    set("socket", Verdict::BoundedSocket);
    for (capability, names) in WITH_CAPABILITY {
        if capabilities.has(capability) {
            set(names, Verdict::Allow);
        }
    }
    calls
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use compile::tests::evaluate;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    const NATIVE: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;

    fn number(architecture: usize, name: &str) -> Option<u32> {
        ARCHITECTURES[architecture].1()
            .into_iter()
            .find(|(_, known)| *known == name)
            .map(|(number, _)| number)
    }

    #[test]
    fn the_default_profile_judges_as_docker_does() {
        let filter = Filter::standard(CapabilitySet(0xa804_25fb));
        let native =
            |name: &str, argument| evaluate(&filter.program, NATIVE, number(0, name).unwrap(), argument);
        for name in ["read", "execve", "chroot", "ptrace", "mknod", "prctl", "capset", "io_setup"] {
            assert_eq!(native(name, 0), ALLOW, "{name}");
        }
        let refused = "mount umount2 unshare setns bpf keyctl add_key io_uring_setup kexec_load init_module \
                       reboot swapon open_by_handle_at perf_event_open userfaultfd pivot_root nfsservctl \
                       settimeofday mount_setattr move_mount open_tree syslog kcmp mbind iopl acct vhangup";
        for name in refused.split_ascii_whitespace() {
            assert_eq!(native(name, 0), EPERM, "{name}");
        }
        assert_eq!(native("clone3", 0), ENOSYS);
        assert_eq!(native("clone", libc::SIGCHLD as u32), ALLOW);
        assert_eq!(native("clone", libc::CLONE_NEWUSER as u32), EPERM);
        assert_eq!(native("personality", 0xffff_ffff), ALLOW);
        assert_eq!(native("personality", 0x4_0000), EPERM, "ADDR_NO_RANDOMIZE");
        assert_eq!(native("socket", libc::AF_INET as u32), ALLOW);
        assert_eq!(native("socket", libc::AF_ALG as u32), EPERM);
        assert_eq!(native("socket", libc::AF_VSOCK as u32), EPERM);
        assert_eq!(evaluate(&filter.program, NATIVE, 1000, 0), ENOSYS, "newer than the profile");
        assert_eq!(evaluate(&filter.program, NATIVE, 0x4000_0001, 0), ENOSYS, "x32");
        // i386: 21 is mount, 3 read, 120 clone; 21 would be access for a 64-bit caller.
        assert_eq!(evaluate(&filter.program, I386, 21, 0), EPERM);
        assert_eq!(evaluate(&filter.program, I386, 3, 0), ALLOW);
        assert_eq!(evaluate(&filter.program, I386, 120, libc::CLONE_NEWNET as u32), EPERM);
        assert_eq!(evaluate(&filter.program, 0xc000_00b7, 3, 0), libc::SECCOMP_RET_KILL_PROCESS);
        assert!(filter.program.len() < 600, "{} instructions", filter.program.len());
    }

    #[test]
    fn capabilities_open_their_calls() {
        let filter = Filter::standard(CapabilitySet::ALL);
        for name in ["mount", "clone3", "reboot", "bpf", "mbind", "chroot", "kcmp", "open_by_handle_at"] {
            let number = number(0, name).unwrap();
            assert_eq!(evaluate(&filter.program, NATIVE, number, 0), ALLOW, "{name}");
        }
        let clone = number(0, "clone").unwrap();
        assert_eq!(evaluate(&filter.program, NATIVE, clone, libc::CLONE_NEWUSER as u32), ALLOW);
        let keyctl = number(0, "keyctl").unwrap();
        assert_eq!(evaluate(&filter.program, NATIVE, keyctl, 0), EPERM, "keys belong to the whole machine");
    }

    #[test]
    fn every_group_has_a_reason_and_every_name_is_a_call() {
        for group in ALWAYS {
            assert!(!group.why.is_empty());
            for name in group.calls.split_ascii_whitespace() {
                let known = (0..ARCHITECTURES.len()).any(|at| number(at, name).is_some());
                // Of other architectures' tables, or of none: kept because docker's list has them.
                let foreign = ["recv", "send", "epoll_ctl_old", "epoll_wait_old", "fstatat64", "uretprobe"];
                assert!(known || foreign.contains(&name), "{name}");
            }
        }
    }
}
