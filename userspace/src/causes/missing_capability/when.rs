//! The conditions under which a call asks for a capability at all, by its arguments and by what it was about.
//!
//! `Some(false)`: this call did not ask; `None`: what it asked cannot be told from what is known.

use super::super::case::Case;
use super::super::case::rights::{credentials, identity, object};
use crate::model::ArgValue;

pub(super) fn always(_: &Case<'_>) -> Option<bool> {
    Some(true)
}

fn number(case: &Case<'_>, arg: &str) -> Option<u64> {
    case.failure().number_arg(arg)
}

fn one_of(case: &Case<'_>, arg: &str, values: &[u64]) -> Option<bool> {
    number(case, arg).map(|value| values.contains(&value))
}

/// Scheduling of a process that is named, and not by a number of its own.
pub(super) fn other_process(case: &Case<'_>) -> Option<bool> {
    let task = &case.failure().task;
    number(case, "pid").map(|pid| ![0, u64::from(task.pid), u64::from(task.tid)].contains(&pid))
}

/// Namespaces but that of users, which anybody may ask for (include/uapi/linux/sched.h).
const NAMESPACES: u64 = 0x80 | 0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x2000_0000 | 0x4000_0000;
const NEWUSER: u64 = 0x1000_0000;
/// `CLONE_NEWTIME` shares its bit with clone(2)'s signal.
const NEWTIME: u64 = 0x80;

/// With a new user namespace the capabilities in that one count (`copy_namespaces()`, kernel/nsproxy.c).
pub(super) fn new_namespaces(case: &Case<'_>) -> Option<bool> {
    let flags = number(case, "flags")?;
    let asked = if case.failure().syscall().is_some_and(|(name, _)| name == "clone") {
        flags & !NEWTIME
    } else {
        flags
    };
    Some(asked & NAMESPACES != 0 && flags & NEWUSER == 0)
}

/// `may_mount()` stands before everything in these calls but open_tree(2) without `OPEN_TREE_CLONE`.
pub(super) fn tree_clone(case: &Case<'_>) -> Option<bool> {
    number(case, "flags").map(|flags| flags & 1 != 0)
}

/// A character or block device but for overlay's whiteout, 0:0 (`vfs_mknod()`, fs/namei.c).
pub(super) fn device_node(case: &Case<'_>) -> Option<bool> {
    let mode = number(case, "mode")? as u32 & libc::S_IFMT;
    let whiteout = mode == libc::S_IFCHR && number(case, "dev")? as u32 == 0;
    Some((mode == libc::S_IFCHR || mode == libc::S_IFBLK) && !whiteout)
}

/// `SOCK_RAW` without `SOCK_NONBLOCK` and `SOCK_CLOEXEC`.
pub(super) fn raw_socket(case: &Case<'_>) -> Option<bool> {
    Some(one_of(case, "domain", &[2, 10])? && number(case, "type")? & 0xf == 3)
}

/// `AF_PACKET`, `AF_XDP`.
pub(super) fn packet_socket(case: &Case<'_>) -> Option<bool> {
    one_of(case, "domain", &[17, 44])
}

/// `AF_KEY`.
pub(super) fn key_socket(case: &Case<'_>) -> Option<bool> {
    one_of(case, "domain", &[15])
}

/// `SOL_SOCKET` options `SO_PRIORITY`, `SO_SNDBUFFORCE`, `SO_RCVBUFFORCE`, `SO_MARK`; `SOL_TCP` `TCP_REPAIR`; the tables
/// of iptables.
pub(super) fn administered_option(case: &Case<'_>) -> Option<bool> {
    let (level, option) = (number(case, "level")?, number(case, "optname")?);
    Some(matches!((level, option), (1, 12 | 32 | 33 | 36) | (6, 19) | (0 | 41, 64..=67) | (0, 19) | (41, 75)))
}

/// `SIOCSIF*` and their like, `TUNSETIFF` (linux/sockios.h, linux/if_tun.h).
pub(super) fn interface_ioctl(case: &Case<'_>) -> Option<bool> {
    let op = number(case, "op")?;
    Some(
        matches!(op, 0x890b | 0x890c | 0x8914 | 0x8916 | 0x8918 | 0x891a | 0x891c | 0x891e | 0x8922..=0x8924)
            || matches!(op, 0x8936 | 0x8937 | 0x8943 | 0x8946 | 0x89a0..=0x89a3 | 0x4004_54ca),
    )
}

