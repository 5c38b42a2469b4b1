//! The default profile as data: which system calls a workload may make, in groups, each with its reason.
//!
//! Equal in effect to docker's default profile. What is not listed answers EPERM; what is newer than everything listed
//! answers ENOSYS, so that programs fall back to what older kernels have. A name that an architecture lacks says nothing
//! there; that is how the 32-bit forms (`chown32`, `_llseek`, `socketcall`) stand beside the 64-bit ones.

/// System calls that are allowed for one reason.
#[derive(Debug)]
pub(super) struct Group {
    /// Why a workload may have them although it shares the kernel with others.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader, and the test that there is one"))]
    pub(super) why: &'static str,
    /// Names, separated by blanks.
    pub(super) calls: &'static str,
}

/// Allowed to everybody.
pub(super) const ALWAYS: &[Group] = &[
    Group {
        why: "work on open files: the right was checked when they were opened",
        calls: "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek _llseek close \
                close_range dup dup2 dup3 fcntl fcntl64 ioctl fstat fstat64 fstatfs fstatfs64 fsync fdatasync \
                ftruncate ftruncate64 fallocate fadvise64 fadvise64_64 readahead flock getdents getdents64 \
                sendfile sendfile64 copy_file_range splice tee vmsplice sync_file_range syncfs sync cachestat",
    },
    Group {
        why: "names and files below the container's own root: permissions and the mount namespace decide",
        calls: "open openat openat2 creat access faccessat faccessat2 stat stat64 lstat lstat64 newfstatat \
                fstatat64 statx statfs statfs64 readlink readlinkat getcwd chdir fchdir mkdir mkdirat rmdir link \
                linkat symlink symlinkat unlink unlinkat rename renameat renameat2 mknod mknodat truncate \
                truncate64 umask name_to_handle_at statmount listmount",
    },
    Group {
        why: "owner, mode, times and attributes of those files",
        calls: "chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 utime utimes \
                utimensat utimensat_time64 futimesat getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr \
                fsetxattr setxattrat listxattr llistxattr flistxattr listxattrat removexattr lremovexattr \
                fremovexattr removexattrat",
    },
    Group {
        why: "waiting for descriptors and being told of changes: bounded by limits of the user and the cgroup",
        calls: "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 \
                epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 \
                signalfd signalfd4 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark \
                pipe pipe2 io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents \
                io_pgetevents_time64",
    },
    Group {
        why: "memory of one's own, charged to the cgroup",
        calls: "brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 munlock mlockall munlockall \
                membarrier memfd_create memfd_secret mseal map_shadow_stack pkey_alloc pkey_free pkey_mprotect \
                remap_file_pages",
    },
    Group {
        why: "processes and threads of the container's pid namespace: making, ending, asking",
        calls: "fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid getpgrp \
                setpgid getsid setsid kill tkill tgkill pidfd_open pidfd_send_signal process_mrelease \
                set_tid_address set_robust_list get_robust_list rseq set_thread_area get_thread_area prctl \
                restart_syscall getrusage times uretprobe",
    },
    Group {
        why: "signals to and from oneself",
        calls: "rt_sigaction rt_sigprocmask rt_sigpending rt_sigreturn rt_sigsuspend rt_sigtimedwait \
                rt_sigtimedwait_time64 rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn pause \
                alarm",
    },
    Group {
        why: "scheduling within what the cgroup and RLIMIT_NICE give",
        calls: "sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam \
                sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min \
                sched_rr_get_interval sched_rr_get_interval_time64 getpriority setpriority ioprio_get ioprio_set \
                getcpu",
    },
    Group {
        why: "locks between threads",
        calls: "futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue",
    },
    Group {
        why: "reading clocks, sleeping, timers; adjusting the clock wants CAP_SYS_TIME besides",
        calls: "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep \
                clock_nanosleep_time64 nanosleep clock_adjtime clock_adjtime64 adjtimex getitimer setitimer \
                timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime \
                timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64",
    },
    Group {
        why: "sockets: the network namespace decides what they reach; `socket` itself is looked at more closely",
        calls: "socketpair socketcall bind connect listen accept accept4 getsockname getpeername getsockopt \
                setsockopt send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 shutdown",
    },
    Group {
        why: "System V and POSIX queues, semaphores and memory of the container's own ipc namespace",
        calls: "ipc msgget msgsnd msgrcv msgctl semget semop semctl semtimedop semtimedop_time64 shmget shmat shmdt \
                shmctl mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive \
                mq_timedreceive_time64",
    },
    Group {
        why: "who one is: the capability sets bound every change",
        calls: "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid \
                getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid \
                setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 \
                setgroups setgroups32 capget capset",
    },
    Group {
        why: "one's own resource limits; raising the hard one wants CAP_SYS_RESOURCE",
        calls: "getrlimit ugetrlimit setrlimit prlimit64",
    },
    Group {
        why: "restricting oneself further",
        calls: "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    },
    Group { why: "what every process may know", calls: "uname sysinfo getrandom" },
    Group {
        why: "debugging and copying memory within the pid namespace: since 4.8 the tracer cannot use it to pass the filter",
        calls: "ptrace process_vm_readv process_vm_writev",
    },
    Group { why: "segments and bases of one's own address space on x86", calls: "arch_prctl modify_ldt" },
];

/// Allowed to those who hold the capability without which the kernel refuses them anyhow, in the initial user
/// namespace: the filter then adds nothing but the refusal inside namespaces of the workload's own making.
pub(super) const WITH_CAPABILITY: &[(&str, &str)] = &[
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl \
         quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "init_module finit_module delete_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("SYS_RAWIO", "iopl ioperm"),
    ("SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy set_mempolicy set_mempolicy_home_node mbind"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// Namespaces clone(2) may not make without CAP_SYS_ADMIN: every one of them opens kernel code to the workload that
/// only root reaches otherwise. CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
pub(super) const CLONE_NAMESPACES: u32 = 0x7e02_0000;

/// personality(2) values that change nothing dangerous: PER_LINUX, PER_LINUX32, both with UNAME26, and "ask".
pub(super) const PERSONALITIES: [u32; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Address families socket(2) refuses: AF_ALG reaches the kernel's crypto drivers, AF_VSOCK the hypervisor; no network
/// namespace bounds either.
pub(super) const REFUSED_FAMILIES: [u32; 2] = [libc::AF_ALG as u32, libc::AF_VSOCK as u32];
