//! No space left on device, and it is the device: blocks or inodes of the file system are used up.
//!
//! When this may say *proven* although the counts were read milliseconds after the call: the call itself said
//! ENOSPC; its object was reached through the task's own descriptor or root, and is a file or folder, so that
//! nothing but its file system can have answered; the counts are those which that file system compares
//! (`EXACT`); and they still show no room for what the call needs at least. A file system without a free
//! block or inode refuses such a call whatever else is true, so for the answer to be wrong it would have had
//! to refuse for another reason and run full within those milliseconds. The other reasons that these file
//! systems have are rivals below. Where one of these legs is missing it is *likely*, and says which.

use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::mount::MOUNT_MAX;
use crate::model::{Confidence, Errno, Fact, FileKind, FileSystem, Knob, KnobKind, Reading, Remedy, spaced};

#[path = "disk_full/words.rs"]
mod words;

/// Calls that take blocks for what a file holds.
const DATA: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "fallocate",
    "ftruncate",
    "ftruncate64",
    "truncate",
    "truncate64",
    "copy_file_range",
    "splice",
    "sendfile",
    "sendfile64",
];

/// Calls that make a name, and with it mostly an inode.
const NAMES: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "bind",
    "mount",
];

/// Where ENOSPC has a meaning of its own and statfs(2) none: files that are the kernel's interfaces.
const INTERFACES: &[&str] = &[
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "mqueue",
    "debugfs",
    "tracefs",
    "configfs",
    "securityfs",
    "bpf",
    "pstore",
    "binfmt_misc",
    "hugetlbfs",
    "selinuxfs",
    "rpc_pipefs",
    "efivarfs",
    "resctrl",
];

/// File systems that hold those very counts, which statfs(2) shows, against a request:
/// `shmem_inode_acct_blocks()` and `shmem_reserve_inode()` in mm/shmem.c, `ext4_has_free_clusters()` and
/// `__ext4_new_inode()` in fs/ext4. Others keep reserves or allocate inodes in ways statfs does not tell.
const EXACT: &[&str] = &["tmpfs", "ext2", "ext3", "ext4"];

const DECIDERS: &[&str] = &[
    "shmem_inode_acct_blocks",
    "shmem_inode_acct_block",
    "shmem_reserve_inode",
    "ext4_claim_free_clusters",
    "ext4_da_reserve_space",
    "__ext4_new_inode",
];

/// A later reading speaks of another time.
const FRESH_NS: u64 = 1_000_000_000;

pub(super) static CAUSE: Cause = Cause {
    slug: "disk-full",
    title: "the file system is full (blocks or inodes)",
    about: "\
ENOSPC, and for once it means what it says: the file system that holds the file has no free block, or no
free inode, left. It still surprises: df on the host looks at another file system. A container's /dev/shm
is a tmpfs of 64 MiB unless --shm-size says otherwise; an emptyDir with medium Memory is a tmpfs too; what
a container writes to its root goes to the file system below the overlay's upperdir. Inodes run out while
df shows gigabytes free (df -i tells), a share of ext4 is kept for root, and an overlay copies a whole file
up before the first byte of it is changed, so that opening a large file for writing fails on a disk that
has room for what would be written.",
    shows_as: &[
        ("write", "ENOSPC"),
        ("pwrite64", "ENOSPC"),
        ("writev", "ENOSPC"),
        ("fallocate", "ENOSPC"),
        ("copy_file_range", "ENOSPC"),
        ("openat", "ENOSPC"),
        ("mkdir", "ENOSPC"),
        ("mknodat", "ENOSPC"),
        ("symlink", "ENOSPC"),
        ("linkat", "ENOSPC"),
        ("rename", "ENOSPC"),
        ("bind", "ENOSPC"),
        ("mount", "ENOSPC"),
    ],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[
        Rival {
            name: "the mount namespace is full (mount only)",
            ruled_out_by: "a count of mounts below fs.mount-max",
            stands: full_namespace,
        },
        Rival {
            name: "strict overcommit refuses a page of a tmpfs",
            ruled_out_by: "vm.overcommit_memory other than 2",
            stands: strict_overcommit,
        },
        Rival {
            name: "a project quota",
            ruled_out_by: "a file system mounted without project quotas",
            stands: project_quota,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "fills a tmpfs of 64 KiB and 16 inodes in a mount namespace of its own",
        risk: "none: nothing outside that namespace is touched",
        variants: &["blocks", "inodes", "fallocate", "overlay"],
    },
    see: &[
        "https://docs.kernel.org/filesystems/tmpfs.html",
        "mm/shmem.c: shmem_inode_acct_blocks(), shmem_reserve_inode()",
        "fs/ext4/balloc.c: ext4_has_free_clusters()",
        "fs/overlayfs/super.c: ovl_statfs()",
    ],
};

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    Blocks,
    Inodes,
}

