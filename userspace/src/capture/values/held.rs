//! What the values of the probe come to: usage, ceiling and what the call would have added, per limit.
//!
//! Each row is the kernel's own comparison. Who is exempt from a limit by a capability is told by a ceiling that is
//! no limit. A row whose operands were not all read says nothing.

mod promises;

use super::Values;
use crate::limits::{Limit, commit, descriptors, ipc, keys, priorities, rlimits, watches};
use crate::model::{Arg, ArgValue, Reading, Taken};
use diag_abi::{READING_COUNT, SyscallFailure};

const PAGE: u64 = 4096;
const CAP_IPC_LOCK: u64 = 1 << 14;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_SYS_RESOURCE: u64 = 1 << 24;
/// The inode of the first user namespace (include/linux/proc_ns.h PROC_USER_INIT_INO).
const FIRST_USER_NS: u32 = 0xefff_fffd;
const NO_LIMIT: u64 = u64::MAX;

/// What a comparison is made from.
struct Call<'a> {
    values: &'a Values,
    record: &'a SyscallFailure,
    name: &'a str,
    args: &'a [Arg],
}

/// Usage, ceiling, and what is added.
type Numbers = (u64, u64, u64);
type Row = (&'static Limit, &'static [&'static str], fn(&Call<'_>) -> Option<Numbers>);

impl Call<'_> {
    fn get(&self, name: &str) -> Option<u64> {
        self.values.get(name)
    }

    fn arg(&self, name: &str) -> Option<u64> {
        self.args.iter().find(|a| a.name == name).and_then(|a| match &a.value {
            ArgValue::Number(n) | ArgValue::Flags { raw: n, .. } | ArgValue::Descriptor { raw: n, .. } => {
                Some(*n)
            }
            _ => None,
        })
    }

    fn is(&self, name: &str, errnos: &[i32]) -> bool {
        self.name == name && errnos.contains(&(self.record.errno as i32))
    }

    /// `capable()`: in the first user namespace.
    fn capable(&self, mask: u64) -> Option<bool> {
        if self.record.user_ns == 0 {
            return None;
        }
        Some(self.record.user_ns == FIRST_USER_NS && self.get("CapEff")? & mask != 0)
    }

    /// A ceiling for those without any of the capabilities.
    fn unless(&self, mask: u64, ceiling: u64) -> Option<u64> {
        Some(if self.capable(mask)? { NO_LIMIT } else { ceiling })
    }
}

const FILES: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "pipe",
    "pipe2",
    "socket",
    "socketpair",
    "accept",
    "accept4",
    "epoll_create",
    "epoll_create1",
    "eventfd",
    "eventfd2",
    "timerfd_create",
    "signalfd",
    "signalfd4",
    "memfd_create",
    "memfd_secret",
    "pidfd_open",
    "inotify_init",
    "inotify_init1",
    "fanotify_init",
];

