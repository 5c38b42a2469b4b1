//! The words of disk-full: numbers, knob, evidence and remedies of a full file system.

use super::{FileSystem, Knob, KnobKind, Proof, Remedy, Short, spaced};

/// Ceiling, usage and unit of what ran out. What is kept from the task counts as used.
pub(super) fn numbers(place: &FileSystem, short: Short) -> (u64, u64, &'static str) {
    match short {
        Short::Inodes => (place.files, place.files.saturating_sub(place.files_free), "inodes"),
        Short::Blocks => {
            let kept = place.reserved.unwrap_or(0);
            let used = place.blocks.saturating_sub(place.blocks_free.saturating_sub(kept));
            (place.blocks.saturating_mul(place.block_size), used.saturating_mul(place.block_size), "bytes")
        }
    }
}

pub(super) fn knob(place: &FileSystem, short: Short) -> Knob {
    let path = place.point.clone().unwrap_or_default();
    match (place.fstype.as_deref(), short) {
        (Some("tmpfs"), Short::Blocks) => Knob { kind: KnobKind::MountOption, name: "size=".into(), path },
        (Some("tmpfs"), Short::Inodes) => {
            Knob { kind: KnobKind::MountOption, name: "nr_inodes=".into(), path }
        }
        (kind, _) => {
            let name =
                if place.source.starts_with('/') { place.source.as_str() } else { kind.unwrap_or("disk") };
            Knob { kind: KnobKind::Other, name: name.into(), path }
        }
    }
}

/// `the tmpfs at /dev/shm`, `the ext4 at / below the overlay at /merged`.
fn name(place: &FileSystem) -> String {
    let of = |kind: &str, point: &str| format!("the {kind} at {point}");
    let it = match (&place.fstype, &place.point) {
        (Some(kind), Some(point)) => of(kind, point),
        _ => format!("the file system of {}", place.upper.as_deref().unwrap_or(&place.path)),
    };
    match &place.overlay {
        Some(overlay) => format!("{it}, below the overlay at {overlay},"),
        None => it,
    }
}

pub(super) fn sentence(place: &FileSystem, short: Short) -> String {
    let it = capital(&name(place));
    let free = place.blocks_free.saturating_sub(place.reserved.unwrap_or(0));
    match short {
        Short::Inodes => format!("{it} has no inode left of {}.", spaced(place.files)),
        Short::Blocks if place.needs > 1 && free > 0 => format!(
            "{it} has {} free, and this call needs {}.",
            bytes(free * place.block_size),
            bytes(place.needs.saturating_mul(place.block_size))
        ),
        Short::Blocks if place.reserved.is_some_and(|r| r > 0) => format!(
            "{it} has no block left of {} for this task; {} are kept for others.",
            bytes(place.blocks * place.block_size),
            bytes(place.blocks_free * place.block_size)
        ),
        Short::Blocks => format!("{it} has no block left of {}.", bytes(place.blocks * place.block_size)),
    }
}

pub(super) fn evidence(place: &FileSystem, short: Short) -> Vec<String> {
    let ms = place.after_ns / 1_000_000;
    let mut lines =
        vec![format!("{} {} lies on {}", place.role, place.path, name(place).trim_end_matches(','))];
    lines.push(match short {
        Short::Inodes => {
            format!("{ms} ms after it {} of {} inodes were free (statfs)", place.files_free, place.files)
        }
        Short::Blocks => format!(
            "{ms} ms after it {} of {} blocks were free, {} of them for everybody (statfs)",
            place.blocks_free, place.blocks, place.blocks_available
        ),
    });
    if place.needs > 1 {
        lines.push(format!("this call needs {} blocks", place.needs));
    }
    if !place.options.is_empty() {
        lines.push(format!("mounted with {}", place.options));
    }
    lines
}

pub(super) fn remedy(pid: u32, place: &FileSystem, short: Short, proof: &Proof) -> Vec<Remedy> {
    let Some(point) = place.point.as_deref() else { return vec![look(place, short)] };
    let (Some("tmpfs"), Some(limit)) = (place.fstype.as_deref(), proof.limit) else {
        return vec![look(place, short)];
    };
    let (option, limit) = match short {
        Short::Blocks => ("size", limit),
        Short::Inodes => ("nr_inodes", limit),
    };
    let double =
        limit.saturating_mul(2).max(limit.saturating_add(place.needs.saturating_mul(place.block_size)));
    // The upper folder of an overlay was found where diag is, the rest where the task is.
    let there = if place.overlay.is_some() { String::new() } else { format!("nsenter -t {pid} -m ") };
    let mut out = vec![Remedy {
        when: "now".into(),
        command: format!("{there}mount -o remount,{option}={double} {point}"),
        effect: "at once, for all who have it mounted; what a tmpfs holds is memory, charged to the cgroup that wrote it".into(),
        undo: format!("{there}mount -o remount,{option}={limit} {point}"),
    }];
    if short == Short::Blocks {
        let (command, effect) = if point.ends_with("/dev/shm") {
            (
                format!("docker run --shm-size={double} …"),
                "the size of /dev/shm in new containers; in Kubernetes mount an emptyDir with medium Memory there",
            )
        } else {
            (
                format!("docker run --tmpfs {point}:size={double} …"),
                "the size in new containers; for an emptyDir with medium Memory it is sizeLimit",
            )
        };
        out.push(Remedy {
            when: "for good".into(),
            command,
            effect: effect.into(),
            undo: "start it without the option".into(),
        });
    }
    out
}

/// Nobody can say what may go: show what is there.
fn look(place: &FileSystem, short: Short) -> Remedy {
    let at = place.point.as_deref().or(place.upper.as_deref()).unwrap_or("/");
    let (command, effect) = match short {
        Short::Blocks => (
            format!("du -xh {at} | sort -h | tail -20; lsof -nP +L1 {at}"),
            "shows the largest folders, and deleted files that are still open and so still take their blocks",
        ),
        Short::Inodes => (
            format!("du -x --inodes {at} | sort -n | tail -20"),
            "shows which folders hold most files; most file systems cannot get more inodes but by being larger",
        ),
    };
    Remedy { when: "find what fills it".into(), command, effect: effect.into(), undo: "reads only".into() }
}

/// `64.0 KiB`.
fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.*} {unit}", usize::from(unit != "B"));
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
