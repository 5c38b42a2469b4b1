//! Switches and usage read again after a failure, where the probe did not read them at that instant: a kernel that
//! does not show where its variables are, a counter that only the processes together know.

use super::{Look, Sampled};
use crate::limits::{Holder, Limit, Usage, commit, descriptors, keys, owners, rlimits, watches};
use crate::model::{Fact, Failure, Owner, Reading, State, Taken};
use libc::{EACCES, EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC, EPERM};
use std::fs;

/// Calls, errnos, and the switches that they may be about.
const SWITCHES: &[(&[&str], &[i32], &[&str])] = &[
    (&["io_uring_setup"], &[EPERM], &["kernel.io_uring_disabled"]),
    (&["bpf"], &[EPERM], &["kernel.unprivileged_bpf_disabled"]),
    (&["perf_event_open"], &[EACCES, EPERM], &["kernel.perf_event_paranoid"]),
    (&["userfaultfd"], &[EPERM], &["vm.unprivileged_userfaultfd"]),
    (&["memfd_create", "execve", "execveat"], &[EACCES], &["vm.memfd_noexec"]),
    (&["syslog"], &[EPERM], &["kernel.dmesg_restrict"]),
    (&["link", "linkat"], &[EPERM], &["fs.protected_hardlinks"]),
    (
        &["open", "openat", "openat2", "creat", "execve"],
        &[EACCES],
        &["fs.protected_symlinks", "fs.protected_regular", "fs.protected_fifos"],
    ),
    (&["mmap", "mremap"], &[EPERM], &["vm.mmap_min_addr"]),
    (
        &["mmap", "mremap", "mprotect", "clone", "clone3", "fork", "vfork", "shmget"],
        &[ENOMEM],
        &["vm.overcommit_memory"],
    ),
];

/// Calls, errnos, and the limits whose usage is looked up.
const LIMITS: &[(&[&str], &[i32], &[&Limit])] = &[
    (&["inotify_init", "inotify_init1"], &[EMFILE], &[&watches::INOTIFY_INSTANCES, &rlimits::NOFILE]),
    (&["inotify_add_watch"], &[ENOSPC], &[&watches::INOTIFY_WATCHES]),
    (&["fanotify_init"], &[EMFILE], &[&watches::FANOTIFY_GROUPS, &rlimits::NOFILE]),
    (&["fanotify_mark"], &[ENOSPC], &[&watches::FANOTIFY_MARKS]),
    (&["epoll_ctl"], &[ENOSPC], &[&descriptors::EPOLL_WATCHES]),
    (
        &["add_key", "request_key", "keyctl"],
        &[EDQUOT],
        &[&keys::MAXKEYS, &keys::MAXBYTES, &keys::ROOT_MAXKEYS, &keys::ROOT_MAXBYTES],
    ),
    (
        &[
            "open",
            "openat",
            "openat2",
            "creat",
            "socket",
            "accept",
            "accept4",
            "pipe",
            "pipe2",
            "dup",
            "epoll_create1",
            "eventfd2",
        ],
        &[EMFILE],
        &[&rlimits::NOFILE],
    ),
    (
        &["open", "openat", "openat2", "socket", "accept", "accept4", "pipe", "pipe2"],
        &[ENFILE],
        &[&descriptors::FILE_MAX],
    ),
    (&["io_setup"], &[EAGAIN], &[&descriptors::AIO_MAX_NR]),
    (&["mmap", "mremap", "mprotect", "munmap"], &[ENOMEM], &[&rlimits::MAX_MAP_COUNT, &commit::COMMIT_LIMIT]),
    (&["clone", "clone3", "fork", "vfork"], &[ENOMEM], &[&commit::COMMIT_LIMIT]),
    (
        &["rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill", "pidfd_send_signal", "timer_create"],
        &[EAGAIN],
        &[&rlimits::SIGPENDING],
    ),
];

