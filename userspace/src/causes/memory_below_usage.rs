//! A memory limit of cgroup v1 that is lower than what is used and cannot be freed, or than its companion allows.

use super::case::cgroups::{self, CALLERS, Write};
use super::case::claim::{knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Cgroup, Errno, KnobKind, Remedy, spaced};

const DECIDERS: &[&str] = &[
    "page_counter_set_max",
    "mem_cgroup_resize_max",
    "mem_cgroup_resize_limit",
    "hugetlb_cgroup_write",
    "memcg_update_kmem_max",
];

const LIMIT: &str = "memory.limit_in_bytes";
const SWAP: &str = "memory.memsw.limit_in_bytes";

pub(super) static CAUSE: Cause = Cause {
    slug: "memory-below-usage",
    title: "the new memory limit is below what is used, or contradicts the limit with swap (cgroup v1)",
    about: "\
Writing memory.limit_in_bytes fails with EBUSY, \"Device or resource busy\": mem_cgroup_resize_max() in mm/memcontrol.c
reclaims, page_counter_set_max() compares, and when the cgroup still holds more than the new limit (locked memory, no
swap, unevictable tmpfs) the old limit stays. EINVAL means that memory.memsw.limit_in_bytes, of memory and swap together,
would be below memory.limit_in_bytes: the two must be raised and lowered in the right order.

It surprises because v2 does neither: there memory.max takes any value and the OOM killer does the rest. `docker update
--memory` without --memory-swap is the usual way to EINVAL.",
    shows_as: &[("write", "EBUSY"), ("write", "EINVAL")],
    deciders: &["page_counter_set_max", "mem_cgroup_resize_max"],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("cgroup v1 only: a limit below the memory that a process has locked"),
    see: &["https://docs.kernel.org/admin-guide/cgroup-v1/memory.html", "mm/memcontrol.c: mem_cgroup_resize_max()"],
};

/// A size as memparse() reads it.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, shift) = match text.chars().last()? {
        'k' | 'K' => (&text[..text.len() - 1], 10),
        'm' | 'M' => (&text[..text.len() - 1], 20),
        'g' | 'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_shl(shift)
}

fn number(cgroup: Option<&Cgroup>, file: &str) -> Option<u64> {
    cgroup?.own(file)?.parse().ok()
}

/// The file with the usage that a limit is held against.
fn usage_file(limit: &str) -> String {
    limit.replace("limit_in_bytes", "usage_in_bytes")
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let write: Write<'_> = cgroups::write(case, &[Errno::EBUSY, Errno::EINVAL])
        .filter(|w| w.version == 1 && w.file.ends_with("limit_in_bytes") && w.file.starts_with("memory."))?;
    let (_, errno) = case.failure().syscall()?;
    let wanted = write.text.and_then(size);
    let used = number(write.cgroup, &usage_file(write.file));
    let other = number(write.cgroup, if write.file == SWAP { LIMIT } else { SWAP });
    let (state, why) = match errno {
        Errno::EBUSY => {
            let above = used.zip(wanted).map(|(used, wanted)| used > wanted);
            let told = format!(
                "{} bytes are used and could not be freed",
                used.map_or_else(|| "more".into(), spaced)
            );
            // It may be freed a moment later: that the kernel says EBUSY here at all means the same.
            (if above == Some(true) { Some(true) } else { None }, told)
        }
        _ => {
            let contradicts = match (wanted, other, write.file) {
                (Some(wanted), Some(other), LIMIT) => wanted > other,
                (Some(wanted), Some(other), SWAP) => wanted < other,
                _ => return None,
            };
            if !contradicts {
                return None;
            }
            (
                Some(true),
                format!(
                    "the limit of memory and swap ({SWAP}) may not be below {LIMIT}; the other one is {}",
                    spaced(other.unwrap_or(0))
                ),
            )
        }
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let sentence = format!(
        "{} of {} was not set to {}: {why}.",
        write.file,
        write.place(),
        wanted.map_or_else(|| "the new value".into(), spaced)
    );
    let mut proof =
        weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Cgroup, write.file, write.path(write.file)));
    (proof.limit, proof.usage, proof.unit) = (wanted, used, "bytes".into());
    if let Some(c) = write.cgroup {
        proof.evidence.push(format!(
            "{} ms after it {}: {}",
            c.after_ns / 1_000_000,
            usage_file(write.file),
            used.map_or_else(|| "unread".into(), spaced)
        ));
    }
    Some(proof)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let place = cgroups::fact(case).map_or("CGROUP", |c| c.path.as_str());
    let used = proof.usage.unwrap_or(0);
    let first = match case.failure().syscall() {
        Some((_, Errno::EINVAL)) => step(
            "now",
            "docker update --memory SIZE --memory-swap SIZE CONTAINER",
            "sets both, in the order that fits",
            "the same with the sizes before",
        ),
        _ => step(
            "now",
            format!("echo {} > {}", used.saturating_add(used / 4), proof.knob.path),
            "a limit that what is used fits in",
            "echo the limit before into it",
        ),
    };
    vec![
        first,
        look(format!("grep -E 'unevictable|mlocked|shmem|swap' {place}/memory.stat"), "what cannot be freed"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::wrote;
    use crate::causes::case::testing::judge_with;
    use crate::model::{ArgValue, Confidence, FailureKind, Incident};

    fn v1(file: &str, text: &str, errno: i32, own: &[(&str, &str)]) -> Incident {
        let mut i = wrote(file, text, errno, own);
        if let FailureKind::Syscall { args, .. } = &mut i.failure.kind
            && let ArgValue::Descriptor { file, .. } = &mut args[0].value
        {
            file.magic = 0x27_e0eb;
        }
        i
    }

    #[test]
    fn usage_above_the_new_limit_keeps_the_old_one() {
        let i = v1(LIMIT, "1M", libc::EBUSY, &[("memory.usage_in_bytes", "16777216")]);
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.limit, f.usage), (Confidence::Proven, Some(1 << 20), Some(16 << 20)));
        let i = v1(LIMIT, "2G", libc::EINVAL, &[(SWAP, "1073741824")]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn version_2_and_limits_in_order_are_no_case() {
        assert!(judge_with(&CAUSE, &wrote(LIMIT, "1M", libc::EBUSY, &[])).is_none());
        assert!(judge_with(&CAUSE, &v1(LIMIT, "1M", libc::EINVAL, &[(SWAP, "1073741824")])).is_none());
    }
}