const ROWS: &[Row] = &[
    (&descriptors::FILE_MAX, FILES, |c| {
        let used = signed(c.get("~files")?);
        Some((used, c.unless(CAP_SYS_ADMIN, c.get("~file-max")?)?, 1))
    }),
    (&rlimits::NOFILE, &["dup2", "dup3"], |c| {
        // ksys_dup3(): newfd >= rlimit(RLIMIT_NOFILE) is EBADF. A number stands for so many descriptors.
        c.is(c.name, &[libc::EBADF]).then_some(())?;
        Some((u64::from(c.arg("newfd")? as u32), c.get("~nofile")?, 1))
    }),
    (&rlimits::NOFILE, &["fcntl"], |c| {
        // f_dupfd(): a lowest number past the limit is EINVAL. F_DUPFD, F_DUPFD_CLOEXEC.
        (c.is("fcntl", &[libc::EINVAL]) && matches!(c.arg("op")?, 0 | 1030)).then_some(())?;
        Some((c.arg("arg")?, c.get("~nofile")?, 1))
    }),
    (&rlimits::NOFILE, &["poll", "ppoll"], |c| {
        // do_sys_poll(): more entries than descriptors may be open is EINVAL.
        c.is(c.name, &[libc::EINVAL]).then_some(())?;
        Some((c.arg("nfds")?, c.get("~nofile")?, 0))
    }),
    (&descriptors::IN_FLIGHT, &["sendmsg", "sendmmsg"], |c| {
        let most = c.unless(CAP_SYS_RESOURCE | CAP_SYS_ADMIN, c.get("~nofile")?)?;
        Some((c.get("~in_flight")?, most, 0))
    }),
    (&descriptors::PIPE_PAGES_HARD, &["pipe", "pipe2"], |c| {
        // alloc_pipe_info(): 16 buffers, or 2 for a user past the soft limit; 0 is no limit.
        let (used, hard, soft) =
            (c.get("~pipe_bufs")?, c.get("fs.pipe-user-pages-hard")?, c.get("fs.pipe-user-pages-soft")?);
        let adds = if soft != 0 && used + 16 > soft { 2 } else { 16 };
        Some((used, pages(c, hard)?, adds))
    }),
    (&descriptors::PIPE_PAGES_HARD, &["fcntl"], |c| {
        let adds = grown_pipe(c)?;
        Some((c.get("~pipe_bufs")?, pages(c, c.get("fs.pipe-user-pages-hard")?)?, adds))
    }),
    (&descriptors::PIPE_PAGES_SOFT, &["fcntl"], |c| {
        let adds = grown_pipe(c)?;
        Some((c.get("~pipe_bufs")?, pages(c, c.get("fs.pipe-user-pages-soft")?)?, adds))
    }),
    (&descriptors::PIPE_MAX_SIZE, &["fcntl"], |c| {
        grown_pipe(c)?;
        Some((0, c.unless(CAP_SYS_RESOURCE, c.get("fs.pipe-max-size")?)?, pipe_size(c)?))
    }),
    (&descriptors::EPOLL_WATCHES, &["epoll_ctl"], |c| {
        // Per processor too since 5.17: what the common part does not show may be there nevertheless.
        let (used, most) = (signed(c.get("~epoll_watches")?), c.get("~max_user_watches")?);
        (used >= most).then_some((used, most, 1))
    }),
    (&descriptors::AIO_MAX_NR, &["io_setup"], |c| {
        Some((c.get("~aio_nr")?, c.get("~aio_max_nr")?, c.arg("nr_events")?))
    }),
    (&descriptors::PTY_MAX, &["open", "openat", "openat2"], |c| {
        // devpts_new_index(): the count with the new one must stay below; the reserve is for the first mounts.
        c.is(c.name, &[libc::ENOSPC]).then_some(())?;
        let (used, most) = (c.get("~ptys")?, c.get("kernel.pty.max")?);
        let reserve = c.get("kernel.pty.reserve").unwrap_or(0);
        let whole = if used + 1 >= most { most } else { most.saturating_sub(reserve) };
        Some((used, whole, 2))
    }),
    (&descriptors::FANOTIFY_LISTENERS, &["fanotify_init"], |c| Some((c.get("~listeners")?, 128, 1))),
    (&keys::MAXKEYS, KEYS, |c| key(c, false, "kernel.keys.maxkeys", "~keys", 1)),
    (&keys::ROOT_MAXKEYS, KEYS, |c| key(c, true, "kernel.keys.root_maxkeys", "~keys", 1)),
    (&keys::MAXBYTES, KEYS, |c| key(c, false, "kernel.keys.maxbytes", "~key_bytes", key_bytes(c))),
    (&keys::ROOT_MAXBYTES, KEYS, |c| key(c, true, "kernel.keys.root_maxbytes", "~key_bytes", key_bytes(c))),
    (&ipc::SEMMNI, &["semget"], |c| Some((c.get("~sets")?, ipc_mni(c.get("~semmni")?), 1))),
    (&ipc::SEMMNS, &["semget"], |c| {
        Some((c.get("~used_sems")?, u64::from(c.get("~semmns")? as u32), c.arg("nsems")?))
    }),
    (&ipc::SEMMSL, &["semget"], |c| Some((0, c.get("~semmsl")?, c.arg("nsems")?))),
    (&ipc::SEMOPM, &["semop", "semtimedop"], |c| Some((0, c.get("~semopm")?, c.arg("nsops")?))),
    (&ipc::SHMMNI, &["shmget"], |c| Some((c.get("~segments")?, ipc_mni(c.get("~shmmni")?), 1))),
    (&ipc::SHMALL, &["shmget"], |c| {
        Some((c.get("~shm_tot")?, c.get("~shmall")?, c.arg("size")?.div_ceil(PAGE)))
    }),
    (&ipc::SHMMAX, &["shmget"], |c| Some((0, c.get("~shmmax")?, c.arg("size")?))),
    (&ipc::MSGMNI, &["msgget"], |c| Some((c.get("~queues")?, ipc_mni(c.get("~msgmni")?), 1))),
    (&ipc::MSGMAX, &["msgsnd"], |c| Some((0, c.get("~msgmax")?, c.arg("msgsz")?))),
    (&ipc::MSGMNB, &["msgsnd"], |c| {
        // The queue itself is not looked up: only a message larger than a whole queue is known not to fit.
        let (most, adds) = (c.get("~msgmnb")?, c.arg("msgsz")?);
        (adds > most).then_some((0, most, adds))
    }),
    (&ipc::MQ_QUEUES, &["mq_open"], |c| {
        Some((c.get("~mq_queues")?, c.unless(CAP_SYS_RESOURCE, c.get("~mq_queues_max")?)?, 1))
    }),
    (&ipc::MQ_MSG, &["mq_open"], |c| {
        // HARD_MSGMAX for who has CAP_SYS_RESOURCE (include/linux/ipc_namespace.h).
        let most = if c.capable(CAP_SYS_RESOURCE)? { 65_536 } else { c.get("~mq_msg_max")? };
        Some((0, most, c.get("~mq_maxmsg")?))
    }),
    (&ipc::MQ_SIZE, &["mq_open"], |c| {
        let most = if c.capable(CAP_SYS_RESOURCE)? { 16 << 20 } else { c.get("~mq_msgsize_max")? };
        Some((0, most, c.get("~mq_msgsize")?))
    }),
    (&ipc::MQ_HELD, &["mq_timedsend"], |c| {
        c.is(c.name, &[libc::EAGAIN, libc::ETIMEDOUT]).then_some(())?;
        Some((c.get("~mq_curmsgs")?, c.get("~mq_maxmsg")?, 1))
    }),
    (&ipc::MQ_LENGTH, &["mq_timedsend"], |c| {
        c.is(c.name, &[libc::EMSGSIZE]).then_some(())?;
        Some((0, c.get("~mq_msgsize")?, c.arg("msg_len")?))
    }),
    (&rlimits::MAX_MAP_COUNT, &["mmap"], |c| {
        // One mapping more than allowed may be there (do_mmap()); cutting one up for another takes room.
        let fixed = c.arg("flags")? & libc::MAP_FIXED as u64 != 0;
        Some((c.get("~maps")?, c.get("~max_map_count")?, u64::from(fixed)))
    }),
    (&rlimits::MEMLOCK, &["io_uring_setup"], |c| {
        // Up to 5.11: entries of 64 bytes, and twice as many answers of 16 (io_uring_create()); no less than that.
        let adds = c.arg("entries")?.checked_next_power_of_two()?.checked_mul(96)? / PAGE * PAGE;
        let (used, most) =
            (c.get("~user_locked")? * PAGE, c.unless(CAP_IPC_LOCK, whole_pages(c.get("~memlock")?))?);
        (used + adds > most).then_some((used, most, adds))
    }),
    (&rlimits::MEMLOCK, &["io_uring_register"], |c| {
        // io_account_mem(): of buffers (IORING_REGISTER_BUFFERS) every page; no less than those of the first one.
        (c.arg("op")? == 0 && c.is(c.name, &[libc::ENOMEM])).then_some(())?;
        let adds = c.get("~buffer")?.div_ceil(PAGE).checked_mul(PAGE)?;
        let (used, most) =
            (c.get("~user_locked")? * PAGE, c.unless(CAP_IPC_LOCK, whole_pages(c.get("~memlock")?))?);
        (used.checked_add(adds)? > most).then_some((used, most, adds))
    }),
    (&rlimits::MEMLOCK, &["mremap"], |c| {
        // mlock_future_ok(): what is locked stays locked when it grows.
        c.is(c.name, &[libc::EAGAIN]).then_some(())?;
        let most = c.unless(CAP_IPC_LOCK, whole_pages(c.get("~memlock")?))?;
        Some((c.get("~locked_vm")? * PAGE, most, grown(c)?))
    }),
    (&rlimits::MAX_MAP_COUNT, &["mremap", "mprotect", "munmap", "madvise", "mlock", "pkey_mprotect"], |c| {
        Some((c.get("~maps")?, c.get("~max_map_count")?, 1))
    }),
    (&rlimits::MEMLOCK, &["bpf"], |c| {
        // Up to 5.10 (kernel/bpf/syscall.c bpf_charge_memlock()); no capability exempts. BPF_MAP_CREATE.
        (c.arg("cmd")? == 0 && c.is("bpf", &[libc::EPERM])).then_some(())?;
        let each = round8(c.get("~key_size")?) + round8(c.get("~value_size")?);
        let adds = c.get("~max_entries")?.checked_mul(each)?.div_ceil(PAGE) * PAGE;
        Some((c.get("~charged")? * PAGE, whole_pages(c.get("~memlock")?), adds))
    }),
    (
        &commit::COMMIT_LIMIT,
        &["mmap", "mremap", "mprotect", "clone", "clone3", "fork", "vfork", "shmget"],
        promises::commit,
    ),
    (&commit::BPF_JIT, &["seccomp", "prctl", "bpf", "setsockopt"], |c| {
        // Counted in pages up to 5.17, in bytes since; a count of bytes is one of whole pages.
        let (used, most) = (c.get("~jit_used")?, c.get("~jit_limit")?);
        let bytes = used % PAGE == 0;
        Some((if bytes { used } else { used * PAGE }, most, PAGE))
    }),
    (&descriptors::NR_OPEN, &["prlimit64", "setrlimit"], |c| {
        (c.arg("resource")? == 7).then_some(())?;
        Some((0, c.get("fs.nr_open")?, c.get("~new_hard")?))
    }),
    (&priorities::SOFT_LIMIT, &["prlimit64", "setrlimit"], |c| {
        c.is(c.name, &[libc::EINVAL]).then_some(())?;
        Some((0, c.get("~new_hard")?, c.get("~new_soft")?))
    }),
    (&priorities::HARD_LIMIT, &["prlimit64", "setrlimit"], |c| {
        own(c)?;
        Some((0, c.get("~now_hard")?, c.get("~new_hard")?))
    }),
    (&priorities::RTPRIO, &["sched_setscheduler", "sched_setattr"], |c| {
        let wanted = match c.name {
            "sched_setscheduler" => c.get("~param")?,
            _ => c.get("~attr_priority")?,
        };
        Some((0, c.get("~rtprio")?, wanted))
    }),
    (&priorities::NICE, &["setpriority", "sched_setattr"], |c| {
        let nice = match c.name {
            "setpriority" => c.arg("prio")? as i64,
            _ => i64::from(c.get("~attr_nice")? as u32 as i32),
        };
        // nice_to_rlimit(): 1 for nice 19, 40 for nice -20.
        Some((0, c.get("~nice")?, u64::try_from(20 - nice.clamp(-20, 19)).ok()?))
    }),
];

