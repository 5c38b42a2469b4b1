//! The unit file: when it starts, what it may do, and why it may do that.

use std::path::Path;

/// Found by taking each away: without the first two nothing loads, without the others something is missing from the
/// answer. Left out is CAP_SYS_ADMIN, which is most of root: without it the price of the probes is not counted
/// (BPF_ENABLE_STATS), and the seccomp filters of others cannot be read (PTRACE_SECCOMP_GET_FILTER).
pub(super) const CAPABILITIES: &[(&str, &str)] = &[
    ("CAP_BPF", "loads the probes and their maps"),
    ("CAP_PERFMON", "attaches them, and lets them read the kernel's memory"),
    ("CAP_SYS_PTRACE", "reads /proc/PID of processes with more rights: namespaces, folders, open files"),
    ("CAP_DAC_READ_SEARCH", "reads engines' folders that belong to other users (rootless podman)"),
    ("CAP_SYSLOG", "reads the kernel's log of OOM kills, and where its variables are (/proc/kallsyms)"),
];

pub(super) fn text(program: &Path, journal: &Path, root: &Path) -> String {
    let names: Vec<&str> = CAPABILITIES.iter().map(|(name, _)| *name).collect();
    let why: String = CAPABILITIES.iter().map(|(name, why)| format!("# {name}: {why}\n")).collect();
    let folder = journal.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("/"));
    format!(
        "\
# Written by `diag service install`; `diag service remove` takes it away.
[Unit]
Description=diag watch: why containers fail
# Before the engines, so that their first container is seen.
Before=docker.service containerd.service podman.service crio.service kubelet.service
After=local-fs.target

[Service]
# Started means: the probes are attached. Only then systemd goes on to the engines.
Type=notify
ExecStart={program} watch
Environment=DIAG_JOURNAL={journal} DIAG_ROOT={root}
# 1: it found something. 2: it could not watch.
SuccessExitStatus=1
Restart=on-failure
RestartSec=2
KillSignal=SIGTERM
MemoryMax=512M
TasksMax=64
OOMScoreAdjust=-500

{why}\
CapabilityBoundingSet={capabilities}
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=-{folder} -/sys/kernel/tracing -/sys/kernel/debug/tracing
ProtectHome=read-only
# No PrivateTmp: a path of somebody else's call must lead here where it leads there. /tmp is read-only as all is.
ProtectHostname=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelModules=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
IPAddressDeny=any
DevicePolicy=closed
DeviceAllow=/dev/kmsg r
SystemCallArchitectures=native
# What it never asks for; bpf(2) and perf_event_open(2) are in groups that cannot be closed.
SystemCallFilter=~@clock @cpu-emulation @module @mount @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
",
        program = quoted(program),
        journal = quoted(journal),
        root = quoted(root),
        folder = quoted(folder),
        capabilities = names.join(" "),
    )
}

/// systemd.syntax(7): `%` is a specifier's beginning; spaces part words.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace('%', "%%").replace(' ', "\\x20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> String {
        text("/usr/bin/diag".as_ref(), "/var/lib/diag/journal.db".as_ref(), "/var/lib/diag/engine".as_ref())
    }

    #[test]
    fn it_names_program_journal_and_rights() {
        let unit = example();
        for line in [
            "ExecStart=/usr/bin/diag watch",
            "ReadWritePaths=-/var/lib/diag -/sys/kernel/tracing -/sys/kernel/debug/tracing",
            "SuccessExitStatus=1",
            "NoNewPrivileges=yes",
        ] {
            assert!(unit.lines().any(|l| l == line), "{line} in:\n{unit}");
        }
        for (name, _) in CAPABILITIES {
            assert_eq!(unit.matches(&format!("# {name}: ")).count(), 1, "{name} says why");
        }
        assert_eq!(quoted("/a b/100%".as_ref()), "/a\\x20b/100%%");
    }

    /// systemd's own check, where there is one.
    #[test]
    fn systemd_finds_no_fault_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("diag-watch.service");
        let program = std::env::current_exe().unwrap();
        let journal = dir.path().join("journal.db");
        std::fs::write(&file, text(&program, &journal, dir.path())).unwrap();
        let verify = std::process::Command::new("systemd-analyze").arg("verify").arg(&file).output();
        let Ok(output) = verify else {
            println!("skipped: no systemd-analyze here");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("diag-watch")).collect();
        assert!(ours.is_empty(), "{said}");
    }
}
