//! Who the failing task was, read again from its status: what every permission check asks.

use serde::{Deserialize, Serialize};

/// `/proc/PID/status` and its neighbours, milliseconds after the failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// Real, effective, saved and file system ids, as the first user namespace numbers them.
    pub uids: [u32; 4],
    pub gids: [u32; 4],
    pub groups: Vec<u32>,
    /// The effective, permitted and bounding sets; bit `n` is capability `n`.
    pub effective: u64,
    pub permitted: u64,
    pub bounding: u64,
    pub no_new_privs: Option<bool>,
    /// 0: its calls are not filtered; 2: by seccomp filters.
    pub seccomp: Option<u32>,
    /// The inode of its user namespace, and whether that is the first one.
    pub user_ns: Option<u32>,
    pub first_user_ns: Option<bool>,
    /// Its maps as `[inside, outside, count]`, the outside numbered by the first user namespace.
    pub uid_map: Option<Vec<[u32; 3]>>,
    pub gid_map: Option<Vec<[u32; 3]>>,
    /// The confinement by a security module: `docker-default (enforce)`, an SELinux context; empty for none.
    pub label: String,
    /// The security modules of this kernel, in their order: `lockdown,capability,yama,apparmor`.
    pub modules: Option<String>,
    /// The lockdown level: `none`, `integrity`, `confidentiality`.
    pub lockdown: Option<String>,
    pub after_ns: u64,
}

impl Identity {
    /// Whether its user namespace has a number for this user and this group (`privileged_wrt_inode_uidgid()`,
    /// kernel/capability.c); `None` when the maps were not read.
    pub fn maps(&self, uid: u32, gid: u32) -> Option<bool> {
        let within = |map: &[[u32; 3]], id: u32| map.iter().any(|[_, at, n]| id >= *at && id - at < *n);
        Some(within(self.uid_map.as_ref()?, uid) && within(self.gid_map.as_ref()?, gid))
    }

    /// Whether it is in a group by which files are judged.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gids[3] == gid || self.groups.contains(&gid)
    }
}
