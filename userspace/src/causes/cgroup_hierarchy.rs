//! How many cgroups there may be below one, and how deep: cgroup.max.descendants and cgroup.max.depth.

use super::case::cgroups::{self, CALLERS};
use super::case::claim::{knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, spaced};

const DECIDERS: &[&str] = &["cgroup_check_hierarchy_limits"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-hierarchy",
    title: "the cgroups above allow no more, or no deeper, cgroups",
    about: "\
mkdir(2) of a cgroup fails with EAGAIN, \"Resource temporarily unavailable\", and it is not temporary.
cgroup_check_hierarchy_limits() in kernel/cgroup/cgroup.c goes from the parent to the root: each level may allow so many
cgroups below it (cgroup.max.descendants) and so many levels (cgroup.max.depth). Both are \"max\" unless somebody set
them, mostly for a container or a user session that is trusted to manage its own subtree.

It surprises because the text is that of a full pids.max, and because the level that refuses may be far above. Only
living cgroups count; dying ones (nr_dying_descendants) do not.",
    shows_as: &[("mkdir", "EAGAIN"), ("mkdirat", "EAGAIN")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "makes a cgroup where none more, or none deeper, is allowed",
        risk: "none: in a cgroup of its own, which is removed again",
        variants: &["descendants", "depth"],
    },
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files", "kernel/cgroup/cgroup.c: cgroup_check_hierarchy_limits()"],
};

/// The level that refuses.
struct Full {
    place: String,
    file: &'static str,
    ceiling: u64,
    usage: u64,
}

fn full(case: &Case<'_>) -> Option<Full> {
    let parent = cgroups::fact(case)?;
    let mut level = 0;
    let own = (&parent.path, &parent.own);
    for (place, files) in std::iter::once(own).chain(parent.above.iter().map(|n| (&n.name, &n.files))) {
        // The new cgroup is one level below the first.
        level += 1;
        let number = |file: &str| files.get(file)?.parse::<u64>().ok();
        if let (Some(most), Some(stat)) = (number("cgroup.max.descendants"), files.get("cgroup.stat")) {
            let used = crate::model::keyed(stat, "nr_descendants")?;
            if used >= most {
                return Some(Full {
                    place: place.clone(),
                    file: "cgroup.max.descendants",
                    ceiling: most,
                    usage: used,
                });
            }
        }
        if let Some(most) = number("cgroup.max.depth").filter(|most| level > *most) {
            return Some(Full {
                place: place.clone(),
                file: "cgroup.max.depth",
                ceiling: most,
                usage: level - 1,
            });
        }
    }
    None
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["mkdir", "mkdirat"], Errno::EAGAIN)?;
    let parent = cgroups::fact(case);
    let full = full(case);
    if full.is_none() && case.verdict(DECIDERS).is_none() && parent.is_none() {
        return None;
    }
    let weighed = weigh(case, DECIDERS, CALLERS, full.as_ref().map(|_| true))?;
    let file = full.as_ref().map_or("cgroup.max.descendants", |f| f.file);
    let sentence = match &full {
        Some(f) if f.file == "cgroup.max.depth" => {
            format!(
                "{} allows {} levels of cgroups below it, and the new one would be one deeper.",
                f.place,
                spaced(f.ceiling)
            )
        }
        Some(f) => format!(
            "{} has {} cgroups below it, and {} allows {}.",
            f.place,
            spaced(f.usage),
            f.file,
            spaced(f.ceiling)
        ),
        None => "A cgroup above allows no more cgroups below it.".into(),
    };
    let path = full.as_ref().map_or_else(|| file.to_string(), |f| format!("{}/{}", f.place, f.file));
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Cgroup, file, path));
    if let (Some(f), Some(c)) = (&full, parent) {
        proof.limit = Some(f.ceiling);
        proof.usage = Some(f.usage);
        proof.unit = if f.file == "cgroup.max.depth" { "levels" } else { "cgroups" }.into();
        proof.evidence.push(format!(
            "{} ms after it {}/{}: {}",
            c.after_ns / 1_000_000,
            f.place,
            f.file,
            f.ceiling
        ));
    }
    Some(proof)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    let limit = proof.limit.unwrap_or(0);
    let place = cgroups::fact(case).map_or("CGROUP", |c| c.path.as_str());
    vec![
        step(
            "now",
            format!("echo {} > {path}", limit.saturating_mul(2).max(16)),
            "for all below that cgroup",
            format!("echo {limit} > {path}"),
        ),
        look(
            format!("find {place} -type d | wc -l; cat {place}/cgroup.stat"),
            "empty cgroups that nobody removed are the usual leak: rmdir them",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::{cgroup, files};
    use crate::causes::case::testing::{incident, judge_with};
    use crate::model::{Confidence, Fact, Incident, Neighbour};

    fn made(own: &[(&str, &str)], above: &[(&str, &str)]) -> Incident {
        let mut i = incident("mkdir", Errno::EAGAIN, vec![]);
        let mut c = cgroup("c", own);
        c.above.push(Neighbour { name: "/sys/fs/cgroup".into(), files: files(above) });
        i.facts.push(Fact::Cgroup(c));
        i
    }

    const ROOM: &[(&str, &str)] = &[
        ("cgroup.max.descendants", "max"),
        ("cgroup.max.depth", "max"),
        ("cgroup.stat", "nr_descendants 9"),
    ];

    #[test]
    fn the_level_that_is_full_is_named_wherever_it_is() {
        let full = &[
            ("cgroup.max.descendants", "2"),
            ("cgroup.max.depth", "max"),
            ("cgroup.stat", "nr_descendants 2\nnr_dying_descendants 0"),
        ];
        let f = judge_with(&CAUSE, &made(full, ROOM)).unwrap();
        assert_eq!((f.confidence, f.limit, f.usage), (Confidence::Proven, Some(2), Some(2)));
        let f = judge_with(&CAUSE, &made(ROOM, full)).unwrap();
        assert!(f.knob.path.starts_with("/sys/fs/cgroup/cgroup.max"), "{}", f.knob.path);
        let deep = &[
            ("cgroup.max.descendants", "max"),
            ("cgroup.max.depth", "1"),
            ("cgroup.stat", "nr_descendants 1"),
        ];
        assert_eq!(judge_with(&CAUSE, &made(ROOM, deep)).unwrap().knob.name, "cgroup.max.depth");
    }

    #[test]
    fn with_room_everywhere_nothing_is_sure() {
        assert_eq!(judge_with(&CAUSE, &made(ROOM, ROOM)).unwrap().confidence, Confidence::Possible);
        let other = incident("mkdir", Errno::EAGAIN, vec![]);
        assert!(judge_with(&CAUSE, &other).is_none(), "no cgroup was to be made");
    }
}
