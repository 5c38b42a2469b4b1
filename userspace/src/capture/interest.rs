//! Which failures are worth a record: the curated table for a whole machine, and "everything" for a tree.
//!
//! The curated table is tight. A healthy machine fails all day long: search paths (ENOENT), polling
//! (EAGAIN), probing for features (ENOSYS, EINVAL). What is listed here is the kernel refusing something
//! that a container or its engine needed. The numbers come from the `syscalls` crate's tables.

mod readings;

use super::{syscall_args, values};
use crate::model::{Abi, Errno};
use diag_abi::bounds::{ERESTART_FIRST, ERESTART_LAST, ERRNO_END, MAYBE_BYTES, SHORT_SLOTS, SYSCALLS};
use diag_abi::{InterestRow, NO_ARG, ROW_LONG, ROW_MOUNTS, ROW_SET_SHIFT};
use libc::{
    E2BIG, EACCES, EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EBADF, EBUSY, EDQUOT, EEXIST, EFBIG, EIDRM, EINVAL,
    EIO, EISDIR, EKEYEXPIRED, EKEYREJECTED, EKEYREVOKED, ELIBBAD, ELOOP, EMFILE, EMLINK, EMSGSIZE,
    ENAMETOOLONG, ENFILE, ENOBUFS, ENODEV, ENOENT, ENOEXEC, ENOKEY, ENOMEM, ENOSPC, ENOSYS, EOPNOTSUPP,
    EOVERFLOW, EPERM, EPROTONOSUPPORT, ERANGE, ESRCH, ETOOMANYREFS, ETXTBSY, EUSERS,
};
use readings::{LIMIT_READINGS, MOUNT_FAMILY};
use syscalls::{x86, x86_64};

/// Errnos of a row.
enum Errnos {
    Only(&'static [i32]),
    AllBut(&'static [i32]),
}

struct Interest {
    calls: &'static [&'static str],
    errnos: Errnos,
}

const fn only(calls: &'static [&'static str], errnos: &'static [i32]) -> Interest {
    Interest { calls, errnos: Errnos::Only(errnos) }
}

const fn all_but(calls: &'static [&'static str], errnos: &'static [i32]) -> Interest {
    Interest { calls, errnos: Errnos::AllBut(errnos) }
}

const ENOTSUPP: i32 = Errno::ENOTSUPP.0;

/// Something ran out: always of interest.
const RESOURCES: &[i32] = &[ENOSPC, EMFILE, ENFILE, EDQUOT, ENOMEM];

