//! What the workload may ask of the kernel: capabilities(7), seccomp(2), no_new_privs, hidden paths.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One capability, by its number in linux/capability.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Capability(u8);

/// capabilities(7), in the kernel's order.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a workload holds unless told otherwise: enough for the programs that images carry to set themselves up
/// as root does, and nothing that reaches beyond the container's namespaces. The same fourteen as docker's.
const DEFAULT: [&str; 14] = [
    // Packages unpack and services start as root and hand files to others.
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "SETFCAP",
    // Services begin as root and give it up.
    "SETGID",
    "SETUID",
    "SETPCAP",
    "SYS_CHROOT",
    // Of its own processes and ports.
    "KILL",
    "NET_BIND_SERVICE",
    "NET_RAW",
    // Archives hold device nodes; opening one is the cgroup's decision (cgroup/devices.rs).
    "MKNOD",
    // login(1) and sshd(8) refuse to work without.
    "AUDIT_WRITE",
];

impl Capability {
    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CAP_{}", NAMES[usize::from(self.0)])
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> String {
        capability.to_string()
    }
}

impl TryFrom<String> for Capability {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl FromStr for Capability {
    type Err = String;

    /// `CAP_NET_ADMIN`, `net_admin`.
    fn from_str(name: &str) -> Result<Self, String> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| *known == bare);
        number
            .map(|number| Capability(number as u8))
            .ok_or_else(|| format!("{name:?} is no capability, like NET_ADMIN (capabilities(7) lists them)"))
    }
}

/// A set of capabilities, bit N for number N, as the kernel keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CapabilitySet(pub(crate) u64);

impl CapabilitySet {
    pub(crate) const ALL: CapabilitySet = CapabilitySet((1 << NAMES.len()) - 1);

    fn of(list: &[Capability]) -> CapabilitySet {
        CapabilitySet(list.iter().fold(0, |set, capability| set | 1 << capability.number()))
    }

    fn default_set() -> CapabilitySet {
        let has = |name: &&str| DEFAULT.contains(name);
        CapabilitySet(
            NAMES.iter().enumerate().filter(|(_, n)| has(n)).fold(0, |set, (number, _)| set | 1 << number),
        )
    }

    pub(crate) fn has(self, name: &str) -> bool {
        name.parse::<Capability>().is_ok_and(|capability| self.0 >> capability.number() & 1 == 1)
    }
}

/// Capabilities to add to or take from the default set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Start from every capability that the engine itself holds.
    pub all: bool,
    /// Start from none.
    pub none: bool,
    /// Added.
    pub add: Vec<Capability>,
    /// Taken away, last.
    pub drop: Vec<Capability>,
}

impl Capabilities {
    /// What the workload gets of what the engine holds. `drop: ALL` with some added leaves those, as docker has it.
    pub(crate) fn resolve(&self, held: CapabilitySet) -> Result<CapabilitySet, String> {
        let base = match (self.all, self.none) {
            (true, _) => CapabilitySet::ALL.0 & held.0,
            (false, true) => 0,
            // The engine may hold less than the default: what it lacks it cannot hand down.
            (false, false) => CapabilitySet::default_set().0 & held.0,
        };
        if let Some(missing) = self.add.iter().find(|capability| held.0 >> capability.number() & 1 == 0) {
            return Err(format!("{missing} cannot be added: the engine does not hold it itself"));
        }
        Ok(CapabilitySet((base | CapabilitySet::of(&self.add).0) & !CapabilitySet::of(&self.drop).0))
    }
}

/// Which system calls the kernel refuses to the workload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// The default profile (`isolate/seccomp/allowed.rs`): equal in effect to docker's.
    #[default]
    Default,
    /// No filter.
    Unconfined,
}

/// Everything that is decided between root's power and the workload's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Capabilities.
    pub capabilities: Capabilities,
    /// prctl(2) PR_SET_NO_NEW_PRIVS: set-user-id programs and file capabilities give nothing.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Show the files of /proc and /sys that tell about or change the whole machine.
    pub unmask_system_paths: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_built_as_docker_builds_them() {
        let everything = CapabilitySet::ALL;
        let resolve = |c: Capabilities| c.resolve(everything).unwrap();
        // The kernel shows docker's default as CapBnd: 00000000a80425fb.
        assert_eq!(resolve(Capabilities::default()).0, 0xa804_25fb);
        let admin: Capability = "cap_net_admin".parse().unwrap();
        let only = Capabilities { none: true, add: vec![admin], ..Capabilities::default() };
        assert_eq!(resolve(only).0, 1 << 12);
        let most = Capabilities { all: true, drop: vec![admin], ..Capabilities::default() };
        assert_eq!(resolve(most).0, CapabilitySet::ALL.0 & !(1 << 12));
        assert!("NET".parse::<Capability>().is_err());
        let added = Capabilities { add: vec![admin], ..Capabilities::default() };
        let error = added.resolve(CapabilitySet(0)).unwrap_err();
        assert!(error.contains("CAP_NET_ADMIN"), "{error}");
        let json = serde_json::to_string(&admin).unwrap();
        assert_eq!(json, "\"CAP_NET_ADMIN\"");
        assert_eq!(serde_json::from_str::<Capability>(&json).unwrap(), admin);
    }
}