/// How surely it is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sure {
    Yes,
    /// Short for a task without a claim to the reserve, and whether this one has a claim is not known.
    ForMost,
    /// Short for all that is written, and not for its first page.
    InOnePiece,
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(DATA, Errno::ENOSPC).or_else(|| case.denied(NAMES, Errno::ENOSPC))?;
    let overlay_mount = case.failure().text_arg("fstype") == Some("overlay");
    if call == "mount" && !overlay_mount {
        return None;
    }
    let Some(place) = place(case) else { return unread(case) };
    let interface = place.fstype.as_deref().is_some_and(|t| INTERFACES.contains(&t));
    if place.object == FileKind::Other || interface {
        return None;
    }
    // Room for what the call needs refutes it.
    let whole;
    let (short, sure, place) = match short(call, place) {
        Some((short, sure)) => (short, sure, place),
        None => {
            whole = in_one_piece(case, place)?;
            (Short::Blocks, Sure::InOnePiece, &whole)
        }
    };
    let mut missing = Vec::new();
    match place.fstype.as_deref() {
        Some(t) if EXACT.contains(&t) => {}
        Some(t) => missing.push(format!("whether {t} refuses by the counts that statfs(2) shows")),
        None => missing.push("the type of the file system below the overlay".into()),
    }
    if sure == Sure::ForMost {
        missing.push("whether the task could use the share that is kept for root".into());
    }
    if sure == Sure::InOnePiece {
        missing.push("whether the file system takes all of it in one piece: a page of it would fit".into());
    }
    if place.after_ns > FRESH_NS {
        missing.push("a reading taken sooner after the call".into());
    }
    if let Some(other) = case.decided_elsewhere(DECIDERS).filter(|d| *d == "count_mounts") {
        missing.push(format!("the kernel path points to {other} instead"));
    }
    let confidence = if missing.is_empty() { Confidence::Proven } else { Confidence::Likely };
    let (limit, usage, unit) = words::numbers(place, short);
    Some(Proof {
        confidence,
        sentence: words::sentence(place, short),
        knob: words::knob(place, short),
        limit: Some(limit),
        usage: Some(usage),
        unit: unit.into(),
        evidence: words::evidence(place, short),
        missing,
    })
}

fn place<'a>(case: &Case<'a>) -> Option<&'a FileSystem> {
    case.incident.facts.iter().find_map(|fact| match fact {
        Fact::FileSystem(place) => Some(place),
        _ => None,
    })
}

/// Whether blocks or inodes are short for this call; `None` when there is room.
fn short(call: &str, place: &FileSystem) -> Option<(Short, Sure)> {
    // A file that is there needs no inode, unless an overlay must copy it up.
    let takes_inode = NAMES.contains(&call)
        && (place.object != FileKind::Regular || call.starts_with("link"))
        || place.overlay.is_some() && !matches!(call, "write" | "pwrite64" | "writev" | "pwritev");
    // tmpfs keeps names in memory of their own; only a long symbolic link takes a page (shmem_symlink()).
    let takes_block = !(NAMES.contains(&call)
        && place.overlay.is_none()
        && place.fstype.as_deref() == Some("tmpfs")
        && !call.starts_with("symlink"));
    if takes_inode && place.files > 0 && place.files_free == 0 {
        return Some((Short::Inodes, Sure::Yes));
    }
    if !takes_block || place.blocks == 0 {
        return None;
    }
    let usable = place.blocks_free.saturating_sub(place.reserved.unwrap_or(0));
    if usable < place.needs {
        return Some((Short::Blocks, Sure::Yes));
    }
    (place.reserved.is_none() && place.blocks_available < place.needs)
        .then_some((Short::Blocks, Sure::ForMost))
}