/// The curated table, by family.
const CURATED: &[Interest] = &[
    // Mounts, the old and the new way: current runc, crun and containerd use the new one. Engines unmount
    // what may not be there (EINVAL, ENOENT) and look for what may not exist (open_tree).
    all_but(
        &["mount", "move_mount", "fsmount", "pivot_root", "fsconfig", "fsopen", "mount_setattr"],
        &[ENOSYS],
    ),
    all_but(&["open_tree", "open_tree_attr", "fspick"], &[ENOSYS, ENOENT]),
    only(&["umount2", "umount"], &[EBUSY, EPERM, EACCES, ENOMEM, EIO]),
    only(&["chroot"], &[EPERM, EACCES]),
    // Tasks and namespaces. EUSERS was ENOSPC's name before 4.9's ucounts; ENOSPC is nesting and ucounts.
    only(
        &["clone", "clone3", "fork", "vfork", "unshare", "setns"],
        &[
            EAGAIN, ENOMEM, ENOSPC, EPERM, EINVAL, EUSERS, EBUSY, EACCES, EMFILE, ENFILE, EEXIST, E2BIG,
            ENOENT, EOPNOTSUPP, ESRCH,
        ],
    ),
    // ENOENT and ENOTDIR are how execvp(3) searches PATH.
    only(
        &["execve", "execveat"],
        &[
            EACCES,
            EPERM,
            ENOEXEC,
            E2BIG,
            ENOMEM,
            EAGAIN,
            ETXTBSY,
            ELIBBAD,
            EINVAL,
            EIO,
            EISDIR,
            ELOOP,
            ENAMETOOLONG,
            EMFILE,
            ENFILE,
        ],
    ),
    // Changes of identity that a user namespace does not map (EINVAL) or capabilities do not allow.
    only(
        &[
            "setuid",
            "setgid",
            "setresuid",
            "setresgid",
            "setgroups",
            "setuid32",
            "setgid32",
            "setresuid32",
            "setresgid32",
            "setgroups32",
        ],
        &[EPERM, EINVAL, EAGAIN, ENOMEM],
    ),
    only(&["prlimit64", "setrlimit"], &[EPERM, EINVAL]),
    only(&["sethostname", "setdomainname", "capset"], &[EPERM]),
    only(&["sched_setaffinity"], &[EINVAL, EBUSY]),
    only(&["chown", "lchown", "fchown", "fchownat"], &[EINVAL, EPERM]),
    only(&["timer_create"], &[EAGAIN, ENOMEM]),
    // Filters that no longer fit below net.core.bpf_jit_limit or net.core.optmem_max.
    only(&["seccomp", "prctl"], &[ENOMEM, ENOTSUPP, EACCES]),
    only(&["setsockopt"], &[ENOMEM, ENOBUFS, ENOTSUPP, EPERM, ENODEV]),
    // Files: only what ran out. On cgroupfs mkdir also says EAGAIN (cgroup.max.*) and EBUSY (memcg ids).
    only(&["mkdir", "mkdirat"], &[ENOSPC, EDQUOT, ENOMEM, EMLINK, EAGAIN, EBUSY]),
    only(&["open", "openat", "openat2", "creat"], RESOURCES),
    // On cgroupfs and on maps of ids a write is refused in many ways; elsewhere these are filtered out again.
    only(
        &["write"],
        &[
            ENOSPC, EMFILE, ENFILE, EDQUOT, ENOMEM, EBUSY, EINVAL, ENOENT, EPERM, EACCES, ENODEV, ERANGE,
            EOPNOTSUPP, ESRCH,
        ],
    ),
    only(&["pwrite64", "writev", "pwritev", "copy_file_range", "sendfile", "sendfile64"], RESOURCES),
    only(
        &["fallocate", "ftruncate", "truncate", "ftruncate64", "truncate64"],
        &[ENOSPC, EDQUOT, EFBIG, ENOMEM],
    ),
    only(&["fsync", "fdatasync", "syncfs"], &[ENOSPC, EDQUOT, EIO]),
    only(&["link", "linkat"], &[ENOSPC, EDQUOT, ENOMEM, EMLINK, EPERM]),
    only(
        &[
            "symlink",
            "symlinkat",
            "rename",
            "renameat",
            "renameat2",
            "mknod",
            "mknodat",
            "setxattr",
            "lsetxattr",
            "fsetxattr",
        ],
        RESOURCES,
    ),
    // What needs a capability or a promise, and is not tried for luck.
    only(
        &[
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "delete_module",
            "kexec_load",
            "reboot",
            "settimeofday",
            "clock_settime",
            "iopl",
            "ioperm",
            "swapon",
            "swapoff",
            "open_by_handle_at",
        ],
        &[EPERM],
    ),
    // A signature by no known key is refused in words of its own.
    only(&["init_module", "finit_module", "kexec_file_load"], &[EPERM, ENOKEY, EKEYREJECTED]),
    only(&["landlock_restrict_self"], &[E2BIG, EPERM]),
    // Descriptors.
    only(
        &[
            "dup",
            "memfd_secret",
            "fcntl",
            "fcntl64",
            "pipe",
            "pipe2",
            "eventfd",
            "eventfd2",
            "timerfd_create",
            "signalfd",
            "signalfd4",
            "memfd_create",
            "pidfd_open",
            "socketpair",
            "accept",
            "accept4",
            "epoll_create",
            "epoll_create1",
            "inotify_init",
            "inotify_init1",
        ],
        &[EMFILE, ENFILE, ENOMEM],
    ),
    // A number past RLIMIT_NOFILE is EBADF here, and EINVAL for poll.
    only(&["dup2", "dup3"], &[EMFILE, ENFILE, EBADF]),
    only(&["poll", "ppoll"], &[EINVAL, ENOMEM]),
    only(&["userfaultfd"], &[EPERM, EMFILE, ENFILE, ENOMEM]),
    only(&["inotify_add_watch", "fanotify_mark", "epoll_ctl"], &[ENOSPC, ENOMEM]),
    only(&["fanotify_init"], &[EMFILE, ENFILE, ENOMEM, EPERM]),
    // Keys, programs, events. EPERM of keyctl and io_uring_setup is how seccomp profiles say "use
    // something else", and libraries do.
    // ENOKEY is how programs ask whether there is a key.
    only(
        &["keyctl", "add_key", "request_key"],
        &[EDQUOT, ENOMEM, EKEYEXPIRED, EKEYREVOKED, EKEYREJECTED, EACCES],
    ),
    only(&["bpf"], &[EPERM, ENOMEM, ENOTSUPP]),
    only(&["perf_event_open"], &[EACCES, EPERM, EMFILE, ENFILE, ENOSPC, ENOMEM]),
    only(&["io_setup"], &[EAGAIN, ENOMEM]),
    only(&["io_uring_setup", "io_uring_register"], &[ENOMEM, EMFILE, ENFILE]),
    // System V and POSIX interprocess communication; EINVAL is a size past shmmax or semmsl.
    only(&["semget", "shmget"], &[ENOSPC, ENOMEM, EINVAL]),
    only(&["msgget", "shmat", "ipc"], &[ENOSPC, ENOMEM]),
    only(&["msgsnd"], &[EINVAL, ENOMEM, EIDRM]),
    only(&["msgrcv"], &[E2BIG, EIDRM]),
    only(&["semop", "semtimedop"], &[E2BIG, ENOMEM, EIDRM]),
    only(&["mq_timedreceive"], &[EMSGSIZE]),
    only(&["rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill", "pidfd_send_signal"], &[EAGAIN]),
    // EBUSY: deadline tasks have all the time that may be promised.
    only(&["setpriority", "sched_setscheduler", "sched_setattr", "sched_setparam"], &[EPERM, EACCES, EBUSY]),
    only(&["syslog"], &[EPERM]),
    only(&["mq_open"], &[EMFILE, ENFILE, ENOSPC, ENOMEM, EINVAL]),
    // Memory. brk(2) never fails with an errno: it returns the old break.
    // EACCES is rare: a program that asks for executable memory where it may have none does so once.
    only(&["mmap", "mmap2"], &[ENOMEM, EAGAIN, EPERM, EACCES, ENODEV, ENFILE, EOVERFLOW]),
    only(&["pkey_mprotect"], &[ENOMEM, EACCES]),
    only(&["mprotect", "mremap", "mlock", "mlock2", "mlockall"], &[ENOMEM, EAGAIN, EPERM, EACCES]),
    // Sockets: never EINPROGRESS, EINTR, nor a peer that does not answer. Programs ask for IPv6 by making such a
    // socket, and for a route by connecting one (ENETUNREACH), so those are not watched on the whole machine.
    // EAGAIN is daily bread of those that poll, also where a local socket's queue is full.
    only(&["socket", "socketcall"], &[EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EACCES, EPROTONOSUPPORT]),
    only(&["bind"], &[EADDRINUSE, EINVAL, EADDRNOTAVAIL, EACCES, EPERM, ENOBUFS, ENOMEM, ENODEV]),
    only(&["listen"], &[EADDRINUSE]),
    // Of netlink: messages were lost.
    only(&["recvmsg", "recvfrom"], &[ENOBUFS]),
    only(&["connect"], &[EADDRNOTAVAIL, EINVAL, EPERM, ENOBUFS, ENOMEM, EACCES]),
    only(&["sendto", "sendmsg", "sendmmsg"], &[ENOBUFS, ENOMEM, EPERM, EMSGSIZE, ETOOMANYREFS, EACCES]),
];

