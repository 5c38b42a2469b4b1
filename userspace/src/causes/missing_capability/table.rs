//! Which call asks for which capability, where, and who in the kernel does the asking.
//!
//! From the calls' sources (Linux 5.10 to 7.2) and capabilities(7). Where two capabilities will do, the narrower one is
//! named first.

use super::super::case::rights::Scope::{self, First, Inode, Ipc, Mount, Net, Own, Target, Uts};
use super::when::{self, always};
use crate::causes::Case;
use libc::{EACCES, EPERM};

/// One question for a capability.
pub(super) struct Row {
    pub(super) calls: Calls,
    pub(super) errno: i32,
    /// Whether this very call asks.
    pub(super) when: fn(&Case<'_>) -> Option<bool>,
    pub(super) capability: &'static str,
    /// A wider one that will do as well.
    pub(super) or: Option<&'static str>,
    pub(super) scope: Scope,
    /// Whether lacking it is enough for this errno: the call cannot have got past the question.
    pub(super) decisive: bool,
    /// Functions whose "no" is this question's.
    pub(super) deciders: Calls,
    /// What the task wanted: `to change its root folder`.
    pub(super) wanted: &'static str,
}

/// Names between blanks.
type Calls = &'static str;

const fn row(
    calls: Calls,
    capability: &'static str,
    scope: Scope,
    deciders: Calls,
    wanted: &'static str,
) -> Row {
    Row { calls, errno: EPERM, when: always, capability, or: None, scope, decisive: true, deciders, wanted }
}

impl Row {
    /// Whether this row is about the call.
    pub(super) fn is_of(&self, call: &str) -> bool {
        self.calls.split(' ').any(|name| name == call)
    }

    pub(super) fn deciders(&self) -> Vec<&'static str> {
        self.deciders.split(' ').collect()
    }

