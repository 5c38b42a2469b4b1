//! Which kernel fields the probes read, and where this kernel has them.

use super::{Btf, BtfError, Want};
use diag_abi::{
    CONTROLLERS, CredentialOffsets, EngineOffsets, LimitOffsets, NetlinkOffsets, ObjectOffsets, Offsets,
    RlimitOffsets, SilentOffsets, SocketOffsets, ValueSet,
};
use std::path::Path;
use std::{fs, io};

/// Where the kernel shows its own types (`CONFIG_DEBUG_INFO_BTF`).
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// One field: what it is read for, where it is, and which offset it fills.
struct Field {
    reading: &'static str,
    structure: &'static str,
    path: &'static str,
    want: Want,
    slot: fn(&mut Offsets) -> &mut u32,
}

/// What tells i386 calls apart. Without it a number could be read in the wrong table.
pub const COMPAT: &str = "i386 calls";
/// Following `fork`.
pub const TREE: &str = "process tree";
pub const PARENT: &str = "parent process";
pub const START: &str = "start time";
pub const MNT_NS: &str = "mount namespace";
pub const PID_NS: &str = "pid namespace";
pub const USER_NS: &str = "user namespace";
pub const CGROUPS: &str = "cgroups of v1 controllers";
/// What `fs.mount-max` is compared with.
pub const MOUNTS: &str = "mount count";
pub const PENDING: &str = "mounts being attached";

macro_rules! fields {
    ($($reading:expr, $structure:literal . $path:literal: $want:expr => $slot:ident;)+) => {
        &[$(Field { reading: $reading, structure: $structure, path: $path, want: $want, slot: |o| &mut o.$slot }),+]
    };
}

use Want::{Int, Pointer, PointerArray, StructArray};

const FIELDS: &[Field] = fields! {
    COMPAT, "task_struct"."thread_info.status": Int(4) => task_status;
    TREE, "task_struct"."tgid": Int(4) => task_tgid;
    PARENT, "task_struct"."real_parent": Pointer("task_struct") => task_real_parent;
    START, "task_struct"."group_leader": Pointer("task_struct") => task_group_leader;
    START, "task_struct"."start_boottime": Int(8) => task_start_boottime;
    MNT_NS, "task_struct"."nsproxy": Pointer("nsproxy") => task_nsproxy;
    MNT_NS, "nsproxy"."mnt_ns": Pointer("mnt_namespace") => nsproxy_mnt_ns;
    MNT_NS, "mnt_namespace"."ns.inum": Int(4) => mnt_ns_inum;
    PENDING, "mnt_namespace"."pending_mounts": Int(4) => mnt_ns_pending;
    PID_NS, "task_struct"."thread_pid": Pointer("pid") => task_thread_pid;
    PID_NS, "pid"."level": Int(4) => pid_level;
    PID_NS, "pid"."numbers": StructArray("upid") => pid_numbers;
    PID_NS, "upid"."ns": Pointer("pid_namespace") => upid_ns;
    PID_NS, "pid_namespace"."ns.inum": Int(4) => pid_ns_inum;
    USER_NS, "task_struct"."real_cred": Pointer("cred") => task_real_cred;
    USER_NS, "cred"."user_ns": Pointer("user_namespace") => cred_user_ns;
    USER_NS, "user_namespace"."ns.inum": Int(4) => user_ns_inum;
    CGROUPS, "task_struct"."cgroups": Pointer("css_set") => task_cgroups;
    CGROUPS, "css_set"."subsys": PointerArray("cgroup_subsys_state") => css_set_subsys;
    CGROUPS, "cgroup_subsys_state"."cgroup": Pointer("cgroup") => css_cgroup;
    CGROUPS, "cgroup"."kn": Pointer("kernfs_node") => cgroup_kn;
    CGROUPS, "cgroup"."root": Pointer("cgroup_root") => cgroup_root;
    CGROUPS, "cgroup_root"."hierarchy_id": Int(4) => root_hierarchy_id;
    CGROUPS, "kernfs_node"."id": Int(8) => kn_id;
};

/// The counter of mounts in a namespace, newest name first: since 6.8 it is `nr_mounts`, and `mounts`
/// became the tree that holds them, which a look-up by name alone would read as a number.
pub const MOUNT_COUNTERS: [&str; 2] = ["nr_mounts", "mounts"];

