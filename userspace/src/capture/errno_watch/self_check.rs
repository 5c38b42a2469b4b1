//! Holding what the probes see of diag itself against what `/proc` says about it.
//!
//! Offsets are looked up by name and type, which is nearly always right. "Nearly" is not enough for a
//! program whose worst bug is a wrong "proven": a reading that disagrees is not used.

use super::super::btf::credentials;
use super::super::btf::offsets::{self, Resolved};
use super::super::decode::{Decoded, Decoder, Trust};
use super::super::loader::Loader;
use super::super::ring::RingReader;
use super::CaptureError;
use crate::model::FIRST_USER_NAMESPACE;
use diag_abi::{OWNED, PRESENT_CREDENTIALS, PRESENT_MOUNTS, SyscallFailure};
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// The inode of the first pid namespace (include/linux/proc_ns.h PROC_PID_INIT_INO).
const FIRST_PID_NAMESPACE: u32 = 0xefff_fffc;

/// What the kernel's types allow to be read, before the self-check has its say.
pub(super) fn trust(resolved: &Resolved) -> Trust {
    let readable = |reading| resolved.why_not(reading).is_none();
    let mounts = resolved.mount_counter.filter(|_| readable(offsets::MNT_NS));
    Trust {
        mounts: mounts.map(|counter| match readable(offsets::PENDING) {
            true => format!("mnt_namespace.{counter} + pending_mounts"),
            false => format!("mnt_namespace.{counter}"),
        }),
        parent: readable(offsets::PARENT),
        start: readable(offsets::START),
        mnt_ns: readable(offsets::MNT_NS),
        pid_ns: readable(offsets::PID_NS),
        user_ns: readable(offsets::USER_NS),
        credentials: readable(credentials::CREDENTIALS),
        no_new_privs: readable(credentials::NO_NEW_PRIVS),
        owners: readable(credentials::OWNERS),
    }
}

/// Runs the self-check and withdraws trust from what disagrees with `/proc`. Where it cannot be run, the
/// types that the fields were looked up by are all there is, and `state` shows why.
pub(super) fn run(
    loader: &mut Loader,
    ring: &mut RingReader,
    decoder: &mut Decoder,
) -> Vec<(&'static str, String)> {
    if loader.run_self_check().is_err() {
        return Vec::new();
    }
    let mut seen = None;
    ring.drain(|bytes| {
        if let Some(Decoded::SelfCheck(record)) = decoder.decode(bytes) {
            seen = Some(record);
        }
    });
    let Some(seen) = seen else { return Vec::new() };
    compare(&seen, &Own::read(), &mut decoder.trust)
}

/// The probes speak in the first pid namespace's numbers, so diag has to live in it.
pub(super) fn in_host_pid_namespace() -> Result<(), CaptureError> {
    match namespace("pid") {
        Some(FIRST_PID_NAMESPACE) | None => Ok(()),
        Some(_) => Err(CaptureError::PidNamespace),
    }
}

/// This process as `/proc` shows it. `None` where it shows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// Hundredths of a second after boot.
    pub(super) start_ticks: Option<u64>,
    pub(super) mnt_ns: Option<u32>,
    pub(super) pid_ns: Option<u32>,
    pub(super) user_ns: Option<u32>,
    /// Lines of mountinfo: the mounts below this process's root, so at most what the namespace holds.
    pub(super) mounts: Option<u32>,
    /// Of this very thread, which is the one that runs the probe.
    pub(super) euid: Option<u64>,
    pub(super) capabilities: Option<u64>,
    pub(super) no_new_privs: Option<u64>,
    /// Inodes of the user namespaces that own its namespaces, in the order of [`OWNED`].
    pub(super) owners: [Option<u32>; 4],
}

impl Own {
    pub(super) fn read() -> Self {
        let lines = fs::read_to_string("/proc/self/mountinfo").ok().map(|text| text.lines().count() as u32);
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        Self {
            pid: std::process::id(),
            parent: std::os::unix::process::parent_id(),
            start_ticks: start_ticks(&fs::read_to_string("/proc/self/stat").unwrap_or_default()),
            mnt_ns: namespace("mnt"),
            pid_ns: namespace("pid"),
            user_ns: namespace("user"),
            mounts: lines,
            euid: word(&status, "Uid:", 1).and_then(|text| text.parse().ok()),
            capabilities: word(&status, "CapEff:", 0).and_then(|text| u64::from_str_radix(text, 16).ok()),
            no_new_privs: word(&status, "NoNewPrivs:", 0).and_then(|text| text.parse().ok()),
            owners: OWNED.map(owner),
        }
    }
}