    const fn when(self, when: fn(&Case<'_>) -> Option<bool>) -> Self {
        Self { when, ..self }
    }

    const fn or(self, wider: &'static str) -> Self {
        Self { or: Some(wider), ..self }
    }

    /// Other states give the same errno.
    const fn among_others(self) -> Self {
        Self { decisive: false, ..self }
    }

    const fn eacces(self) -> Self {
        Self { errno: EACCES, ..self }
    }
}

const SETUID: Calls = "setuid setreuid setresuid setuid32 setreuid32 setresuid32";
const SETGID: Calls = "setgid setregid setresgid setgid32 setregid32 setresgid32";
const CHOWN: Calls = "chown lchown fchown fchownat chown32 lchown32 fchown32";
const CHMOD: Calls = "chmod fchmod fchmodat fchmodat2 utimensat utime utimes futimesat";
const SETXATTR: Calls = "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr setxattrat";
const KILL: Calls = "kill tgkill tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal";
const TRACE: Calls = "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise";
const OPEN: Calls = "open openat openat2 creat";
const SOCKET: Calls = "socket";
const SET_TIME: Calls = "settimeofday clock_settime clock_settime64 stime adjtimex clock_adjtime";
const MOUNTS: Calls = "mount umount2 umount move_mount fsopen fsmount fspick mount_setattr pivot_root";
const NEW_TASKS: Calls = "unshare clone clone3";
const SCHEDULER: Calls = "sched_setscheduler sched_setattr sched_setparam";
const MODULES: Calls = "init_module finit_module delete_module";

/// The first row that fits is taken.
pub(super) const TABLE: &[Row] = &[
    // Mounts and namespaces: `may_mount()` (fs/namespace.c) is ns_capable() in the owner of the mount namespace.
    row(MOUNTS, "CAP_SYS_ADMIN", Mount, "may_mount path_mount __x64_sys_fsopen __x64_sys_fsmount __x64_sys_fspick __x64_sys_move_mount path_pivot_root __x64_sys_pivot_root do_mount_setattr __x64_sys_mount_setattr path_umount ksys_umount __x64_sys_umount", "to mount or unmount"),
    row("open_tree open_tree_attr", "CAP_SYS_ADMIN", Mount, "may_mount __x64_sys_open_tree vfs_open_tree", "to copy a mount").when(when::tree_clone),
    row(NEW_TASKS, "CAP_SYS_ADMIN", Own, "unshare_nsproxy_namespaces copy_namespaces", "to make a namespace").when(when::new_namespaces),
    row("setns", "CAP_SYS_ADMIN", Own, "mntns_install netns_install utsns_install ipcns_install pidns_install cgroupns_install userns_install timens_install", "to enter a namespace"),
    row("sethostname setdomainname", "CAP_SYS_ADMIN", Uts, "__x64_sys_sethostname __x64_sys_setdomainname", "to set the host's name"),
    row("chroot", "CAP_SYS_CHROOT", Own, "path_chroot __x64_sys_chroot __do_sys_chroot", "to change its root folder"),
    // Identities (kernel/sys.c, kernel/groups.c, security/commoncap.c).
    row(SETUID, "CAP_SETUID", Own, "__sys_setuid __sys_setreuid __sys_setresuid", "to become another user"),
    row(SETGID, "CAP_SETGID", Own, "__sys_setgid __sys_setregid __sys_setresgid", "to change its group"),
    row("setgroups setgroups32", "CAP_SETGID", Own, "may_setgroups __x64_sys_setgroups", "to change its supplementary groups"),
    row("capset", "CAP_SETPCAP", Own, "cap_capset", "to take a capability it has not").among_others(),
    row("prctl", "CAP_SETPCAP", Own, "cap_task_prctl cap_prctl_drop", "to drop a capability from its bounding set").when(when::bounding_drop),
    row("prctl", "CAP_SETPCAP", Own, "cap_task_prctl", "to change its secure bits").when(when::secure_bits).among_others(),
    row("prctl", "CAP_SYS_RESOURCE", First, "prctl_set_mm __do_sys_prctl __x64_sys_prctl", "to describe its memory anew").when(when::memory_map).or("CAP_CHECKPOINT_RESTORE").among_others(),
    // Files (fs/attr.c, fs/namei.c, fs/xattr.c, security/commoncap.c).
    row(CHOWN, "CAP_CHOWN", Inode, "setattr_prepare chown_ok chgrp_ok", "to give a file to somebody"),
    row(CHMOD, "CAP_FOWNER", Inode, "setattr_prepare inode_owner_or_capable", "to change a file it does not own").when(when::of_other_owner),
    row(OPEN, "CAP_FOWNER", Inode, "may_open inode_owner_or_capable", "to open somebody's file with O_NOATIME").when(when::no_atime),
    row(SETXATTR, "CAP_SYS_ADMIN", First, "xattr_permission", "to write a trusted.* attribute").when(when::trusted_attribute),
    row(SETXATTR, "CAP_SETFCAP", Inode, "cap_convert_nscap cap_inode_setxattr cap_inode_removexattr", "to give a file capabilities").when(when::capability_attribute),
    row(SETXATTR, "CAP_SYS_ADMIN", First, "cap_inode_setxattr cap_inode_removexattr", "to write a security.* attribute").when(when::security_attribute).among_others(),
    row("mknod mknodat", "CAP_MKNOD", First, "vfs_mknod", "to make a device node").when(when::device_node),
    row("ioctl", "CAP_LINUX_IMMUTABLE", First, "vfs_fileattr_set fileattr_set_prepare ext4_ioctl_setflags vfs_ioc_setflags_prepare", "to make a file immutable or mutable").when(when::flag_ioctl).among_others(),
    row("open_by_handle_at", "CAP_DAC_READ_SEARCH", First, "handle_to_path do_handle_open may_decode_fh", "to open a file by its handle").among_others(),
    row("fcntl fcntl64", "CAP_LEASE", First, "generic_setlease vfs_setlease", "to take a lease on somebody's file").eacces().when(when::lease),
    row(OPEN, "CAP_SYS_RAWIO", First, "open_port msr_open", "to reach the machine's memory or ports").when(when::raw_device).among_others(),
    // The machine.
    row(MODULES, "CAP_SYS_MODULE", First, "may_init_module __x64_sys_finit_module __x64_sys_init_module __x64_sys_delete_module __do_sys_finit_module", "to load or remove a kernel module"),
    row("kexec_load kexec_file_load", "CAP_SYS_BOOT", First, "kexec_load_check __x64_sys_kexec_load __x64_sys_kexec_file_load kexec_load_permitted", "to load another kernel"),
    row("reboot", "CAP_SYS_BOOT", Own, "__do_sys_reboot __x64_sys_reboot", "to restart the machine"),
    row(SET_TIME, "CAP_SYS_TIME", First, "cap_settime security_settime64 do_sys_settimeofday64 timekeeping_validate_timex ntp_validate_timex do_adjtimex", "to set the clock"),
    row("iopl ioperm", "CAP_SYS_RAWIO", First, "__x64_sys_iopl ksys_ioperm __x64_sys_ioperm __do_sys_iopl", "to reach I/O ports"),
    row("swapon swapoff", "CAP_SYS_ADMIN", First, "__x64_sys_swapon __x64_sys_swapoff __do_sys_swapon __do_sys_swapoff", "to manage swap space"),
    row("acct", "CAP_SYS_PACCT", First, "__x64_sys_acct", "to switch process accounting"),
    row("quotactl quotactl_fd", "CAP_SYS_ADMIN", First, "check_quotactl_permission do_quotactl", "to manage quotas").among_others(),
    row("vhangup", "CAP_SYS_TTY_CONFIG", First, "__x64_sys_vhangup", "to hang up a terminal"),
    row("lookup_dcookie", "CAP_SYS_ADMIN", First, "", "to look up a cookie"),
    row("fanotify_init", "CAP_SYS_ADMIN", First, "__do_sys_fanotify_init __x64_sys_fanotify_init", "to watch a whole mount by fanotify"),
    row("fanotify_mark", "CAP_SYS_ADMIN", First, "do_fanotify_mark", "to watch a whole mount by fanotify"),
    row("timer_create timerfd_create clock_nanosleep", "CAP_WAKE_ALARM", First, "alarm_timer_create alarm_timer_nsleep __x64_sys_timerfd_create", "to set a timer that wakes the machine").when(when::alarm_clock),
    row("ioctl", "CAP_SYS_ADMIN", First, "tiocsti tioccons blkdev_ioctl", "to administer a device or file system").when(when::admin_ioctl).among_others(),
    row("ioctl", "CAP_SYS_ADMIN", First, "blkdev_ioctl blkdev_common_ioctl", "to administer a block device").when(when::admin_ioctl).eacces().among_others(),
    row("ioctl", "CAP_SYS_TTY_CONFIG", First, "vt_ioctl vt_k_ioctl", "to configure a console").when(when::console_ioctl).among_others(),
    // Networks (net/): ns_capable() in the owner of the network namespace.
    row(SOCKET, "CAP_NET_RAW", Net, "inet_create inet6_create", "to open a raw socket").when(when::raw_socket),
    row(SOCKET, "CAP_NET_RAW", Net, "packet_create xsk_create", "to open a packet socket").when(when::packet_socket),
    row(SOCKET, "CAP_NET_ADMIN", Net, "pfkey_create", "to manage IPsec keys").when(when::key_socket),
    row("setsockopt", "CAP_NET_ADMIN", Net, "sk_setsockopt sock_setsockopt do_ip_setsockopt do_tcp_setsockopt tcp_can_repair_sock do_ipt_set_ctl", "to set a socket option of administrators").when(when::administered_option),
    row("ioctl", "CAP_NET_ADMIN", Net, "dev_ioctl devinet_ioctl ip_rt_ioctl br_ioctl_stub tun_set_iff __tun_chr_ioctl addrconf_add_ifaddr", "to configure a network interface").when(when::interface_ioctl),
    // Processes.
    row(TRACE, "CAP_SYS_PTRACE", Target, "__ptrace_may_access ptrace_has_cap cap_ptrace_access_check mm_access", "to trace another process").when(when::traced_stranger),
    row("open openat openat2 readlink readlinkat", "CAP_SYS_PTRACE", Target, "__ptrace_may_access proc_mem_open proc_pid_get_link proc_pid_readlink proc_ns_get_link proc_ns_readlink proc_fd_access_allowed mm_access", "to look into another process").eacces().when(when::inside_of_process).among_others(),
    row("open openat openat2 readlink readlinkat", "CAP_SYS_PTRACE", Target, "__ptrace_may_access mm_access", "to look into another process").when(when::inside_of_process).among_others(),
    row(KILL, "CAP_KILL", Target, "check_kill_permission kill_ok_by_cred", "to signal another user's process").when(when::killed_stranger),
    row("setpriority", "CAP_SYS_NICE", Target, "set_one_prio set_one_prio_perm", "to change another user's priority").among_others(),
    row("ioprio_set", "CAP_SYS_NICE", First, "ioprio_check_cap set_task_ioprio", "to take a real-time class of I/O").or("CAP_SYS_ADMIN").among_others(),
    // For itself it might do with a resource limit, which is a cause of its own.
    row(SCHEDULER, "CAP_SYS_NICE", First, "user_check_sched_setscheduler __sched_setscheduler check_same_owner", "to schedule another user's process").when(when::other_process).among_others(),
    row("sched_setaffinity", "CAP_SYS_NICE", Target, "sched_setaffinity", "to place another user's process"),
    row("mbind move_pages migrate_pages", "CAP_SYS_NICE", First, "kernel_mbind kernel_move_pages kernel_migrate_pages do_mbind", "to move other processes' pages").when(when::move_all).among_others(),
    row("prlimit64 setrlimit", "CAP_SYS_RESOURCE", First, "do_prlimit", "to raise a hard limit").when(when::own_limit),
    row("prlimit64 setrlimit", "CAP_SYS_RESOURCE", First, "do_prlimit check_prlimit_permission", "to raise a hard limit, or set another's").when(when::any_limit).among_others(),
    row("write pwrite64", "CAP_SYS_RESOURCE", First, "__set_oom_adj", "to make itself less likely to be killed").eacces().when(when::oom_score),
    row("write pwrite64", "CAP_CHECKPOINT_RESTORE", Own, "pid_ns_ctl_handler", "to choose the next process number").when(when::last_pid).or("CAP_SYS_ADMIN"),
    row("write pwrite64", "CAP_SYS_ADMIN", First, "proc_dointvec_minmax_sysadmin bpf_unpriv_handler proc_do_static_key perf_event_max_stack_handler proc_sys_call_handler", "to change a switch of security").when(when::admin_sysctl).among_others(),
    row("write pwrite64", "CAP_SYS_PTRACE", First, "yama_dointvec_minmax", "to change who may trace").when(when::trace_sysctl).among_others(),
    row("write pwrite64", "CAP_SYS_RAWIO", First, "mmap_min_addr_handler", "to change the lowest address").when(when::address_sysctl),
    // System V objects (ipc/util.c): the owner, or ns_capable() in the owner of the IPC namespace.
    row("shmctl semctl msgctl", "CAP_SYS_ADMIN", Ipc, "ipcctl_obtain_check", "to change another user's IPC object").when(when::no_lock).among_others(),
    row("shmget semget msgget shmat semop semtimedop msgsnd msgrcv shmctl semctl msgctl", "CAP_IPC_OWNER", Ipc, "ipcperms", "to use another user's IPC object").eacces(),
];