/// What is written goes to the file system in pieces, and one that does not fit is refused whole. A piece is a page, or as
/// much as a large folio holds (XFS since 5.18, ext4 since 6.16); tmpfs falls back to pages.
fn in_one_piece(case: &Case<'_>, place: &FileSystem) -> Option<FileSystem> {
    case.denied(&["write", "pwrite64"], Errno::ENOSPC)?;
    let needs = case.failure().number_arg("count")?.div_ceil(place.block_size.max(1));
    let tmpfs = place.fstype.as_deref() == Some("tmpfs");
    let usable = match place.reserved {
        Some(kept) => place.blocks_free.saturating_sub(kept),
        None => place.blocks_available,
    };
    let short = place.object == FileKind::Regular && !tmpfs && place.blocks > 0 && usable < needs;
    short.then(|| FileSystem { needs, ..place.clone() })
}

/// The object could not be reached any more. Where the call names a path, errno and name fit, and that is all;
/// behind a descriptor there may be a device, a pipe or a socket as well, and nothing is claimed.
fn unread(case: &Case<'_>) -> Option<Proof> {
    let (call, _) = case.failure().syscall()?;
    let path = ["pathname", "path", "newpath", "linkpath"].iter().find_map(|n| case.failure().text_arg(n));
    let path = path.or_else(|| case.failure().socket_file())?;
    let interface = ["/dev", "/proc", "/sys"].iter().any(|dir| path.starts_with(dir));
    if interface {
        return None;
    }
    // The same path as diag sees it, or the places an overlay names: room there refutes it.
    let mut seen =
        case.incident.suspects.iter().filter(|s| s.id.starts_with("blocks") || s.id.starts_with("inodes"));
    if case.incident.suspects_of("blocks").next().is_some() && seen.all(|s| s.guilty == Some(false)) {
        return None;
    }
    Some(Proof {
        confidence: Confidence::Possible,
        sentence: format!("The file system of {path} may be full; it could not be looked at in time."),
        knob: Knob { kind: KnobKind::Other, name: "disk".into(), path: path.into() },
        limit: None,
        usage: None,
        unit: "bytes".into(),
        evidence: vec![format!("{call} was refused for {path}")],
        missing: vec!["the file system of the call's file: the task was gone".into()],
    })
}

fn full_namespace(case: &Case<'_>) -> Option<String> {
    case.denied(&["mount"], Errno::ENOSPC)?;
    let reading = case.reading(&MOUNT_MAX);
    match reading.and_then(Reading::exceeded) {
        Some(false) => None,
        Some(true) => Some("the mount namespace is full as well (fs.mount-max)".into()),
        None => Some("the mounts of the namespace could not be counted (fs.mount-max)".into()),
    }
}

fn strict_overcommit(case: &Case<'_>) -> Option<String> {
    // Names take no page, and only tmpfs asks.
    case.denied(DATA, Errno::ENOSPC)?;
    if place(case)?.fstype.as_deref() != Some("tmpfs") {
        return None;
    }
    match case.incident.suspects_of("overcommit").next() {
        Some(s) if s.guilty == Some(false) => None,
        Some(s) => Some(format!("{}: {}", s.what, s.reading)),
        None => Some("vm.overcommit_memory could not be read".into()),
    }
}

fn project_quota(case: &Case<'_>) -> Option<String> {
    let quota = place(case)?.options.split(',').find(|o| matches!(*o, "prjquota" | "pquota" | "prjjquota"));
    quota.map(|option| format!("project quotas are on ({option}), and statfs(2) shows a project's share"))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let Some(place) = place(case) else { return Vec::new() };
    let short = if proof.unit == "inodes" { Short::Inodes } else { Short::Blocks };
    words::remedy(case.failure().task.pid, place, short, proof)
}

#[cfg(test)]
#[path = "disk_full_tests.rs"]
mod tests;