pub(super) fn admin_ioctl(case: &Case<'_>) -> Option<bool> {
    // FITRIM, FIFREEZE, FITHAW, TIOCSTI, TIOCCONS, BLKROSET, BLKRRPART, BLKFLSBUF, BLKPG.
    one_of(
        case,
        "op",
        &[0xc018_5879, 0xc004_5877, 0xc004_5878, 0x5412, 0x541d, 0x125d, 0x125f, 0x1261, 0x1269],
    )
}

/// `FS_IOC_SETFLAGS`, `FS_IOC_FSSETXATTR`: +i and +a.
pub(super) fn flag_ioctl(case: &Case<'_>) -> Option<bool> {
    one_of(case, "op", &[0x4008_6602, 0x4004_6602, 0x401c_5820])
}

/// vt: `KDSETMODE`, `KDSKBMODE`, `VT_ACTIVATE` and others (drivers/tty/vt/vt_ioctl.c).
pub(super) fn console_ioctl(case: &Case<'_>) -> Option<bool> {
    number(case, "op").map(|op| matches!(op, 0x4b3a | 0x4b45 | 0x4b47 | 0x5600..=0x560c))
}

fn attribute(case: &Case<'_>, test: fn(&str) -> bool) -> Option<bool> {
    case.failure().text_arg("name").map(test)
}

pub(super) fn trusted_attribute(case: &Case<'_>) -> Option<bool> {
    attribute(case, |name| name.starts_with("trusted."))
}

pub(super) fn capability_attribute(case: &Case<'_>) -> Option<bool> {
    attribute(case, |name| name == "security.capability")
}

/// `cap_inode_setxattr()` (security/commoncap.c); SELinux and Smack judge their own.
pub(super) fn security_attribute(case: &Case<'_>) -> Option<bool> {
    attribute(case, |name| {
        name.starts_with("security.")
            && !["capability", "selinux", "SMACK64"].iter().any(|own| name.ends_with(own))
    })
}

/// Somebody else's file: what only its owner may do (`inode_owner_or_capable()`, fs/inode.c).
pub(super) fn of_other_owner(case: &Case<'_>) -> Option<bool> {
    let own = object(case)?.own.as_ref()?;
    let fsuid = identity(case).map(|who| who.uids[3]).or_else(|| credentials(case).map(|(c, _)| c.euid))?;
    Some(own.uid != fsuid)
}

/// `O_NOATIME` on somebody else's file (`may_open()`, fs/namei.c).
pub(super) fn no_atime(case: &Case<'_>) -> Option<bool> {
    Some(number(case, "flags")? & 0o1_000_000 != 0 && of_other_owner(case)?)
}

fn of_path(case: &Case<'_>, test: fn(&str) -> bool) -> Option<bool> {
    if let Some(whole) = object(case).and_then(|o| o.whole.as_deref()) {
        return Some(test(whole));
    }
    let path = case.failure().args().iter().find_map(|arg| match &arg.value {
        ArgValue::Text(text) => Some(text.as_str()),
        _ => None,
    });
    path.map(test)
}

/// Memory and ports of the machine (drivers/char/mem.c `open_port()`, arch/x86/kernel/msr.c).
pub(super) fn raw_device(case: &Case<'_>) -> Option<bool> {
    of_path(case, |path| {
        ["/dev/mem", "/dev/kmem", "/dev/port"].contains(&path)
            || path.starts_with("/dev/cpu/") && path.ends_with("/msr")
    })
}

/// What of another process is shown to those alone who may trace it (fs/proc/base.c, `ptrace_may_access()`).
pub(super) fn inside_of_process(case: &Case<'_>) -> Option<bool> {
    const INNER: &[&str] = &[
        "environ",
        "mem",
        "maps",
        "smaps",
        "smaps_rollup",
        "numa_maps",
        "auxv",
        "io",
        "stack",
        "syscall",
        "personality",
        "exe",
        "cwd",
        "root",
        "pagemap",
        "map_files",
        "timers",
        "patch_state",
    ];
    let path = case.failure().text_arg("pathname")?;
    let mut parts = path.split('/').skip_while(|part| *part != "proc").skip(1);
    let process = parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
    let rest: Vec<&str> = parts.collect();
    let inner = rest.iter().any(|part| INNER.contains(part))
        || rest.first().is_some_and(|p| ["ns", "fd"].contains(p));
    Some(process && inner)
}

/// A file of procfs by the name that the probe or the sampler saw behind the descriptor.
fn written_file(case: &Case<'_>, name: &str) -> Option<bool> {
    let seen = case.failure().file().map(|f| f.name.as_str());
    let seen = seen.or_else(|| object(case)?.path.rsplit('/').next());
    seen.map(|seen| seen == name)
}