const KEYS: &[&str] = &["add_key", "request_key", "keyctl"];

/// The readings of one record.
pub(super) fn readings(values: &Values, record: &SyscallFailure, name: &str, args: &[Arg]) -> Vec<Reading> {
    let call = Call { values, record, name, args };
    let rows = ROWS.iter().filter(|(_, calls, _)| calls.contains(&name));
    let mut out: Vec<Reading> =
        rows.filter_map(|(limit, _, numbers)| Some(reading(limit, String::new(), numbers(&call)?))).collect();
    out.extend(counted(record, name));
    out
}

/// The user's counter, and the user namespace that refuses or has the least room.
fn counted(record: &SyscallFailure, name: &str) -> Option<Reading> {
    if record.count.kind != READING_COUNT {
        return None;
    }
    let limit = match name {
        "inotify_init" | "inotify_init1" => &watches::INOTIFY_INSTANCES,
        "inotify_add_watch" => &watches::INOTIFY_WATCHES,
        "fanotify_init" => &watches::FANOTIFY_GROUPS,
        _ => &watches::FANOTIFY_MARKS,
    };
    let scope = format!("user namespace {}", record.count.scope);
    Some(reading(limit, scope, (record.count.usage, record.count.ceiling, 1)))
}

fn reading(limit: &Limit, scope: String, (usage, ceiling, adds): Numbers) -> Reading {
    Reading {
        limit: limit.id.into(),
        scope,
        ceiling: Some(ceiling),
        usage: Some(usage),
        adds: Some(adds),
        hits: None,
        unit: limit.unit.into(),
        taken: Taken::AtInstant,
        source: format!("what {} compares", limit.see.rsplit(", ").next().unwrap_or(limit.see)),
    }
}

