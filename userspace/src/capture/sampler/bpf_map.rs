//! The map that a refused bpf(2) was about: its kind, its size, whether it is frozen, from the descriptor's fdinfo
//! (`bpf_map_show_fdinfo()`, kernel/bpf/syscall.c).

use super::{Look, Sampled, caller, file_system::own};
use crate::model::{Errno, Failure};
use std::fs;

/// BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM and BPF_MAP_FREEZE begin with the map's descriptor.
const WITH_MAP: &[u64] = &[2, 3, 22];

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.call != "bpf" || ![Errno(libc::E2BIG), Errno::EPERM, Errno::EBUSY].contains(&look.errno) {
        return;
    }
    if !failure.number_arg("cmd").is_some_and(|cmd| WITH_MAP.contains(&cmd)) {
        return;
    }
    let Some(task) = own(&look.view, &failure.task) else { return };
    let Some(bytes) = failure.number_arg("attr").and_then(|at| caller::array(&task, at)) else { return };
    let fd = u32::from_ne_bytes(bytes);
    let Ok(info) = fs::read_to_string(task.join(format!("fdinfo/{fd}"))) else { return };
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let after_ns = look.after(failure);
    for (name, key) in
        [("bpf map type", "map_type:"), ("bpf map entries", "max_entries:"), ("bpf map frozen", "frozen:")]
    {
        if let Some(value) = field(key) {
            let (of, source) = (format!("descriptor {fd}"), format!("/proc/PID/fdinfo/{fd}"));
            out.state(name, &of, value.into(), &source, after_ns);
        }
    }
}
