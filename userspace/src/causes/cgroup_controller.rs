//! A controller that is not there: not built, not handed down, or still in use below.

use super::case::cgroups::{self, CALLERS, CONTROLLERS, THREADED, Write};
use super::case::claim::{knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Cgroup, Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["cgroup_subtree_control_write"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-controller",
    title: "the controller is not available in this cgroup, or is in use below it",
    about: "\
Writing to cgroup.subtree_control fails with ENOENT when the controller is not in the cgroup's own cgroup.controllers:
the cgroup above does not hand it down, it is bound to a v1 hierarchy, or the cgroup is threaded and the controller is
one for whole processes (memory, io, hugetlb …). EINVAL means that this kernel has no such controller at all (not built,
cgroup_disable= on its command line). EBUSY for -controller means that a child still hands it on.
cgroup_subtree_control_write() in kernel/cgroup/cgroup.c decides all three.

The same absence shows elsewhere as a missing file: opening memory.max or pids.max says ENOENT (with O_CREAT: EACCES or
EPERM), and the engine reports \"open …/cpu.max: no such file or directory\". Rootless engines see it for all that the
session manager did not delegate.",
    shows_as: &[("write", "ENOENT"), ("write", "EINVAL"), ("write", "EBUSY"), ("openat", "ENOENT"), ("openat", "EACCES"), ("openat", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "processes in the cgroup (EBUSY)",
        ruled_out_by: "what was written: only -controller",
        stands: |case| {
            let write = cgroups::write(case, &[Errno::EBUSY])?;
            let on = write.asked('+')?;
            (!on.is_empty()).then(|| "a controller was switched on as well, which processes in the cgroup forbid".into())
        },
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "switches on a controller that does not exist, or one off that a child uses",
        risk: "none: in a cgroup of its own, which is removed again",
        variants: &["unknown", "in-use"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/cgroup-v2.html#enabling-and-disabling",
        "kernel/cgroup/cgroup.c: cgroup_subtree_control_write()",
    ],
};

/// What is wrong, which file would change it, and whether that is sure.
struct Trouble {
    sentence: String,
    file: &'static str,
    path: String,
    state: Option<bool>,
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let errnos = [Errno::ENOENT, Errno::EINVAL, Errno::EBUSY];
    let (trouble, deciders): (Trouble, &[&str]) = match cgroups::write(case, &errnos) {
        Some(write) if write.version == 2 && write.file == "cgroup.subtree_control" => {
            (switched(case, &write)?, DECIDERS)
        }
        Some(_) => return None,
        None => (opened(case)?, &[]),
    };
    let weighed = weigh(case, deciders, CALLERS, trouble.state)?;
    let mut lines = Vec::new();
    if let Some(text) = case.failure().text_arg("written") {
        lines.push(format!("{:?} was written at that instant", text.trim()));
    }
    if let Some(c) = cgroups::fact(case) {
        for file in ["cgroup.controllers", "cgroup.type", "cgroup.subtree_control"] {
            let text = c.own(file).unwrap_or("not there");
            lines.push(format!(
                "{} ms after it {}/{file}: {}",
                c.after_ns / 1_000_000,
                c.path,
                if text.is_empty() { "empty" } else { text }
            ));
        }
        if let Some(above) = c.parent("cgroup.subtree_control") {
            lines.push(format!(
                "cgroup.subtree_control of the cgroup above: {}",
                if above.is_empty() { "empty" } else { above }
            ));
        }
    }
    let knob = knob(KnobKind::Cgroup, trouble.file, trouble.path);
    Some(weighed.proof(case, deciders, trouble.sentence, knob).because(lines))
}

fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

fn switched(case: &Case<'_>, write: &Write<'_>) -> Option<Trouble> {
    let (_, errno) = case.failure().syscall()?;
    match errno {
        Errno::EINVAL => unknown(case, write),
        Errno::ENOENT => absent(write),
        _ => in_use(write),
    }
}

fn unknown(case: &Case<'_>, write: &Write<'_>) -> Option<Trouble> {
    let text = write.text?;
    let known: Vec<&str> = case
        .state("controllers")
        .map(|s| s.value.split_whitespace().filter_map(|w| w.split(':').next()).collect())
        .unwrap_or_default();
    // v2 calls it io where /proc/cgroups says blkio.
    let has = |name: &str| known.contains(&name) || name == "io" && known.contains(&"blkio");
    let word = text.split_whitespace().find(|w| {
        let name = w.trim_start_matches(['+', '-']);
        w.len() == name.len() || !has(name)
    })?;
    let name = word.trim_start_matches(['+', '-']);
    let sentence = match CONTROLLERS.contains(&name) {
        _ if name == word => format!("{word:?} is neither +controller nor -controller."),
        true => {
            format!("This kernel has no controller {name}, or it was switched off at boot (cgroup_disable=).")
        }
        false => format!("{name:?} is the name of no controller of this kernel."),
    };
    let state = (!known.is_empty() || name == word).then_some(true);
    Some(Trouble {
        sentence,
        file: "cgroup.controllers",
        path: "/sys/fs/cgroup/cgroup.controllers".into(),
        state,
    })
}

fn absent(write: &Write<'_>) -> Option<Trouble> {
    let asked = write.asked('+')?;
    let Some(cgroup) = write.cgroup else {
        return Some(Trouble {
            sentence: format!("{} is not available in the cgroup.", asked.join(" ")),
            file: "cgroup.controllers",
            path: "cgroup.controllers".into(),
            state: None,
        });
    };
    let missing = asked.iter().find(|name| !cgroup.words("cgroup.controllers").any(|c| c == **name))?;
    Some(not_handed_down(cgroup, missing))
}

fn not_handed_down(cgroup: &Cgroup, controller: &str) -> Trouble {
    let threaded = cgroup.own("cgroup.type").is_some_and(|t| t == "threaded");
    if threaded && !THREADED.contains(&controller) {
        return Trouble {
            sentence: format!(
                "{} is threaded, and {controller} is a controller for whole processes: it ends above.",
                cgroup.path
            ),
            file: "cgroup.type",
            path: format!("{}/cgroup.type", cgroup.path),
            state: Some(true),
        };
    }
    let place = above(&cgroup.path);
    Trouble {
        sentence: format!(
            "{controller} is not available in {}: the cgroup above does not hand it down.",
            cgroup.path
        ),
        file: "cgroup.subtree_control",
        path: format!("{place}/cgroup.subtree_control"),
        state: Some(true),
    }
}

fn in_use(write: &Write<'_>) -> Option<Trouble> {
    let off = write.asked('-')?;
    let user = write.cgroup.and_then(|c| {
        c.children.iter().find(|child| {
            let given = child.files.get("cgroup.subtree_control").map(String::as_str).unwrap_or_default();
            given.split_whitespace().any(|name| off.contains(&name))
        })
    });
    let place = write.place();
    let (who, state) = match user {
        Some(child) => (child.name.clone(), Some(true)),
        None if off.is_empty() => return None,
        None => ("a cgroup below".into(), None),
    };
    Some(Trouble {
        sentence: format!(
            "{} cannot be switched off in {place}: {who} still hands it on to its own children.",
            off.join(" ")
        ),
        file: "cgroup.subtree_control",
        path: format!("{place}/{who}/cgroup.subtree_control"),
        state,
    })
}

/// A file of a controller that is not there.
fn opened(case: &Case<'_>) -> Option<Trouble> {
    let missing = [Errno::ENOENT, Errno::EACCES, Errno::EPERM];
    let call = missing.iter().find_map(|e| case.denied(&["openat", "open", "openat2", "creat"], *e))?;
    let cgroup = cgroups::fact(case).filter(|c| c.version == 2)?;
    let (controller, rest) = cgroup.file.split_once('.')?;
    // Reading is how programs ask whether a controller is there.
    let flags = case.failure().number_arg("flags").unwrap_or(0);
    if call != "creat" && flags & 0o3 == 0 {
        return None;
    }
    let creates = call == "creat" || case.failure().number_arg("flags").is_some_and(|f| f & 0o100 != 0);
    let (_, errno) = case.failure().syscall()?;
    let absent = !cgroup.own.contains_key(&cgroup.file) && (errno == Errno::ENOENT || creates);
    if !absent || !CONTROLLERS.contains(&controller) || rest.is_empty() {
        return None;
    }
    if cgroup.words("cgroup.controllers").any(|c| c == controller) {
        return None;
    }
    Some(not_handed_down(cgroup, controller))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (place, off) = match cgroups::fact(case) {
        Some(c) => (c.path.as_str(), case.failure().text_arg("written").is_some_and(|t| t.contains('-'))),
        None => ("CGROUP", false),
    };
    let asked = case.failure().text_arg("written").unwrap_or("+CONTROLLER").trim().to_string();
    let mut out = Vec::new();
    if off {
        out.push(step(
            "now",
            format!("echo {asked} > {}", proof.knob.path),
            "from the bottom up: then here",
            format!("echo {} > {}", asked.replace('-', "+"), proof.knob.path),
        ));
    } else if proof.knob.name == "cgroup.subtree_control" {
        out.push(step(
            "now",
            format!("echo {asked} > {}", proof.knob.path),
            "hands it down one level; above that the same, from the root on",
            format!("echo {} > {}", asked.replace('+', "-"), proof.knob.path),
        ));
        out.push(step(
            "for good",
            "systemctl edit user@.service: [Service] Delegate=cpu cpuset io memory pids",
            "for rootless engines: the session manager hands these controllers to users, from their next login on",
            "systemctl revert user@.service",
        ));
    } else if proof.knob.name == "cgroup.type" {
        out.push(look(
            format!("cat {place}/cgroup.type {place}/cgroup.controllers"),
            "set limits of that controller on the cgroup where the threaded subtree begins",
        ));
    }
    out.push(look(
        "cat /sys/fs/cgroup/cgroup.controllers /proc/cgroups /proc/cmdline",
        "what this kernel has, and what is bound to v1 (hierarchy not 0)",
    ));
    out
}

#[cfg(test)]
#[path = "cgroup_controller_tests.rs"]
mod tests;