/// A per-processor counter's common part may be below zero for a moment.
fn signed(count: u64) -> u64 {
    u64::try_from(count as i64).unwrap_or(0)
}

/// `ipc_addid()` (ipc/util.c) never hands out more than there are numbers.
fn ipc_mni(limit: u64) -> u64 {
    limit.min(1 << 24)
}

/// A pipe limit: 0 is none, and who has one of two capabilities is exempt (`pipe_is_unprivileged_user()`).
fn pages(c: &Call<'_>, limit: u64) -> Option<u64> {
    if limit == 0 { Some(NO_LIMIT) } else { c.unless(CAP_SYS_RESOURCE | CAP_SYS_ADMIN, limit) }
}

/// `round_pipe_size()`: a power of two of at least one page. F_SETPIPE_SZ.
fn pipe_size(c: &Call<'_>) -> Option<u64> {
    c.arg("arg")?.max(PAGE).checked_next_power_of_two()
}

fn grown_pipe(c: &Call<'_>) -> Option<u64> {
    (c.is("fcntl", &[libc::EPERM]) && c.arg("op")? == 1031).then_some(())?;
    // A pipe has 16 buffers unless somebody changed that; those are already counted.
    Some((pipe_size(c)? / PAGE).saturating_sub(16))
}

/// A quota for keys, where the user is the one it is for.
fn key(c: &Call<'_>, root: bool, ceiling: &str, used: &str, adds: u64) -> Option<Numbers> {
    ((c.get("fsuid")? == 0) == root).then_some((c.get(used)?, c.get(ceiling)?, adds))
}

