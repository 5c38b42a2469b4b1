//! The mount namespace may not hold another mount.

use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::mount::MOUNT_MAX;
use crate::model::{Confidence, Errno, Knob, KnobKind, Reading, Remedy, Taken, spaced};

/// Both reach `count_mounts()`: mount(2) through `do_add_mount()` or `do_loopback()`, move_mount(2) through
/// `do_move_mount()`. fsmount and open_tree build a namespace of their own and are not counted.
const SYSCALLS: &[&str] = &["mount", "move_mount"];

/// `attach_recursive_mnt()` has no other source of ENOSPC; it is what a graph shows where the compiler
/// inlined `count_mounts()`.
const DECIDERS: &[&str] = &["count_mounts", "attach_recursive_mnt"];

/// File systems whose `get_tree` writes nothing, so that ENOSPC cannot come from a backing store.
const NO_BACKING_STORE: &[&str] =
    &["proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "ramfs", "securityfs"];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-max",
    title: "the mount namespace is full (fs.mount-max)",
    about: "\
mount(2) or move_mount(2) fails with ENOSPC, \"No space left on device\", and engines print just that. No
device is involved: since 4.9 the kernel counts the mounts of each mount namespace, and count_mounts() in
fs/namespace.c refuses when those there, those pending and those this call would add exceed fs.mount-max
(100 000 by default). Recursive binds bring a whole subtree, and a mount below a shared mount is copied to
every peer, so one call can add many.

It surprises because df and df -i are fine, because the count differs from process to process (each mount
namespace has its own), and because the namespace that overflows is usually the engine's, not the
container's. Usual roots: overlay or shared-memory mounts of dead containers that nobody unmounted, and
agents with the host's root bound into them as rslave or rshared.",
    shows_as: &[("mount", "ENOSPC"), ("move_mount", "ENOSPC")],
    deciders: DECIDERS,
    reads: &[&MOUNT_MAX],
    rivals: &[Rival {
        name: "the file system below the mount is full",
        ruled_out_by: "count_mounts seen deciding; a bind or move, which touches no file system; a file \
                       system without backing store; or free blocks and inodes where the mount would write",
        stands: full_file_system,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "fills a private mount namespace with bind mounts up to fs.mount-max, then asks for one more",
        risk: "about 60 MiB of kernel memory for some seconds; no sysctl is touched, nobody else's mounts count",
        variants: &["mount", "move_mount"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/fs.html#mount-max",
        "fs/namespace.c: count_mounts(), attach_recursive_mnt()",
        "https://github.com/moby/moby/issues/45760",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(SYSCALLS, Errno::ENOSPC)?;
    if flags(case).intersects_no_new_mount() {
        return None;
    }
    let verdict = case.verdict(DECIDERS);
    let reading = case.reading(&MOUNT_MAX);
    let exceeded = reading.and_then(Reading::exceeded);
    let elsewhere = case.decided_elsewhere(DECIDERS);
    let at_instant = reading.is_some_and(|r| r.taken == Taken::AtInstant);

    let mut missing = Vec::new();
    let confidence = match (exceeded, &verdict, elsewhere) {
        // The kernel path names another function and the reading does not contradict it.
        (Some(false) | None, _, Some(_)) => return None,
        (Some(true), _, Some(other)) => {
            missing.push(format!("the kernel path points to {other} instead"));
            Confidence::Likely
        }
        (Some(true), _, None) if at_instant => Confidence::Proven,
        (Some(true), _, None) => {
            missing.push("the count was read after the call, not by the probe at that instant".into());
            Confidence::Likely
        }
        (_, Some(_), _) => {
            missing.push("a reading that shows the overflow: copies by propagation may have gone to another mount namespace".into());
            Confidence::Likely
        }
        (Some(false), None, _) if copied_to_peers(case) => {
            missing.push("the mounts of the namespaces that this one is copied to".into());
            Confidence::Likely
        }
        (Some(false), None, _) if flags(case).may_add_many() || case.passed_through(DECIDERS) => {
            missing.push("how many mounts the recursive or propagated copy would have added".into());
            Confidence::Possible
        }
        // There was room: the reading refutes it.
        (Some(false), None, _) => return None,
        (None, None, _) => {
            missing.push("the number of mounts in the namespace at that instant".into());
            Confidence::Possible
        }
    };
    Some(Proof {
        confidence,
        sentence: sentence(case, reading, exceeded),
        knob: Knob { kind: KnobKind::Sysctl, name: MOUNT_MAX.id.into(), path: MOUNT_MAX.path() },
        limit: reading.and_then(|r| r.ceiling),
        usage: reading.and_then(|r| r.usage),
        unit: MOUNT_MAX.unit.into(),
        evidence: evidence(case, reading),
        missing,
    })
}

/// Whether what is mounted there is copied into other mount namespaces, each of which counts for itself, while no file
/// system can have said so.
fn copied_to_peers(case: &Case<'_>) -> bool {
    let target = case.place("target").or_else(|| case.place("to_pathname"));
    let mount = target.and_then(|place| place.mount.as_ref());
    mount.is_some_and(|m| m.propagation.contains("shared:")) && full_file_system(case).is_none()
}

fn sentence(case: &Case<'_>, reading: Option<&Reading>, exceeded: Option<bool>) -> String {
    let who = &case.failure().task.comm;
    match (reading.and_then(|r| r.usage), reading.and_then(|r| r.ceiling)) {
        (Some(usage), Some(limit)) if exceeded == Some(true) => {
            let adds = reading.and_then(|r| r.adds).unwrap_or(1);
            let plus = if adds > 1 { format!(", this call would have added {adds}") } else { String::new() };
            format!(
                "The mount namespace of {who} holds {} mounts{plus}, and fs.mount-max allows {}.",
                spaced(usage),
                spaced(limit)
            )
        }
        _ => format!(
            "The kernel counted the mounts of {who}'s mount namespace, or of one it propagates to, and \
             fs.mount-max allows no more."
        ),
    }
}

fn evidence(case: &Case<'_>, reading: Option<&Reading>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(r) = reading {
        let when = match r.taken {
            Taken::AtInstant => "at that instant".to_string(),
            Taken::After { ns } => format!("{} ms after it", ns / 1_000_000),
        };
        if let Some(usage) = r.usage {
            lines.push(format!("{when} {} held {} mounts ({})", r.scope, spaced(usage), r.source));
        }
        if let Some(ceiling) = r.ceiling {
            lines.push(format!("fs.mount-max was {}", spaced(ceiling)));
        }
        if let Some(adds) = r.adds {
            lines.push(format!("this call would have added {adds}"));
        }
    }
    if let Some(v) = case.verdict(DECIDERS) {
        lines.push(format!("{} said no (found by {})", v.function, v.method));
    }
    lines
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit = proof.limit.unwrap_or(MOUNT_MAX.default);
    let double = limit.saturating_mul(2);
    // The sampler lists the largest first.
    let top = case.incident.owners.iter().find(|o| o.limit == MOUNT_MAX.id);
    let pid = case.failure().task.pid;
    let mut out = vec![
        Remedy {
            when: "now".into(),
            command: format!("sysctl -w fs.mount-max={double}"),
            effect: "for every mount namespace of the machine, at once; kernel memory grows with the mounts, not with the limit".into(),
            undo: format!("sysctl -w fs.mount-max={limit}"),
        },
        Remedy {
            when: "for good".into(),
            command: format!("echo 'fs.mount-max = {double}' > /etc/sysctl.d/90-mount-max.conf"),
            effect: "from the next boot on".into(),
            undo: "rm /etc/sysctl.d/90-mount-max.conf".into(),
        },
    ];
    if limit >= MOUNT_MAX.default / 2 {
        let most = top.map_or_else(String::new, |o| format!("; most are {} ({})", o.name, spaced(o.amount)));
        out.push(Remedy {
            when: "find the leak".into(),
            command: format!(
                "cut -d' ' -f5 /proc/{pid}/mountinfo | cut -d/ -f1-4 | sort | uniq -c | sort -n | tail"
            ),
            effect: format!("so many mounts are seldom meant: look for mounts of removed containers{most}"),
            undo: "reads only".into(),
        });
    }
    out
}

/// The rival: ENOSPC from the file system itself, e.g. overlay creating its work directory.
fn full_file_system(case: &Case<'_>) -> Option<String> {
    let no_file_system_involved = case.verdict(DECIDERS).is_some()
        || case.denied(&["move_mount"], Errno::ENOSPC).is_some()
        || flags(case).is_bind_or_move()
        || case.failure().text_arg("fstype").is_some_and(|t| NO_BACKING_STORE.contains(&t));
    if no_file_system_involved {
        return None;
    }
    for (id, words) in [("blocks", "free blocks"), ("inodes", "free inodes")] {
        let mut seen = case.incident.suspects_of(id).peekable();
        if seen.peek().is_none() {
            return Some(format!("{words} below the mount could not be read"));
        }
        if let Some(s) = seen.find(|s| s.guilty != Some(false)) {
            return Some(format!("{}: {}", s.what, s.reading));
        }
    }
    None
}

/// The flags of mount(2); zero for move_mount, whose flags say nothing about what is added.
struct MountFlags(u64);

fn flags(case: &Case<'_>) -> MountFlags {
    let mount = case.denied(&["mount"], Errno::ENOSPC).is_some();
    MountFlags(if mount { case.failure().number_arg("flags").unwrap_or(0) } else { 0 })
}

impl MountFlags {
    /// A remount or a change of propagation adds no mount and never reaches `count_mounts()`.
    fn intersects_no_new_mount(&self) -> bool {
        let propagation = libc::MS_SHARED | libc::MS_PRIVATE | libc::MS_SLAVE | libc::MS_UNBINDABLE;
        self.0 & (libc::MS_REMOUNT | propagation) != 0
    }

    fn is_bind_or_move(&self) -> bool {
        self.0 & (libc::MS_BIND | libc::MS_MOVE) != 0
    }

    fn may_add_many(&self) -> bool {
        self.0 & libc::MS_REC != 0
    }
}

#[cfg(test)]
#[path = "mount_max_tests.rs"]
mod tests;