pub(super) fn oom_score(case: &Case<'_>) -> Option<bool> {
    written_file(case, "oom_score_adj")
}

pub(super) fn last_pid(case: &Case<'_>) -> Option<bool> {
    written_file(case, "ns_last_pid")
}

/// Switches that only grow stricter, or that a module's handler guards (`proc_dointvec_minmax_sysadmin()`,
/// `bpf_unpriv_handler()`).
pub(super) fn admin_sysctl(case: &Case<'_>) -> Option<bool> {
    for name in [
        "dmesg_restrict",
        "kptr_restrict",
        "unprivileged_bpf_disabled",
        "bpf_stats_enabled",
        "perf_event_paranoid",
    ] {
        if written_file(case, name)? {
            return Some(true);
        }
    }
    Some(false)
}

pub(super) fn trace_sysctl(case: &Case<'_>) -> Option<bool> {
    written_file(case, "ptrace_scope")
}

pub(super) fn address_sysctl(case: &Case<'_>) -> Option<bool> {
    written_file(case, "mmap_min_addr")
}

/// The clocks that wake a sleeping machine: `CLOCK_REALTIME_ALARM`, `CLOCK_BOOTTIME_ALARM`.
pub(super) fn alarm_clock(case: &Case<'_>) -> Option<bool> {
    one_of(case, "clockid", &[8, 9])
}

/// `F_SETLEASE`.
pub(super) fn lease(case: &Case<'_>) -> Option<bool> {
    one_of(case, "op", &[1024])
}

fn option(case: &Case<'_>, values: &[u64]) -> Option<bool> {
    one_of(case, "op", values)
}

/// `PR_CAPBSET_DROP`, `PR_SET_SECUREBITS` (linux/prctl.h).
pub(super) fn bounding_drop(case: &Case<'_>) -> Option<bool> {
    option(case, &[24])
}

pub(super) fn secure_bits(case: &Case<'_>) -> Option<bool> {
    option(case, &[28])
}

/// `PR_SET_MM`, `PR_SET_IO_FLUSHER`.
pub(super) fn memory_map(case: &Case<'_>) -> Option<bool> {
    option(case, &[35, 57])
}

/// A limit above the hard one. `RLIMIT_NOFILE` has fs.nr_open as well, and another process its owner.
pub(super) fn own_limit(case: &Case<'_>) -> Option<bool> {
    let own = number(case, "pid").is_none_or(|pid| pid == 0);
    Some(own && number(case, "resource")? != 7)
}

pub(super) fn any_limit(case: &Case<'_>) -> Option<bool> {
    own_limit(case).map(|own| !own)
}

/// Locking a segment (`SHM_LOCK`, `SHM_UNLOCK`) asks for something else (`shmctl_do_lock()`, ipc/shm.c).
pub(super) fn no_lock(case: &Case<'_>) -> Option<bool> {
    let is_segment = case.failure().syscall()?.0 == "shmctl";
    Some(!(is_segment && matches!(number(case, "op")? & 0xff, 11 | 12)))
}

/// `MPOL_MF_MOVE_ALL`.
pub(super) fn move_all(case: &Case<'_>) -> Option<bool> {
    number(case, "flags").map(|flags| flags & 4 != 0)
}

/// Another process, which is not the task's own user's, does not want to be read, or has what the task has not
/// (`__ptrace_may_access()`, kernel/ptrace.c).
pub(super) fn traced_stranger(case: &Case<'_>) -> Option<bool> {
    let target = case.state("target user")?;
    let open = case.state("target dumpable")?.value == "yes";
    let own = own_uid(case)?;
    let same = target.value.split(' ').all(|id| id.parse() == Ok(own));
    Some(!same || !open)
}

/// `kill_ok_by_cred()` (kernel/signal.c): the real or effective user must be the target's real or saved one.
pub(super) fn killed_stranger(case: &Case<'_>) -> Option<bool> {
    let target = case.state("target user")?;
    let ids: Vec<u32> = target.value.split(' ').filter_map(|id| id.parse().ok()).collect();
    let (real, saved) = (*ids.first()?, *ids.get(2)?);
    let own = identity(case)?;
    Some(![own.uids[0], own.uids[1]].iter().any(|id| *id == real || *id == saved))
}

fn own_uid(case: &Case<'_>) -> Option<u32> {
    identity(case).map(|who| who.uids[0]).or_else(|| credentials(case).map(|(c, _)| c.euid))
}
