//! The table: which deed makes which system calls.

use super::told::Told;
use super::{files, memory, mounts, sockets, tasks};
use std::collections::BTreeSet;

/// Makes calls that succeed.
type Deed = fn(&mut Told);

/// Longest time of one deed, in seconds: an emulated machine that traces takes its time.
const MOST_SECONDS: u32 = 20;

/// System calls (words between blanks), and who makes them.
const DEEDS: &[(&str, Deed)] = &[
    (
        "openat open creat mkdir mkdirat rmdir link linkat symlink symlinkat unlink rename mknod mknodat",
        files::names,
    ),
    (
        "chown lchown fchown fchownat chmod fchmod fchmodat setxattr lsetxattr write truncate fallocate",
        files::contents,
    ),
    ("openat write", files::settings),
    ("openat", files::devices),
    ("mkdir mkdirat rmdir write openat clone3", files::cgroup),
    ("pipe pipe2 fcntl dup dup2 dup3 eventfd2 memfd_create", files::descriptors),
    (
        "inotify_init inotify_init1 inotify_add_watch fanotify_init fanotify_mark epoll_create1 epoll_ctl",
        files::watches,
    ),
    (
        "mount umount2 umount open_tree move_mount fsopen fsconfig fsmount mount_setattr fspick",
        mounts::mounts,
    ),
    ("mount fsopen fsconfig fsmount", mounts::overlay),
    ("pivot_root chroot", mounts::roots),
    ("clone clone3 fork", tasks::children),
    ("unshare", tasks::unshare),
    ("setns", tasks::setns),
    ("execve execveat", tasks::programs),
    ("setuid setgid setresuid setresgid setgroups prlimit64 setrlimit prctl capset", tasks::credentials),
    ("sched_setaffinity sched_setscheduler sched_setattr setpriority", tasks::scheduling),
    ("ptrace rt_sigqueueinfo kill", tasks::signals),
    ("seccomp landlock_create_ruleset landlock_restrict_self syslog bpf perf_event_open", tasks::security),
    ("io_uring_setup userfaultfd add_key keyctl request_key", tasks::objects),
    ("mmap mprotect mlock mlock2 mlockall mremap madvise brk munmap", memory::mappings),
    ("semget semop semctl shmget shmat shmctl msgget msgsnd msgctl mq_open mq_unlink", memory::ipc),
    ("socket bind connect listen sendto setsockopt", sockets::internet),
    ("socket bind connect listen sendto", sockets::local),
    ("socket sendto", sockets::netlink),
];

fn makes(calls: &str, syscall: &str) -> bool {
    calls.split(' ').any(|call| call == syscall)
}

pub(super) fn all() -> BTreeSet<&'static str> {
    DEEDS.iter().flat_map(|(calls, _)| calls.split(' ')).collect()
}

pub(super) fn has(syscall: &str) -> bool {
    DEEDS.iter().any(|(calls, _)| makes(calls, syscall))
}

/// Does every deed that makes one of these calls, each in a child of its own, one after the other.
pub(super) fn perform(syscalls: &[String]) {
    for (calls, deed) in DEEDS {
        if !syscalls.iter().any(|syscall| makes(calls, syscall)) {
            continue;
        }
        // SAFETY: this process has one thread, so the child may do everything that the parent may.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: an alarm whose signal ends the process.
                unsafe { libc::alarm(MOST_SECONDS) };
                deed(&mut Told::new());
                // SAFETY: ends the child, which owns nothing that outlives it.
                unsafe { libc::_exit(0) }
            }
            // The machine takes no more tasks: then there is no success to be had.
            -1 => return,
            child => {
                super::told::reap(usize::try_from(child).ok());
                files::Place::sweep(child.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn every_call_of_the_table_is_one_of_the_kernel() {
        for call in all() {
            // umount is what the kernel's function is called.
            let known = call == "umount" || syscalls::x86_64::Sysno::from_str(call).is_ok();
            assert!(known, "{call}");
        }
    }
}
