//! What a task was allowed to do at the instant of its failure.

use serde::{Deserialize, Serialize};

/// The inode of the first user namespace (include/linux/proc_ns.h `PROC_USER_INIT_INO`).
pub const FIRST_USER_NAMESPACE: u32 = 0xefff_fffd;

/// The effective credentials: what the kernel's permission checks ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credentials {
    /// As the first user namespace numbers users.
    pub euid: u32,
    /// The effective set: capability `n` (capabilities(7), linux/capability.h) is bit `n`.
    pub capabilities: u64,
    /// The inode of the user namespace in which the capabilities count.
    pub user_ns: u32,
    /// How deep that namespace is nested; 0 is the first one.
    pub userns_level: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_new_privs: Option<bool>,
    /// Inodes of the user namespaces that own the task's other namespaces: where a capability is asked for.
    #[serde(default)]
    pub owners: Owners,
}

/// Inodes of user namespaces, by the namespace they own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Owners {
    pub mnt: Option<u32>,
    pub net: Option<u32>,
    pub uts: Option<u32>,
    pub ipc: Option<u32>,
}

impl Credentials {
    /// Whether the effective set holds the capability. That is not yet whether it counts: see [`Self::may`].
    pub fn has(&self, capability: u32) -> bool {
        self.capabilities.checked_shr(capability).is_some_and(|set| set & 1 == 1)
    }

    /// Whether the task is in the first user namespace, where capabilities count for the whole machine.
    pub fn in_first_namespace(&self) -> bool {
        self.userns_level == 0
    }

    /// What `capable()` answers: the capability in the first user namespace.
    pub fn capable(&self, capability: u32) -> bool {
        self.in_first_namespace() && self.has(capability)
    }

    /// What `ns_capable()` answers for the user namespace with this inode (security/commoncap.c
    /// `cap_capable`); `None` where that depends on who made that namespace.
    pub fn may(&self, capability: u32, user_ns: u32) -> Option<bool> {
        if user_ns == self.user_ns {
            return Some(self.has(capability));
        }
        // Every namespace is below the first one, and capabilities reach down, never up.
        match (self.in_first_namespace(), user_ns == FIRST_USER_NAMESPACE) {
            (true, _) if self.has(capability) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: u32 = 21;

    fn inside(level: u32, user_ns: u32, capabilities: u64) -> Credentials {
        Credentials { userns_level: level, user_ns, capabilities, ..Credentials::default() }
    }

    #[test]
    fn a_capability_counts_where_its_namespace_reaches() {
        let first = inside(0, FIRST_USER_NAMESPACE, 1 << ADMIN);
        assert!(first.has(ADMIN) && first.capable(ADMIN) && !first.has(20) && !first.has(64));
        assert_eq!(first.may(ADMIN, FIRST_USER_NAMESPACE), Some(true));
        assert_eq!(first.may(ADMIN, 77), Some(true), "it reaches down");

        let child = inside(1, 77, u64::MAX);
        assert!(child.has(ADMIN) && !child.capable(ADMIN));
        assert_eq!(child.may(ADMIN, 77), Some(true));
        assert_eq!(child.may(ADMIN, FIRST_USER_NAMESPACE), Some(false), "it does not reach up");
        assert_eq!(child.may(ADMIN, 78), None, "a sibling or a child: it depends on who made it");
    }

    #[test]
    fn nothing_but_ownership_helps_who_has_no_capability() {
        let user = inside(0, FIRST_USER_NAMESPACE, 0);
        assert_eq!(user.may(ADMIN, FIRST_USER_NAMESPACE), Some(false));
        assert_eq!(user.may(ADMIN, 77), None);
    }
}
