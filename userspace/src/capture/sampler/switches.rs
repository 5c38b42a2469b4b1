//! Switches of the kernel that forbid a call to everybody, or to everybody without a privilege; and what was written
//! to one of them.

use super::{Look, Sampled, caller, file_system::own};
use crate::model::{Errno, Fact, Failure, FailureKind, State};
use std::fs;

/// (calls, errnos, files below /proc/sys).
type Row = (&'static [&'static str], &'static [i32], &'static [&'static str]);

const SWITCHES: &[Row] = &[
    (
        &["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "open", "openat"],
        &[libc::EPERM, libc::EACCES],
        &["kernel/yama/ptrace_scope"],
    ),
    (&["init_module", "finit_module", "delete_module"], &[libc::EPERM], &["kernel/modules_disabled"]),
    (&["kexec_load", "kexec_file_load"], &[libc::EPERM], &["kernel/kexec_load_disabled"]),
    (&["ioctl"], &[libc::EIO], &["dev/tty/legacy_tiocsti"]),
    (&["fcntl", "fcntl64"], &[libc::EINVAL], &["fs/leases-enable", "fs/dir-notify-enable"]),
    (&["shmget"], &[libc::EPERM], &["vm/hugetlb_shm_group"]),
    (&["setgroups", "setgroups32"], &[libc::EPERM], &[]),
];

/// (calls, errno, field of `/proc/PID/status`): what the task itself may not go beyond.
const OF_THE_TASK: &[(&[&str], Errno, &str)] = &[
    (&["set_mempolicy", "mbind"], Errno::EINVAL, "Mems_allowed_list"),
    (&["prctl"], Errno::EPERM, "CapInh"),
];

/// What is written to a switch is a number or a few words.
const LONGEST_WORD: usize = 256;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let after_ns = look.after(failure);
    let mut note = |name: String, of: String, value: String, source: String| {
        out.facts.push(Fact::State(State { name, of, value, source, after_ns }));
    };
    for (_, _, files) in
        SWITCHES.iter().filter(|row| row.0.contains(&look.call) && row.1.contains(&look.errno.0))
    {
        for file in *files {
            let path = look.root.join(format!("proc/sys/{file}"));
            if let Ok(text) = fs::read_to_string(&path) {
                note(file.replace('/', "."), String::new(), text.trim().into(), format!("/proc/sys/{file}"));
            }
        }
    }
    let own_words = OF_THE_TASK.iter().find(|row| row.0.contains(&look.call) && row.1 == look.errno);
    if let Some((.., field)) = own_words
        && let Ok(text) = fs::read_to_string(look.root.join(format!("proc/{}/status", failure.task.tid)))
        && let Some(value) = text.lines().find_map(|line| line.strip_prefix(*field)?.strip_prefix(':'))
    {
        note((*field).into(), String::new(), value.trim().into(), "/proc/PID/status".into());
    }
    if let Some(name) = tun_device(look, failure) {
        note("tun device".into(), String::new(), name, "the caller's struct ifreq".into());
    }
    if look.call.starts_with("setgroups")
        && let Ok(text) = fs::read_to_string(look.root.join(format!("proc/{}/setgroups", failure.task.tid)))
    {
        note("setgroups".into(), String::new(), text.trim().into(), "/proc/PID/setgroups".into());
    }
    if let Some((path, word, now)) = written(look, failure) {
        note("written word".into(), path.clone(), word, "the caller's buffer".into());
        if let Some(now) = now {
            note("value of the file".into(), path.clone(), now, path);
        }
    }
}

/// The name that TUNSETIFF was given: `struct ifreq` begins with it.
fn tun_device(look: &Look<'_>, failure: &Failure) -> Option<String> {
    const TUNSETIFF: u64 = 0x4004_54ca;
    if look.call != "ioctl" || failure.number_arg("op") != Some(TUNSETIFF) {
        return None;
    }
    let task = own(&look.view, &failure.task)?;
    caller::name::<{ libc::IFNAMSIZ }>(&task, failure.number_arg("argp")?, b"_-.%")
}

/// What was written to a file of /proc/sys or of a security module, or to one that steers the OOM killer, and what that
/// file says now. Nothing else is looked at: what programs write elsewhere is nobody's business.
fn written(look: &Look<'_>, failure: &Failure) -> Option<(String, String, Option<String>)> {
    const ERRNOS: &[Errno] = &[
        Errno::EINVAL,
        Errno::EPERM,
        Errno::EACCES,
        Errno::ENOENT,
        Errno(libc::ERANGE),
        Errno(libc::EPROTO),
    ];
    if !["write", "pwrite64"].contains(&look.call) || !ERRNOS.contains(&look.errno) {
        return None;
    }
    let FailureKind::Syscall { .. } = &failure.kind else { return None };
    let fd = failure.number_arg("fd")? as u32 as i32;
    let task = own(&look.view, &failure.task)?;
    let path = fs::read_link(task.join(format!("fd/{fd}"))).ok()?.to_string_lossy().into_owned();
    let of_module = path.contains("/attr/") && path.contains("/proc/");
    let sysctl = path.find("/sys/").filter(|_| path.starts_with("/proc/") || path.contains("/proc/sys/"));
    let of_oom =
        path.starts_with("/proc/") && (path.ends_with("/oom_score_adj") || path.ends_with("/oom_adj"));
    if sysctl.is_none() && !of_module && !of_oom {
        return None;
    }
    let (at, count) = (failure.number_arg("buf")?, failure.number_arg("count")?);
    let mut bytes = vec![0; usize::try_from(count).ok()?.min(LONGEST_WORD)];
    caller::read(&task, at, &mut bytes)?;
    let word = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\0']).to_owned();
    let readable = sysctl.is_some() || of_oom;
    let now = readable.then(|| fs::read_to_string(task.join(format!("fd/{fd}"))).ok()).flatten();
    Some((path, word, now.map(|text| text.trim().to_owned())))
}
