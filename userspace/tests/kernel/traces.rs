//! What diag could leave behind, so that before and after can be compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Control files of the top trace instance. Left out is what cannot be restored or is no control (DESIGN
/// 4.2): `touched_functions`, the printed form of `buffer_size_kb`, the data itself.
const CONTROLS: [&str; 15] = [
    "current_tracer",
    "trace_clock",
    "tracing_on",
    "trace_options",
    "tracing_cpumask",
    "set_ftrace_filter",
    "set_ftrace_notrace",
    "set_ftrace_pid",
    "set_ftrace_notrace_pid",
    "set_graph_function",
    "set_graph_notrace",
    "max_graph_depth",
    "set_event",
    "set_event_pid",
    "kprobe_events",
];

const SYSCTLS: [&str; 8] = [
    "fs/mount-max",
    "kernel/bpf_stats_enabled",
    "kernel/ftrace_enabled",
    "kernel/pid_max",
    "kernel/threads-max",
    "user/max_mnt_namespaces",
    "user/max_user_namespaces",
    "user/max_pid_namespaces",
];

/// One line for each thing that is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Traces(BTreeSet<String>);

impl Traces {
    pub(crate) fn take() -> Self {
        let mut all = BTreeSet::new();
        let mut list = |what: &str, dir: &Path| {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                // Folders only: the engine's own empty parent cgroup stays, with the files in it.
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    all.insert(format!("{what} {}", entry.path().display()));
                }
            }
        };
        for root in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
            list("tracefs instance", &Path::new(root).join("instances"));
        }
        for root in ["/sys/fs/cgroup/diag", "/sys/fs/cgroup/unified/diag", "/sys/fs/cgroup/pids/diag"] {
            list("cgroup", Path::new(root));
        }
        for line in fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
            // The test's own folder is about to go; tracefs stays where the machine had it.
            let point = line.split(' ').nth(4).unwrap_or_default();
            all.insert(format!("mount {point}"));
        }
        let control = |name: &&str| Path::new("/sys/kernel/tracing").join(name);
        let sysctl = |name: &&str| Path::new("/proc/sys").join(name);
        let files: Vec<PathBuf> = CONTROLS.iter().map(control).chain(SYSCTLS.iter().map(sysctl)).collect();
        for file in files {
            if let Ok(value) = fs::read_to_string(&file) {
                all.insert(format!("{} = {}", file.display(), value.trim()));
            }
        }
        all.extend(orphans());
        Self(all)
    }

    /// Whether all is as before. A BPF program that was on its way out then may be gone now: the kernel
    /// frees programs a moment after their last descriptor is closed.
    pub(crate) fn is_as(&self, before: &Self) -> bool {
        let less = before.0.difference(&self.0);
        self.0.is_subset(&before.0) && less.into_iter().all(|line| line.starts_with("BPF "))
    }

    pub(crate) fn beyond(&self, before: &Self) -> String {
        let more = self.0.difference(&before.0).map(|line| format!("+ {line}"));
        let less = before.0.difference(&self.0).map(|line| format!("- {line}"));
        more.chain(less).collect::<Vec<_>>().join("\n")
    }
}

/// BPF programs and links that no process holds open. Others come and go with their processes, diag's and
/// anybody's; what is loaded although nobody holds it was left behind.
fn orphans() -> Vec<String> {
    let programs = aya::programs::loaded_programs().flatten().map(|program| ("prog_id", program.id()));
    let links = aya::programs::loaded_links().flatten().map(|link| ("link_id", link.id()));
    // Before the descriptors are looked at: what is loaded meanwhile is held by somebody not looked at yet.
    let loaded: Vec<(&str, u32)> = programs.chain(links).collect();
    if loaded.is_empty() {
        return Vec::new();
    }
    let held = held();
    let orphan = |(kind, id): &&(&str, u32)| !held.contains(&format!("{kind}:{id}"));
    loaded.iter().filter(orphan).map(|(kind, id)| format!("BPF {kind} {id} held by nobody")).collect()
}

/// `prog_id:7` and `link_id:3` of every descriptor of every process (proc(5), `fdinfo`).
fn held() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        for entry in fs::read_dir(process.path().join("fdinfo")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let ids = text.lines().filter(|line| line.starts_with("prog_id") || line.starts_with("link_id"));
            found.extend(ids.map(|line| line.split_whitespace().collect::<String>()));
        }
    }
    found
}