/// `mnt:[4026531841]` behind `/proc/self/ns/mnt`.
fn namespace(name: &str) -> Option<u32> {
    let target = fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
    target.to_str()?.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// A word of a line of `/proc/PID/status`.
fn word<'a>(status: &'a str, name: &str, index: usize) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().nth(index)
}

/// The user namespace that owns one of this process's namespaces (ioctl_nsfs(2)).
fn owner(namespace: &str) -> Option<u32> {
    // _IO(0xb7, 1)
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    let file = fs::File::open(format!("/proc/self/ns/{namespace}")).ok()?;
    // SAFETY: the request takes no argument and returns a new descriptor or -1.
    let fd = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_USERNS) };
    if fd < 0 {
        return None;
    }
    // SAFETY: a new descriptor that nobody else owns.
    let user_ns = fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    u32::try_from(user_ns.metadata().ok()?.ino()).ok()
}

/// Field 22 of `/proc/PID/stat`; the second field, in brackets, may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Withdraws trust from every reading that disagrees, and says which and why.
pub(super) fn compare(seen: &SyscallFailure, own: &Own, trust: &mut Trust) -> Vec<(&'static str, String)> {
    // Nanoseconds in a tick: USER_HZ is 100 on every architecture but alpha.
    const TICK_NS: u64 = 10_000_000;
    let mut wrong = Vec::new();
    let mut check = |reading, trusted: &mut bool, probe: u64, proc: Option<u64>| {
        if let Some(proc) = proc.filter(|proc| *trusted && *proc != probe) {
            *trusted = false;
            wrong.push((reading, format!("the probe reads {probe} where /proc says {proc}")));
        }
    };
    let inode = |inode: Option<u32>| inode.map(u64::from);
    check(offsets::PARENT, &mut trust.parent, seen.ppid.into(), Some(own.parent.into()));
    check(offsets::START, &mut trust.start, seen.start_ns / TICK_NS, own.start_ticks);
    check(offsets::MNT_NS, &mut trust.mnt_ns, seen.mnt_ns.into(), inode(own.mnt_ns));
    check(offsets::PID_NS, &mut trust.pid_ns, seen.pid_ns.into(), inode(own.pid_ns));
    check(offsets::USER_NS, &mut trust.user_ns, seen.user_ns.into(), inode(own.user_ns));

    let seen_rights = &seen.credentials;
    if seen.present & PRESENT_CREDENTIALS != 0 {
        let trusted = &mut trust.credentials;
        check(credentials::CREDENTIALS, trusted, seen_rights.euid.into(), own.euid);
        check(credentials::CREDENTIALS, trusted, seen_rights.capabilities, own.capabilities);
        check(credentials::CREDENTIALS, trusted, seen_rights.user_ns.into(), inode(own.user_ns));
        let level = own.user_ns.filter(|inode| *inode == FIRST_USER_NAMESPACE).map(|_| 0);
        check(credentials::CREDENTIALS, trusted, seen_rights.level.into(), level);
        let no_new_privs = u64::from(seen_rights.no_new_privs);
        check(credentials::NO_NEW_PRIVS, &mut trust.no_new_privs, no_new_privs, own.no_new_privs);
        for (probe, proc) in seen_rights.owners.iter().zip(own.owners) {
            check(credentials::OWNERS, &mut trust.owners, u64::from(*probe), inode(proc));
        }
    }

    let fewer = own.mounts.filter(|lines| seen.mounts < *lines);
    let why = match (seen.present & PRESENT_MOUNTS != 0, fewer) {
        (false, _) => Some("the probe could not read it".to_owned()),
        (true, Some(lines)) => {
            Some(format!("the probe reads {} where mountinfo has {lines} lines", seen.mounts))
        }
        (true, None) if !trust.mnt_ns => Some("the task's mount namespace is not read correctly".to_owned()),
        (true, None) => None,
    };
    if let (Some(why), Some(_)) = (why, &trust.mounts) {
        trust.mounts = None;
        wrong.push((offsets::MOUNTS, why));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use diag_abi::{Credentials, Record};

    fn seen() -> SyscallFailure {
        let mut seen = SyscallFailure::from_bytes(&[0; size_of::<SyscallFailure>()]).unwrap();
        (seen.pid, seen.ppid, seen.start_ns) = (10, 9, 12_345_678_901);
        (seen.mnt_ns, seen.pid_ns, seen.user_ns) = (1, 2, 3);
        (seen.mounts, seen.present) = (40, PRESENT_MOUNTS | PRESENT_CREDENTIALS);
        seen.credentials = Credentials {
            capabilities: 6,
            euid: 1000,
            user_ns: 3,
            level: 2,
            no_new_privs: 0,
            owners: [3; 4],
        };
        seen
    }

    fn own() -> Own {
        Own {
            pid: 10,
            parent: 9,
            start_ticks: Some(1234),
            mnt_ns: Some(1),
            pid_ns: Some(2),
            user_ns: Some(3),
            mounts: Some(38),
            euid: Some(1000),
            capabilities: Some(6),
            no_new_privs: Some(0),
            owners: [Some(3), Some(3), Some(3), None],
        }
    }

    fn all() -> Trust {
        let mounts = Some("mnt_namespace.mounts".to_owned());
        let (parent, start, mnt_ns, pid_ns, user_ns) = (true, true, true, true, true);
        let (credentials, no_new_privs, owners) = (true, true, true);
        Trust { mounts, parent, start, mnt_ns, pid_ns, user_ns, credentials, no_new_privs, owners }
    }

    #[test]
    fn agreement_changes_nothing() {
        let mut trust = all();
        assert_eq!(compare(&seen(), &own(), &mut trust), []);
        assert_eq!(trust, all());
    }

    #[test]
    fn a_reading_that_disagrees_is_withdrawn_and_named() {
        let mut trust = all();
        let wrong = compare(&SyscallFailure { ppid: 7, mounts: 3, ..seen() }, &own(), &mut trust);
        let names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [offsets::PARENT, offsets::MOUNTS]);
        assert_eq!(trust, Trust { parent: false, mounts: None, ..all() });
    }

    #[test]
    fn a_wrong_namespace_withdraws_its_mount_count() {
        let mut trust = all();
        let wrong = compare(&SyscallFailure { mnt_ns: 8, ..seen() }, &own(), &mut trust);
        assert_eq!(wrong.len(), 2);
        assert_eq!(trust.mounts, None);
    }

    #[test]
    fn credentials_that_disagree_are_withdrawn_each_for_itself() {
        let mut trust = all();
        let rights = Credentials { capabilities: 7, no_new_privs: 1, ..seen().credentials };
        let wrong = compare(&SyscallFailure { credentials: rights, ..seen() }, &own(), &mut trust);
        let names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [credentials::CREDENTIALS, credentials::NO_NEW_PRIVS]);
        assert_eq!(trust, Trust { credentials: false, no_new_privs: false, ..all() });
    }

    #[test]
    fn the_first_user_namespace_is_at_level_0() {
        let mut trust = all();
        let first = Credentials { user_ns: FIRST_USER_NAMESPACE, ..seen().credentials };
        let seen = SyscallFailure { credentials: first, user_ns: FIRST_USER_NAMESPACE, ..seen() };
        let own = Own { user_ns: Some(FIRST_USER_NAMESPACE), ..own() };
        assert_eq!(compare(&seen, &own, &mut trust).len(), 1);
        assert!(!trust.credentials);
    }

    #[test]
    fn words_of_status() {
        let status = "Uid:\t1\t2\t3\t4\nCapEff:\t00000000000000ff\n";
        assert_eq!(
            (word(status, "Uid:", 1), word(status, "CapEff:", 0)),
            (Some("2"), Some("00000000000000ff"))
        );
        assert_eq!(word(status, "NoNewPrivs:", 0), None);
    }

    #[test]
    fn the_start_time_is_the_twenty_second_field() {
        let stat = "1 (a) b) c) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000 2 3";
        assert_eq!(start_ticks(stat), Some(777));
        assert_eq!(start_ticks(""), None);
    }
}
