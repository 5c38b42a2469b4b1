//! Where this kernel has what the programs for kills read, and what its tracepoints pass.

use super::{Btf, BtfError, Want, kind, word};
use diag_abi::SilentOffsets;

use Want::{Bytes, Int, Pointer, StructArray, Text};

/// Who a task is that is not the current one.
pub const PARTIES: &str = "other tasks";
/// Whether a program handles a signal itself.
pub const HANDLERS: &str = "signal handlers";
/// Usage and ceiling of memory cgroups.
pub const MEMORY: &str = "memory cgroups";
/// How often a memory cgroup was found out of memory.
pub const OOMS: &str = "OOM counts of memory cgroups";
/// Which memory cgroup the OOM killer serves. Without cgroup v1 in the kernel there is no such lock.
pub const OOM_LOCK: &str = "OOM locks of memory cgroups";
/// Which hierarchy a new cgroup is in.
pub const HIERARCHY: &str = "hierarchies of new cgroups";
/// Which operation an io_uring was asked for.
pub const IO_URING: &str = "operations of io_uring";
/// What a new program's file says about its user.
pub const EXEC: &str = "set-user-ID programs";
/// What `mark_victim` passes.
pub const VICTIM: &str = "OOM victims";

type Row = (&'static str, &'static str, &'static str, Want, fn(&mut SilentOffsets) -> &mut u32);

const FIELDS: &[Row] = &[
    (PARTIES, "task_struct", "pid", Int(4), |o| &mut o.task_pid),
    (PARTIES, "task_struct", "comm", Bytes, |o| &mut o.task_comm),
    (PARTIES, "cred", "uid.val", Int(4), |o| &mut o.cred_uid),
    (PARTIES, "css_set", "dfl_cgrp", Pointer("cgroup"), |o| &mut o.css_set_dfl_cgrp),
    (HANDLERS, "task_struct", "sighand", Pointer("sighand_struct"), |o| &mut o.task_sighand),
    (HANDLERS, "sighand_struct", "action", StructArray("k_sigaction"), |o| &mut o.sighand_action),
    (MEMORY, "cgroup_subsys_state", "parent", Pointer("cgroup_subsys_state"), |o| &mut o.css_parent),
    (MEMORY, "kernfs_node", "name", Text, |o| &mut o.kn_name),
    (MEMORY, "mem_cgroup", "memory.usage.counter", Int(8), |o| &mut o.memcg_usage),
    (MEMORY, "mem_cgroup", "memory.max", Int(8), |o| &mut o.memcg_max),
    (OOM_LOCK, "mem_cgroup", "oom_lock", Int(1), |o| &mut o.memcg_oom_lock),
    (HIERARCHY, "cgroup", "root", Pointer("cgroup_root"), |o| &mut o.cgroup_root),
    (HIERARCHY, "cgroup_root", "hierarchy_id", Int(4), |o| &mut o.root_hierarchy),
    (EXEC, "linux_binprm", "file", Pointer("file"), |o| &mut o.bprm_file),
    (EXEC, "linux_binprm", "filename", Text, |o| &mut o.bprm_filename),
    (EXEC, "inode", "i_uid.val", Int(4), |o| &mut o.inode_uid),
    (EXEC, "inode", "i_gid.val", Int(4), |o| &mut o.inode_gid),
    (EXEC, "cred", "egid.val", Int(4), |o| &mut o.cred_egid),
    (EXEC, "file", "f_path.mnt", Pointer("vfsmount"), |o| &mut o.file_mount),
    (EXEC, "vfsmount", "mnt_flags", Int(4), |o| &mut o.mount_flags),
    // Of `atomic_long_t`, which is a structure without a name.
    (OOMS, "mem_cgroup", "memory_events_local", StructArray(""), |o| &mut o.memcg_ooms),
];

/// What was found.
pub struct Silent {
    pub offsets: SilentOffsets,
    /// The program for failed operations of io_uring, or why there is none.
    pub io_uring: Result<&'static str, BtfError>,
    pub missing: Vec<(&'static str, String)>,
}

/// Looks everything up; what is missing is named with its reason.
pub fn resolve(btf: &Btf<'_>) -> Silent {
    let mut offsets = SilentOffsets::NONE;
    let mut missing: Vec<(&'static str, String)> = Vec::new();
    let mut note = |reading, error: BtfError| {
        if !missing.iter().any(|(known, _)| *known == reading) {
            missing.push((reading, error.to_string()));
        }
    };
    for (reading, structure, path, want, slot) in FIELDS {
        match btf.member(structure, path, *want) {
            Ok(offset) => *slot(&mut offsets) = offset,
            Err(error) => note(reading, error),
        }
    }
    match btf.size_of("k_sigaction") {
        Ok(size) => offsets.sigaction_size = size,
        Err(error) => note(HANDLERS, error),
    }
    // Index times the eight bytes of an atomic_long_t.
    match btf.enumerator("memcg_memory_event", "MEMCG_OOM") {
        Ok(index) if offsets.memcg_ooms != diag_abi::UNRESOLVED => offsets.memcg_ooms += index * 8,
        Ok(_) => {}
        Err(error) => {
            offsets.memcg_ooms = diag_abi::UNRESOLVED;
            note(OOMS, error);
        }
    }
    // The probes take a cgroup_subsys_state for its mem_cgroup.
    let inside = btf.member("mem_cgroup", "css.cgroup", Pointer("cgroup"));
    if inside != btf.member("cgroup_subsys_state", "cgroup", Pointer("cgroup")) {
        offsets.memcg_usage = diag_abi::UNRESOLVED;
        offsets.memcg_ooms = diag_abi::UNRESOLVED;
        offsets.memcg_oom_lock = diag_abi::UNRESOLVED;
        note(MEMORY, BtfError::NoMember("mem_cgroup.css at its start".into()));
    }
    match btf.member("io_kiocb", "opcode", Int(1)) {
        Ok(offset) => offsets.kiocb_opcode = offset,
        Err(error) => note(IO_URING, error),
    }
    // Only where it exists is it needed.
    if let Ok(offset) = btf.member("io_ring_ctx", "sqo_task", Pointer("task_struct")) {
        offsets.ring_task = offset;
    }
    match btf.tracepoint("mark_victim").as_deref() {
        Ok([Arg::Pointer, ..]) => offsets.victim_is_task = 1,
        Ok([Arg::Int(4), ..]) => offsets.victim_is_task = 0,
        Ok(_) => note(VICTIM, BtfError::NoMember("an argument that says which task".into())),
        Err(error) => note(VICTIM, error.clone()),
    }
    Silent { offsets, io_uring: io_uring_program(btf), missing }
}

/// Which of the programs fits this kernel's `io_uring_complete`.
fn io_uring_program(btf: &Btf<'_>) -> Result<&'static str, BtfError> {
    match btf.tracepoint("io_uring_complete")?.as_slice() {
        [Arg::Pointer, Arg::Pointer, Arg::Pointer] => Ok("watch_uring_entry"),
        [Arg::Pointer, Arg::Pointer, Arg::Int(8), Arg::Int(4), ..] => Ok("watch_uring_request"),
        [Arg::Pointer, Arg::Int(8), Arg::Int(4 | 8), ..] => Ok("watch_uring_plain"),
        _ => Err(BtfError::NoMember("a known form of tracepoint io_uring_complete".into())),
    }
}

/// Every member that [`resolve`] looks up, for tests that hold it against another implementation.
pub fn looked_up() -> impl Iterator<Item = (&'static str, &'static str, Want)> {
    FIELDS.iter().map(|(_, structure, path, want, _)| (*structure, *path, *want))
}

/// What a tracepoint passes, as far as telling kernels apart needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// Of this many bytes.
    Int(u32),
    Pointer,
    Other,
}

impl Btf<'_> {
    /// The type that names a raw tracepoint's probe function.
    pub fn tracepoint_id(&self, name: &str) -> Result<u32, BtfError> {
        let wanted = format!("btf_trace_{name}");
        let mut ids = 1..=self.starts.len() as u32;
        let is_it = |id: &u32| {
            self.by_id(*id)
                .is_some_and(|ty| ty.kind == kind::TYPEDEF && self.string(ty.name) == wanted.as_bytes())
        };
        ids.find(is_it).ok_or_else(|| BtfError::NoType(format!("tracepoint {name}")))
    }

    /// The arguments of a raw tracepoint: those of `btf_trace_NAME`, a typedef of a pointer to the probe
    /// function (include/trace/bpf_probe.h), without the private data in front.
    pub fn tracepoint(&self, name: &str) -> Result<Vec<Arg>, BtfError> {
        let none = || BtfError::NoType(format!("tracepoint {name}"));
        let typedef = self.by_id(self.tracepoint_id(name)?);
        let pointer = typedef.and_then(|ty| self.by_id(self.plain(ty.value)?)).ok_or_else(none)?;
        let function = self.plain(pointer.value).and_then(|id| self.by_id(id)).ok_or_else(none)?;
        if pointer.kind != kind::PTR || function.kind != kind::FUNC_PROTO {
            return Err(none());
        }
        // struct btf_param { name, type }
        let parameter = |index: usize| word(self.types, function.rest + index * 8 + 4);
        Ok((1..function.count as usize)
            .map(|index| {
                let ty = parameter(index).and_then(|id| self.by_id(self.plain(id)?));
                match ty {
                    Some(ty) if ty.kind == kind::PTR => Arg::Pointer,
                    Some(ty) if ty.kind == kind::INT => Arg::Int(ty.value),
                    _ => Arg::Other,
                }
            })
            .collect())
    }
}