/// What was found, and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub offsets: Offsets,
    /// What the programs for kills read.
    pub silent: SilentOffsets,
    pub limits: LimitOffsets,
    pub objects: ObjectOffsets,
    /// Values by recipe; those of variables still without their addresses.
    pub recipes: Vec<ValueSet>,
    pub sockets: SocketOffsets,
    pub netlink: NetlinkOffsets,
    /// Whether this kernel has a tracepoint for its sentences about netlink requests.
    pub netlink_sentences: bool,
    pub rlimits: RlimitOffsets,
    pub credentials: CredentialOffsets,
    pub engines: EngineOffsets,
    /// The program that fits this kernel's tracepoint for failed operations of io_uring.
    pub io_uring: Result<&'static str, BtfError>,
    /// The type that names the probe function of `sys_exit`.
    pub sys_exit: Result<u32, BtfError>,
    /// `nr_mounts` or `mounts`.
    pub mount_counter: Option<&'static str>,
    /// Readings that are not taken, with the reason.
    pub missing: Vec<(&'static str, String)>,
}

impl Resolved {
    /// Why a reading is not taken; `None` when it is.
    pub fn why_not(&self, reading: &str) -> Option<&str> {
        self.missing.iter().find(|(name, _)| *name == reading).map(|(_, why)| why.as_str())
    }
}

/// The running kernel's type information.
pub fn read_vmlinux() -> io::Result<Vec<u8>> {
    fs::read(Path::new(VMLINUX))
}

/// Looks up every field that the probes read.
pub fn resolve(bytes: &[u8]) -> Result<Resolved, BtfError> {
    let btf = Btf::parse(bytes)?;
    let mut offsets = Offsets::NONE;
    let mut missing: Vec<(&'static str, String)> = Vec::new();
    let mut note = |reading, error: BtfError| {
        if !missing.iter().any(|(known, _)| *known == reading) {
            missing.push((reading, error.to_string()));
        }
    };
    for field in FIELDS {
        match btf.member(field.structure, field.path, field.want) {
            Ok(offset) => *(field.slot)(&mut offsets) = offset,
            Err(error) => note(field.reading, error),
        }
    }
    match btf.size_of("upid") {
        Ok(size) => offsets.upid_size = size,
        Err(error) => note(PID_NS, error),
    }
    let mut mount_counter = None;
    let mut counter_error = None;
    for name in MOUNT_COUNTERS {
        match btf.member("mnt_namespace", name, Int(4)) {
            Ok(offset) => {
                offsets.mnt_ns_mounts = offset;
                mount_counter = Some(name);
                break;
            }
            Err(error) => counter_error = Some(error),
        }
    }
    if let (None, Some(error)) = (mount_counter, counter_error) {
        note(MOUNTS, error);
    }
    for (slot, controller) in offsets.subsys.iter_mut().zip(CONTROLLERS) {
        // A kernel without the controller has no such enumerator, which is an answer and not a failure.
        if let Ok(value) = btf.enumerator("cgroup_subsys_id", &format!("{controller}_cgrp_id")) {
            *slot = value;
        }
    }
    let silent = super::silent::resolve(&btf);
    missing.extend(silent.missing);
    let mut resolved = Resolved {
        offsets,
        silent: silent.offsets,
        limits: LimitOffsets::NONE,
        objects: ObjectOffsets::NONE,
        recipes: Vec::new(),
        sockets: SocketOffsets::NONE,
        netlink: NetlinkOffsets::NONE,
        netlink_sentences: false,
        rlimits: RlimitOffsets::NONE,
        credentials: CredentialOffsets::NONE,
        engines: EngineOffsets::NONE,
        io_uring: silent.io_uring,
        sys_exit: btf.tracepoint_id("sys_exit"),
        mount_counter,
        missing,
    };
    super::limits::resolve(&btf, &mut resolved);
    super::objects::resolve(&btf, &mut resolved);
    resolved.recipes = crate::capture::values::resolve(&btf);
    super::sockets::resolve(&btf, &mut resolved);
    super::credentials::resolve(&btf, &mut resolved);
    super::engines::resolve(&btf, &mut resolved);
    super::netlink::resolve(&btf, &mut resolved);
    super::rlimits::resolve(&btf, &mut resolved);
    Ok(resolved)
}

/// Every member that [`resolve`] looks up, for tests that hold it against another implementation.
pub fn looked_up() -> impl Iterator<Item = (&'static str, &'static str, Want)> {
    FIELDS.iter().map(|field| (field.structure, field.path, field.want))
}
