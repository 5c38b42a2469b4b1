//! The rules of threaded cgroups: EOPNOTSUPP.

use super::case::cgroups::{self, CALLERS, THREADED};
use super::case::claim::{knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Cgroup, Errno, KnobKind, Remedy};

const EOPNOTSUPP: Errno = Errno(libc::EOPNOTSUPP);

const DECIDERS: &[&str] = &[
    "cgroup_migrate_vet_dst",
    "cgroup_attach_permissions",
    "cgroup_vet_subtree_control_enable",
    "cgroup_enable_threaded",
    "cgroup_type_write",
    "cgroup_procs_write_permission",
    "cgroup_kill_write",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-threaded",
    title: "the cgroup is threaded, or invalid beside a threaded one (cgroup.type)",
    about: "\
Writing to cgroup.procs, cgroup.threads, cgroup.type or cgroup.subtree_control fails with EOPNOTSUPP, \"Operation not
supported\"; so does clone3 into such a cgroup. Once one cgroup says `threaded` in cgroup.type, the cgroup above becomes
a `domain threaded` one, and all its other children become `domain invalid`: they can hold no process until they are made
threaded too. Below it memory, io and other controllers for whole processes cannot be switched on, threads cannot leave
their domain, and a cgroup with processes or such controllers cannot become threaded any more.

It surprises because nobody wrote to the cgroup that is refused: a sibling's type changed it. Reading cgroup.procs of a
threaded cgroup gives the same errno.",
    shows_as: &[("write", "EOPNOTSUPP"), ("clone3", "EOPNOTSUPP"), ("read", "EOPNOTSUPP")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "enters a cgroup beside a threaded one",
        risk: "none: in a cgroup of its own, which is removed again",
        variants: &["invalid-domain"],
    },
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#threads", "kernel/cgroup/cgroup.c: cgroup_migrate_vet_dst(), cgroup_enable_threaded()"],
};

/// Why, as the types and the files of the cgroup show it.
fn reason(file: &str, text: Option<&str>, cgroup: &Cgroup) -> Option<String> {
    let kind = cgroup.own("cgroup.type").unwrap_or("domain");
    let place = &cgroup.path;
    let full = |files: &crate::model::Files| {
        files
            .get("cgroup.subtree_control")
            .is_some_and(|t| t.split_whitespace().any(|c| !THREADED.contains(&c)))
    };
    match file {
        _ if kind == "domain invalid" && file != "cgroup.type" => Some(format!(
            "{place} is \"domain invalid\", because a cgroup beside or above it is threaded: it can hold no process."
        )),
        "cgroup.type" if cgroup.own("cgroup.events").is_some_and(|e| e.contains("populated 1")) => {
            Some(format!("{place} has processes, and only an empty cgroup becomes threaded."))
        }
        "cgroup.type" if full(&cgroup.own) => Some(format!(
            "{place} hands on controllers for whole processes, so that it cannot become threaded."
        )),
        "cgroup.type" if full(&cgroup.parent) => Some(format!(
            "the cgroup above {place} hands on controllers for whole processes, so that nothing below it becomes threaded."
        )),
        "cgroup.type" if cgroup.parent("cgroup.type").is_some_and(|t| t == "domain invalid") => {
            Some(format!("the cgroup above {place} is \"domain invalid\": make it threaded first."))
        }
        "cgroup.subtree_control" if kind.contains("threaded") => {
            let asked = text.and_then(|t| {
                t.split_whitespace().find(|w| w.starts_with('+') && !THREADED.contains(&&w[1..]))
            });
            Some(format!(
                "{place} is \"{kind}\", where {} cannot be switched on.",
                asked.map_or("a controller for whole processes", |w| &w[1..])
            ))
        }
        "cgroup.threads" => Some(format!(
            "threads stay in the domain of their process, and {place} (\"{kind}\") is in another."
        )),
        "cgroup.procs" | "cgroup.kill" if kind == "threaded" => {
            Some(format!("{place} is threaded: it has threads, and no processes."))
        }
        _ => None,
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let errno = [EOPNOTSUPP];
    let write = cgroups::write(case, &errno).or_else(|| cgroups::entering(case, &errno));
    let (file, text, cgroup) = match write {
        Some(w) if w.version == 2 => (w.file, w.text, w.cgroup),
        Some(_) => return None,
        None => {
            case.denied(&["read", "pread64"], EOPNOTSUPP)?;
            let file = case.failure().file().filter(|f| f.name == "cgroup.procs")?;
            (file.name.as_str(), None, cgroups::fact(case))
        }
    };
    let files = ["cgroup.procs", "cgroup.threads", "cgroup.type", "cgroup.subtree_control", "cgroup.kill"];
    if !files.contains(&file) {
        return None;
    }
    let why = cgroup.and_then(|c| reason(file, text, c));
    // Nothing but these rules says so to these files.
    let weighed = weigh(case, DECIDERS, CALLERS, why.as_ref().map(|_| true))?;
    let sentence =
        why.unwrap_or_else(|| format!("The rules of threaded cgroups forbid to write this to {file}."));
    let path = cgroup.map_or_else(|| "cgroup.type".into(), |c| format!("{}/cgroup.type", c.path));
    let lines = cgroup.into_iter().flat_map(|c| {
        let text = |t: Option<&str>| t.unwrap_or("not there").to_string();
        [
            format!(
                "{} ms after it {}/cgroup.type: {}",
                c.after_ns / 1_000_000,
                c.path,
                text(c.own("cgroup.type"))
            ),
            format!("of the cgroup above: {}", text(c.parent("cgroup.type"))),
        ]
    });
    Some(weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Cgroup, "cgroup.type", path)).because(lines))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let place = cgroups::fact(case).map_or("CGROUP", |c| c.path.as_str());
    vec![
        step(
            "now",
            format!("echo threaded > {place}/cgroup.type"),
            "it joins the threaded subtree: threads of the domain's processes may be in it, and no memory or io limit applies below the domain",
            "the type cannot be taken back: remove the cgroup and make it anew",
        ),
        look(
            format!("grep . {place}/../cgroup.type {place}/../*/cgroup.type"),
            "which cgroup is threaded: without it the others are plain domains",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::wrote;
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn an_invalid_domain_takes_nobody() {
        let i = wrote("cgroup.procs", "0", libc::EOPNOTSUPP, &[("cgroup.type", "domain invalid")]);
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "cgroup.type"));
        let i = wrote(
            "cgroup.type",
            "threaded",
            libc::EOPNOTSUPP,
            &[("cgroup.type", "domain"), ("cgroup.events", "populated 1\nfrozen 0")],
        );
        assert!(judge_with(&CAUSE, &i).unwrap().sentence.contains("has processes"));
        let i = wrote(
            "cgroup.subtree_control",
            "+memory",
            libc::EOPNOTSUPP,
            &[("cgroup.type", "domain threaded")],
        );
        assert!(judge_with(&CAUSE, &i).unwrap().sentence.contains("where memory cannot"));
    }

    #[test]
    fn without_a_rule_that_fits_nothing_is_sure() {
        let i = wrote("cgroup.procs", "0", libc::EOPNOTSUPP, &[("cgroup.type", "domain")]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        assert!(judge_with(&CAUSE, &wrote("memory.max", "1", libc::EOPNOTSUPP, &[])).is_none());
        assert!(
            judge_with(
                &CAUSE,
                &wrote("cgroup.procs", "0", libc::EBUSY, &[("cgroup.type", "domain invalid")])
            )
            .is_none()
        );
    }
}