/// Owners that are named.
const OWNERS: usize = 5;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let errno = look.errno.0;
    for (calls, errnos, switches) in SWITCHES {
        if calls.contains(&look.call) && errnos.contains(&errno) {
            out.facts.extend(switches.iter().filter_map(|name| switch(look, failure, name)).map(Fact::State));
        }
    }
    for (calls, errnos, limits) in LIMITS {
        if calls.contains(&look.call) && errnos.contains(&errno) {
            for limit in *limits {
                usage(look, failure, out, limit);
            }
        }
    }
    let ptmx = failure.text_arg("pathname").is_some_and(|path| path.ends_with("ptmx"));
    if ptmx && errno == ENOSPC {
        usage(look, failure, out, &descriptors::PTY_MAX);
    }
    watchers(look, failure, out);
    pipe(look, failure, out);
}

/// The size that a pipe was to have, where the probe did not see the variable it was held against.
fn pipe(look: &Look<'_>, failure: &Failure, out: &mut Sampled) {
    let limit = &descriptors::PIPE_MAX_SIZE;
    let resized = look.call == "fcntl" && look.errno.0 == EPERM && failure.number_arg("op") == Some(1031);
    if !resized || failure.readings.iter().any(|r| r.limit == limit.id && r.ceiling.is_some()) {
        return;
    }
    let Some(wanted) = failure.number_arg("arg").and_then(|size| size.max(4096).checked_next_power_of_two())
    else {
        return;
    };
    out.readings.push(Reading {
        limit: limit.id.into(),
        scope: String::new(),
        ceiling: look.root.ceiling(limit).ok(),
        usage: Some(0),
        adds: Some(wanted),
        hits: None,
        unit: limit.unit.into(),
        taken: Taken::After { ns: look.after(failure) },
        source: limit.path(),
    });
}

/// A sysctl as a state, unless the probe has read the variable behind it.
fn switch(look: &Look<'_>, failure: &Failure, name: &str) -> Option<State> {
    if failure.readings.iter().any(|r| r.limit == name && r.ceiling.is_none()) {
        return None;
    }
    let source = format!("/proc/sys/{}", name.replace('.', "/"));
    let value = fs::read_to_string(look.root.join(&source)).ok()?.trim().to_owned();
    Some(State { name: name.into(), of: String::new(), value, source, after_ns: look.after(failure) })
}

/// What the failing task or its user has of a limit, unless the probe has counted that.
fn usage(look: &Look<'_>, failure: &Failure, out: &mut Sampled, limit: &Limit) {
    let known = |r: &Reading| r.limit == limit.id && r.ceiling.is_some();
    if failure.readings.iter().any(known) || out.readings.iter().any(known) {
        return;
    }
    let Usage::Read(read) = limit.usage else { return };
    let Ok(holders) = read(look.root) else { return };
    let task = &failure.task;
    let (user, process) = (format!("user {}", task.uid), format!("process {} ", task.pid));
    let mine = |h: &&Holder| h.name.is_empty() || h.name == user || h.name.starts_with(&process);
    let Some(holder) = holders.iter().find(mine) else { return };
    out.readings.push(Reading {
        limit: limit.id.into(),
        scope: holder.name.clone(),
        ceiling: holder.ceiling.or_else(|| look.root.ceiling(limit).ok()),
        usage: Some(holder.usage),
        adds: Some(adds(failure, limit)),
        hits: None,
        unit: limit.unit.into(),
        taken: Taken::After { ns: look.after(failure) },
        source: limit.path(),
    });
}

/// One, but of bytes in keys the payload and the description with its end (`key_alloc()`, security/keys/key.c).
fn adds(failure: &Failure, limit: &Limit) -> u64 {
    if ![keys::MAXBYTES.id, keys::ROOT_MAXBYTES.id].contains(&limit.id) {
        return 1;
    }
    let description = failure.text_arg("description").map_or(0, |text| text.len() as u64);
    description + 1 + failure.number_arg("plen").unwrap_or(0)
}

