//! The table of checks.

use super::{Check, Verdict};
use crate::capture::{
    errno_watch::{ErrnoWatch, Scope},
    ftrace,
};
use crate::journal::{Bounds, JournalError, Reader, Writer};
use crate::limits::{self, read::Root};
use crate::model::Availability;
use std::{io, path::Path};

type CheckFn = fn(&Path) -> Vec<Check>;

pub(super) static ALL: &[CheckFn] = &[privileges, kernel, probes, graph, limits, journal, cgroups];

fn check(what: &'static str, verdict: Verdict, detail: impl Into<String>) -> Check {
    Check { what, verdict, detail: detail.into(), costs: "", help: String::new() }
}

fn privileges(_: &Path) -> Vec<Check> {
    let uid = nix::unistd::geteuid();
    if uid.is_root() {
        return vec![check("privileges", Verdict::Yes, "root")];
    }
    let help =
        "run diag as root, or give it CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH".into();
    vec![Check {
        costs: "nothing can be watched",
        help,
        ..check("privileges", Verdict::No, format!("uid {uid}"))
    }]
}

fn kernel(_: &Path) -> Vec<Check> {
    let release =
        nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default();
    let version: Vec<u32> = release.split(['.', '-']).map_while(|p| p.parse().ok()).collect();
    let new_enough = version.first().zip(version.get(1)).is_some_and(|v| v >= (&5, &10));
    let kernel = if new_enough {
        check("kernel", Verdict::Yes, release)
    } else {
        let help = "Linux 5.10 or newer is needed: it has the BPF ring buffer and BTF that diag reads".into();
        Check { costs: "nothing can be watched", help, ..check("kernel", Verdict::No, release) }
    };
    let btf = Path::new("/sys/kernel/btf/vmlinux");
    let btf = match std::fs::metadata(btf) {
        Ok(m) => {
            check("kernel types (BTF)", Verdict::Yes, format!("{} KiB in {}", m.len() / 1024, btf.display()))
        }
        Err(e) => Check {
            costs: "no cgroup v1 identity, no namespace ids, no count of mounts at the instant",
            help: "use a kernel built with CONFIG_DEBUG_INFO_BTF".into(),
            ..check("kernel types (BTF)", Verdict::Less, format!("{}: {e}", btf.display()))
        },
    };
    vec![kernel, btf]
}

/// Loads the real programs, one by one, and lets them go again.
fn probes(_: &Path) -> Vec<Check> {
    let watch = match ErrnoWatch::start(Scope::Machine) {
        Ok(watch) => watch,
        Err(e) => {
            return vec![Check {
                costs: "nothing can be watched",
                help: String::new(),
                ..check("errno watch", Verdict::No, e.to_string())
            }];
        }
    };
    let (errno_watch, mount_count, programs) = watch.state();
    let mut out = vec![
        availability("errno watch", errno_watch, "nothing can be watched"),
        availability("mounts at the instant", mount_count, "mount-max is at most likely, never proven"),
        availability("netlink", watch.silent().2, "refused routes, links and rules are not told"),
    ];
    for (name, state) in programs {
        let mut row = availability("program", state, "");
        row.detail = format!("{name}: {}", row.detail);
        out.push(row);
    }
    out
}

fn availability(what: &'static str, a: Availability, costs: &'static str) -> Check {
    match a {
        Availability::Yes { detail } => {
            check(what, Verdict::Yes, if detail.is_empty() { "yes".into() } else { detail })
        }
        Availability::No { why } => Check { costs, ..check(what, Verdict::Less, why) },
    }
}

fn graph(_: &Path) -> Vec<Check> {
    let mut row = availability(
        "kernel path (function_graph)",
        ftrace::available(),
        "no kernel path and no decider; answers come from readings",
    );
    if row.verdict != Verdict::Yes {
        row.help = "needs CONFIG_FUNCTION_GRAPH_TRACER and no lockdown; distribution kernels have it".into();
    }
    let mut rows = vec![row];
    rows.extend(ftrace::ladder().into_iter().map(|(way, state)| {
        let mut row = availability("deciding function", state, "the next way is taken");
        row.detail = format!("{way}: {}", row.detail);
        let help = NEEDS.iter().find(|(known, _)| *known == way).filter(|_| row.verdict != Verdict::Yes);
        row.help = help.map(|(_, needs)| (*needs).to_owned()).unwrap_or_default();
        row
    }));
    rows
}

/// What rungs of the ladder need, by their names there.
const NEEDS: [(&str, &str); 3] = [
    ("breakpoint", "needs function_graph and a free debug register of the processor"),
    ("kprobe.multi", "needs Linux 5.18 or newer with CONFIG_FPROBE, and no lockdown"),
    ("kretprobe", "needs CONFIG_KPROBE_EVENTS and no lockdown"),
];

fn limits(_: &Path) -> Vec<Check> {
    let root = Root::default();
    limits::ALL
        .iter()
        .map(|l| match root.ceiling(l) {
            Ok(n) => check("limit", Verdict::Yes, format!("{} = {n} {} per {}", l.id, l.unit, l.counted_per)),
            // One for each cgroup or process: read when one of them fails.
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                check("limit", Verdict::Yes, format!("{}: {}, read at each failure", l.path(), l.unit))
            }
            Err(e) => check("limit", Verdict::Less, format!("{} cannot be read: {e}", l.path())),
        })
        .collect()
}

fn journal(path: &Path) -> Vec<Check> {
    let at = path.display();
    let row = match Writer::open(path, Bounds::default()) {
        Ok(_) => check("journal", Verdict::Yes, format!("{at} can be written")),
        Err(JournalError::Locked { pid, .. }) => {
            check("journal", Verdict::Yes, format!("{at} is being written by pid {pid}"))
        }
        Err(e) => match Reader::open(path) {
            Ok(_) => Check {
                costs: "diag watch cannot keep what it sees",
                help: "use --journal FILE".into(),
                ..check("journal", Verdict::Less, format!("{at} can be read only: {e}"))
            },
            Err(_) => Check {
                costs: "diag watch cannot keep what it sees, diag explain CONTAINER has nothing to read",
                help: "use --journal FILE".into(),
                ..check("journal", Verdict::Less, e.to_string())
            },
        },
    };
    vec![row]
}

fn cgroups(_: &Path) -> Vec<Check> {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v1 = text.lines().filter(|l| !l.starts_with("0::")).count();
    let v2 = text.lines().any(|l| l.starts_with("0::"));
    let layout = match (v1, v2) {
        (0, true) => "v2".into(),
        (n, true) => format!("hybrid: {n} v1 hierarchies beside v2"),
        (n, false) if n > 0 => format!("v1: {n} hierarchies"),
        _ => "none".into(),
    };
    vec![check("cgroups", if v1 == 0 && !v2 { Verdict::Less } else { Verdict::Yes }, layout)]
}