/// What `key_alloc()` and `key_payload_reserve()` add: the description with its end, and the payload.
fn key_bytes(c: &Call<'_>) -> u64 {
    let text = c.args.iter().find(|a| a.name == "description").and_then(|a| match &a.value {
        ArgValue::Text(text) => Some(text.len() as u64 + 1),
        _ => None,
    });
    text.unwrap_or(1) + if c.name == "add_key" { c.arg("plen").unwrap_or(0) } else { 0 }
}

/// A limit in bytes that the kernel compares in pages.
fn whole_pages(bytes: u64) -> u64 {
    if bytes == NO_LIMIT { NO_LIMIT } else { bytes / PAGE * PAGE }
}

fn round8(bytes: u64) -> u64 {
    bytes.next_multiple_of(8)
}

/// What a mapping grows by.
fn grown(c: &Call<'_>) -> Option<u64> {
    let whole = |bytes: u64| bytes.div_ceil(PAGE) * PAGE;
    match c.name {
        "mmap" => Some(whole(c.arg("length")?)),
        "mprotect" => Some(whole(c.arg("size")?)),
        _ => Some(whole(c.arg("new_size")?).saturating_sub(whole(c.arg("old_size")?))),
    }
}

/// Private and writable memory, which RLIMIT_DATA and the commit limit count: PROT_WRITE without MAP_SHARED.
fn private_writable(c: &Call<'_>) -> Option<()> {
    const WRITE: u64 = 2;
    const SHARED: u64 = 1;
    let writable = c.name == "mremap" || c.arg("prot")? & WRITE != 0;
    let private = c.name != "mmap" || c.arg("flags")? & SHARED == 0;
    (writable && private).then_some(())
}

/// Only of oneself: another process has limits of its own.
fn own(c: &Call<'_>) -> Option<()> {
    let pid = if c.name == "setrlimit" { 0 } else { c.arg("pid")? };
    (pid == 0 || pid == u64::from(c.record.pid)).then_some(())
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