/// Who has most inotify instances or watches of this user: the kernel shows the sum nowhere.
fn watchers(look: &Look<'_>, failure: &Failure, out: &mut Sampled) {
    let (limit, by_watch) = match look.call {
        "inotify_init" | "inotify_init1" if look.errno.0 == EMFILE => (&watches::INOTIFY_INSTANCES, false),
        "inotify_add_watch" if look.errno.0 == ENOSPC => (&watches::INOTIFY_WATCHES, true),
        _ => return,
    };
    let Ok(mut found) = owners::watchers(look.root, owners::INOTIFY.0, owners::INOTIFY.1) else { return };
    let amount = |w: &owners::Watcher| if by_watch { w.watches } else { w.instances };
    found.retain(|w| w.uid == failure.task.uid && amount(w) > 0);
    found.sort_by_key(|w| std::cmp::Reverse(amount(w)));
    out.owners.extend(found.iter().take(OWNERS).map(|w| Owner {
        limit: limit.id.into(),
        name: format!("{} ({})", w.comm, w.pid),
        amount: amount(w),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::cgroups::Names;
    use crate::capture::sampler::sample;
    use crate::limits::read::Root;
    use crate::model::{Abi, Arg, ArgValue, Errno, FailureKind, Stamp, Task};

    fn failed(call: &str, errno: i32) -> Failure {
        let kind = FailureKind::Syscall {
            name: call.into(),
            nr: 0,
            abi: Abi::Native,
            errno: Errno(errno),
            args: vec![],
        };
        let task = Task { pid: 7, tid: 7, uid: 1000, ..Task::default() };
        Failure { time: Stamp::default(), task, kind, readings: vec![] }
    }

    #[test]
    fn a_switch_is_read_again_where_the_probe_did_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        fs::write(dir.path().join("proc/sys/kernel/dmesg_restrict"), "1\n").unwrap();
        let root = Root::at(dir.path());
        let mut failure = failed("syslog", EPERM);
        let sampled = sample(&root, &Names::default(), &mut failure);
        let states: Vec<_> = sampled
            .facts
            .iter()
            .filter_map(|f| match f {
                Fact::State(s) => Some((s.name.as_str(), s.value.as_str())),
                _ => None,
            })
            .collect();
        assert!(states.contains(&("kernel.dmesg_restrict", "1")), "{states:?}");
    }

    #[test]
    fn the_users_share_of_a_limit_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc")).unwrap();
        let users = "    0:    12 11/11 9/1000000 228/25000000\n 1000:     3 3/3 200/200 51/20000\n";
        fs::write(dir.path().join("proc/key-users"), users).unwrap();
        let sampled = sample(&Root::at(dir.path()), &Names::default(), &mut failed("add_key", EDQUOT));
        let keys = sampled.readings.iter().find(|r| r.limit == keys::MAXKEYS.id).unwrap();
        assert_eq!((keys.usage, keys.ceiling, keys.exceeded()), (Some(200), Some(200), Some(true)));
        assert!(!sampled.readings.iter().any(|r| r.limit == keys::ROOT_MAXKEYS.id), "root is another user");
        let bytes = sampled.readings.iter().find(|r| r.limit == keys::MAXBYTES.id).unwrap();
        assert_eq!(bytes.exceeded(), Some(false));
        let mut large = failed("add_key", EDQUOT);
        if let FailureKind::Syscall { args, .. } = &mut large.kind {
            args.push(Arg { name: "plen".into(), value: ArgValue::Number(19_949) });
        }
        let sampled = sample(&Root::at(dir.path()), &Names::default(), &mut large);
        let bytes = sampled.readings.iter().find(|r| r.limit == keys::MAXBYTES.id).unwrap();
        assert_eq!(bytes.exceeded(), Some(true), "51 and 19 950 are more than 20 000");
    }
}