/// Both tables, ready for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub native: Vec<InterestRow>,
    pub compat: Vec<InterestRow>,
}

impl Table {
    /// What a watch of the whole machine reports.
    pub fn curated() -> Self {
        let mut table = Self::nothing();
        for interest in CURATED {
            for name in interest.calls {
                for abi in [Abi::Native, Abi::Compat] {
                    if let Some(row) = table.row_mut(name, abi) {
                        *row = row_for(name, abi, &interest.errnos);
                    }
                }
            }
        }
        table
    }

    /// Every errno of every call: for the tree of one command.
    pub fn everything() -> Self {
        let mut table = Self::nothing();
        let all = Errnos::AllBut(&[]);
        for (abi, rows) in [(Abi::Native, &mut table.native), (Abi::Compat, &mut table.compat)] {
            for (number, row) in (0..).zip(rows) {
                // Numbers without a name too: a kernel may be newer than the table of names.
                *row = row_for(&name(number, abi), abi, &all);
            }
        }
        table
    }

    /// Whether one of the two tables wants it, by errno and number: what most failures are tested by.
    pub(super) fn maybe(&self) -> Vec<u8> {
        let mut wanted = vec![0; MAYBE_BYTES];
        for (number, (native, compat)) in self.native.iter().zip(&self.compat).enumerate() {
            for (at, (native, compat)) in native.errnos.iter().zip(&compat.errnos).enumerate() {
                let mut errnos = native | compat;
                while errnos != 0 {
                    let errno = at * 64 + errnos.trailing_zeros() as usize;
                    wanted[errno * SYSCALLS as usize + number] = 1;
                    errnos &= errnos - 1;
                }
            }
        }
        wanted
    }

