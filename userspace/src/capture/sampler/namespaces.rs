//! What decides over namespaces and ids: the caller's own namespaces, maps and threads, the namespace it wanted
//! to enter, and the map that was to be written.

mod links;
mod maps;

use super::{Look, Sampled};
use crate::model::{Errno, Fact, Failure, State};
use std::fs;

/// Calls that make or enter namespaces, or tasks in them.
const NEW: &[&str] = &["unshare", "clone", "clone3", "fork", "vfork", "setns"];

/// Calls that a map of ids may refuse.
const IDS: &[&str] = &[
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "setuid32",
    "setgid32",
    "setresuid32",
    "setresgid32",
    "setgroups32",
];

/// Switches that forbid user namespaces: Debian's and Ubuntu's patch, AppArmor's, and the limit of all kernels.
const SWITCHES: &[&str] = &[
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
    "user/max_user_namespaces",
];

/// Lines of `/proc/PID/status` that decide.
const STATUS: &[&str] = &["Threads", "Uid", "Gid", "NSpid", "CapEff"];

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let refusals =
        [Errno::EPERM, Errno::EINVAL, Errno::EACCES, Errno::ENOMEM, Errno(libc::EUSERS), Errno::EEXIST];
    let creates = look.errno == Errno(libc::EOVERFLOW);
    let written = maps::is_written(failure);
    if !(refusals.contains(&look.errno) && (NEW.contains(&look.call) || IDS.contains(&look.call)))
        && !creates
        && !written
    {
        return;
    }
    let mut notes = Notes { after_ns: look.after(failure), found: Vec::new() };
    let (pid, tid) = (failure.task.pid, failure.task.tid);
    caller(look, tid, &mut notes);
    if NEW.contains(&look.call) {
        links::of_caller(look, pid, tid, &mut notes);
        switches(look, &mut notes);
    }
    if look.call == "setns" {
        links::target(look, failure, &mut notes);
    }
    if written {
        maps::target(look, failure, &mut notes);
    }
    out.facts.extend(notes.found.into_iter().map(Fact::State));
}

/// States found so far.
struct Notes {
    after_ns: u64,
    found: Vec<State>,
}

impl Notes {
    fn add(&mut self, name: &str, of: &str, value: impl Into<String>, source: impl Into<String>) {
        self.found.push(State {
            name: name.into(),
            of: of.into(),
            value: value.into(),
            source: source.into(),
            after_ns: self.after_ns,
        });
    }
}

/// The caller's own state, while it lives.
fn caller(look: &Look<'_>, tid: u32, notes: &mut Notes) {
    let file = format!("/proc/{tid}/status");
    let status = fs::read_to_string(look.root.join(&file)).unwrap_or_default();
    for name in STATUS {
        let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        if let Some(value) = line {
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            notes.add(name, "caller", value, &file);
        }
    }
    for name in ["uid_map", "gid_map", "setgroups"] {
        let file = format!("/proc/{tid}/{name}");
        if let Ok(text) = fs::read_to_string(look.root.join(&file)) {
            notes.add(name, "caller", tidy(&text), &file);
        }
    }
}

fn switches(look: &Look<'_>, notes: &mut Notes) {
    for rel in SWITCHES {
        let file = format!("/proc/sys/{rel}");
        if let Ok(text) = fs::read_to_string(look.root.join(&file)) {
            notes.add(&rel.replace('/', "."), "the machine", text.trim(), &file);
        }
    }
}

/// A map with single blanks, one range a line.
fn tidy(text: &str) -> String {
    text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::cgroups::Names;
    use crate::capture::sampler::View;
    use crate::limits::read::Root;

    #[test]
    fn the_callers_state_is_told_in_the_kernels_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        fs::write(dir.path().join("proc/7/status"), "Name:\tx\nThreads:\t3\nUid:\t0\t0\t0\t0\n").unwrap();
        fs::write(dir.path().join("proc/7/uid_map"), "         0       1000          1\n").unwrap();
        let root = Root::at(dir.path());
        let look = Look {
            root: &root,
            cgroups: &Names::default(),
            view: View { root: root.clone(), pid: None },
            call: "setns",
            errno: Errno::EINVAL,
        };
        let mut notes = Notes { after_ns: 1, found: vec![] };
        caller(&look, 7, &mut notes);
        let told: Vec<(&str, &str)> =
            notes.found.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
        assert_eq!(told, [("Threads", "3"), ("Uid", "0 0 0 0"), ("uid_map", "0 1000 1")]);
    }
}