    fn nothing() -> Self {
        let rows = vec![InterestRow::NONE; SYSCALLS as usize];
        Self { native: rows.clone(), compat: rows }
    }

    fn row_mut(&mut self, name: &str, abi: Abi) -> Option<&mut InterestRow> {
        let number = number(name, abi)?;
        let rows = match abi {
            Abi::Native => &mut self.native,
            Abi::Compat => &mut self.compat,
        };
        rows.get_mut(number as usize)
    }

    /// Whether a failure of this call with this errno makes a record.
    pub fn covers(&self, name: &str, abi: Abi, errno: Errno) -> bool {
        let rows = match abi {
            Abi::Native => &self.native,
            Abi::Compat => &self.compat,
        };
        let row = number(name, abi).and_then(|number| rows.get(number as usize));
        let bit = u32::try_from(errno.0).ok().filter(|bit| *bit < ERRNO_END);
        matches!((row, bit), (Some(row), Some(bit)) if row.errnos[bit as usize / 64] & (1 << (bit % 64)) != 0)
    }
}

fn row_for(name: &str, abi: Abi, errnos: &Errnos) -> InterestRow {
    let mut row = InterestRow::NONE;
    let mut set = |errno: u32| {
        if !(ERESTART_FIRST..=ERESTART_LAST).contains(&errno) {
            row.errnos[errno as usize / 64] |= 1 << (errno % 64);
        }
    };
    match errnos {
        Errnos::Only(list) => list.iter().for_each(|errno| set(errno.unsigned_abs())),
        Errnos::AllBut(list) => {
            (1..ERRNO_END).filter(|errno| !list.iter().any(|but| but.unsigned_abs() == *errno)).for_each(set);
        }
    }
    let slots = syscall_args::string_slots(name, abi);
    for (to, slot) in row.strings.iter_mut().zip(slots) {
        *to = slot.unwrap_or(NO_ARG);
    }
    if slots[SHORT_SLOTS..].iter().any(Option::is_some) {
        row.flags |= ROW_LONG;
    }
    if MOUNT_FAMILY.contains(&name) {
        row.flags |= ROW_MOUNTS;
    }
    if abi == Abi::Native {
        row.flags |= values::set_of(name) << ROW_SET_SHIFT;
    }
    row.flags |= LIMIT_READINGS.iter().find(|(c, _)| c.contains(&name)).map_or(0, |(_, flags)| *flags);
    row
}

/// The number of a system call in one of the two tables.
pub fn number(name: &str, abi: Abi) -> Option<u32> {
    let id = match abi {
        Abi::Native => name.parse::<x86_64::Sysno>().ok()?.id(),
        Abi::Compat => name.parse::<x86::Sysno>().ok()?.id(),
    };
    u32::try_from(id).ok()
}

/// The name of a system call, as in the kernel's tables; numbers newer than ours as `syscall 499`.
pub fn name(number: u32, abi: Abi) -> String {
    let name = match abi {
        Abi::Native => x86_64::Sysno::new(number as usize).map(|call| call.name()),
        Abi::Compat => x86::Sysno::new(number as usize).map(|call| call.name()),
    };
    name.map_or_else(|| format!("syscall {number}"), str::to_owned)
}

#[cfg(test)]
mod tests;
